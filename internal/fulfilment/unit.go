package fulfilment

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// unit is one use case's transaction: it notes what is written, for previews.
type unit struct {
	operation.Tx
	s       *Service
	o       Options
	changes []Change
	started *operation.Operation
	looked  bool // the placer's picture followed this transaction
	unasked []imageQuestion
}

func (u *unit) note(verb string, r slice.Resource) {
	h := r.Head()
	u.changes = append(u.changes, Change{verb, r.Kind(), h.ID, h.Name})
}

// Insert gives the resource an id when it has none.
func (u *unit) Insert(ctx context.Context, r slice.Resource) error {
	if r.Head().ID == "" {
		r.Head().ID = u.s.c.NewID()
	}
	u.note("create", r)
	return u.Tx.Insert(ctx, r)
}

func (u *unit) Update(ctx context.Context, r slice.Resource) error {
	u.note("update", r)
	return u.Tx.Update(ctx, r)
}

func (u *unit) Delete(ctx context.Context, r slice.Resource) error {
	u.note("delete", r)
	return u.Tx.Delete(ctx, r)
}

// bare is the store's own transaction, for those who know more of it.
func bare(tx operation.Tx) operation.Tx {
	if u, ok := tx.(*unit); ok {
		return u.Tx
	}
	return tx
}

// bulk is the optional ability of a store to insert many at once.
type bulk interface {
	InsertMany(ctx context.Context, rs []slice.Resource) error
}

// counter is the optional ability of a store to count without reading.
type counter interface {
	Count(ctx context.Context, kind slice.Kind, tenant string) (int, error)
}

func (u *unit) count(ctx context.Context, kind slice.Kind, tenant string) (int, error) {
	if c, ok := u.Tx.(counter); ok {
		return c.Count(ctx, kind, tenant)
	}
	rs, err := listAll(ctx, u.Tx, operation.Query{Kind: kind, Tenants: []string{tenant}}, u.s.c.Marker)
	return len(rs), err
}

func (u *unit) insertAll(ctx context.Context, rs []slice.Resource) error {
	for _, r := range rs {
		if r.Head().ID == "" {
			r.Head().ID = u.s.c.NewID()
		}
	}
	b, ok := u.Tx.(bulk)
	if !ok {
		for _, r := range rs {
			if err := u.Insert(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}
	for _, r := range rs {
		u.note("create", r)
	}
	return b.InsertMany(ctx, rs)
}

// errDry takes a dry run's transaction back.
var errDry = errors.New("dry run")

// write runs a use case in one transaction; with DryRun the operation it starts
// is planned in it, and everything is taken back.
func (s *Service) write(ctx context.Context, o Options, fn func(ctx context.Context, u *unit) (Result, error)) (Result, error) {
	out, unasked, err := s.writeOnce(ctx, o, fn, false)
	if err == nil && len(unasked) > 0 { // a preview that lacked what sites can tell
		s.survey(ctx, unasked)
		out, _, err = s.writeOnce(ctx, o, fn, true)
	}
	return out, err
}

func (s *Service) writeOnce(ctx context.Context, o Options, fn func(ctx context.Context, u *unit) (Result, error), asked bool) (Result, []imageQuestion, error) {
	var out Result
	var unasked []imageQuestion
	var changes []Change
	looked := false
	var questions []siteQuestion
	err := s.c.Store.Write(ctx, func(ctx context.Context, tx operation.Tx) error {
		u := &unit{Tx: tx, s: s, o: o}
		defer func() { looked = looked || u.looked }()
		res, err := fn(ctx, u)
		if err != nil {
			return err
		}
		out, changes = res, u.changes
		if !o.DryRun {
			return nil
		}
		out = Result{Resource: res.Resource, Created: res.Created, Preview: u.preview(ctx)}
		questions, unasked = u.questions(ctx, out.Preview), u.unasked
		return errDry
	})
	if err != nil && !errors.Is(err, errDry) {
		if looked { // perhaps at what others had not committed
			s.Forget()
		}
		return Result{}, nil, err
	}
	if len(unasked) > 0 && !asked {
		return out, unasked, nil // it is asked again, with their answers
	}
	if out.Preview != nil {
		out.Preview.Differences = askSites(ctx, questions)
	}
	s.memory.written(changes)
	if slices.ContainsFunc(changes, func(c Change) bool { return c.Kind == slice.KindAPIKey }) {
		s.keys.clear()
	}
	return out, nil, nil
}

// preview plans the started operation by the code that will plan it.
func (u *unit) preview(ctx context.Context) *Preview {
	p := &Preview{Changes: u.changes, Feasible: true}
	if p.Changes == nil {
		p.Changes = []Change{}
	}
	if u.started == nil {
		return p
	}
	u.looked = true
	op := *u.started
	ctx = asService(ctx, &op)
	sit, err := u.s.situation(ctx, u.Tx, &op)
	var steps []operation.Step
	if err == nil {
		sit.Dry = true
		steps, err = u.s.plan(ctx, u.Tx, sit, &op)
		p.basis, p.slice, u.unasked = sit.Basis, sit.Slice, sit.unasked
	}
	if d, derr := u.Decision(ctx, op.ID); derr == nil {
		p.Decision = d
	}
	if err != nil {
		p.Feasible, p.Reason = false, fault.Of(err).Error()
		var inf *infeasible
		if errors.As(err, &inf) {
			p.Decision = inf.decision
		}
		return p
	}
	p.Steps = steps
	return p
}

// submit starts a lifecycle operation on a slice, or refuses because another is
// open. The caller stores the slice afterwards (Insert or Update).
func (u *unit) submit(ctx context.Context, sl *slice.IoTSlice, t operation.Type, p params, cause string) (*operation.Operation, error) {
	if err := u.roomFor(ctx); err != nil {
		return nil, err
	}
	op := &operation.Operation{
		ID: u.s.c.NewID(), Tenant: sl.Tenant, Slice: sl.ID, Type: t, Cause: cause,
		Actor: actorOf(ctx).Key, RequestID: actorOf(ctx).RequestID, Limits: u.s.c.Limits,
		OnFailure: firstOf(u.o.OnFailure, sl.OnFailure, slice.Rollback),
	}
	if op.Cause == "" {
		op.Cause = "request"
	}
	if err := u.supersede(ctx, sl, op); err != nil {
		return nil, err
	}
	op.Params = p.encode()
	started := operation.Start(*op, u.s.now())
	sl.Operation = started.ID
	if err := u.InsertOperation(ctx, &started); err != nil {
		return nil, err
	}
	u.started = &started
	return &started, nil
}

// supersede ends a held operation when op may take over, and refuses when any
// other is open.
func (u *unit) supersede(ctx context.Context, sl *slice.IoTSlice, op *operation.Operation) error {
	if sl.Operation == "" {
		return nil
	}
	open, err := u.OpenOperation(ctx, sl.ID)
	if err != nil || open == nil {
		return err
	}
	if op.Type != operation.Terminate && op.Type != operation.Heal {
		return clash(sl, open)
	}
	ended := operation.Supersede(*open, op.ID, u.s.now())
	if ended == nil {
		return clash(sl, open)
	}
	op.Supersedes = open.ID
	if err := u.EndOperation(ctx, ended); err != nil {
		return err
	}
	return u.s.unuse(ctx, u.Tx, open)
}

// clash names the operation in the way.
func clash(sl *slice.IoTSlice, open *operation.Operation) error {
	e := fault.New(fault.Conflict, "slice %q has an open operation: %s %s is %s", sl.Name, open.Type, open.ID, open.State)
	e.Instance = "/iotslice/v1/lcmOpOccs/" + open.ID
	return e
}

// roomFor refuses when the backlog is at its limit. The count may be a tenth of
// a second old.
func (u *unit) roomFor(ctx context.Context) error {
	b, now := &u.s.backlog, time.Now().UnixNano()
	if now-b.asOf.Load() > int64(100*time.Millisecond) {
		n, err := u.Open(ctx)
		if err != nil {
			return err
		}
		b.open.Store(int64(n))
		b.asOf.Store(now)
	}
	if b.open.Load() < int64(u.s.c.MaxOpen) {
		return nil
	}
	e := fault.New(fault.TooMany, "%d lifecycle operations are open, which is the limit", b.open.Load())
	e.RetryAfter = 5 * time.Second
	return e.Retrying(fault.Backoff)
}

func firstOf[T comparable](vs ...T) T {
	var zero T
	for _, v := range vs {
		if v != zero {
			return v
		}
	}
	return zero
}
