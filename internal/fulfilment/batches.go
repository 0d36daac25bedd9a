package fulfilment

import (
	"context"
	"slices"

	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// batchSize bounds the devices told to a gateway in one step.
const batchSize = 200

// removing is the state of a device that shall be gone once its gateway has
// been told.
const removing = slice.Terminated

// batches groups the devices that gateways have to be told of, or to forget.
// Only those in need are read; a gateway that is installed anew needs all.
func (s *Service) batches(ctx context.Context, tx operation.Tx, sit *Situation) error {
	if sit.Type == operation.Terminate {
		return nil
	}
	for _, e := range sit.Elements {
		if e.Element != slice.Gateway || sit.doomed(e) {
			continue
		}
		for _, remove := range []bool{false, true} {
			states := []string{string(slice.Designed), string(slice.Active), string(slice.Failed), string(slice.Inactive)}
			if remove {
				states = []string{string(removing)}
			}
			if err := s.batchesOf(ctx, tx, sit, e, states, remove); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) batchesOf(ctx context.Context, tx operation.Tx, sit *Situation, e *slice.Element, states []string, remove bool) error {
	rs, err := listAll(ctx, tx, operation.Query{Kind: slice.KindIoTDevice, Parent: sit.Slice.ID, Filter: []operation.Condition{
		{Op: "eq", Attr: "iotGateway", Values: []string{e.Name}},
		{Op: "in", Attr: "state", Values: states},
	}}, s.c.Marker)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(rs, batchSize) {
		b := batch{Gateway: e.ID, First: part[0].Head().ID, Last: part[len(part)-1].Head().ID, Count: len(part), Remove: remove}
		fresh := slices.ContainsFunc(part, func(r slice.Resource) bool {
			d, ok := r.(*slice.Device)
			return ok && d.State != slice.Active
		})
		b.stale = !fresh && !remove
		sit.Batches = append(sit.Batches, b)
	}
	return nil
}

// devices reads the devices of a batch that are to be told (or removed).
func (s *Service) devices(ctx context.Context, tx operation.Tx, sliceID, gateway string, b batch) ([]*slice.Device, error) {
	rs, err := tx.List(ctx, operation.Query{Kind: slice.KindIoTDevice, Parent: sliceID, Limit: 1000, Filter: []operation.Condition{
		{Op: "eq", Attr: "iotGateway", Values: []string{gateway}},
		{Op: "gte", Attr: "id", Values: []string{b.First}},
		{Op: "lte", Attr: "id", Values: []string{b.Last}},
	}})
	if err != nil {
		return nil, err
	}
	out := make([]*slice.Device, 0, len(rs))
	for _, r := range rs {
		if d, ok := r.(*slice.Device); ok && (d.State == removing) == b.Remove {
			out = append(out, d)
		}
	}
	return out, nil
}
