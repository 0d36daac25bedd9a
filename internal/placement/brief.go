package placement

// brief is what a unit would cost on a node in balance, packed, so that looking
// for the node where that is least passes over most of them at a glance.
type brief struct {
	node    int32
	free    int64   // CPU
	slope   float64 // what one more of CPU costs, to first order
	base    float64 // the same beside only what surely stays
	squared float64 // what the square of an amount of CPU costs
}

// Up to maxBriefs nodes are passed over one by one where manyQueries or more units
// need a node. More are read in the order of their room, as far as needed.
const (
	maxBriefs   = 128
	manyQueries = 8
)

// takeDown begins the briefs of all nodes.
func (s *search) takeDown() {
	for _, n := range s.snap.Order() {
		if st := s.node(n); st.up {
			v := s.obj.Balance * st.inverse[0] * st.inverse[0]
			kind := s.snap.KindIndex(n)
			s.briefs[kind] = append(s.briefs[kind], brief{node: n, base: 2 * v * float64(st.base.CPU), squared: v})
		}
	}
	for k := range s.briefs {
		for i := range s.briefs[k] {
			b := &s.briefs[k][i]
			st := s.node(b.node)
			st.brief = b
			b.follow(st)
		}
	}
}

// follow brings a brief to the present state of its node.
func (b *brief) follow(st *nodeState) {
	b.free = st.free.CPU
	b.slope = 2 * b.squared * float64(st.used.CPU)
}

// bestBrief considers those nodes of a kind that may be better than what has been
// found. It counts as many steps as it takes time.
func (s *search) bestBrief(q *query, list []brief, static, sure float64) {
	e := q.e
	s.steps += int64(len(list) / 2)
	cpu := float64(e.req.CPU)
	for i := range list {
		b := &list[i]
		least := static + cpu*cpu*b.squared
		if least+cpu*b.base+sure >= q.least && (b.free < e.req.CPU || least+cpu*b.slope+q.away+q.far >= q.found.cost) {
			continue
		}
		if e.sites.has(b.node) {
			s.consider(q, b.node, static)
		}
	}
}
