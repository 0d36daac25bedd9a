package app

import (
	"context"

	"github.com/osmoslice/osmoslice/internal/event"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// events answers rest's pages from the store and its streams from the hub.
type events struct {
	db  *store.DB
	hub *event.Hub
}

// scan bounds the events looked at for one page: a filter that matches little
// answers a short page and where to go on.
const scan = 5000

// Page implements rest.Events.
func (e events) Page(ctx context.Context, after int64, limit int, tenants []string, filter []operation.Condition) ([]slice.Event, int64, error) {
	if err := event.CheckFilter(filter); err != nil {
		return nil, 0, err
	}
	oldest, newest, err := e.db.EventBounds(ctx)
	switch {
	case err != nil:
		return nil, 0, err
	case after < 0:
		after = oldest - 1
	case after < oldest-1:
		return nil, 0, fault.New(fault.Gone, "events up to %d are no longer kept", oldest-1)
	}
	if limit <= 0 {
		limit = 100
	}
	scope := event.Scope{Tenants: tenants, Filter: filter}
	var out []slice.Event
	for looked := 0; looked < scan && after < newest; {
		some, err := e.db.Events(ctx, after, 500)
		if err != nil || len(some) == 0 {
			return out, 0, err
		}
		for i := range some {
			after = some[i].Position
			if scope.Match(&some[i]) {
				if out = append(out, some[i]); len(out) == limit {
					return out, more(after, newest), nil
				}
			}
		}
		looked += len(some)
	}
	return out, more(after, newest), nil
}

func more(after, newest int64) int64 {
	if after >= newest {
		return 0
	}
	return after
}

// Subscribe implements rest.Events.
func (e events) Subscribe(ctx context.Context, after int64, tenants []string, filter []operation.Condition) (<-chan slice.Event, func() error, error) {
	s, err := e.hub.Subscribe(ctx, after, event.Scope{Tenants: tenants, Filter: filter})
	if err != nil {
		return nil, nil, err
	}
	return s.C, s.Err, nil
}
