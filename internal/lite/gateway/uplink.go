package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/queue"
	"github.com/osmoslice/osmoslice/internal/senml"
)

// sequencePlace is where an MQTT topic receives the batch's name.
const sequencePlace = "{seq}"

// Backoff between attempts to reach the server.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// Uplink is where and as whom readings are delivered.
type Uplink struct {
	Protocol  string `json:"protocol"`
	Address   string `json:"address"`
	Topic     string `json:"topic,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	Username  string `json:"username,omitempty"`
	Password  string `json:"password,omitempty"`
	DownTopic string `json:"down_topic,omitempty"`
	Format    string `json:"format,omitempty"`
	// State and Error are answers only.
	State string `json:"state,omitempty"`
	Error string `json:"error,omitempty"`
}

func (u *Uplink) validate() error {
	u.State, u.Error = "", ""
	target, err := url.Parse(u.Address)
	if err != nil || target.Host == "" || target.User != nil {
		return bad("address", "an address that cannot be read", "tcp://host:port, ssl://host:port, http(s)://host:port/path, without credentials")
	}
	switch u.Protocol {
	case protocolMQTT:
		if target.Scheme != "tcp" && target.Scheme != "ssl" {
			return bad("address", u.Address, "tcp:// or ssl:// with protocol MQTT")
		}
		if u.Topic == "" || len(u.Topic) > 1024 || strings.ContainsAny(u.Topic, "+#\x00") {
			return bad("topic", u.Topic, "an MQTT topic name of 1 to 1024 bytes")
		}
		if len(u.DownTopic) > 1024 || strings.ContainsRune(u.DownTopic, 0) {
			return bad("down_topic", u.DownTopic, "an MQTT topic filter of at most 1024 bytes")
		}
	case protocolHTTP:
		if target.Scheme != "http" && target.Scheme != "https" {
			return bad("address", u.Address, "http:// or https:// with protocol HTTP")
		}
		if u.Topic != "" || u.DownTopic != "" {
			return bad("topic", u.Topic+u.DownTopic, "nothing with protocol HTTP")
		}
	default:
		return bad("protocol", u.Protocol, "MQTT, HTTP")
	}
	switch u.Format {
	case "", "json", "cbor":
		return nil
	}
	return bad("format", u.Format, "json, cbor")
}

// batch is one uplink message.
type batch struct {
	stream  string // <gateway>.<epoch>
	first   uint64
	count   int
	payload []byte // SenML JSON
}

// link is one way of delivering to a server. deliver sends b; done is called
// once, in order of the calls, with nil when the server took it, a refusal
// when it never will. A link ends with its first other error.
type link interface {
	deliver(b batch, done func(error))
	window() int // batches that may be unacknowledged
	lost() <-chan struct{}
	close()
}

var errLinkLost = errors.New("connection lost")

// refusal is an error that says how many records of a batch the server will
// never take; the others were delivered.
type refusal int

func (r refusal) Error() string { return fmt.Sprintf("the server refuses %d records", int(r)) }

// uplinker delivers the queue to the uplink of the moment.
type uplinker struct {
	engine  *engine
	name    string
	records int
	bytes   int
	tls     *tls.Config
	log     *slog.Logger
	onDown  func(payload []byte)

	mu     sync.Mutex
	cancel context.CancelFunc
	ended  chan struct{}
	state  string
	err    string

	batches atomic.Uint64 // delivered since the start, for /metrics
}

// set ends the present delivery and begins the one to u; nil only ends.
func (l *uplinker) set(u *Uplink) {
	l.mu.Lock()
	cancel, ended := l.cancel, l.ended
	l.cancel, l.ended = nil, nil
	l.mu.Unlock()
	if cancel != nil {
		cancel()
		<-ended
	}
	if u == nil {
		l.report("", nil)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended = make(chan struct{})
	l.mu.Lock()
	l.cancel, l.ended, l.state, l.err = cancel, ended, "connecting", ""
	l.mu.Unlock()
	go func() {
		defer close(ended)
		l.run(ctx, *u)
	}()
}

// report sets what GET /uplink shows.
func (l *uplinker) report(state string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.err = state, ""
	if err != nil {
		l.err = err.Error()
	}
}

func (l *uplinker) status() (state, err string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state, l.err
}

// run delivers to u until ctx ends, beginning anew after every failure.
func (l *uplinker) run(ctx context.Context, u Uplink) {
	backoff := minBackoff
	for ctx.Err() == nil {
		began := time.Now()
		err := l.once(ctx, u)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxBackoff {
			backoff = minBackoff
		}
		l.report("failing", err)
		l.log.Warn("uplink", "error", err, "retry", backoff.String())
		select {
		case <-time.After(backoff):
		case <-ctx.Done():
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// once connects and delivers until something fails.
func (l *uplinker) once(ctx context.Context, u Uplink) error {
	var to link
	var err error
	if u.Protocol == protocolHTTP {
		to = newHTTPLink(ctx, u, l.tls)
	} else if to, err = dialMQTTLink(ctx, u, l.name, l.tls, l.onDown); err != nil {
		return err
	}
	defer to.close()
	if u.Protocol == protocolMQTT {
		l.report("connected", nil)
	}
	return l.pump(ctx, to)
}

// pump moves batches from the queue to the link and acknowledges them.
func (l *uplinker) pump(ctx context.Context, to link) error {
	q, epoch := l.engine.current()
	reader := q.NewReader(',')
	defer reader.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-to.lost():
			cancel(errLinkLost)
		case <-ctx.Done():
		}
	}()
	slots := make(chan struct{}, to.window())
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		b, err := l.next(ctx, q, reader, epoch)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
		to.deliver(b, func(err error) {
			if err = l.settle(q, b, err); err != nil {
				cancel(err)
				return
			}
			<-slots
		})
	}
}

// settle acknowledges a batch that the server took or will never take.
func (l *uplinker) settle(q *queue.Queue, b batch, err error) error {
	var r refusal
	if errors.As(err, &r) {
		l.log.Warn("uplink: records dropped", "batch", b.name(), "error", err)
		l.engine.count(tally{droppedByServer: uint64(r)})
	} else if err != nil {
		return err
	}
	l.batches.Add(1)
	if state, _ := l.status(); state != "connected" {
		l.report("connected", nil)
	}
	return q.Ack(b.first + uint64(b.count) - 1)
}

// next waits for records, and while the gateway is frozen.
func (l *uplinker) next(ctx context.Context, q *queue.Queue, reader *queue.Reader, epoch int) (batch, error) {
	for l.engine.isFrozen() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return batch{}, ctx.Err()
		}
	}
	if _, now := l.engine.current(); now != epoch {
		return batch{}, queue.ErrClosed
	}
	b, err := reader.Next(ctx, l.records, l.bytes)
	if err != nil {
		return batch{}, err
	}
	if b.Lost > 0 {
		l.log.Error("records damaged on disk", "count", b.Lost, "before", b.First)
		l.engine.count(tally{droppedDamaged: uint64(b.Lost)})
	}
	payload := make([]byte, 0, len(b.Payload)+2)
	payload = append(append(append(payload, '['), b.Payload...), ']')
	return batch{stream: l.name + "." + q.Stream(), first: b.First, count: b.Count, payload: payload}, nil
}

// name is how a server recognises a batch it has already.
func (b *batch) name() string { return fmt.Sprintf("%s.%d.%d", b.stream, b.first, b.count) }

// encoded is the payload in the uplink's format.
func (b *batch) encoded(format string) ([]byte, error) {
	if format != "cbor" {
		return b.payload, nil
	}
	pack, err := senml.DecodeJSON(b.payload, senml.Limits{Bytes: len(b.payload), Records: b.count, Text: len(b.payload)})
	if err != nil {
		return nil, err
	}
	return senml.EncodeCBOR(pack)
}
