package topology

import "slices"

// rowValue is one exact link as stored in a row.
type rowValue struct {
	path Path
	set  bool
	down bool
}

// row holds the exact links that leave one node: sorted while few, dense when
// more than an eighth of all nodes is named. Immutable once in a snapshot.
type row struct {
	to    []int32
	val   []rowValue
	dense bool // val is indexed by node
}

func (r *row) get(j int32) (rowValue, bool) {
	if r.dense {
		if int(j) >= len(r.val) {
			return rowValue{}, false
		}
		v := r.val[j]
		return v, v.set
	}
	if k, ok := slices.BinarySearch(r.to, j); ok {
		return r.val[k], true
	}
	return rowValue{}, false
}

// with answers a copy of r with the given entries set; changed is sorted by to
// without doubles. An entry that is not set is removed.
func (r *row) with(changed []rowChange, size int) *row {
	old := 0
	if r != nil {
		old = len(r.to)
		if r.dense {
			old = len(r.val)
		}
	}
	if (r != nil && r.dense) || (old+len(changed))*8 > size && old+len(changed) > 16 {
		return r.denseWith(changed, size)
	}
	out := &row{to: make([]int32, 0, old+len(changed)), val: make([]rowValue, 0, old+len(changed))}
	k := 0
	push := func(to int32, v rowValue) {
		if v.set {
			out.to, out.val = append(out.to, to), append(out.val, v)
		}
	}
	for _, c := range changed {
		for k < old && r.to[k] < c.to {
			push(r.to[k], r.val[k])
			k++
		}
		if k < old && r.to[k] == c.to {
			k++
		}
		push(c.to, c.val)
	}
	for ; k < old; k++ {
		push(r.to[k], r.val[k])
	}
	return out
}

func (r *row) denseWith(changed []rowChange, size int) *row {
	out := &row{dense: true, val: make([]rowValue, size)}
	switch {
	case r == nil:
	case r.dense:
		copy(out.val, r.val)
	default:
		for k, j := range r.to {
			out.val[j] = r.val[k]
		}
	}
	for _, c := range changed {
		out.val[c.to] = c.val
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
