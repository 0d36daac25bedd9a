package app

import (
	"context"

	"github.com/osmoslice/osmoslice/internal/event"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// feed gives rest the events: pages from the store, streams from the hub.
type feed struct {
	db  *store.DB
	hub *event.Hub
}

// scan bounds the events read for one page, so that a filter that nothing
// passes does not read everything.
const scan = 10_000

// Page reads on until limit events pass, the newest is reached, or scan events
// were read.
func (f feed) Page(ctx context.Context, after int64, limit int, tenants []string, filter []operation.Condition) ([]slice.Event, int64, error) {
	if err := event.CheckFilter(filter); err != nil {
		return nil, 0, err
	}
	oldest, newest, err := f.db.EventBounds(ctx)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case after < 0:
		after = oldest - 1
	case after < oldest-1:
		return nil, 0, fault.New(fault.Gone, "events after position %d are no longer kept", after)
	}
	scope := event.Scope{Tenants: tenants, Filter: filter}
	var out []slice.Event
	for read := 0; after < newest && read < scan; {
		batch, err := f.db.Events(ctx, after, 500)
		if err != nil || len(batch) == 0 {
			return out, 0, err
		}
		for i := range batch {
			after = batch[i].Position
			if scope.Match(&batch[i]) {
				if out = append(out, batch[i]); len(out) == limit {
					return out, more(after, newest), nil
				}
			}
		}
		read += len(batch)
	}
	return out, more(after, newest), nil
}

func more(after, newest int64) int64 {
	if after < newest {
		return after
	}
	return 0
}

// Subscribe is the hub's.
func (f feed) Subscribe(ctx context.Context, after int64, tenants []string, filter []operation.Condition) (<-chan slice.Event, func() error, error) {
	s, err := f.hub.Subscribe(ctx, after, event.Scope{Tenants: tenants, Filter: filter})
	if err != nil {
		return nil, nil, err
	}
	return s.C, s.Err, nil
}
