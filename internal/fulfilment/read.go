package fulfilment

import (
	"context"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Get answers a resource, or fault.NotFound.
func (s *Service) Get(ctx context.Context, kind slice.Kind, id string) (slice.Resource, error) {
	if err := require(ctx, reads); err != nil {
		return nil, err
	}
	var out slice.Resource
	var err error
	if one, ok := s.c.Store.(oneReader); ok && !shareable(kind) { // who may see it, its owner alone says
		out, err = get(ctx, alone{one}, kind, id)
	} else {
		err = s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
			out, err = get(ctx, tx, kind, id)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return redact(ctx, out), nil
}

// oneReader is the optional ability of a store to read one resource without the
// cost of a transaction.
type oneReader interface {
	One(ctx context.Context, kind slice.Kind, id string) (slice.Resource, error)
}

// alone reads single resources where no other read must see the same state.
type alone struct{ oneReader }

// Get is One, under the name a transaction gives it.
func (a alone) Get(ctx context.Context, kind slice.Kind, id string) (slice.Resource, error) {
	return a.One(ctx, kind, id)
}

// getter is what get needs of a transaction.
type getter interface {
	Get(ctx context.Context, kind slice.Kind, id string) (slice.Resource, error)
}

// shareable kinds may be seen by tenants that do not own them.
func shareable(k slice.Kind) bool {
	switch k {
	case slice.KindInfrastructure, slice.KindNode, slice.KindLink, slice.KindProduct, slice.KindTenant, slice.KindAPIKey:
		return true
	}
	return false
}

// List answers a page of what the actor may see.
func (s *Service) List(ctx context.Context, q operation.Query) (Page, error) {
	if err := require(ctx, reads); err != nil {
		return Page{}, err
	}
	q.Limit = min(max(q.Limit, 0), 1000)
	if q.Limit == 0 {
		q.Limit = 100
	}
	var page Page
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		page = Page{}
		if shareable(q.Kind) && !actorOf(ctx).All() {
			return s.listShared(ctx, tx, q, &page)
		}
		tenants, err := s.tenantsOf(ctx, q.Tenants)
		if err != nil {
			return err
		}
		q.Tenants = tenants
		rs, err := tx.List(ctx, q)
		if err != nil {
			return err
		}
		page.Resources = rs
		if len(rs) == q.Limit {
			page.Next = s.c.Marker(q.Kind, rs[len(rs)-1].Head().ID)
		}
		return nil
	})
	return page, err
}

// tenantsOf narrows the tenants asked for to those the actor acts for; nil: all.
func (s *Service) tenantsOf(ctx context.Context, asked []string) ([]string, error) {
	who := actorOf(ctx)
	if who.All() {
		return asked, nil
	}
	out := []string{}
	for _, t := range who.Tenants {
		if len(asked) == 0 {
			out = append(out, t)
		}
		for _, a := range asked {
			if a == t {
				out = append(out, t)
			}
		}
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Forbidden, "this key acts for no tenant that was asked for")
	}
	return out, nil
}

// listShared fills a page with what is visible among everyone's.
func (s *Service) listShared(ctx context.Context, tx operation.Tx, q operation.Query, page *Page) error {
	want := q.Limit
	q.Limit = 1000
	for {
		rs, err := tx.List(ctx, q)
		if err != nil {
			return err
		}
		for k, r := range rs {
			ok, err := visible(ctx, tx, r)
			if err != nil {
				return err
			}
			if ok {
				page.Resources = append(page.Resources, redact(ctx, r))
			}
			if len(page.Resources) == want {
				if k+1 < len(rs) || len(rs) == q.Limit {
					page.Next = s.c.Marker(q.Kind, r.Head().ID)
				}
				return nil
			}
		}
		if len(rs) < q.Limit {
			return nil
		}
		q.After = s.c.Marker(q.Kind, rs[len(rs)-1].Head().ID)
	}
}

// operationOf reads an operation the actor may see.
func operationOf(ctx context.Context, tx operation.Tx, id string) (*operation.Operation, error) {
	op, err := tx.Operation(ctx, id)
	if err != nil {
		return nil, err
	}
	if !actorOf(ctx).Acts(op.Tenant) {
		return nil, fault.Absent("LcmOpOcc", id)
	}
	return op, nil
}

// Operation answers a lifecycle operation, or fault.NotFound.
func (s *Service) Operation(ctx context.Context, id string) (*operation.Operation, error) {
	if err := require(ctx, reads); err != nil {
		return nil, err
	}
	var out *operation.Operation
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
		out, err = operationOf(ctx, tx, id)
		return err
	})
	return out, err
}

// Operations answers a page of operations and the marker of the next.
func (s *Service) Operations(ctx context.Context, q operation.Query) ([]*operation.Operation, string, error) {
	if err := require(ctx, reads); err != nil {
		return nil, "", err
	}
	q.Limit = min(max(q.Limit, 0), 1000)
	if q.Limit == 0 {
		q.Limit = 100
	}
	tenants, err := s.tenantsOf(ctx, q.Tenants)
	if err != nil {
		return nil, "", err
	}
	q.Tenants = tenants
	var out []*operation.Operation
	err = s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
		out, err = tx.Operations(ctx, q)
		return err
	})
	if err != nil || len(out) < q.Limit {
		return out, "", err
	}
	return out, s.c.Marker(q.Kind, out[len(out)-1].ID), nil
}

// Decision answers the placement decision of an operation with its
// explanations, as JSON (placement.Decision and "refused", the infrastructures
// left out beforehand), or fault.NotFound.
func (s *Service) Decision(ctx context.Context, operationID string) ([]byte, error) {
	if err := require(ctx, reads); err != nil {
		return nil, err
	}
	var out []byte
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		if _, err := operationOf(ctx, tx, operationID); err != nil {
			return err
		}
		doc, err := tx.Decision(ctx, operationID)
		out = doc
		return err
	})
	return out, err
}
