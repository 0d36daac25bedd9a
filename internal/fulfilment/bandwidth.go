package fulfilment

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// flow is traffic from one element to another, with its bounds; 0: none.
type flow struct {
	from, to *slice.Element
	latency  float64 // ms
	kbit     int64   // kbit/s
}

// ways is bandwidth by ordered pair of nodes.
type ways map[[2]string]int64

// flows lists what the elements send each other: a gateway to its server, a
// server to its microElements, and the microData. need answers what an element
// needs, and whether it counts at all.
func (s *Situation) flows(need func(*slice.Element) (slice.Requirements, bool)) []flow {
	var out []flow
	add := func(from, to *slice.Element, latency float64, kbit int64) {
		if from == nil || to == nil || from == to || latency <= 0 && kbit <= 0 {
			return
		}
		_, a := need(from)
		_, b := need(to)
		if a && b {
			out = append(out, flow{from, to, latency, kbit})
		}
	}
	byName := map[string]*slice.Element{}
	for _, e := range s.Elements {
		byName[e.Name] = e
		own, ok := need(e)
		server := s.serverOf(e)
		if !ok || server == nil {
			continue
		}
		switch e.Element {
		case slice.MicroElement:
			add(server, e, own.MaxLatencyMS, own.BandwidthKbit)
		case slice.Gateway:
			its, _ := need(server)
			add(e, server, its.MaxLatencyMS, own.BandwidthKbit)
		}
	}
	end := func(name string) *slice.Element {
		if e := byName[name]; e != nil {
			return e
		}
		return byName[s.DeviceGateways[name]] // a device's traffic goes by its gateway
	}
	for _, m := range s.MicroData {
		add(end(m.From), end(m.To), m.MaxLatencyMS, m.BandwidthKbit)
	}
	return out
}

// wanted is what the elements need, of those that shall run.
func (s *Situation) wanted(e *slice.Element) (slice.Requirements, bool) {
	return s.Needs[e.ID], !s.doomed(e)
}

// installed is what the elements that are installed were given.
func installed(e *slice.Element) (slice.Requirements, bool) {
	if e.Run == nil || e.Run.Node == "" {
		return slice.Requirements{}, false
	}
	return e.Run.Requirements, true
}

// across adds up the bandwidth of flows between different nodes.
func across(flows []flow, node func(*slice.Element) string) ways {
	out := ways{}
	for _, f := range flows {
		from, to := node(f.from), node(f.to)
		if f.kbit > 0 && from != "" && to != "" && from != to {
			out[[2]string{from, to}] += f.kbit
		}
	}
	return out
}

// taken is the bandwidth that the installed elements use.
func (s *Situation) taken() ways {
	return across(s.flows(installed), func(e *slice.Element) string { return e.Run.Node })
}

// holdings are ways as the ledger keeps them, unchecked.
func (w ways) holdings() []operation.LinkHolding {
	var out []operation.LinkHolding
	for _, p := range slices.SortedFunc(maps.Keys(w), func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	}) {
		if w[p] > 0 {
			out = append(out, operation.LinkHolding{From: p[0], To: p[1], Kbit: w[p], Most: -1, Expect: -1})
		}
	}
	return out
}

func waysOf(hs []operation.LinkHolding) ways {
	out := ways{}
	for _, h := range hs {
		out[[2]string{h.From, h.To}] += h.Kbit
	}
	return out
}

// readFlows reads a slice's microData, and which gateways their devices are at.
func (s *Service) readFlows(ctx context.Context, tx operation.Tx, sit *Situation) error {
	rs, err := listAll(ctx, tx, operation.Query{Kind: slice.KindMicroData, Parent: sit.Slice.ID}, s.c.Marker)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, e := range sit.Elements {
		known[e.Name] = true
	}
	sit.MicroData, sit.DeviceGateways = nil, map[string]string{}
	for _, r := range rs {
		m, ok := r.(*slice.MicroData)
		if !ok || m.MaxLatencyMS <= 0 && m.BandwidthKbit <= 0 {
			continue
		}
		sit.MicroData = append(sit.MicroData, m)
		for _, name := range []string{m.From, m.To} {
			if known[name] {
				continue
			}
			known[name] = true
			d, err := tx.ByName(ctx, slice.KindIoTDevice, sit.Slice.Tenant, sit.Slice.ID, name)
			if fault.Is(err, fault.NotFound) {
				continue // it has gone, and its traffic with it
			}
			if err != nil {
				return err
			}
			if d, ok := d.(*slice.Device); ok {
				sit.DeviceGateways[name] = d.Gateway
			}
		}
	}
	return nil
}

// link puts what everyone has taken of the way between two nodes, less own, into
// the ledger.
func (p *placer) holdLink(pair [2]string, own int64) {
	_, a := p.snap.Known(pair[0])
	_, b := p.snap.Known(pair[1])
	if !a || !b {
		return
	}
	_ = p.ledger.Reserve(placement.Holding{Demand: "link:" + pair[0] + ">" + pair[1],
		Flows: []placement.HeldFlow{{From: pair[0], To: pair[1], Kbit: max(p.ways[pair].Kbit-own, 0)}}})
}

// claims is what a slice shall hold of links while an operation runs: what it
// holds now and what it will need, whichever is more on each way. It is bounded
// by what the decision saw.
func (p *placer) claims(sit *Situation, have ways) []operation.LinkHolding {
	want := across(sit.flows(sit.wanted), func(e *slice.Element) string {
		if at, ok := sit.Places[e.ID]; ok {
			return at.Node.ID
		}
		return ""
	})
	for pair, kbit := range have {
		want[pair] = max(want[pair], kbit)
	}
	out := want.holdings()
	for k := range out {
		h := &out[k]
		h.Expect = p.ways[[2]string{h.From, h.To}].Version
		a, okA := p.snap.Index(h.From)
		b, okB := p.snap.Index(h.To)
		if path, ok := p.snap.Path(a, b); okA && okB && ok && path.BandwidthKbit < topology.Infinite {
			h.Most = path.BandwidthKbit
		}
	}
	return out
}

// settleLinks makes a slice hold what its installed elements use; what leftovers
// may still use goes over to their tombstones.
func (s *Service) settleLinks(ctx context.Context, tx operation.Tx, sl *slice.IoTSlice, elements []*slice.Element, left []operation.Tombstone) error {
	hs, err := tx.Holdings(ctx, sl.ID)
	if err != nil {
		return err
	}
	sit := &Situation{Slice: sl, Elements: elements}
	if err := s.readFlows(ctx, tx, sit); err != nil {
		return err
	}
	have, now := waysOf(hs), sit.taken()
	for pair, kbit := range now {
		if now[pair] = min(kbit, have[pair]); now[pair] == 0 {
			delete(now, pair)
		}
	}
	for _, t := range left {
		rest := ways{}
		for _, u := range t.Uses {
			for pair, kbit := range have {
				if more := kbit - now[pair]; more > 0 && (pair[0] == u.Node || pair[1] == u.Node) {
					rest[pair] = more
					have[pair] = now[pair]
				}
			}
		}
		if len(rest) > 0 {
			if err := tx.HoldLinks(ctx, t.ID, rest.holdings()); err != nil {
				return err
			}
		}
	}
	return tx.HoldLinks(ctx, sl.ID, now.holdings())
}
