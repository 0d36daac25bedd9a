package fulfilment

import (
	"context"
	"fmt"
	"time"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Keeping bounds kept placements and what they reserve; zero values are
// DefaultKeeping's.
type Keeping struct {
	Reservation    time.Duration // of a reservation that asks for no time
	MaxReservation time.Duration
	Keep           time.Duration // of a preview, and of a reservation after its end
}

// DefaultKeeping is ten minutes, a day, an hour.
func DefaultKeeping() Keeping {
	return Keeping{Reservation: 10 * time.Minute, MaxReservation: 24 * time.Hour, Keep: time.Hour}
}

func (k Keeping) orDefault() Keeping {
	d := DefaultKeeping()
	return Keeping{firstOf(k.Reservation, d.Reservation), firstOf(k.MaxReservation, d.MaxReservation), firstOf(k.Keep, d.Keep)}
}

// FeasibilityCheck is a question: would an order, or a stored slice, fit now?
// Exactly one of Order and Slice is given.
type FeasibilityCheck struct {
	Name  string // of what is kept; "": its id
	Slice string
	Order *SliceOrder
	Keep  bool
	// Reserve also holds what it needs, until Until or for the default time. It
	// implies Keep.
	Reserve bool
	Until   *time.Time
}

// keepTries bounds how often a plan is made anew because others took what it
// was to keep.
const keepTries = 8

// CheckFeasibility answers whether something would fit, by the code that would
// instantiate it. Asked to, it keeps the answer with all that it relied on, and
// holds what it needs in the ledger that every decision sees. The placement has
// an id only when it was kept.
func (s *Service) CheckFeasibility(ctx context.Context, c FeasibilityCheck, o Options) (*slice.Placement, *Preview, error) {
	if (c.Order == nil) == (c.Slice == "") {
		return nil, nil, fault.Field("order", "", "either an order or the iotSliceId of a stored slice")
	}
	if c.Until != nil && !c.Reserve {
		return nil, nil, fault.Field("requestedReservationExpiration", c.Until.Format(time.RFC3339), "nothing, or resourceReservation true")
	}
	for try := 1; ; try++ {
		pre, err := s.ask(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		x := answerOf(c, pre)
		if !c.Keep && !c.Reserve {
			return x, pre, nil
		}
		res, err := s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) { return u.keep(ctx, clone(x), pre) })
		if fault.Is(err, fault.Conflict) && fault.Of(err).Retry == fault.Now && try < keepTries {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		kept, ok := res.Resource.(*slice.Placement)
		if !ok {
			return nil, nil, fault.New(fault.Internal, "a placement is stored as %T", res.Resource)
		}
		if o.DryRun {
			kept.ID, kept.Revision = "", 0
		}
		return kept, pre, nil
	}
}

func (s *Service) ask(ctx context.Context, c FeasibilityCheck) (*Preview, error) {
	var res Result
	var err error
	dry := Options{DryRun: true}
	if c.Order != nil {
		want := *c.Order
		want.Instantiate, want.Placement = true, ""
		res, err = s.CreateSlice(ctx, want, dry)
	} else {
		res, err = s.Order(ctx, c.Slice, Request{Type: operation.Instantiate}, dry)
	}
	if err == nil && res.Preview == nil {
		err = fault.New(fault.Internal, "a dry run answered no preview")
	}
	return res.Preview, err
}

// answerOf puts a preview into the words of a feasibility check.
func answerOf(c FeasibilityCheck, pre *Preview) *slice.Placement {
	x := &slice.Placement{
		Slice: c.Slice, Feasibility: slice.Infeasible, Reason: pre.Reason, Reserve: c.Reserve, Requested: c.Until,
		Reservation: slice.Unreserved, Decision: pre.Decision,
	}
	x.Name = c.Name
	if pre.slice != nil {
		x.Tenant, x.SliceName = pre.slice.Tenant, pre.slice.Name
	}
	if pre.Feasible {
		x.Feasibility, x.Reason = slice.Feasible, ""
	}
	if pre.basis != nil {
		x.Assignments, x.CheckIndex = pre.basis.assignments, pre.basis.index
	}
	return x
}

// keep stores a placement and, asked to, takes what it needs from the ledger,
// expecting every row as the plan saw it.
func (u *unit) keep(ctx context.Context, x *slice.Placement, pre *Preview) (Result, error) {
	id := u.s.c.NewID()
	x.Meta = fresh(x.Meta, x.Tenant, id)
	x.Name = firstOf(x.Name, id)
	now, err := u.Now(ctx)
	if err != nil {
		return Result{}, err
	}
	k := u.s.c.Keeping.orDefault()
	until := now.Add(k.Keep)
	first := until
	if x.Reserve {
		expires, err := k.until(now, x.Requested)
		if err != nil {
			return Result{}, err
		}
		until = expires.Add(k.Keep)
		if x.Feasibility == slice.Feasible {
			x.Expires, x.Held, x.Reservation, first = &expires, true, slice.Reserved, expires
		}
	}
	x.KeptUntil = &until
	out, err := u.store(ctx, x)
	if err != nil {
		return Result{}, err
	}
	if x.Held && pre.basis != nil {
		if err := u.Deduct(ctx, pre.basis.uses); err != nil {
			return Result{}, err
		}
		if err := u.HoldLinks(ctx, id, pre.basis.links); err != nil {
			return Result{}, err
		}
	}
	return out, u.SetDeadline(ctx, id, first)
}

// until is when a reservation expires that begins now.
func (k Keeping) until(now time.Time, asked *time.Time) (time.Time, error) {
	if asked == nil {
		return now.Add(min(k.Reservation, k.MaxReservation)), nil
	}
	latest := now.Add(k.MaxReservation)
	if !asked.After(now) || asked.After(latest) {
		return now, fault.Field("requestedReservationExpiration", asked.Format(time.RFC3339),
			fmt.Sprintf("a time after %s and not after %s (%s at most)", now.Format(time.RFC3339), latest.Format(time.RFC3339), k.MaxReservation))
	}
	return asked.UTC(), nil
}

// placementOf reads a kept placement.
func placementOf(ctx context.Context, tx operation.Tx, id string) (*slice.Placement, error) {
	r, err := tx.Get(ctx, slice.KindPlacement, id)
	if err != nil {
		return nil, err
	}
	x, ok := r.(*slice.Placement)
	if !ok {
		return nil, fault.Absent("placement", id)
	}
	return x, nil
}

// instantiate starts a slice, by a kept plan when one is named.
func (u *unit) instantiate(ctx context.Context, sl *slice.IoTSlice, placementID string) (*operation.Operation, error) {
	op, err := u.submit(ctx, sl, operation.Instantiate, params{Placement: placementID}, "")
	if err != nil {
		return nil, err
	}
	return op, u.use(ctx, sl, placementID, op)
}

// use makes a kept placement the operation's, or refuses at once when it can be
// no more: it does not exist for this tenant, is used, has expired, or relied on
// what has changed.
func (u *unit) use(ctx context.Context, sl *slice.IoTSlice, id string, op *operation.Operation) error {
	if id == "" {
		return nil
	}
	x, err := placementOf(ctx, u.Tx, id)
	if fault.Is(err, fault.NotFound) || err == nil && (x.Tenant != sl.Tenant || !actorOf(ctx).Acts(x.Tenant)) {
		return fault.Field("placementId", id, "the id of a kept placement of this tenant")
	}
	if err != nil {
		return err
	}
	now, err := u.Now(ctx)
	if err != nil {
		return err
	}
	switch {
	case x.Operation != "":
		e := fault.New(fault.Conflict, "placement %q was used by operation %s", x.Name, x.Operation)
		e.Instance = "/iotslice/v1/lcmOpOccs/" + x.Operation
		return e
	case x.Feasibility != slice.Feasible:
		return fault.New(fault.Conflict, "placement %q is %s: %s", x.Name, x.Feasibility, x.Reason)
	case x.Slice != "" && x.Slice != sl.ID:
		return fault.New(fault.Conflict, "placement %q is of slice %s, not of %q", x.Name, x.Slice, sl.Name)
	case x.Expires != nil && !now.Before(*x.Expires):
		return fault.New(fault.Conflict, "the reservation of placement %q expired at %s", x.Name, x.Expires.Format(time.RFC3339))
	}
	u.looked = true
	if err := u.s.place.stillHolds(ctx, u.Tx, x); err != nil {
		return err
	}
	x.Operation, x.Reservation = op.ID, slice.Used
	return u.Update(ctx, x)
}

// suits refuses at once an order that is not the one its kept placement is of. The
// slice and its members are stored by then.
func (u *unit) suits(ctx context.Context, op *operation.Operation, placement string) error {
	if op == nil || placement == "" {
		return nil
	}
	sit, err := u.s.situation(ctx, u.Tx, op)
	if err != nil {
		return err
	}
	return u.s.place.suits(ctx, u.Tx, sit)
}

func (p *placer) stillHolds(ctx context.Context, tx operation.Tx, x *slice.Placement) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(ctx, tx); err != nil {
		return err
	}
	return p.holds(x)
}

// unuse gives back what the placement of an operation that is over still holds:
// it never came to plan.
func (s *Service) unuse(ctx context.Context, tx operation.Tx, op *operation.Operation) error {
	p, err := paramsOf(op)
	if err != nil || p.Placement == "" {
		return err
	}
	x, err := placementOf(ctx, tx, p.Placement)
	if fault.Is(err, fault.NotFound) || err == nil && (!x.Held || x.Operation != op.ID) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := letGo(ctx, tx, x); err != nil {
		return err
	}
	return tx.Update(ctx, x)
}

// letGo gives back what a placement holds. The caller stores it.
func letGo(ctx context.Context, tx operation.Tx, x *slice.Placement) error {
	if !x.Held {
		return nil
	}
	if err := tx.Deduct(ctx, released(x)); err != nil {
		return err
	}
	x.Held, x.Reservation = false, slice.Unreserved
	return tx.HoldLinks(ctx, x.ID, nil)
}

// deletePlacement forgets a placement and gives back what it holds, unless an
// operation is about to take it over.
func (u *unit) deletePlacement(ctx context.Context, x *slice.Placement) (Result, error) {
	if x.Held && x.Operation != "" {
		e := fault.New(fault.Conflict, "placement %q is being used by operation %s", x.Name, x.Operation)
		e.Instance = "/iotslice/v1/lcmOpOccs/" + x.Operation
		return Result{}, e
	}
	if err := letGo(ctx, u.Tx, x); err != nil {
		return Result{}, err
	}
	if err := u.SetDeadline(ctx, x.ID, time.Time{}); err != nil {
		return Result{}, err
	}
	return Result{}, u.Delete(ctx, x)
}

// expireBatch bounds the placements looked at in one go.
const expireBatch = 64

// Expire ends the reservations, and forgets the placements, whose time has come
// by the database's clock, and answers how many. Any number of replicas may do
// so at once.
func (s *Service) Expire(ctx context.Context) (int, error) {
	ctx = actor.With(ctx, actor.Service("expiry"))
	var due []string
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
		due, err = tx.Due(ctx, expireBatch)
		return err
	})
	for _, id := range due {
		if err == nil {
			err = s.c.Store.Write(ctx, func(ctx context.Context, tx operation.Tx) error { return s.expire(ctx, tx, id) })
		}
	}
	return len(due), err
}

func (s *Service) expire(ctx context.Context, tx operation.Tx, id string) error {
	x, err := placementOf(ctx, tx, id)
	if fault.Is(err, fault.NotFound) {
		return tx.SetDeadline(ctx, id, time.Time{})
	}
	if err != nil {
		return err
	}
	now, err := tx.Now(ctx)
	if err != nil {
		return err
	}
	over := func(t *time.Time) bool { return t != nil && !now.Before(*t) }
	using := x.Held && x.Operation != "" // its operation settles it when it plans or ends
	switch {
	case over(x.KeptUntil) && using:
		return tx.SetDeadline(ctx, id, now.Add(time.Minute))
	case over(x.KeptUntil):
		if err := letGo(ctx, tx, x); err != nil {
			return err
		}
		if err := tx.SetDeadline(ctx, id, time.Time{}); err != nil {
			return err
		}
		return tx.Delete(ctx, x)
	case over(x.Expires) && x.Held && !using:
		if err := letGo(ctx, tx, x); err != nil {
			return err
		}
		if err := tx.Update(ctx, x); err != nil {
			return err
		}
	case x.Held && !using && x.Expires != nil: // looked at by two: it is not due
		return nil
	}
	return tx.SetDeadline(ctx, id, *x.KeptUntil)
}
