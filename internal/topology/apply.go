package topology

import (
	"fmt"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// edit is a snapshot under construction: pages it owns may be written.
type edit struct {
	*Snapshot
	base    *Snapshot
	owned   map[int]bool
	change  Changes
	static  []int32 // nodes whose unmeasured facts changed
	rows    []rowChange
	touched []bool // by node
}

func (s *Snapshot) edit() *edit {
	n := *s
	n.revision++
	n.pages = slices.Clone(s.pages)
	return &edit{Snapshot: &n, base: s, owned: map[int]bool{}, touched: make([]bool, s.size), change: Changes{Since: s.revision}}
}

// entry answers the entry of an index for writing.
func (e *edit) entry(i int32) *entry {
	k := int(i >> pageBits)
	for len(e.pages) <= k {
		e.pages = append(e.pages, &page{})
		e.owned[len(e.pages)-1] = true
	}
	if !e.owned[k] {
		p := *e.pages[k]
		e.pages[k], e.owned[k] = &p, true
	}
	return &e.pages[k][i&(pageSize-1)]
}

// Apply answers the next revision of s with the delta in force. On bad input
// it answers an Invalid fault and no snapshot.
func (s *Snapshot) Apply(d Delta) (*Snapshot, error) {
	if err := s.check(d); err != nil {
		return nil, err
	}
	e := s.edit()
	for _, id := range d.RemoveNodes {
		e.removeNode(id)
	}
	for _, l := range d.RemoveLinks {
		a, _ := e.Known(l[0])
		b, _ := e.Known(l[1])
		e.rows = append(e.rows, rowChange{from: a, to: b})
	}
	if len(d.Infrastructures)+len(d.GroupLinks) > 0 {
		e.setGroups(d)
	}
	for i := range d.Nodes {
		e.setNode(&d.Nodes[i])
	}
	for _, l := range d.Links {
		a, _ := e.Known(l.From)
		b, _ := e.Known(l.To)
		e.rows = append(e.rows, rowChange{a, b, rowValue{path: l.Path(), set: true, down: l.Down}})
	}
	var order []int32
	for _, id := range d.Order {
		i, _ := e.Known(id)
		order = append(order, i)
	}
	return e.finish(order)
}

// ApplyPatch answers the next revision of s with new measurements in force.
func (s *Snapshot) ApplyPatch(p Patch) (*Snapshot, error) {
	if err := s.checkPatch(p); err != nil {
		return nil, err
	}
	e := s.edit()
	for _, v := range p.Nodes {
		x := e.entry(v.Node)
		x.capacity, x.down = v.Capacity, v.Unavailable
		e.grow(v.Capacity)
		e.touch(v.Node)
	}
	e.rows = make([]rowChange, len(p.Links))
	for k, l := range p.Links {
		e.rows[k] = rowChange{l.From, l.To, rowValue{path: l.Path, set: true, down: l.Down}}
	}
	return e.finish(p.Order)
}

func (e *edit) touch(i int32) {
	for len(e.touched) <= int(i) {
		e.touched = append(e.touched, false)
	}
	if !e.touched[i] {
		e.touched[i] = true
		e.change.Nodes = append(e.change.Nodes, i)
	}
}

func (e *edit) removeNode(id string) {
	i, ok := e.Known(id)
	if !ok || e.Node(i) == nil {
		return
	}
	*e.entry(i) = entry{down: true}
	e.count--
	for from := range int32(e.size) { // no exact link may outlive its end
		if r := e.at(from).row; r != nil {
			if _, ok := r.get(i); ok {
				e.rows = append(e.rows, rowChange{from: from, to: i})
			}
		}
	}
	e.static = append(e.static, i)
	e.touch(i)
}

func (e *edit) setNode(n *Node) {
	i := e.names.intern(n.ID)
	e.size = max(e.size, int(i)+1)
	x := e.entry(i)
	old := x.node
	if old == nil {
		e.count++
	}
	if old == nil || !sameFacts(old, n) {
		e.static = append(e.static, i)
	}
	c := *n
	*x = entry{capacity: n.Capacity, energy: n.EnergyPerCPU, price: n.PricePerCPU, node: &c, row: x.row,
		group: e.groups.index[n.Infrastructure], kind: uint8(slices.Index(kinds, n.Kind)), down: n.Unavailable}
	e.grow(n.Capacity)
	e.touch(i)
}

// grow raises the upper bound on capacities.
func (e *edit) grow(c Capacity) {
	e.most = Capacity{CPU: max(e.most.CPU, c.CPU), Memory: max(e.most.Memory, c.Memory), Storage: max(e.most.Storage, c.Storage)}
}

func (e *edit) setGroups(d Delta) {
	g := e.groups.clone()
	for _, f := range d.Infrastructures {
		k, ok := g.index[f.ID]
		if !ok {
			k = int32(len(g.infra))
			g.index[f.ID] = k
			g.infra = append(g.infra, f)
		}
		g.infra[k] = f
		delete(g.paths, Pair{k, k})
		if f.Intra != nil {
			g.paths[Pair{k, k}] = *f.Intra
		}
	}
	for _, l := range d.GroupLinks {
		g.paths[Pair{g.index[l.From], g.index[l.To]}] = l.Path
	}
	g.seal()
	e.groups, e.change.Groups = g, true
}

// finish writes the collected link changes and the order.
func (e *edit) finish(order []int32) (*Snapshot, error) {
	e.setRows()
	switch {
	case order != nil:
		if err := e.checkOrder(order); err != nil {
			return nil, err
		}
		e.order = slices.Clone(order)
	case len(e.change.Nodes) > 0:
		next := make([]int32, 0, e.count)
		for _, i := range e.order {
			if !e.touched[i] {
				next = append(next, i)
			}
		}
		for _, i := range e.change.Nodes {
			if e.Node(i) != nil {
				next = append(next, i)
			}
		}
		e.order = next
	}
	e.setRooms()
	if len(e.ids) != e.size {
		e.ids = e.names.list(e.size)
	}
	e.memo = e.memo.carry(e.Snapshot, e.static)
	past := e.changes
	if len(past) >= history {
		past = past[len(past)-history+1:]
	}
	e.changes = append(slices.Clone(past), e.change)
	return e.Snapshot, nil
}

func (e *edit) setRows() {
	sorted := slices.IsSortedFunc(e.rows, compareRow)
	if !sorted {
		slices.SortStableFunc(e.rows, compareRow)
	}
	var batch []rowChange
	for k := 0; k < len(e.rows); {
		from := e.rows[k].from
		batch = batch[:0]
		for ; k < len(e.rows) && e.rows[k].from == from; k++ {
			if m := len(batch); m > 0 && batch[m-1].to == e.rows[k].to {
				batch[m-1] = e.rows[k] // the last statement of a delta holds
				continue
			}
			batch = append(batch, e.rows[k])
		}
		x := e.entry(from)
		x.row = x.row.with(batch, e.size)
		for _, c := range batch {
			e.change.Links = append(e.change.Links, Pair{from, c.to})
		}
	}
}

func compareRow(a, b rowChange) int {
	if a.from != b.from {
		return int(a.from) - int(b.from)
	}
	return int(a.to) - int(b.to)
}

func (e *edit) checkOrder(order []int32) error {
	seen := make([]bool, e.size)
	for _, i := range order {
		if e.Node(i) == nil || seen[i] {
			return fault.Field("order", fmt.Sprint(i), "every present node exactly once")
		}
		seen[i] = true
	}
	if len(order) != e.count {
		return fault.Field("order", fmt.Sprintf("%d nodes", len(order)), fmt.Sprintf("every one of the %d nodes once", e.count))
	}
	return nil
}
