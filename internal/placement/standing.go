package placement

import (
	"slices"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// standing is what the placement of one demand relies on, and what it costs: as
// long as its nodes and links can carry what they give out, nothing of it has
// to be computed again. It is immutable; the facts are in the ledger's rows.
type standing struct {
	epoch    any // of the unmeasured facts, which are as they were
	nodes    []standingNode
	flows    []standingFlow
	terms    Terms // of the default objective, balance apart
	floor    float64
	outcomes []Outcome
}

type standingNode struct {
	node int32
	take topology.Capacity // what the demand takes there
}

type standingFlow struct {
	row        int32 // in the ledger's link rows
	maxLatency float64
	maxLoss    float64
}

// stand finds what a holding relies on; nil when it cannot be told this way:
// it was restored, has elements that share a fate, or no longer suits its nodes.
func (l *Ledger) stand(h *holding) *standing {
	c := h.spec
	if l.facts == nil || h.restored || h.outcome == nil || len(c.units) != len(c.source.Elements) || len(h.elements) != len(c.units) || len(c.apart) > 0 {
		return nil
	}
	sites := c.sitesOf(l.facts, defaultObjective)
	g := &standing{epoch: sites.epoch, floor: sites.crossing, flows: make([]standingFlow, 0, len(c.flows)),
		outcomes: []Outcome{{Demand: h.demand, Status: Placed, Placement: h.outcome}}}
	at := make([]int32, len(c.units))
	for k := range h.elements {
		e := h.elements[k]
		u := c.unitOf[e.index]
		if !sites.sites[u].has(e.node) {
			return nil
		}
		at[u] = e.node
		g.add(e.node, h.takeOf(e))
		g.price(l.facts, &c.units[u], e.node)
		g.floor += sites.floor[u][c.units[u].tightness(defaultObjective)]
	}
	for k := range c.flows {
		f := &c.flows[k]
		from, okA := c.standsAt(l.facts, f.a, f.fixed, at)
		to, okB := c.standsAt(l.facts, f.b, f.fixed, at)
		if !okA || !okB {
			return nil
		}
		if from != to {
			g.flows = append(g.flows, standingFlow{l.link(from, to), f.maxLatency, f.maxLoss})
			g.terms.Traffic += defaultObjective.Traffic
		}
	}
	return g
}

func (c *compiled) standsAt(s *topology.Snapshot, unit, fixed int32, at []int32) (int32, bool) {
	if unit >= 0 {
		return at[unit], true
	}
	return s.Index(c.fixed[fixed])
}

func (g *standing) add(node int32, take topology.Capacity) {
	k := slices.IndexFunc(g.nodes, func(n standingNode) bool { return n.node == node })
	if k < 0 {
		g.nodes = append(g.nodes, standingNode{node: node})
		k = len(g.nodes) - 1
	}
	g.nodes[k].take = plus(g.nodes[k].take, take)
}

func (g *standing) price(s *topology.Snapshot, u *unit, node int32) {
	obj := defaultObjective
	kind, energy, price := s.Stated(node)
	g.terms.Preference += obj.preference[u.tightness(obj)][kind]
	g.terms.Energy += obj.Energy * u.cores * energy
	g.terms.Price += obj.Price * u.cores * price
}

// tightness is 1 for a unit that an objective counts as bound by latency.
func (u *unit) tightness(o *objective) int {
	if u.minLatency <= o.LatencyBoundMS {
		return 1
	}
	return 0
}

// holds checks a standing placement against what the rows say now.
func (g *standing) holds(l *Ledger, room *Headroom) bool {
	for k := range g.nodes {
		r := &l.nodes[g.nodes[k].node]
		if !r.up || !within(plus(r.used, room.Node), r.capacity) {
			return false
		}
	}
	for k := range g.flows {
		f := &g.flows[k]
		r := &l.links.list[f.row]
		if !r.ok || r.latency > f.maxLatency || r.loss > f.maxLoss || r.kbit+room.BandwidthKbit > r.capacity {
			return false
		}
	}
	return true
}

// maxStanding is up to how many demands given together are answered from their
// standing placements.
const maxStanding = 64

// kept answers a decision in which everything stays where it is, if that is
// what the default strategy would find. It computes nothing but what changed
// facts could have changed: whether it holds, and its cost and bound.
func kept(st State, demands []Demand, o *Options) (d Decision, ok bool) {
	l := st.Ledger
	if l == nil || l.facts != st.Snapshot || o.Strategy != "osmotic" || o.Replace || o.FactsAreFree || o.Returns > 0 || o.Weights != nil {
		return d, false
	}
	switch {
	case len(demands) == 1:
		return l.keptOne(&demands[0], o)
	case len(demands) == len(l.held) && len(demands) <= maxStanding && len(demands) > 0:
		return l.keptAll(demands, o)
	}
	return d, false
}

// standingOf is the standing placement of a demand, nil when it does not hold.
func (l *Ledger) standingOf(d *Demand, room *Headroom) *standing {
	h := l.held[d.ID]
	if h == nil || d.compiled == nil || h.spec != d.compiled || h.standing == nil || h.standing.epoch != l.facts.MemoEpoch() || !h.standing.holds(l, room) {
		return nil
	}
	return h.standing
}

func (l *Ledger) keptOne(demand *Demand, o *Options) (d Decision, ok bool) {
	g := l.standingOf(demand, &o.Headroom)
	if g == nil {
		return d, false
	}
	terms := g.terms
	for k := range g.nodes {
		n := &g.nodes[k]
		r := &l.nodes[n.node]
		terms.Balance += balance(r.used, r.capacity) - balance(minus(r.used, n.take), r.capacity)
	}
	return l.keptDecision(o, g.outcomes, terms, g.floor), true
}

// keptAll is for all that hold anything: nothing is used by others.
func (l *Ledger) keptAll(demands []Demand, o *Options) (d Decision, ok bool) {
	var seen [maxStanding]*standing
	var terms Terms
	floor := 0.0
	for k := range demands {
		g := l.standingOf(&demands[k], &o.Headroom)
		if g == nil || slices.Contains(seen[:k], g) {
			return d, false
		}
		seen[k] = g
		terms = terms.plus(g.terms)
		floor += g.floor
	}
	outcomes := make([]Outcome, len(demands))
	for k := range demands {
		outcomes[k] = seen[k].outcomes[0]
	}
	for i := range l.nodes {
		if r := &l.nodes[i]; r.used != noCapacity {
			terms.Balance += balance(r.used, r.capacity)
		}
	}
	return l.keptDecision(o, outcomes, terms, floor), true
}

// keptDecision is the decision that changes nothing. Its cost is the least of
// all plans without a move; another has at least one, or leaves a demand out.
func (l *Ledger) keptDecision(o *Options, outcomes []Outcome, terms Terms, floor float64) Decision {
	d := Decision{Revision: l.facts.Revision(), Model: o.Model, Strategy: o.Strategy, Outcomes: outcomes, Terms: terms, ledger: l}
	d.Cost = terms.Total()
	d.Bound = min(d.Cost, defaultObjective.Move+floor, defaultObjective.Waiting)
	d.gap()
	return d
}

// balance is the cost of a node's utilisation under the default objective.
func balance(used, capacity topology.Capacity) float64 {
	u := float64(used.CPU) * inverse(capacity.CPU)
	sum := u * u
	if used.Memory != 0 || used.Storage != 0 {
		m, d := float64(used.Memory)*inverse(capacity.Memory), float64(used.Storage)*inverse(capacity.Storage)
		sum += m*m + d*d
	}
	return defaultObjective.Balance * sum
}

func (t Terms) plus(u Terms) Terms {
	return Terms{t.Waiting + u.Waiting, t.Moves + u.Moves, t.Preference + u.Preference, t.Traffic + u.Traffic,
		t.Balance + u.Balance, t.Energy + u.Energy, t.Price + u.Price}
}
