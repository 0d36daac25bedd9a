package placement

import (
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// search is the scratch state of one decision: the given demands' units, where
// each is now, and what is left on every node and pair it has looked at. It is
// reused; stamps make a reset cost nothing.
type search struct {
	snap     *topology.Snapshot
	ledger   *Ledger
	opts     Options
	obj      *objective
	demands  []demandState
	elems    []elem
	flows    []flow
	adjacent []int32       // flows by unit
	slots    []nodeSlot    // per node: its state, if it has one in this decision
	states   [][]nodeState // in chunks, so that pointers stay valid
	used     int
	pairs    pairTable
	glance   pairState // what pairNow answers for a pair that is not kept
	stamp    uint32
	touched  []int32 // nodes looked at in this decision
	others   bool    // other demands hold something

	resident bool // the ledger's rows have the facts of the snapshot

	steps     int64
	limit     int64
	budgetHit bool
	backstop  bool
	started   time.Time

	displaced   []displacement
	movesBound  int
	bounds      boundParts
	fixed       bool    // there are flows to fixed nodes
	scattered   []int32 // units with several homes
	broken      []int32 // flows that force found not to hold
	single      []int32 // units of which exactly one must move, if that is all
	count       int32   // of units put on nodes
	barred      int32   // a node that is no candidate for now, -1: none
	choice      []int32 // units of which some, but not certainly this one, must move
	seen        map[string]bool
	rowsChanged []int32
	trail       []step
	failed      []int32
	visit       []int32 // the nodes in the order that fogbrain visits them
	tight       bool
	roomiest    nodeState          // an empty node of the greatest capacity there is
	pressed     bool               // room is scarce
	briefs      [kindCount][]brief // of all nodes that are up; of a kind without: empty
	closed      bool               // the optimum is proven
	kinds       []int
	near        []neighbour
	nearA       []neighbour
	text        []byte
	found       []clash
	arena       []int32
	sizes       []int64
	over        []int32
	swaps       []exchange
	was         []int32
	hashes      []uint64
	nowAt       []int32      // positions in the demand of its held elements, -1: none
	plan        Plan         // under construction
	outcome     []Assignment // what piece cuts from
	heldElems   []heldElement
	heldFlows   []heldFlow
	planned     [3][]change // what the plan removes, migrates and adds
	list        []change
	todo        []int32
	ids         []int32
	ids2        []int32
}

// demandState is one given demand during a decision.
type demandState struct {
	c           *compiled
	held        *holding
	input       int   // position in the input
	first, last int32 // its units: elems[first:last]
	flows       int32 // where its flows begin
	urgency     float64
	rank        int // 0: decided first
	waiting     bool
	proven      bool
	stirred     bool    // polish has found a better node for one of its units
	same        bool    // same compiled form as what it holds: positions agree
	now         int32   // where nowAt says of its held elements where they are now; not if same
	pairs       float64 // proven by tighten: what flows between its new units cost
	crossing    float64 // least cost of its flows beyond the floors, wherever its units go
	order       []int32 // elements newest first, when the strategy keeps that order
}

// elem is a unit during a decision.
type elem struct {
	unit     *unit
	sites    *sites
	pref     *[kindCount]float64
	homes    *[]int32 // per member, when the unit has several; else nil
	req      topology.Capacity
	home     int32 // the node it holds, -1: none
	at       int32 // the node it is on now, -1: none
	dem      int32
	next     int32 // list of the node's units
	prev     int32
	adjFrom  int32 // its flows: adjacent[adjFrom:adjTo]
	adjTo    int32
	moved    bool   // new or displaced: placing it anew costs no further move
	unsure   bool   // one of choice
	locked   bool   // must not be ejected
	returned bool   // went back to a better suited node
	grouped  bool   // in a group of units that stay apart
	clashing uint16 // how many clashes it is part of
	since    int32  // when it was put on its node, by the search's count
	cores    float64
	floor    float64 // proven: its least static cost on any node
	least    float64 // proven: its cost without moves, on any node; -1: not yet known
	share    float64 // of what all need together
}

type flow struct {
	a, b       int32 // elems; <0: ^node, or unknownNode
	maxLatency float64
	maxLoss    float64
	kbit       int64
	pair       int32 // in pairs.list, where it is given out now; -1: nowhere
	row        int32 // of that pair in the ledger, as long as nothing has moved; or noRow
}

// noRow is no row of the ledger, or one that has not been looked for.
const noRow = -1

// adj are the flows of a unit.
func (s *search) adj(e *elem) []int32 { return s.adjacent[e.adjFrom:e.adjTo] }

const unknownNode = -1 << 31

type nodeSlot struct {
	stamp uint32
	at    int32
}

const chunk = 64

// nodeState is one node during a decision.
type nodeState struct {
	up      bool
	changed bool
	roomed  bool // room is known
	head    int32
	count   int32
	free    topology.Capacity // what may still be placed; headroom already taken off
	used    topology.Capacity // by others and by units placed now
	inverse [3]float64
	phiNow  float64           // of used
	base    topology.Capacity // by others and by units that surely stay
	phiBase float64           // of base
	basePhi float64           // of others alone
	others  topology.Capacity // used by others
	brief   *brief            // nil: none
	delta   topology.Capacity // what the plan changes in the ledger's row
	room    topology.Capacity // what is free while the plan's changes are put in order
}

// rebase states what others use of a node.
func (s *search) rebase(st *nodeState, others topology.Capacity) {
	st.used, st.base, st.others = others, others, others
	st.phiNow = s.phi(st, noCapacity)
	st.basePhi, st.phiBase = st.phiNow, st.phiNow
}

// idle keeps a few searches, so that their scratch survives garbage collection.
var idle struct {
	sync.Mutex
	list []*search
}

const maxIdle = 8

func claim() *search {
	idle.Lock()
	defer idle.Unlock()
	if n := len(idle.list); n > 0 {
		s := idle.list[n-1]
		idle.list = idle.list[:n-1]
		return s
	}
	return new(search)
}

// release gives the scratch back without keeping the caller's state alive.
func (s *search) release() {
	s.snap, s.ledger, s.obj = nil, nil, nil
	clear(s.elems)
	clear(s.demands)
	clear(s.seen)
	s.outcome, s.heldElems, s.heldFlows = nil, nil, nil
	clear(s.plan.Remove)
	clear(s.plan.Migrate)
	clear(s.plan.Add)
	idle.Lock()
	defer idle.Unlock()
	if len(idle.list) < maxIdle {
		idle.list = append(idle.list, s)
	}
}

func (s *search) reset(st State, o Options, obj *objective) {
	s.snap, s.ledger, s.opts, s.obj = st.Snapshot, st.Ledger, o, obj
	s.resident = st.Ledger != nil && st.Ledger.facts == st.Snapshot
	s.stamp++
	if s.stamp == 0 || len(s.slots) < st.Snapshot.Size() {
		s.slots = make([]nodeSlot, st.Snapshot.Size())
		s.pairs = pairTable{}
		s.stamp = 1
	}
	s.pairs.reset(s.stamp)
	s.used = 0
	most := st.Snapshot.MostCapacity()
	s.roomiest.inverse = [3]float64{inverse(most.CPU), inverse(most.Memory), inverse(most.Storage)}
	if o.FactsAreFree {
		s.roomiest.inverse = [3]float64{} // what is held comes on top of what is stated
	}
	s.demands, s.elems, s.flows = s.demands[:0], s.elems[:0], s.flows[:0]
	s.adjacent = s.adjacent[:0]
	s.touched, s.displaced, s.todo = s.touched[:0], s.displaced[:0], s.todo[:0]
	s.steps, s.limit, s.budgetHit, s.backstop = 0, o.Budget, false, false
	s.movesBound, s.bounds, s.closed = 0, boundParts{}, false
	s.tight, s.pressed = false, false
	for k := range s.briefs {
		s.briefs[k] = s.briefs[k][:0]
	}
	s.arena, s.nowAt = s.arena[:0], s.nowAt[:0]
	for k := range s.planned {
		s.planned[k] = s.planned[k][:0]
	}
	s.barred, s.count = -1, 0
	s.fixed, s.scattered = false, s.scattered[:0]
	s.broken, s.choice, s.rowsChanged = s.broken[:0], s.choice[:0], s.rowsChanged[:0]
	if o.Backstop >= 0 {
		s.started = time.Now()
	}
}

// spent counts steps and reports whether the budget is used up. The clock is
// looked at every few thousand steps only.
func (s *search) spent(n int64) bool {
	before := s.steps
	s.steps += n
	if s.steps > s.limit {
		s.budgetHit = true
		return true
	}
	if s.opts.Backstop >= 0 && before>>12 != s.steps>>12 && time.Since(s.started) > s.opts.Backstop {
		s.backstop, s.budgetHit = true, true
		s.limit = s.steps
		return true
	}
	return false
}

// node answers the state of a node, reading snapshot and ledger once.
func (s *search) node(n int32) *nodeState {
	slot := &s.slots[n]
	if slot.stamp != s.stamp {
		return s.load(slot, n)
	}
	return &s.states[slot.at/chunk][slot.at%chunk]
}

func (s *search) load(slot *nodeSlot, n int32) *nodeState {
	if s.used == len(s.states)*chunk {
		s.states = append(s.states, make([]nodeState, chunk))
	}
	*slot = nodeSlot{s.stamp, int32(s.used)}
	st := &s.states[s.used/chunk][s.used%chunk]
	s.used++
	var c topology.Capacity
	var up bool
	row := s.ledger.nodeRow(n)
	if row != nil && s.resident {
		c, up = row.capacity, row.up
	} else {
		c, up = s.snap.Measured(n)
		c = limitless(c)
	}
	*st = nodeState{up: up, head: -1}
	st.inverse = [3]float64{inverse(c.CPU), inverse(c.Memory), inverse(c.Storage)}
	if row != nil && s.others && !s.opts.FactsAreFree {
		s.rebase(st, row.used)
	}
	st.free = minus(minus(c, st.used), s.opts.Headroom.Node)
	if !up {
		st.free = topology.Capacity{CPU: -1, Memory: -1, Storage: -1}
	}
	s.touched = append(s.touched, n)
	return st
}

// endless is what a capacity without limit counts as: no sum of requirements
// comes near it, nor overflows beside it.
const endless int64 = 1 << 60

func limitless(c topology.Capacity) topology.Capacity {
	return topology.Capacity{CPU: boundless(c.CPU), Memory: boundless(c.Memory), Storage: boundless(c.Storage)}
}

func boundless(v int64) int64 {
	if v >= topology.Infinite {
		return endless
	}
	return v
}

// credit gives back what a given demand holds on a node: its own holdings are
// not used by others, and under FactsAreFree they come on top of the facts.
func (s *search) credit(n int32, c topology.Capacity) {
	st := s.node(n)
	switch {
	case s.opts.FactsAreFree:
		full := plus(s.snap.Capacity(n), c) // the gross capacity as far as these demands see it
		st.inverse = [3]float64{inverse(full.CPU), inverse(full.Memory), inverse(full.Storage)}
	case !s.others:
		return // nothing was deducted
	default:
		s.rebase(st, minus(st.used, c))
	}
	if st.up {
		st.free = plus(st.free, c)
	}
}
