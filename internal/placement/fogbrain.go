package placement

import (
	"cmp"
	"slices"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// fogbrain replays the decisions of FogBrainX (continuous reasoning on declarative
// application management: Forti, Gaglianese, Brogi, 2021; di-unipi-socc/fogbrainx),
// so that ours can be compared decision by decision. Demands are decided one by
// one on one ledger: each is deducted before the next. A demand's old
// allocation counts as free for itself alone. Placements are newest first.
func fogbrain(s *search) {
	s.displaced = s.displaced[:0]
	many := len(s.demands) > 1
	s.visit = s.snap.Order()
	if many {
		s.visit = slices.Clone(s.visit)
	}
	if many {
		for k := range s.demands {
			s.hold(&s.demands[k], 1)
		}
	}
	for _, dem := range s.byRank() {
		d := &s.demands[dem]
		if many {
			s.hold(d, -1)
		}
		f := replay{s, d, d.c.orderBuffer()}
		if !f.decide() {
			s.leaveOut(dem)
			d.order = nil
			continue
		}
		d.order = d.c.elementsOf(f.order)
		if many {
			s.demote(d)
		}
	}
}

// demote moves the nodes that a demand has left, then those it has taken, to
// the end of the visit order: the peer states their free hardware anew. What
// is without limit stays as it was stated.
func (s *search) demote(d *demandState) {
	last := func(n int32) {
		if s.snap.Capacity(n).CPU >= topology.Infinite {
			return
		}
		if i := slices.Index(s.visit, n); i >= 0 {
			s.visit = append(slices.Delete(s.visit, i, i+1), n)
		}
	}
	if d.held != nil {
		for _, h := range d.held.elements {
			last(h.node)
		}
	}
	for _, k := range d.order {
		last(s.nodeOf(d, k))
	}
}

// hold deducts what a demand holds, or gives it back.
func (s *search) hold(d *demandState, sign int64) {
	if d.held == nil {
		return
	}
	for k := range d.held.elements {
		h := d.held.elements[k]
		st, take := s.node(h.node), d.held.takeOf(h)
		st.free.CPU -= sign * take.CPU
		st.free.Memory -= sign * take.Memory
		st.free.Storage -= sign * take.Storage
	}
	for _, f := range d.held.flows {
		s.pair(f.pair.From, f.pair.To).free -= sign * f.kbit
	}
}

// replay is the decision of one demand.
type replay struct {
	*search
	d     *demandState
	order []int32 // accepted units, oldest first
}

// elementsOf lists the elements of units; but for affinity, one each.
func (c *compiled) elementsOf(units []int32) []int32 {
	if len(c.units) == len(c.source.Elements) {
		return units
	}
	var out []int32
	for _, u := range units {
		out = append(out, c.units[u].members...)
	}
	return out
}

func (c *compiled) orderBuffer() []int32 { return make([]int32, 0, len(c.source.Elements)) }

// decide keeps what still passes, in the old order, and searches for the rest;
// if that fails it re-places everything.
func (r *replay) decide() bool {
	fresh, needs := r.keepInOrder()
	todo := append(fresh, needs...)
	if len(todo) == 0 || r.place(todo) {
		slices.Reverse(r.order)
		return true
	}
	for _, k := range r.order {
		r.drop(r.d.first + k)
	}
	r.order = r.order[:0]
	all := make([]int32, len(r.d.c.units))
	for k := range all {
		all[k] = int32(k)
	}
	if !r.place(all) {
		return false
	}
	slices.Reverse(r.order)
	return true
}

// keepInOrder walks the old placement. It answers the elements that are new, in
// the order of the specification, and those that need attention, in old order;
// both by unit.
func (r *replay) keepInOrder() (fresh, needs []int32) {
	held := 0
	if r.d.held != nil && !r.opts.Replace {
		for i := range r.d.held.elements {
			h := &r.d.held.elements[i]
			k := r.indexHeld(r.d, i)
			if k < 0 {
				continue
			}
			k = r.d.c.unitOf[k]
			u := r.d.first + k
			if r.elems[u].at >= 0 || len(r.elems[u].unit.members) > 1 && slices.Contains(needs, k) {
				continue // decided with another of its elements
			}
			held++
			if r.elems[u].sites.has(h.node) && r.node(h.node).up && r.try(u, h.node) {
				r.order = append(r.order, k)
				continue
			}
			r.displaced = append(r.displaced, displacement{elem: u, why: whyUnsuitable, peer: -1})
			needs = append(needs, k)
		}
	}
	if held == len(r.d.c.units) {
		return nil, needs
	}
	for k := range r.d.c.units {
		if r.elems[r.d.first+int32(k)].at < 0 && !slices.Contains(needs, int32(k)) {
			fresh = append(fresh, int32(k))
		}
	}
	return fresh, needs
}

func (r *replay) place(todo []int32) bool {
	if r.opts.Heuristic {
		return r.fewestFirst(todo)
	}
	return r.inOrder(todo)
}

// inOrder is the exhaustive placer: elements in list order, nodes in fact
// order, the first that fits.
func (r *replay) inOrder(todo []int32) bool {
	if len(todo) == 0 {
		return true
	}
	k := todo[0]
	u := r.d.first + k
	bits := r.elems[u].sites
	for _, n := range r.visit {
		if !bits.has(n) {
			continue
		}
		if r.spent(1) {
			return false
		}
		if !r.node(n).up || !r.try(u, n) {
			continue
		}
		r.order = append(r.order, k)
		if r.inOrder(todo[1:]) {
			return true
		}
		r.order = r.order[:len(r.order)-1]
		r.drop(u)
	}
	return false
}

// fewestFirst is the heuristic placer: next the element with the fewest
// compatible nodes, those with most hardware first.
func (r *replay) fewestFirst(todo []int32) bool {
	if len(todo) == 0 {
		return true
	}
	pick := -1
	var nodes []int32
	for i, k := range todo {
		c := r.compatible(r.d.first + k)
		if len(c) == 0 || r.spent(1) {
			return false
		}
		if pick < 0 || len(c) < len(nodes) {
			pick, nodes = i, c
		}
	}
	k := todo[pick]
	rest := slices.Concat(todo[:pick], todo[pick+1:])
	slices.SortStableFunc(nodes, func(a, b int32) int {
		return cmp.Compare(r.fact(b), r.fact(a))
	})
	for _, n := range nodes {
		if !r.try(r.d.first+k, n) {
			continue
		}
		r.order = append(r.order, k)
		if r.fewestFirst(rest) {
			return true
		}
		r.order = r.order[:len(r.order)-1]
		r.drop(r.d.first + k)
	}
	return false
}

// fact is the free hardware that the peer's facts state: what the ledger gives
// out, to this demand too, is taken off.
func (r *replay) fact(n int32) int64 {
	c := r.snap.Capacity(n).CPU
	if r.opts.FactsAreFree || r.ledger == nil || c >= topology.Infinite {
		return c
	}
	return c - r.ledger.node(n).used.CPU
}

func (r *replay) compatible(u int32) []int32 {
	var out []int32
	for _, n := range r.visit {
		if r.elems[u].sites.has(n) && r.node(n).up && r.fits(u, n) {
			out = append(out, n)
		}
	}
	return out
}
