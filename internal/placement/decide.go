package placement

import (
	"slices"
	"sort"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Strategy places the units of a search that build has loaded. It leaves every
// demand either wholly placed, within all constraints, or waiting.
type Strategy func(*search)

// Strategies are the ways to decide, by name.
var Strategies = map[string]Strategy{
	"exact":     exact,
	"firstfit":  firstfit,
	"fogbrain":  fogbrain,
	"hungarian": hungarian,
	"osmotic":   osmotic,
}

// StrategyNames lists the strategies in alphabetical order.
func StrategyNames() []string {
	names := make([]string, 0, len(Strategies))
	for n := range Strategies {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Decide answers where every element of the given demands goes. It reads the
// state and changes nothing; see the package's contract.
func Decide(st State, demands []Demand, o Options) Decision {
	o = o.withDefaults()
	err := o.Validate()
	if err == nil {
		err = st.validate()
	}
	if err != nil {
		return rejectAll(demands, o, err)
	}
	d, ok := kept(st, demands, &o)
	if !ok {
		s := claim()
		s.reset(st, o, o.objective())
		outcomes := s.build(demands)
		Strategies[o.Strategy](s)
		d = s.decision(outcomes)
		s.release()
	}
	if o.Explain {
		d.Explanations = Explain(st, demands, o, &d)
	}
	return d
}

func (o Options) withDefaults() Options {
	if o.Model == "" {
		o.Model = ModelOsmoslice
	}
	if o.Strategy == "" {
		o.Strategy = "osmotic"
		if o.Model == ModelFogBrain {
			o.Strategy = "fogbrain"
		}
	}
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	if o.Backstop == 0 {
		o.Backstop = defaultBackstop
	}
	return o
}

func (o *Options) objective() *objective {
	obj := defaultObjective
	if o.Weights != nil {
		obj = newObjective(*o.Weights)
	}
	if o.Replace {
		free := *obj
		free.Move = 0
		obj = &free
	}
	return obj
}

func (st *State) validate() error {
	switch {
	case st.Snapshot == nil:
		return fault.Field("snapshot", "none", "a topology snapshot")
	case st.Ledger != nil && !st.Ledger.lineage.SameLineage(st.Snapshot):
		return fault.Field("ledger", "a ledger of another topology", "a ledger made for the snapshot's lineage")
	}
	return nil
}

func rejectAll(demands []Demand, o Options, err error) Decision {
	d := Decision{Model: o.Model, Strategy: o.Strategy}
	for k := range demands {
		d.Outcomes = append(d.Outcomes, Outcome{Demand: demands[k].ID, Status: Rejected, Err: err})
	}
	return d
}

// build loads the given demands, what they hold, and their order of service.
func (s *search) build(demands []Demand) []Outcome {
	outcomes := make([]Outcome, len(demands))
	holders := 0
	for k := range demands {
		d := &demands[k]
		outcomes[k].Demand = d.ID
		c, err := s.compiledOf(d)
		if s.isDouble(demands, k) && err == nil {
			err = fault.Field("id", d.ID, "a demand given once")
		}
		if err != nil {
			outcomes[k].Status, outcomes[k].Err = Rejected, err
			continue
		}
		ds := demandState{c: c, input: k, urgency: 1}
		if s.ledger != nil {
			if h, ok := s.ledger.held[d.ID]; ok {
				ds.held, ds.same = h, h.spec == c
				holders++
			}
		}
		s.demands = append(s.demands, ds)
	}
	s.others = s.ledger != nil && len(s.ledger.held) > holders
	s.rank(demands)
	for k := range s.demands {
		s.loadDemand(int32(k))
	}
	return outcomes
}

// isDouble reports whether a demand's id was given before.
func (s *search) isDouble(demands []Demand, k int) bool {
	if len(demands) == 1 {
		return false
	}
	if len(demands) <= 64 {
		hash := hashID(demands[k].ID)
		s.hashes = append(s.hashes[:k], hash)
		for i, h := range s.hashes[:k] {
			if h == hash && demands[i].ID == demands[k].ID {
				return true
			}
		}
		return false
	}
	if k == 0 {
		s.seen = make(map[string]bool, len(demands))
	}
	double := s.seen[demands[k].ID]
	s.seen[demands[k].ID] = true
	return double
}

func (s *search) compiledOf(d *Demand) (*compiled, error) {
	if d.compiled != nil && d.compiled.lineage.SameLineage(s.snap) {
		return d.compiled, nil
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	return compile(s.snap, d), nil
}

// rank orders the demands by class, then age; equals share a rank.
func (s *search) rank(demands []Demand) {
	differ := false
	order := s.ids[:0]
	for k := range s.demands {
		a, b := &demands[s.demands[k].input], &demands[s.demands[0].input]
		differ = differ || a.Priority != b.Priority || !a.Submitted.Equal(b.Submitted)
		order = append(order, int32(k))
	}
	s.ids = order
	if !differ {
		return
	}
	of := func(k int32) *Demand { return &demands[s.demands[k].input] }
	before := func(a, b *Demand) bool {
		return a.Priority > b.Priority || a.Priority == b.Priority && a.Submitted.Before(b.Submitted)
	}
	sort.SliceStable(order, func(i, j int) bool { return before(of(order[i]), of(order[j])) })
	rank := 0
	for i, k := range order {
		if i > 0 && before(of(order[i-1]), of(k)) {
			rank++
		}
		s.demands[k].rank = rank
	}
	// A demand outweighs all of lower rank while that stays exact in float64.
	factor := float64(len(s.demands) + 1)
	for _, k := range order {
		d := &s.demands[k]
		for range min(rank-d.rank, 4) {
			d.urgency *= min(factor, 16)
		}
	}
}

// loadDemand loads the units and flows of one demand and credits what it holds.
func (s *search) loadDemand(dem int32) {
	d := &s.demands[dem]
	c := d.c
	d.first = int32(len(s.elems))
	at := c.sitesOf(s.snap, s.obj)
	d.crossing = at.crossing
	d.flows = int32(len(s.flows))
	adj := int32(len(s.adjacent))
	s.elems = append(s.elems, at.elems...)
	d.last = int32(len(s.elems))
	for k := d.first; k < d.last; k++ {
		e := &s.elems[k]
		e.dem = dem
		e.adjFrom += adj
		e.adjTo += adj
	}
	for _, x := range c.adjacent {
		s.adjacent = append(s.adjacent, d.flows+x)
	}
	s.flows = append(s.flows, c.loaded...)
	flows := s.flows[d.flows:]
	for k := range flows {
		flows[k].a += d.first
		flows[k].b += d.first
	}
	if len(c.fixed) > 0 {
		s.fixed = true
		for k := range flows {
			flows[k].a, flows[k].b = s.flowEnd(d, c.flows[k].a, c.flows[k].fixed), s.flowEnd(d, c.flows[k].b, c.flows[k].fixed)
		}
	}
	if d.held == nil {
		return
	}
	s.findHomes(d)
	if s.others || s.opts.FactsAreFree {
		for _, h := range d.held.elements {
			s.credit(h.node, d.held.takeOf(h))
		}
		for _, h := range d.held.flows {
			s.creditPair(h.pair, h.kbit)
		}
	}
}

func (s *search) flowEnd(d *demandState, u, fixed int32) int32 {
	if u >= 0 {
		return d.first + u
	}
	if i, ok := s.snap.Index(d.c.fixed[fixed]); ok {
		return ^i
	}
	return unknownNode
}

// findHomes finds the node that each unit holds.
func (s *search) findHomes(d *demandState) {
	c := d.c
	joined := len(c.units) != len(c.ids)
	d.now = int32(len(s.nowAt))
	for i := range d.held.elements {
		h := &d.held.elements[i]
		k := h.index
		if !d.same {
			k = c.indexOf(d.held, i)
			s.nowAt = append(s.nowAt, k)
		}
		if k < 0 {
			continue // no longer part of the demand
		}
		e := &s.elems[d.first+c.unitOf[k]]
		if !joined || len(e.unit.members) == 1 {
			e.home = h.node
			continue
		}
		if e.homes == nil {
			homes := slices.Repeat([]int32{-1}, len(e.unit.members))
			e.homes = &homes
			s.scattered = append(s.scattered, d.first+c.unitOf[k])
		}
		(*e.homes)[slices.Index(e.unit.members, k)] = h.node
	}
	for k := d.first; k < d.last && joined; k++ {
		if e := &s.elems[k]; e.homes != nil {
			e.home = mostCommon(*e.homes)
		}
	}
}

// mostCommon is the value most often found, the first of equals; -1 is none.
func mostCommon(list []int32) int32 {
	best, count := int32(-1), 0
	for _, v := range list {
		n := 0
		for _, w := range list {
			if v == w {
				n++
			}
		}
		if v >= 0 && n > count {
			best, count = v, n
		}
	}
	return best
}

func (c *compiled) elementIndex(id string) int32 {
	if len(c.ids) <= 16 {
		return int32(slices.Index(c.ids, id))
	}
	if k, ok := c.index[id]; ok {
		return k
	}
	return -1
}

// indexOf is elementIndex of an element that another form of the demand was
// decided from. Most stand where they stood.
func (c *compiled) indexOf(h *holding, at int) int32 {
	was := h.elements[at].index
	name := h.spec.names[was]
	if int(was) < len(c.names) && c.names[was] == name {
		return was
	}
	if len(c.names) > 16 {
		return c.elementIndex(h.spec.ids[was])
	}
	return int32(slices.Index(c.names, name))
}

// hashID is FNV-1a.
func hashID(id string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return h
}

type capacity = topology.Capacity

var noCapacity capacity
