package topology

import "slices"

// rowValue is one exact link.
type rowValue struct {
	path Path
	set  bool
	down bool
}

// exactLink is a rowValue as a row keeps it, loss apart: four share a cache line.
type exactLink struct {
	latency float64
	kbit    int64 // 1 more than the bandwidth, negative when the link is down; 0: not set
}

// row holds the exact links that leave one node: sorted while few, dense when
// more than an eighth of all nodes is named. Immutable once in a snapshot.
type row struct {
	to    []int32
	val   []exactLink
	loss  []float64 // in step with val; nil when no link loses anything
	dense bool      // val is indexed by node
}

func (r *row) get(j int32) (rowValue, bool) {
	k := int(j)
	if !r.dense {
		var found bool
		if k, found = slices.BinarySearch(r.to, j); !found {
			return rowValue{}, false
		}
	}
	if k >= len(r.val) || r.val[k].kbit == 0 {
		return rowValue{}, false
	}
	return r.at(k), true
}

// at is the value at a position that is set.
func (r *row) at(k int) rowValue {
	x := r.val[k]
	v := rowValue{path: Path{LatencyMS: x.latency, BandwidthKbit: x.kbit - 1}, set: true}
	if x.kbit < 0 {
		v.path.BandwidthKbit, v.down = -x.kbit-1, true
	}
	if r.loss != nil {
		v.path.Loss = r.loss[k]
	}
	return v
}

// put writes a value at a position.
func (r *row) put(k int, v rowValue) {
	x := exactLink{latency: v.path.LatencyMS, kbit: v.path.BandwidthKbit + 1}
	if v.down {
		x.kbit = -x.kbit
	}
	if !v.set {
		x, v.path.Loss = exactLink{}, 0
	}
	r.val[k] = x
	if v.path.Loss != 0 && r.loss == nil {
		r.loss = make([]float64, len(r.val), cap(r.val))
	}
	if r.loss != nil {
		r.loss[k] = v.path.Loss
	}
}

// push appends a value to a row that is not dense.
func (r *row) push(to int32, v rowValue) {
	if !v.set {
		return
	}
	r.to, r.val = append(r.to, to), append(r.val, exactLink{})
	if r.loss != nil {
		r.loss = append(r.loss, 0)
	}
	r.put(len(r.val)-1, v)
}

// with answers a copy of r with the given entries set; changed is sorted by to
// without doubles. An entry that is not set is removed.
func (r *row) with(changed []rowChange, size int) *row {
	old := 0
	if r != nil {
		old = len(r.val)
	}
	if (r != nil && r.dense) || (old+len(changed))*8 > size && old+len(changed) > 16 {
		return r.denseWith(changed, size)
	}
	out := &row{to: make([]int32, 0, old+len(changed)), val: make([]exactLink, 0, old+len(changed))}
	k := 0
	for _, c := range changed {
		for k < old && r.to[k] < c.to {
			out.push(r.to[k], r.at(k))
			k++
		}
		if k < old && r.to[k] == c.to {
			k++
		}
		out.push(c.to, c.val)
	}
	for ; k < old; k++ {
		out.push(r.to[k], r.at(k))
	}
	return out
}

func (r *row) denseWith(changed []rowChange, size int) *row {
	out := &row{dense: true, val: make([]exactLink, size)}
	switch {
	case r == nil:
	case r.dense:
		copy(out.val, r.val)
		if r.loss != nil {
			out.loss = make([]float64, size)
			copy(out.loss, r.loss)
		}
	default:
		for k, j := range r.to {
			out.put(int(j), r.at(k))
		}
	}
	for _, c := range changed {
		out.put(int(c.to), c.val)
	}
	return out
}

type rowChange struct {
	from, to int32
	val      rowValue
}

// groupTable holds the paths within and between infrastructures; immutable
// once in a snapshot. Group 0 is that of nodes without infrastructure.
type groupTable struct {
	index map[string]int32
	infra []Infrastructure
	paths map[Pair]Path
	flat  []groupPath // size*size, for speed, when there are few groups
}

type groupPath struct {
	path Path
	ok   bool
}

const flatGroups = 256

func newGroupTable() *groupTable {
	return &groupTable{index: map[string]int32{"": 0}, infra: []Infrastructure{{}}, paths: map[Pair]Path{}}
}

func (g *groupTable) path(a, b int32) (Path, bool) {
	if g.flat != nil {
		f := g.flat[int(a)*len(g.infra)+int(b)]
		return f.path, f.ok
	}
	p, ok := g.paths[Pair{a, b}]
	return p, ok
}

func (g *groupTable) clone() *groupTable {
	c := &groupTable{index: map[string]int32{}, infra: slices.Clone(g.infra), paths: map[Pair]Path{}}
	for k, v := range g.index {
		c.index[k] = v
	}
	for k, v := range g.paths {
		c.paths[k] = v
	}
	return c
}

// seal builds the flat table after the last change.
func (g *groupTable) seal() {
	n := len(g.infra)
	if n > flatGroups {
		return
	}
	g.flat = make([]groupPath, n*n)
	for k, p := range g.paths {
		g.flat[int(k.From)*n+int(k.To)] = groupPath{p, true}
	}
}
