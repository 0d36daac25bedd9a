package event

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Progress keeps how far a subscription's deliveries have come.
type Progress interface {
	Delivered(ctx context.Context, subscription string, position int64, cause string) error
}

// Lead takes or extends the duty of delivering; on one process alone it is nil.
type Lead func(ctx context.Context, ttl time.Duration) (bool, error)

// Config is what Webhooks need. Zero values work where it says so.
type Config struct {
	Hub      *Hub
	Store    operation.Transactor
	Progress Progress
	Secrets  Secrets
	Guard    *Guard
	// Parse reads a subscription's filter; nil: filters are refused.
	Parse func(filter string) ([]operation.Condition, error)
	// Lead keeps replicas from delivering the same; nil: this is the only one.
	Lead Lead
	// LeaseTTL is how long a dead leader holds the duty; 0: 10 s.
	LeaseTTL time.Duration
	// GiveUp is how long deliveries may fail; 0: 24 h. Timeout bounds one
	// attempt; 0: 10 s. Pauses between attempts grow from MinPause (0: 1 s) to
	// MaxPause (0: 5 min).
	GiveUp, Timeout, MinPause, MaxPause time.Duration
	// Reload is the longest time until a changed subscription is noticed; 0: 30 s.
	Reload time.Duration
	Log    *slog.Logger // nil: slog.Default
}

// Webhooks delivers events to subscriptions.
type Webhooks struct {
	c Config
}

// NewWebhooks makes the deliverer; Run makes it work.
func NewWebhooks(c Config) *Webhooks {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&c.LeaseTTL, 10*time.Second)
	set(&c.GiveUp, 24*time.Hour)
	set(&c.Timeout, 10*time.Second)
	set(&c.MinPause, time.Second)
	set(&c.MaxPause, 5*time.Minute)
	set(&c.Reload, 30*time.Second)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Guard == nil {
		c.Guard = &Guard{}
	}
	if c.Lead == nil {
		c.Lead = func(context.Context, time.Duration) (bool, error) { return true, nil }
	}
	return &Webhooks{c: c}
}

// Run delivers until ctx ends, and then until the deliveries under way are
// over.
func (w *Webhooks) Run(ctx context.Context) {
	ctx = actor.With(ctx, actor.Service("webhooks"))
	for ctx.Err() == nil {
		leads, err := w.c.Lead(ctx, w.c.LeaseTTL)
		if err != nil && ctx.Err() == nil {
			w.c.Log.Warn("webhooks: the duty cannot be taken", "error", err)
		}
		if leads && err == nil {
			w.lead(ctx)
		}
		sleep(ctx, w.c.LeaseTTL/3)
	}
}

// lead delivers as long as the duty is held.
func (w *Webhooks) lead(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var over sync.WaitGroup
	defer over.Wait()
	defer cancel()
	over.Go(func() {
		defer cancel()
		held := time.Now()
		for ctx.Err() == nil {
			sleep(ctx, w.c.LeaseTTL/3)
			leads, err := w.c.Lead(ctx, w.c.LeaseTTL)
			if err == nil && !leads || time.Since(held) > w.c.LeaseTTL {
				return
			}
			if err == nil {
				held = time.Now()
			}
		}
	})
	w.serve(ctx)
}

// running is one subscription being delivered to.
type running struct {
	revision int64
	position int64 // reached; read after over is closed
	cancel   context.CancelFunc
	over     chan struct{}
}

// serve keeps one delivery running for each active subscription.
func (w *Webhooks) serve(ctx context.Context) {
	all := map[string]*running{}
	defer func() {
		for _, r := range all {
			r.cancel()
			<-r.over
		}
	}()
	changes, err := w.c.Hub.Subscribe(ctx, -1, Scope{Filter: []operation.Condition{
		{Op: "eq", Attr: "resourceKind", Values: []string{string(slice.KindSubscription)}},
	}})
	if err != nil {
		w.c.Log.Warn("webhooks: changes of subscriptions cannot be followed", "error", err)
		return
	}
	for ctx.Err() == nil {
		if err := w.reconcile(ctx, all); err != nil && ctx.Err() == nil {
			w.c.Log.Warn("webhooks: subscriptions cannot be read", "error", err)
		}
		timer := time.NewTimer(w.c.Reload)
		select {
		case _, ok := <-changes.C:
			if !ok {
				timer.Stop()
				return
			}
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (w *Webhooks) reconcile(ctx context.Context, all map[string]*running) error {
	wanted, err := w.subscriptions(ctx)
	if err != nil {
		return err
	}
	for id, r := range all {
		if s, ok := wanted[id]; !ok || s.Revision != r.revision {
			r.cancel()
			<-r.over
			if ok && s.Position < r.position {
				s.Position = r.position // it was read before the last delivery was kept
			}
			delete(all, id)
		}
	}
	for id, s := range wanted {
		if all[id] != nil {
			continue
		}
		dctx, cancel := context.WithCancel(ctx)
		r := &running{revision: s.Revision, position: s.Position, cancel: cancel, over: make(chan struct{})}
		all[id] = r
		go func() {
			defer close(r.over)
			r.position = w.deliver(dctx, *s)
		}()
	}
	return nil
}

func (w *Webhooks) subscriptions(ctx context.Context) (map[string]*slice.Subscription, error) {
	out := map[string]*slice.Subscription{}
	err := w.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		last := ""
		for {
			page, err := tx.List(ctx, operation.Query{
				Kind: slice.KindSubscription, Limit: 1000,
				Filter: []operation.Condition{
					{Op: "eq", Attr: "state", Values: []string{string(slice.Active)}},
					{Op: "gt", Attr: "id", Values: []string{last}},
				},
			})
			if err != nil {
				return err
			}
			for _, r := range page {
				s := r.(*slice.Subscription)
				out[s.ID], last = s, s.ID
			}
			if len(page) < 1000 {
				return nil
			}
		}
	})
	return out, err
}

// deliver posts a subscription's events until ctx ends or it is given up, and
// answers the position reached.
func (w *Webhooks) deliver(ctx context.Context, s slice.Subscription) int64 {
	scope := Scope{Tenants: []string{s.Tenant}}
	if s.Tenant == slice.System {
		scope.Tenants = nil
	}
	if s.Filter != "" {
		var err error
		if scope.Filter, err = w.filter(s.Filter); err != nil {
			w.giveUp(ctx, s, "the filter is not valid: "+err.Error())
			return s.Position
		}
	}
	p := &post{guard: w.c.Guard, secrets: w.c.Secrets, timeout: w.c.Timeout, sub: s}
	defer p.forget()
	kept := s.Position
	for {
		events, changed, err := w.c.Hub.read(ctx, s.Position)
		switch {
		case ctx.Err() != nil:
			return s.Position
		case fault.Is(err, fault.Gone):
			s.Position, err = w.skip(ctx, s)
		}
		if err != nil {
			w.c.Log.Warn("webhooks: events cannot be read", "subscription", s.ID, "error", err)
			sleep(ctx, w.c.MinPause)
			continue
		}
		posted := false
		for i := range events {
			if scope.Match(&events[i]) {
				posted = true
				if !w.insist(ctx, p, &s, events[i]) {
					if ctx.Err() != nil { // else it is given up, which is kept already
						w.keep(ctx, s, kept)
					}
					return s.Position
				}
			}
			s.Position = events[i].Position
		}
		// What was passed over need not be kept each time: passing over it again
		// costs nothing.
		if posted || s.Position-kept >= batch {
			w.keep(ctx, s, kept)
			kept = s.Position
		}
		if changed != nil {
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
}

func (w *Webhooks) filter(text string) ([]operation.Condition, error) {
	if w.c.Parse == nil {
		return nil, errors.New("filters are not offered")
	}
	f, err := w.c.Parse(text)
	if err == nil {
		err = CheckFilter(f)
	}
	return f, err
}

// skip passes over events that are no longer kept, visibly.
func (w *Webhooks) skip(ctx context.Context, s slice.Subscription) (int64, error) {
	oldest, newest, err := w.c.Hub.src.EventBounds(ctx)
	if err != nil {
		return s.Position, err
	}
	to := min(oldest-1, newest)
	cause := fmt.Sprintf("events %d to %d were removed before they could be delivered", s.Position+1, to)
	return to, w.c.Progress.Delivered(ctx, s.ID, to, cause)
}

// keep stores the position reached, also when ctx has just ended.
func (w *Webhooks) keep(ctx context.Context, s slice.Subscription, before int64) {
	if s.Position == before {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := w.c.Progress.Delivered(ctx, s.ID, s.Position, s.Cause); err != nil && !fault.Is(err, fault.NotFound) {
		w.c.Log.Warn("webhooks: progress cannot be kept; events may come twice", "subscription", s.ID, "error", err)
	}
}

// insist posts one event until it is accepted; false when ctx ended or the
// subscription was given up.
func (w *Webhooks) insist(ctx context.Context, p *post, s *slice.Subscription, e slice.Event) bool {
	since, told := time.Now(), time.Time{}
	for attempt := 0; ; attempt++ {
		err := p.send(ctx, e)
		switch {
		case err == nil:
			s.Cause = ""
			return true
		case ctx.Err() != nil:
			return false
		case errors.Is(err, errGone):
			s.Cause = err.Error() // the position kept afterwards tells it, too
			w.giveUp(ctx, *s, s.Cause)
			return false
		case time.Since(since) >= w.c.GiveUp:
			s.Cause = fmt.Sprintf("given up after %s: %v", w.c.GiveUp, err)
			w.giveUp(ctx, *s, s.Cause)
			return false
		}
		s.Cause = fmt.Sprintf("event %d is not delivered since %s: %v", e.Position, since.UTC().Format(time.RFC3339), err)
		if time.Since(told) > time.Minute { // visible at once, then now and then
			told = time.Now()
			if err := w.c.Progress.Delivered(ctx, s.ID, s.Position, s.Cause); err != nil && ctx.Err() == nil {
				w.c.Log.Warn("webhooks: a failure cannot be kept", "subscription", s.ID, "error", err)
			}
		}
		sleep(ctx, min(w.pause(attempt), w.c.GiveUp-time.Since(since)))
	}
}

// pause grows twofold with full jitter over its upper half.
func (w *Webhooks) pause(attempt int) time.Duration {
	d := min(w.c.MinPause<<min(attempt, 20), w.c.MaxPause)
	return d/2 + rand.N(d/2+1)
}

// giveUp makes a subscription INACTIVE, with the cause.
func (w *Webhooks) giveUp(ctx context.Context, s slice.Subscription, cause string) {
	err := w.c.Store.Write(ctx, func(ctx context.Context, tx operation.Tx) error {
		r, err := tx.Get(ctx, slice.KindSubscription, s.ID)
		if err != nil {
			return err
		}
		now := r.(*slice.Subscription)
		now.State, now.Cause, now.Position = slice.Inactive, cause, max(now.Position, s.Position)
		return tx.Update(ctx, now)
	})
	if err != nil && !fault.Is(err, fault.NotFound) && ctx.Err() == nil {
		w.c.Log.Warn("webhooks: a subscription cannot be made inactive", "subscription", s.ID, "error", err)
	}
}
