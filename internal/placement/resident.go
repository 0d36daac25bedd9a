package placement

import (
	"slices"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// nodeRow is what a node gives out, beside what the followed snapshot says of
// it: all that keeping an element asks for, in one cache line.
type nodeRow struct {
	used     topology.Capacity
	version  uint64
	capacity topology.Capacity // what has no limit is endless
	up       bool
}

// linkRow is the same of an ordered pair of nodes.
type linkRow struct {
	key      uint64
	kbit     int64
	version  uint64
	latency  float64
	loss     float64
	capacity int64
	ok       bool
}

// linkRows finds rows by pair: open addressing. A row keeps its position.
type linkRows struct {
	slots []int32 // 1 + position in list; 0: free
	list  []linkRow
}

func (t *linkRows) clone() linkRows {
	return linkRows{slices.Clone(t.slots), slices.Clone(t.list)}
}

// find answers a row's position, -1 when there is none.
func (t *linkRows) find(key uint64) int32 {
	if len(t.slots) == 0 {
		return -1
	}
	mask := len(t.slots) - 1
	for i := hashPair(key) & mask; t.slots[i] != 0; i = (i + 1) & mask {
		if k := t.slots[i] - 1; t.list[k].key == key {
			return k
		}
	}
	return -1
}

// add gives a new row a position.
func (t *linkRows) add(r linkRow) int32 {
	if 2*len(t.list) >= len(t.slots) {
		t.slots = make([]int32, max(64, 2*len(t.slots)))
		for k := range t.list {
			t.put(t.list[k].key, int32(k))
		}
	}
	t.list = append(t.list, r)
	t.put(r.key, int32(len(t.list)-1))
	return int32(len(t.list) - 1)
}

func (t *linkRows) put(key uint64, at int32) {
	mask := len(t.slots) - 1
	i := hashPair(key) & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = at + 1
}

func hashPair(key uint64) int { return int((key * 0x9E3779B97F4A7C15) >> 32) }

// link answers the position of a pair's row, and makes one if there is none.
func (l *Ledger) link(from, to int32) int32 {
	key := pairKey(from, to)
	k := l.links.find(key)
	if k < 0 {
		k = l.links.add(linkRow{key: key})
		l.readLink(&l.links.list[k])
	}
	return k
}

// linkRow is what a pair gives out, and the version of its row.
func (l *Ledger) linkRow(from, to int32) (kbit int64, version uint64) {
	if r := l.linkRowOf(pairKey(from, to)); r != nil {
		return r.kbit, r.version
	}
	return 0, 0
}

// linkRowOf is a pair's row, nil when there is none, or no ledger.
func (l *Ledger) linkRowOf(key uint64) *linkRow {
	if l == nil {
		return nil
	}
	if k := l.links.find(key); k >= 0 {
		return &l.links.list[k]
	}
	return nil
}

// nodeRow is a node's row, nil when there is none, or no ledger.
func (l *Ledger) nodeRow(i int32) *nodeRow {
	if l == nil || int(i) >= len(l.nodes) {
		return nil
	}
	return &l.nodes[i]
}

// Follow brings the facts that the ledger's rows keep of nodes and links to a
// snapshot of its lineage. Call it when a report has been applied: Decide on
// that snapshot then finds what the held placements rely on side by side, and
// answers from there alone where it still holds. It costs what has changed or
// what is held, whichever is less. A Decide on a snapshot that the ledger has
// not followed answers the same, but reads everything anew.
func (l *Ledger) Follow(s *topology.Snapshot) {
	if l.facts == s || !l.lineage.SameLineage(s) {
		return
	}
	was := l.facts
	l.facts = s
	if was == nil || !l.readChanged(was.Revision()) {
		for i := range l.nodes {
			l.readNode(int32(i))
		}
		for k := range l.links.list {
			l.readLink(&l.links.list[k])
		}
	}
	if was == nil || was.MemoEpoch() != s.MemoEpoch() {
		for _, h := range l.held {
			h.standing = l.stand(h)
		}
	}
}

// readChanged reads only what has changed since a revision. It answers false
// when that is unknown, or more than there are rows.
func (l *Ledger) readChanged(since uint64) bool {
	links, nodes, ok := l.facts.CountChanges(since)
	if !ok || links > len(l.links.list) || nodes > len(l.nodes) {
		return false
	}
	changed, ok := l.facts.ChangesSince(since)
	if !ok || changed.Groups {
		return false
	}
	for _, n := range changed.Nodes {
		if int(n) < len(l.nodes) {
			l.readNode(n)
		}
	}
	for _, p := range changed.Links {
		if r := l.linkRowOf(pairKey(p.From, p.To)); r != nil {
			l.readLink(r)
		}
	}
	return true
}

func (l *Ledger) readNode(i int32) {
	r := &l.nodes[i]
	r.capacity, r.up = topology.Capacity{}, false
	if l.facts != nil && int(i) < l.facts.Size() {
		r.capacity, r.up = l.facts.Measured(i)
		r.capacity = limitless(r.capacity)
	}
}

func (l *Ledger) readLink(r *linkRow) {
	r.ok = false
	from, to := int32(r.key>>32), int32(uint32(r.key))
	if l.facts == nil || int(max(from, to)) >= l.facts.Size() {
		return
	}
	path, ok := l.facts.Path(from, to)
	r.ok, r.latency, r.loss, r.capacity = ok, path.LatencyMS, path.Loss, boundless(path.BandwidthKbit)
}
