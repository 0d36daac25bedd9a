package topology

import (
	"slices"
	"sync"
)

const (
	pageBits = 8
	pageSize = 1 << pageBits
	history  = 32 // deltas that a snapshot remembers
)

// page holds the nodes of 256 consecutive indexes; shared between snapshots.
type page [pageSize]entry

// entry is a node as the engines read it: one cache line.
type entry struct {
	capacity Capacity
	energy   float64
	price    float64
	node     *Node // nil: no such node now
	row      *row
	group    int32
	kind     uint8 // position in Kinds()
	down     bool  // removed or unavailable
}

// Snapshot is an immutable state of all nodes and links.
type Snapshot struct {
	revision uint64
	names    *names
	ids      []string // by index
	pages    []*page
	size     int // indexes given out so far
	count    int // nodes present
	order    []int32
	rooms    [][]Room // by kind
	most     Capacity // no node has or had more
	groups   *groupTable
	changes  []Changes
	memo     *memo
}

// names gives indexes to ids, for a whole lineage; it only grows.
type names struct {
	mu    sync.RWMutex
	nodes map[string]int32
	ids   []string
}

func (n *names) lookup(id string) (int32, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	i, ok := n.nodes[id]
	return i, ok
}

func (n *names) intern(id string) int32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i, ok := n.nodes[id]; ok {
		return i
	}
	i := int32(len(n.ids))
	n.nodes[id] = i
	n.ids = append(n.ids, id)
	return i
}

// list is the ids up to a number of them: those never change.
func (n *names) list(size int) []string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.ids[:size:size]
}

// Empty is revision 0 of a new lineage: no nodes.
func Empty() *Snapshot {
	return &Snapshot{names: &names{nodes: map[string]int32{}}, groups: newGroupTable(), memo: newMemo()}
}

// New is Empty().Apply of everything.
func New(infras []Infrastructure, between []GroupLink, nodes []Node, links []Link) (*Snapshot, error) {
	return Empty().Apply(Delta{Infrastructures: infras, GroupLinks: between, Nodes: nodes, Links: links})
}

// Revision counts the deltas applied since the lineage began.
func (s *Snapshot) Revision() uint64 { return s.revision }

// SameLineage reports whether s and t give the same indexes to the same nodes.
func (s *Snapshot) SameLineage(t *Snapshot) bool { return s.names == t.names }

// Size is one more than the highest index given out; removed nodes included.
func (s *Snapshot) Size() int { return s.size }

// Count is the number of nodes present.
func (s *Snapshot) Count() int { return s.count }

// Index is the index of a node id; ok is false when it is not present now.
func (s *Snapshot) Index(id string) (i int32, ok bool) {
	i, ok = s.names.lookup(id)
	return i, ok && s.Node(i) != nil
}

// Known is the index of a node id of the lineage, present now or not.
func (s *Snapshot) Known(id string) (i int32, ok bool) { return s.names.lookup(id) }

// ID is the id of an index of the lineage, also of a removed node.
func (s *Snapshot) ID(i int32) string {
	if int(i) < len(s.ids) {
		return s.ids[i]
	}
	return s.names.list(int(i) + 1)[i] // of a later revision
}

func (s *Snapshot) at(i int32) *entry { return &s.pages[i>>pageBits][i&(pageSize-1)] }

// Measured is what the engines read of a node that is or was in the lineage.
func (s *Snapshot) Measured(i int32) (c Capacity, available bool) {
	e := s.at(i)
	return e.capacity, !e.down
}

// MostCapacity is an upper bound on the capacity of every node.
func (s *Snapshot) MostCapacity() Capacity { return s.most }

// Prices is a node's energy and price per core.
func (s *Snapshot) Prices(i int32) (energy, price float64) {
	e := s.at(i)
	return e.energy, e.price
}

// Stated is what the engines read of a node that never comes with a measurement:
// the position of its kind in Kinds(), and its energy and price per core.
func (s *Snapshot) Stated(i int32) (kind int, energy, price float64) {
	e := s.at(i)
	return int(e.kind), e.energy, e.price
}

// Node is the node at an index, nil when it is not present. It must not be
// changed. Its Capacity and Unavailable may be older than a Patch: read those
// with Capacity and Available.
func (s *Snapshot) Node(i int32) *Node {
	if i < 0 || int(i) >= s.size {
		return nil
	}
	return s.at(i).node
}

// Capacity is the gross hardware of a node.
func (s *Snapshot) Capacity(i int32) Capacity {
	return s.at(i).capacity
}

// Available reports whether a node is present and usable.
func (s *Snapshot) Available(i int32) bool {
	return i >= 0 && int(i) < s.size && !s.at(i).down
}

// KindIndex is the position of a node's kind in Kinds().
func (s *Snapshot) KindIndex(i int32) int { return int(s.at(i).kind) }

// Group identifies a node's infrastructure among those of the snapshot; 0 for
// a node that has none.
func (s *Snapshot) Group(i int32) int32 { return s.at(i).group }

// Order is the visit order of the nodes: as first stated, a changed node at the
// end, or as Delta.Order said. It must not be changed.
func (s *Snapshot) Order() []int32 { return s.order }

// Nodes copies all nodes in visit order, with their latest measured state.
func (s *Snapshot) Nodes() []Node {
	out := make([]Node, 0, s.count)
	for _, i := range s.order {
		n := *s.Node(i)
		n.Capacity, n.Unavailable = s.Capacity(i), !s.Available(i)
		out = append(out, n)
	}
	return out
}

// Path is how node i reaches node j: the exact link if one is stated, else the
// path of their infrastructures. ok is false when there is no link, and when
// either end is absent. A node reaches itself at once.
func (s *Snapshot) Path(i, j int32) (p Path, ok bool) {
	if i == j {
		return Path{BandwidthKbit: Infinite}, s.Node(i) != nil
	}
	a, b := s.at(i), s.at(j)
	if a.row != nil {
		if v, found := a.row.get(j); found {
			return v.path, !v.down && a.node != nil && b.node != nil
		}
	}
	if a.node == nil || b.node == nil {
		return p, false
	}
	return s.groups.path(a.group, b.group)
}

// Carries reports whether Path answers a link from node i to another node j that is
// within a latency and a loss and has so much bandwidth: in a fraction of the time,
// for a search that asks about very many.
func (s *Snapshot) Carries(i, j int32, latency, loss float64, kbit int64) bool {
	a := s.at(i)
	kbit = min(kbit, Infinite) // what has no limit carries all
	if r := a.row; r != nil && r.dense && int(j) < len(r.val) && r.loss == nil {
		if x := &r.val[j]; x.kbit != 0 {
			return x.kbit > kbit && x.latency <= latency && a.node != nil && s.at(j).node != nil
		}
	}
	p, ok := s.Path(i, j)
	return ok && p.LatencyMS <= latency && p.Loss <= loss && p.BandwidthKbit >= kbit
}

// CountChanges is at most how many nodes and links ChangesSince would name; ok is
// false when it would name none because the revision is not remembered.
func (s *Snapshot) CountChanges(revision uint64) (links, nodes int, ok bool) {
	if revision == s.revision {
		return 0, 0, true
	}
	k := slices.IndexFunc(s.changes, func(d Changes) bool { return d.Since == revision })
	if k < 0 {
		return 0, 0, false
	}
	for i := range s.changes[k:] {
		links += len(s.changes[k+i].Links)
		nodes += len(s.changes[k+i].Nodes)
	}
	return links, nodes, true
}

// ChangesSince tells what changed after a revision of the same lineage. ok is
// false when that revision is newer or no longer remembered (32 are).
func (s *Snapshot) ChangesSince(revision uint64) (c Changes, ok bool) {
	c.Since = revision
	if revision == s.revision {
		return c, true
	}
	k := slices.IndexFunc(s.changes, func(d Changes) bool { return d.Since == revision })
	if k < 0 {
		return c, false
	}
	for _, d := range s.changes[k:] {
		c.Nodes = append(c.Nodes, d.Nodes...)
		c.Links = append(c.Links, d.Links...)
		c.Groups = c.Groups || d.Groups
	}
	slices.Sort(c.Nodes)
	c.Nodes = slices.Compact(c.Nodes)
	return c, true
}
