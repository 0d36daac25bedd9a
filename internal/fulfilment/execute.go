package fulfilment

import (
	"context"
	"encoding/json"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Do carries out one call for a step.
func (s *Service) Do(ctx context.Context, c operation.Call) (operation.Outcome, error) {
	ctx = asService(ctx, &c.Operation)
	action, args := c.Step.Action, c.Step.Args
	if c.Undo {
		action, args = c.Step.Undo, c.Step.UndoArgs
	}
	switch action {
	case actApply, actRestore, actDelete:
		a, err := decodeArgs[deployArgs](args)
		if err != nil {
			return operation.Outcome{}, err
		}
		if action == actDelete {
			return s.doDelete(ctx, c, a)
		}
		return s.doApply(ctx, c, a, action == actRestore)
	case actConnect, actDisconnect, actAttach, actMove, actProve:
		a, err := decodeArgs[linkArgs](args)
		if err != nil {
			return operation.Outcome{}, err
		}
		return s.doLink(ctx, c, action, a)
	case actProvision, actDeprovision:
		b, err := decodeArgs[batch](args)
		if err != nil {
			return operation.Outcome{}, err
		}
		return s.doDevices(ctx, b)
	}
	return operation.Outcome{}, fault.New(fault.Internal, "step %s has an action that is not known: %q", c.Step.ID, action)
}

func decodeArgs[T any](raw json.RawMessage) (T, error) {
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, fault.New(fault.Internal, "a step's arguments cannot be read").Because(err)
	}
	return v, nil
}

// plugin finds the driver of an infrastructure.
func (s *Service) plugin(v *slice.Infrastructure) (domain.Driver, error) {
	p, ok := s.c.Plugins[v.Plugin]
	if !ok || p.Driver == nil {
		return nil, fault.New(fault.Unavailable, "infrastructure %q wants plugin %q, which is not part of this service", v.Name, v.Plugin)
	}
	return p.Driver, nil
}

// infrastructure reads one, remembered for a moment.
func (s *Service) infrastructure(ctx context.Context, tx operation.Tx, id string) (*slice.Infrastructure, error) {
	return s.memory.sites.get(id, func() (*slice.Infrastructure, error) {
		r, err := tx.Get(ctx, slice.KindInfrastructure, id)
		if err != nil {
			return nil, err
		}
		v, ok := r.(*slice.Infrastructure)
		if !ok {
			return nil, fault.Absent("infrastructure", id)
		}
		return v, nil
	})
}

// site reads an infrastructure as its driver must know it, secrets resolved.
func (s *Service) site(ctx context.Context, tx operation.Tx, id string) (*slice.Infrastructure, domain.Site, error) {
	v, err := s.infrastructure(ctx, tx, id)
	if err != nil {
		return nil, domain.Site{}, err
	}
	site := domain.Site{ID: v.ID, Name: v.Name, Connection: v.Connection}
	for name, ref := range v.SecretRefs {
		value, err := s.resolve(ctx, tx, ref, v.Tenant)
		if err != nil {
			return nil, site, err
		}
		if site.Secrets == nil {
			site.Secrets = map[string][]byte{}
		}
		site.Secrets[name] = value
	}
	return v, site, nil
}

func (s *Service) resolve(ctx context.Context, tx operation.Tx, ref, tenant string) ([]byte, error) {
	if s.c.Secrets == nil {
		return nil, fault.New(fault.Unavailable, "this service keeps no secrets")
	}
	return s.c.Secrets.Resolve(ctx, tx, tenant, ref)
}

// element reads one, of whichever kind.
func (s *Service) element(ctx context.Context, tx operation.Tx, id string) (*slice.Element, error) {
	kinds := elementKinds
	if k := s.memory.kind(id); k != "" {
		kinds = []slice.Kind{k}
	}
	for _, k := range kinds {
		r, err := tx.Get(ctx, k, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if e, ok := r.(*slice.Element); ok {
			s.memory.setKind(id, k)
			return e, nil
		}
	}
	return nil, fault.Absent("element", id)
}

// doApply installs a deployment and looks whether it is ready.
func (s *Service) doApply(ctx context.Context, c operation.Call, a deployArgs, restore bool) (operation.Outcome, error) {
	var d domain.Deployment
	var driver domain.Driver
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
		d, driver, err = s.deployment(ctx, tx, c, a)
		return err
	})
	if err != nil {
		return operation.Outcome{}, err
	}
	if !c.Again {
		if err := driver.Apply(ctx, d); err != nil {
			return operation.Outcome{}, err
		}
	}
	st, err := driver.Observe(ctx, d.Ref)
	if err != nil {
		if c.Again {
			return operation.Outcome{}, err
		}
		return operation.Outcome{Progress: "applied; cannot be observed: " + fault.Of(err).Error()}, nil
	}
	switch st.Phase {
	case domain.Ready:
		return operation.Outcome{Done: true, Record: func(ctx context.Context, tx operation.Tx) error {
			return s.recordApplied(ctx, tx, c, a, st, restore)
		}}, nil
	case domain.Failed:
		return operation.Outcome{Verdict: true}, fault.New(fault.Unavailable, "%s failed at %s: %s", c.Step.TargetName, d.Site.Name, firstOf(st.Cause, "no cause given")).Retrying(fault.Backoff)
	case domain.Absent:
		if c.Again {
			return operation.Outcome{Verdict: true}, fault.New(fault.Unavailable, "%s has gone from %s", c.Step.TargetName, d.Site.Name).Retrying(fault.Backoff)
		}
	}
	return operation.Outcome{Progress: progress(st), After: s.lookAfter(a.Infrastructure)}, nil
}

// watchedLook is when an installation is looked at although its site's watch
// said nothing.
const watchedLook = 2 * time.Second

// lookAfter is when to look at an accepted installation again: a site that tells
// changes itself is not asked meanwhile. 0: soon, then less and less often.
func (s *Service) lookAfter(infrastructure string) time.Duration {
	if _, watched := s.watched.Load(infrastructure); watched {
		return watchedLook
	}
	return 0
}

func progress(st domain.Status) string {
	text := string(st.Phase)
	if len(st.Evidence) > 0 {
		text += ": " + st.Evidence[len(st.Evidence)-1]
	}
	if st.Cause != "" {
		text += ": " + st.Cause
	}
	return text
}

// doDelete removes a deployment and looks whether it has gone.
func (s *Service) doDelete(ctx context.Context, c operation.Call, a deployArgs) (operation.Outcome, error) {
	gone, note, err := s.remove(ctx, c.Operation.Slice, a.Element, a.Infrastructure, a.Release, c.Generation, c.Again)
	if err != nil {
		return operation.Outcome{}, err
	}
	if !gone {
		return operation.Outcome{Progress: note}, nil
	}
	return operation.Outcome{Done: true, Record: func(ctx context.Context, tx operation.Tx) error {
		return s.recordDeleted(ctx, tx, a)
	}}, nil
}

// remove asks a site to remove a release, and reports whether it is proven gone.
// An infrastructure that is no longer registered holds nothing of ours.
func (s *Service) remove(ctx context.Context, sliceID, elementID, infrastructure, release string, generation int64, again bool) (gone bool, note string, err error) {
	var driver domain.Driver
	ref := domain.Ref{Slice: sliceID, Element: elementID, Release: release, Generation: generation}
	err = s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		v, site, err := s.site(ctx, tx, infrastructure)
		if err != nil {
			return err
		}
		ref.Site = site
		driver, err = s.plugin(v)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return true, "", nil
	}
	if err != nil {
		return false, "", err
	}
	if !again {
		if err := driver.Delete(ctx, ref); err != nil {
			return false, "", err
		}
	}
	st, err := driver.Observe(ctx, ref)
	if err != nil {
		if again {
			return false, "", err
		}
		return false, "removal asked for; cannot be observed: " + fault.Of(err).Error(), nil
	}
	return st.Phase == domain.Absent, progress(st), nil
}
