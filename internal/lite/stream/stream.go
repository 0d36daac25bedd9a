package stream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/senml"
)

// Options configure an Element.
type Options struct {
	Server  string // base URL of the light server's REST interface
	Channel string // id of the channel to publish to
	// Follow is the ids of the channels to follow; none: Channel.
	Follow []string
	Key    string // of a thing that is linked to all of them
	Listen string // host:port of /healthz, default 127.0.0.1:9082; port 0 picks one

	Window   time.Duration // default 10 s
	Grace    time.Duration // how long after its end a window waits for readings, default 1 s
	Suffix   string        // default ":window:"
	MaxNames int           // open windows at most, default 20,000
	Log      *slog.Logger
	Client   *http.Client
}

func (o *Options) defaults() error {
	o.Listen = cmp.Or(o.Listen, "127.0.0.1:9082")
	o.Window = cmp.Or(o.Window, 10*time.Second)
	o.Grace = cmp.Or(o.Grace, time.Second)
	o.Suffix = cmp.Or(o.Suffix, ":window:")
	o.MaxNames = cmp.Or(o.MaxNames, 20_000)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Client = cmp.Or(o.Client, http.DefaultClient)
	if len(o.Follow) == 0 {
		o.Follow = []string{o.Channel}
	}
	if u, err := url.Parse(o.Server); err != nil || u.Host == "" {
		return fault.Field("server", o.Server, "the http or https URL of a light server")
	}
	switch {
	case o.Channel == "" || slices.Contains(o.Follow, ""):
		return fault.Field("channel", "", "the id of a channel")
	case o.Key == "":
		return fault.Field("key", "", "the key of a thing linked to the channel")
	case o.Window < 100*time.Millisecond || o.Grace < 0 || o.MaxNames < 0:
		return fault.Field("window", o.Window.String(), "100ms or more, with a grace of 0s or more")
	case !senml.ValidName("n" + o.Suffix):
		return fault.Field("suffix", o.Suffix, "letters, digits and - : . / _")
	}
	return nil
}

// maxWaiting bounds the records of closed windows that wait for the server.
const maxWaiting = 100_000

// Element is a running stream element.
type Element struct {
	options  Options
	channel  *channel // published to
	follows  []*followed
	listener net.Listener

	mu        sync.Mutex
	windows   *Windows
	waiting   senml.Pack
	readings  int64 // that fell into a window
	published int64
	dropped   int64 // records of closed windows beyond maxWaiting
}

// followed is one channel under watch; the element's lock guards it.
type followed struct {
	*channel
	last      int64 // the arrival number up to which all readings were taken; 0 before the first
	connected bool
	failure   string
}

// New answers an element that listens for /healthz already; Run does the rest.
func New(o Options) (*Element, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	e := &Element{
		options: o, listener: l, channel: o.channelOf(o.Channel),
		windows: NewWindows(o.Window.Seconds(), o.Grace.Seconds(), o.Suffix, o.MaxNames),
	}
	for _, id := range o.Follow {
		e.follows = append(e.follows, &followed{channel: o.channelOf(id)})
	}
	return e, nil
}

func (o *Options) channelOf(id string) *channel {
	return &channel{http: o.Client, base: strings.TrimSuffix(o.Server, "/") + "/channels/" + url.PathEscape(id), key: o.Key}
}

// Addr is where /healthz answers.
func (e *Element) Addr() net.Addr { return e.listener.Addr() }

// Run works until ctx ends; then it publishes the windows it has.
func (e *Element) Run(ctx context.Context) error {
	health := &http.Server{Handler: e.routes(), ReadHeaderTimeout: 10 * time.Second}
	var serving, working sync.WaitGroup
	serving.Go(func() { _ = health.Serve(e.listener) })
	for _, f := range e.follows {
		working.Go(func() { e.followAlways(ctx, f) })
	}
	working.Go(func() { e.publishAlways(ctx) })
	working.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	e.mu.Lock()
	e.queue(e.windows.CloseAll())
	e.mu.Unlock()
	err := e.publish(last)
	err = errors.Join(err, health.Shutdown(last))
	serving.Wait()
	return err
}

// followAlways keeps the live stream of a channel open.
func (e *Element) followAlways(ctx context.Context, f *followed) {
	const shortest, longest = 100 * time.Millisecond, 5 * time.Second
	for wait := shortest; ctx.Err() == nil; {
		err := f.follow(ctx, func(position int64) error {
			wait = shortest
			return e.catchUp(ctx, f, position)
		}, func(pack senml.Pack, number int64) { e.take(f, pack, number) })
		e.note(f, false, err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, longest)
	}
}

// catchUp reads back what was stored while the stream was closed.
func (e *Element) catchUp(ctx context.Context, f *followed, position int64) error {
	e.mu.Lock()
	after := f.last
	from := senml.Seconds(time.Now().Add(-e.options.Grace - e.options.Window))
	e.mu.Unlock()
	if after > 0 && after < position {
		var missed senml.Pack
		err := f.history(ctx, from, after, position, func(r senml.Record) { missed = append(missed, r) })
		if err != nil {
			return err
		}
		e.take(f, missed, position)
	}
	e.mu.Lock()
	f.last = max(f.last, position, 1)
	e.mu.Unlock()
	e.note(f, true, nil)
	return nil
}

// take adds a pack whose last point has the number.
func (e *Element) take(f *followed, pack senml.Pack, number int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range pack {
		if e.windows.Add(r) {
			e.readings++
		}
	}
	f.last = max(f.last, number)
}

// note keeps what /healthz tells.
func (e *Element) note(f *followed, connected bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f.connected, f.failure = connected, ""
	if err != nil {
		f.failure = err.Error()
		e.options.Log.Warn("stream", "error", err)
	}
}

// queue adds closed windows to what waits; the caller holds the lock.
func (e *Element) queue(pack senml.Pack) {
	e.waiting = append(e.waiting, pack...)
	if over := len(e.waiting) - maxWaiting; over > 0 {
		e.dropped += int64(over)
		e.waiting = e.waiting[over:]
	}
}

// publishAlways closes windows that are due and publishes them.
func (e *Element) publishAlways(ctx context.Context) {
	ticker := time.NewTicker(min(e.options.Window/4, time.Second))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			e.mu.Lock()
			e.queue(e.windows.Close(senml.Seconds(now)))
			e.mu.Unlock()
			if err := e.publish(ctx); err != nil && ctx.Err() == nil {
				e.options.Log.Warn("publish", "error", err)
			}
		}
	}
}

// publish sends what waits, in packs that any server takes.
func (e *Element) publish(ctx context.Context) error {
	const most = 1000
	for {
		e.mu.Lock()
		pack := e.waiting[:min(most, len(e.waiting))]
		e.mu.Unlock()
		if len(pack) == 0 {
			return nil
		}
		if err := e.channel.publish(ctx, pack); err != nil {
			return err
		}
		e.mu.Lock()
		e.waiting = e.waiting[len(pack):]
		e.published += int64(len(pack))
		e.mu.Unlock()
	}
}

// routes answers /healthz: 200 while every live stream is open.
func (e *Element) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		e.mu.Lock()
		state := map[string]any{
			"status": "ok", "readings": e.readings, "windows": e.windows.Open(), "waiting": len(e.waiting), "published": e.published,
			"late": e.windows.Late, "dropped": e.dropped + e.windows.Excess,
		}
		status := http.StatusOK
		for _, f := range e.follows {
			if !f.connected {
				status = http.StatusServiceUnavailable
				state["status"], state["reason"] = "failing", cmp.Or(f.failure, "a stream is not open yet")
			}
		}
		e.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(state)
	})
	return mux
}
