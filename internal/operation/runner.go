package operation

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// RunnerConfig is what a Runner needs; zero fields are defaults.
type RunnerConfig struct {
	Store    Store
	Executor Executor
	// Owner names this runner in leases; default: a new UUID.
	Owner string
	// Lease is how long a claim holds without a heartbeat; default 10 s. A
	// killed runner's operations are taken over after it.
	Lease time.Duration
	// Workers bounds the saves and plannings under way; default 8.
	Workers int
	// Hold bounds the operations kept in memory; default 4096.
	Hold int
	// SiteLimit answers how many calls may run at an infrastructure side by
	// side; nil or 0: 8.
	SiteLimit func(infrastructure string) int
	// CallTimeout ends one call; default 30 s.
	CallTimeout time.Duration
	// Drain is how long Run waits, when its context ends, for calls that are
	// out; default 10 s.
	Drain time.Duration
	// Retention is how long final operations are kept; default 30 days,
	// negative: for ever.
	Retention time.Duration
	// Idle is how far away the next thing to do must be for an operation to be
	// given back meanwhile; default 15 s.
	Idle       time.Duration
	Clock      func() time.Time // default time.Now
	Log        *slog.Logger     // default: discards
	Metrics    Metrics          // default: none
	Failpoints *Failpoints      // default: from the environment
}

// Runner claims operations and carries them out. Make it with NewRunner, run it
// once with Run.
type Runner struct {
	c RunnerConfig

	mu       sync.Mutex
	wake     *sync.Cond // a flight is in ready, or closed
	flights  map[string]*flight
	ready    []*flight
	sites    map[string]*site
	polling  map[string]map[*call]bool // by target
	underWay map[string]map[*call]bool // calls running, by target
	out      int                       // calls running
	busy     int                       // flights in a worker's hands
	draining bool
	closed   bool

	signals sync.Mutex // held while signals are delivered or a lease is given back
	calls   sync.WaitGroup
}

// NewRunner makes a Runner.
func NewRunner(c RunnerConfig) (*Runner, error) {
	or := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	or(&c.Lease, 10*time.Second)
	or(&c.CallTimeout, 30*time.Second)
	or(&c.Drain, 10*time.Second)
	or(&c.Retention, 30*24*time.Hour)
	or(&c.Idle, 15*time.Second)
	if c.Workers <= 0 {
		c.Workers = 8
	}
	if c.Hold <= 0 {
		c.Hold = 4096
	}
	if c.Owner == "" {
		c.Owner = slice.NewID()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Failpoints == nil {
		f, err := ParseFailpoints(os.Getenv(FailpointVariable))
		if err != nil {
			return nil, err
		}
		c.Failpoints = f
	}
	r := &Runner{c: c, flights: map[string]*flight{}, sites: map[string]*site{}, polling: map[string]map[*call]bool{}, underWay: map[string]map[*call]bool{}}
	r.wake = sync.NewCond(&r.mu)
	return r, nil
}

// Run claims and runs operations until ctx ends, then drains: no new call
// starts, those out get Drain to end, their outcomes are saved and every lease
// is given back. It answers when nothing of it runs any more; an error says that
// calls are deaf to the end of their context.
func (r *Runner) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var loops, workers sync.WaitGroup
	for range r.c.Workers {
		workers.Go(r.worker)
	}
	loops.Go(func() { r.claims(ctx, life) })
	loops.Go(func() { r.heartbeats(life) })
	loops.Go(func() { r.prune(ctx) })
	<-ctx.Done()
	r.drain(life)
	end()
	r.mu.Lock()
	r.closed = true
	r.wake.Broadcast()
	r.mu.Unlock()
	workers.Wait()
	loops.Wait()
	return r.leave()
}

// leave waits for the calls that were told to end; one that is deaf to its
// context is left behind, its late outcome reaches nobody.
func (r *Runner) leave() error {
	ended := make(chan struct{})
	go func() { defer close(ended); r.calls.Wait() }()
	deaf := time.NewTimer(max(r.c.Drain, time.Second))
	defer deaf.Stop()
	select {
	case <-ended:
		return nil
	case <-deaf.C:
		r.mu.Lock()
		defer r.mu.Unlock()
		return fault.New(fault.Timeout, "%d calls do not end", r.out)
	}
}

// claims takes operations and signals as they come.
func (r *Runner) claims(ctx, life context.Context) {
	const batch, pace = 64, 4 * time.Millisecond
	pause := time.NewTimer(0)
	defer pause.Stop()
	for ctx.Err() == nil {
		free := r.free()
		n := 0
		if free > 0 {
			ops, err := r.c.Store.Claim(ctx, r.c.Owner, SchemaVersion, min(free, batch), r.c.Lease)
			if err != nil && ctx.Err() == nil {
				r.c.Log.Warn("operations cannot be claimed", "error", err)
				pause.Reset(time.Second)
				wait(ctx, pause)
				continue
			}
			n = len(ops)
			for k := range ops {
				r.board(life, ops[k])
			}
		}
		r.hear(ctx)
		if n < batch {
			r.c.Store.Wait(ctx, time.Second)
		}
		pause.Reset(pace) // many commits ring for one claim
		wait(ctx, pause)
	}
}

func wait(ctx context.Context, t *time.Timer) {
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (r *Runner) free() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.c.Metrics; m != nil {
		m.Holding(len(r.flights))
	}
	return r.c.Hold - len(r.flights)
}

// board takes a claimed operation on.
func (r *Runner) board(life context.Context, op Operation) {
	r.c.Failpoints.pass("after-claim", "")
	f := &flight{id: op.ID, op: op, calls: map[string]*call{}, leased: time.Now(), saved: time.Now()}
	f.ctx, f.cancel = context.WithCancel(life)
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.flights[op.ID]; old != nil {
		r.dropLocked(old)
	}
	r.flights[op.ID] = f
	r.tellLocked(f, message{ev: Event{Kind: Claimed}})
}

// hear delivers the words of people.
func (r *Runner) hear(ctx context.Context) {
	r.signals.Lock()
	defer r.signals.Unlock()
	words, err := r.c.Store.Signals(ctx, r.c.Owner, nil)
	if err != nil {
		if ctx.Err() == nil {
			r.c.Log.Warn("signals cannot be read", "error", err)
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range words {
		if f := r.flights[w.Operation]; f != nil && w.Position > f.heard {
			f.heard = w.Position
			r.tellLocked(f, message{ev: Event{Kind: Signalled, Verb: w.Verb, Mode: w.Mode}, signal: w.Position})
		}
	}
}

// prune removes what is past its retention.
func (r *Runner) prune(ctx context.Context) {
	if r.c.Retention < 0 {
		return
	}
	const limit = 500
	pause := time.NewTimer(time.Minute)
	defer pause.Stop()
	for {
		wait(ctx, pause)
		if ctx.Err() != nil {
			return
		}
		now, err := r.c.Store.Now(ctx)
		n := 0
		if err == nil {
			n, err = r.c.Store.Prune(ctx, now.Add(-r.c.Retention), limit)
		}
		if err != nil && ctx.Err() == nil {
			r.c.Log.Warn("old operations cannot be removed", "error", err)
		}
		next := time.Minute
		if n == limit {
			next = 50 * time.Millisecond
		}
		pause.Reset(next)
	}
}
