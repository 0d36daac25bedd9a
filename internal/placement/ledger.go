package placement

import (
	"fmt"
	"maps"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Holding is what one demand has been given: its current placement.
type Holding struct {
	Demand   string        `json:"demand"`
	Elements []HeldElement `json:"elements"` // in placement order (newest first under fogbrain)
	Flows    []HeldFlow    `json:"flows,omitempty"`
}

// HeldElement is an element's node and what it takes there.
type HeldElement struct {
	Element string            `json:"element"`
	Node    string            `json:"node"`
	Take    topology.Capacity `json:"take"`
}

// HeldFlow is bandwidth taken on an ordered pair of nodes.
type HeldFlow struct {
	From string `json:"from"`
	To   string `json:"to"`
	Kbit int64  `json:"kbit"`
}

// holding is a Holding by index.
type holding struct {
	demand   string
	elements []heldElement
	flows    []heldFlow
	spec     *compiled    // the demand it was decided from; of a restored one only ids and takes
	restored bool         // by Reserve, not by a decision
	outcome  []Assignment // the placement as it was decided, shared and not changed
	standing *standing    // what it relies on, nil: not known
}

// heldElement is an element by its position in holding.spec, which says what it
// takes.
type heldElement struct {
	index, node int32
}

type heldFlow struct {
	pair topology.Pair
	kbit int64
}

// Ledger says what has been given out: per node, per ordered node pair, and to
// whom. It belongs to one snapshot lineage. It is not safe for concurrent use.
type Ledger struct {
	lineage *topology.Snapshot
	facts   *topology.Snapshot // the snapshot that the rows' facts are of; nil: of none
	nodes   []nodeRow
	links   linkRows
	held    map[string]*holding
}

// NewLedger is an empty ledger for the lineage of a snapshot.
func NewLedger(s *topology.Snapshot) *Ledger {
	return &Ledger{lineage: s, held: map[string]*holding{}}
}

// Clone is an independent copy, for what-if questions.
func (l *Ledger) Clone() *Ledger {
	return &Ledger{lineage: l.lineage, facts: l.facts, nodes: slices.Clone(l.nodes), links: l.links.clone(), held: maps.Clone(l.held)}
}

// Len is the number of demands that hold something.
func (l *Ledger) Len() int { return len(l.held) }

func (l *Ledger) node(i int32) nodeRow {
	if int(i) < len(l.nodes) {
		return l.nodes[i]
	}
	return nodeRow{}
}

func (l *Ledger) take(i int32, c topology.Capacity, sign int64) {
	for int(i) >= len(l.nodes) {
		l.nodes = append(l.nodes, nodeRow{})
		l.readNode(int32(len(l.nodes) - 1))
	}
	r := &l.nodes[i]
	r.used.CPU += sign * c.CPU
	r.used.Memory += sign * c.Memory
	r.used.Storage += sign * c.Storage
	r.version++
}

func (l *Ledger) takeLink(p topology.Pair, kbit int64) {
	r := &l.links.list[l.link(p.From, p.To)]
	r.kbit += kbit
	r.version++
}

// Reserve records what a demand holds, replacing what it held before. It does
// not check capacities: the ledger records facts, Decide makes them.
func (l *Ledger) Reserve(h Holding) error {
	n := &holding{demand: h.Demand, spec: &compiled{}, restored: true}
	if h.Demand == "" {
		return fault.Field("demand", "", "a non-empty id")
	}
	for k, e := range h.Elements {
		i, ok := l.lineage.Known(e.Node)
		if !ok {
			return fault.Field(fmt.Sprintf("elements/%d/node", k), e.Node, "the id of a known node")
		}
		if err := e.Take.Validate(fmt.Sprintf("elements/%d/take", k)); err != nil {
			return err
		}
		n.elements = append(n.elements, heldElement{int32(k), i})
		n.spec.takes = append(n.spec.takes, e.Take)
		n.spec.addID(e.Element)
	}
	for k, f := range h.Flows {
		a, okA := l.lineage.Known(f.From)
		b, okB := l.lineage.Known(f.To)
		if !okA || !okB || f.Kbit < 0 {
			return fault.Field(fmt.Sprintf("flows/%d", k), fmt.Sprintf("%s to %s: %d", f.From, f.To, f.Kbit), "known nodes and 0 kbit/s or more")
		}
		n.flows = append(n.flows, heldFlow{topology.Pair{From: a, To: b}, f.Kbit})
	}
	l.Release(h.Demand)
	l.put(n)
	return nil
}

// takeOf is what an element takes of its node.
func (n *holding) takeOf(e heldElement) topology.Capacity { return n.spec.takes[e.index] }

func (n *holding) idOf(e heldElement) string { return n.spec.ids[e.index] }

func (l *Ledger) put(h *holding) {
	l.held[h.demand] = h
	for _, e := range h.elements {
		l.take(e.node, h.takeOf(e), 1)
	}
	for _, f := range h.flows {
		l.takeLink(f.pair, f.kbit)
	}
}

// Release ends what a demand holds; a demand that holds nothing is no error.
func (l *Ledger) Release(demand string) {
	h, ok := l.held[demand]
	if !ok {
		return
	}
	delete(l.held, demand)
	for _, e := range h.elements {
		l.take(e.node, h.takeOf(e), -1)
	}
	for _, f := range h.flows {
		l.takeLink(f.pair, -f.kbit)
	}
}

// Holding is what a demand holds now; ok is false when it holds nothing.
func (l *Ledger) Holding(demand string) (h Holding, ok bool) {
	n, ok := l.held[demand]
	if !ok {
		return h, false
	}
	return n.public(l.lineage), true
}

func (n *holding) public(s *topology.Snapshot) Holding {
	h := Holding{Demand: n.demand}
	for _, e := range n.elements {
		h.Elements = append(h.Elements, HeldElement{n.idOf(e), s.ID(e.node), n.takeOf(e)})
	}
	for _, f := range n.flows {
		h.Flows = append(h.Flows, HeldFlow{s.ID(f.pair.From), s.ID(f.pair.To), f.kbit})
	}
	return h
}

// NodeRow is what a node gives out, and the row's version.
func (l *Ledger) NodeRow(node string) (used topology.Capacity, version uint64) {
	if i, ok := l.lineage.Known(node); ok {
		r := l.node(i)
		return r.used, r.version
	}
	return used, 0
}

// LinkRow is the kbit/s that an ordered pair of nodes gives out, and the row's
// version.
func (l *Ledger) LinkRow(from, to string) (kbit int64, version uint64) {
	a, okA := l.lineage.Known(from)
	b, okB := l.lineage.Known(to)
	if !okA || !okB {
		return 0, 0
	}
	return l.linkRow(a, b)
}

// SetVersion sets the version of a row (To empty: a node's), so that versions
// in memory equal those in the store.
func (l *Ledger) SetVersion(from, to string, version uint64) error {
	a, ok := l.lineage.Known(from)
	if !ok {
		return fault.Field("from", from, "the id of a known node")
	}
	if to == "" {
		l.take(a, topology.Capacity{}, 1)
		l.nodes[a].version = version
		return nil
	}
	b, ok := l.lineage.Known(to)
	if !ok {
		return fault.Field("to", to, "the id of a known node")
	}
	l.links.list[l.link(a, b)].version = version
	return nil
}

// Stale names the first row of a decision whose version has moved since, empty
// when none has. For a link row it is "from -> to".
func (l *Ledger) Stale(rows []RowUse) string {
	for _, r := range rows {
		if r.To == "" {
			if _, v := l.NodeRow(r.From); v != r.Version {
				return r.From
			}
		} else if _, v := l.LinkRow(r.From, r.To); v != r.Version {
			return r.From + " -> " + r.To
		}
	}
	return ""
}

// Commit makes a decision's outcome what its demands hold. When a row the
// decision used has moved since, it answers a Conflict (retry now: decide
// again) that names the row, and changes nothing.
func (l *Ledger) Commit(d *Decision) error {
	if d.ledger != l {
		return fault.New(fault.Invalid, "the decision was made on another ledger")
	}
	if row := l.Stale(d.Rows); row != "" {
		return fault.New(fault.Conflict, "ledger row %s has changed since the decision", row).Retrying(fault.Now)
	}
	for _, id := range d.released {
		l.Release(id)
	}
	for k := range d.holdings {
		h := d.holdings[k]
		l.Release(h.demand)
		l.put(&h)
		h.standing = l.stand(&h)
	}
	return nil
}
