package fulfilment

import (
	"context"
	"maps"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// deployed reads every element recorded at an infrastructure.
func (s *Service) deployed(ctx context.Context, tx operation.Tx, infrastructure string) ([]*slice.Element, error) {
	var out []*slice.Element
	for _, k := range elementKinds {
		rs, err := listAll(ctx, tx, operation.Query{Kind: k, Filter: []operation.Condition{
			{Op: "eq", Attr: "deployment/infrastructureId", Values: []string{infrastructure}}}}, s.c.Marker)
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			if e, ok := r.(*slice.Element); ok {
				out = append(out, e)
			}
		}
	}
	return out, nil
}

// observeSite looks at every function recorded at an infrastructure. Only what
// differs from the record is written.
func (s *Service) observeSite(ctx context.Context, id string) error {
	var all []*slice.Element
	var site domain.Site
	var driver domain.Driver
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		v, at, err := s.site(ctx, tx, id)
		if err != nil {
			return err
		}
		site = at
		if driver, err = s.plugin(v); err != nil {
			return err
		}
		all, err = s.deployed(ctx, tx, id)
		return err
	})
	for _, e := range all {
		if err != nil || ctx.Err() != nil {
			return err
		}
		if e.Run == nil || e.Run.ReadyAt == nil {
			continue
		}
		ref := domain.Ref{Site: site, Slice: e.Slice, Element: e.ID, Release: e.Run.Release}
		if err = s.compare(ctx, driver, ref, e); fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Timeout) {
			return nil // the site's silence, which Discover tells
		}
		if fault.Is(err, fault.NotFound) {
			err = nil // gone meanwhile
		}
	}
	return err
}

// observe looks at one function, and sets its state and its slice's when they
// are no longer true. While an operation is open it leaves both alone.
func (s *Service) observe(ctx context.Context, elementID string) error {
	ctx = actor.With(ctx, actor.Service("watch"))
	var e *slice.Element
	var driver domain.Driver
	var ref domain.Ref
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
		if e, err = s.element(ctx, tx, elementID); err != nil || e.Run == nil {
			return err
		}
		v, site, err := s.site(ctx, tx, e.Run.Infrastructure)
		if err != nil {
			return err
		}
		ref = domain.Ref{Site: site, Slice: e.Slice, Element: e.ID, Release: e.Run.Release}
		driver, err = s.plugin(v)
		return err
	})
	if err != nil || e.Run == nil || e.Run.ReadyAt == nil {
		return err
	}
	return s.compare(ctx, driver, ref, e)
}

// compare asks a site about a function and stores what differs from its record.
func (s *Service) compare(ctx context.Context, driver domain.Driver, ref domain.Ref, e *slice.Element) error {
	call, cancel := context.WithTimeout(ctx, askTimeout)
	st, err := driver.Observe(call, ref)
	cancel()
	if err != nil {
		return err
	}
	state, cause := judge(st)
	if state == e.State && (state != slice.Active || len(st.Endpoints) == 0 || maps.Equal(st.Endpoints, e.Run.Endpoints)) {
		return nil
	}
	return s.c.Store.Write(ctx, func(ctx context.Context, tx operation.Tx) error {
		return s.found(ctx, tx, e.ID, ref.Release, st, state, cause)
	})
}

// judge is what a phase means for an element that was ready once.
func judge(st domain.Status) (slice.State, string) {
	switch st.Phase {
	case domain.Ready:
		return slice.Active, ""
	case domain.Failed:
		return slice.Failed, firstOf(st.Cause, "it failed")
	case domain.Absent:
		return slice.Failed, "it has gone from its site"
	}
	return slice.Inactive, firstOf(st.Cause, "it is "+string(st.Phase))
}

// found stores what was seen, unless an operation is at work.
func (s *Service) found(ctx context.Context, tx operation.Tx, id, release string, st domain.Status, state slice.State, cause string) error {
	e, err := s.element(ctx, tx, id)
	if err != nil || e.Run == nil || e.Run.Release != release {
		return err
	}
	r, err := tx.Get(ctx, slice.KindIoTSlice, e.Slice)
	if err != nil {
		return err
	}
	sl, _ := r.(*slice.IoTSlice)
	if sl.Operation != "" {
		s.missed.Store(e.ID, sl.ID) // looked at again when the operation has ended
		return nil
	}
	if !instantiated(sl) {
		return nil
	}
	e.State, e.Cause = state, cause
	if state == slice.Active && len(st.Endpoints) > 0 {
		e.Run.Endpoints = st.Endpoints
	}
	if err := tx.Update(ctx, e); err != nil {
		return err
	}
	all, err := s.elements(ctx, tx, sl.ID)
	if err != nil {
		return err
	}
	was := clone(sl)
	sl.Cause = ""
	summarise(sl, all)
	if sameJSON(was, sl) {
		return nil
	}
	return tx.Update(ctx, sl)
}

// orphans leaves a tombstone for every release at a site that belongs to a slice
// of ours and to none of its members, and answers how many. A slice with an
// open operation is left alone.
func (s *Service) orphans(ctx context.Context, infrastructure string) (int, error) {
	var site domain.Site
	var lister domain.Lister
	var plugin string
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		v, at, err := s.site(ctx, tx, infrastructure)
		if err != nil {
			return err
		}
		site, plugin = at, v.Plugin
		lister, _ = s.c.Plugins[v.Plugin].Driver.(domain.Lister)
		return nil
	})
	if err != nil || lister == nil {
		return 0, err
	}
	call, cancel := context.WithTimeout(ctx, askTimeout)
	refs, err := lister.List(call, site)
	cancel()
	if err != nil {
		return 0, err
	}
	known := map[string]bool{}
	err = s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		all, err := s.deployed(ctx, tx, infrastructure)
		for _, e := range all {
			known[e.Run.Release] = true
		}
		return err
	})
	n := 0
	for _, ref := range refs {
		if known[ref.Release] || err != nil {
			continue
		}
		var made bool
		if st, err := s.c.Plugins[plugin].Driver.Observe(ctx, ref); err == nil {
			ref.Generation = max(ref.Generation, st.Generation)
		}
		err = s.c.Store.Write(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
			made, err = s.orphan(ctx, tx, infrastructure, ref)
			return err
		})
		if err != nil {
			return n, err
		}
		if made {
			n++
		}
	}
	return n, err
}

func (s *Service) orphan(ctx context.Context, tx operation.Tx, infrastructure string, ref domain.Ref) (bool, error) {
	r, err := tx.Get(ctx, slice.KindIoTSlice, ref.Slice)
	if fault.Is(err, fault.NotFound) {
		return false, nil // another installation's, or buried already
	}
	if err != nil {
		return false, err
	}
	sl, _ := r.(*slice.IoTSlice)
	if sl.Operation != "" {
		return false, nil
	}
	e, err := s.element(ctx, tx, ref.Element)
	if err == nil {
		for _, d := range []*slice.Deployment{e.Run, e.Previous} {
			if d != nil && d.Release == ref.Release {
				return false, nil
			}
		}
	} else if !fault.Is(err, fault.NotFound) {
		return false, err
	}
	ts, err := tx.Tombstones(ctx, infrastructure, 1000)
	if err != nil {
		return false, err
	}
	for _, t := range ts {
		if t.Release == ref.Release {
			return false, nil
		}
	}
	return true, tx.PutTombstone(ctx, operation.Tombstone{
		ID: s.c.NewID(), Tenant: sl.Tenant, Slice: ref.Slice, Element: ref.Element, Infrastructure: infrastructure,
		Release: ref.Release, Generation: ref.Generation + 1, Detail: "found at the site, owned by nobody", CreatedAt: s.now(), NextAt: s.now(),
	})
}
