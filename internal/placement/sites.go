package placement

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/topology"
)

const kindCount = 7

// priceKey is the part of the objective that orders nodes of one kind.
type priceKey struct{ energy, price float64 }

// sites are the nodes that satisfy a unit's unmeasured constraints, per kind,
// the cheapest in energy and price first. Kept in the snapshot's memo.
type sites struct {
	bits   []uint64
	kinds  []siteKind // those that have sites
	count  int
	filter []*Element
	price  priceKey
	byKind [kindCount][]int32
	unit   [kindCount][]float64 // price.of each, in step with byKind
}

// siteKind is what there is to know of the sites of one kind without looking at
// them one by one.
type siteKind struct {
	kind  int
	least float64 // the lowest price
	most  float64 // the highest
	alike bool    // all have that price
	many  bool    // more than a handful
}

// aHandful is up to how many sites of a kind are looked at by their price even
// if that is the same for all.
const aHandful = 16

// seal lists the kinds that have sites.
func (t *sites) seal() {
	t.kinds = nil
	for k, prices := range t.unit {
		if n := len(prices); n > 0 {
			t.kinds = append(t.kinds, siteKind{k, prices[0], prices[n-1], prices[0] == prices[n-1], n > aHandful})
		}
	}
}

var _ topology.Derived = (*sites)(nil)

func (p priceKey) of(n *topology.Node) float64 {
	return p.energy*n.EnergyPerCPU + p.price*n.PricePerCPU
}

func (t *sites) has(i int32) bool {
	k := int(i >> 6)
	return k < len(t.bits) && t.bits[k]&(1<<(i&63)) != 0
}

func buildSites(s *topology.Snapshot, filter []*Element, price priceKey) *sites {
	t := &sites{filter: filter, price: price, bits: make([]uint64, (s.Size()+63)/64)}
	for i := range int32(s.Size()) {
		if n := s.Node(i); n != nil && satisfies(n, filter) {
			t.bits[i>>6] |= 1 << (i & 63)
			k := s.KindIndex(i)
			t.byKind[k] = append(t.byKind[k], i)
			t.count++
		}
	}
	for k := range t.byKind {
		t.sortKind(s, k)
	}
	t.seal()
	return t
}

func (t *sites) sortKind(s *topology.Snapshot, k int) {
	slices.SortFunc(t.byKind[k], func(a, b int32) int {
		return cmp.Or(cmp.Compare(t.price.of(s.Node(a)), t.price.of(s.Node(b))), cmp.Compare(a, b))
	})
	t.unit[k] = make([]float64, len(t.byKind[k]))
	for j, i := range t.byKind[k] {
		t.unit[k][j] = t.price.of(s.Node(i))
	}
}

// With answers the sites of a snapshot in which only some nodes differ.
func (t *sites) With(s *topology.Snapshot, changed []int32) topology.Derived {
	out := &sites{filter: t.filter, price: t.price, bits: make([]uint64, (s.Size()+63)/64), count: t.count}
	copy(out.bits, t.bits)
	out.byKind, out.unit = t.byKind, t.unit
	dirty := map[int32]bool{}
	for _, i := range changed {
		dirty[i] = true
		if t.has(i) {
			out.bits[i>>6] &^= 1 << (i & 63)
			out.count--
		}
	}
	var sorted [kindCount]bool
	for k := range out.byKind {
		if slices.ContainsFunc(out.byKind[k], func(i int32) bool { return dirty[i] }) {
			out.byKind[k] = slices.DeleteFunc(slices.Clone(out.byKind[k]), func(i int32) bool { return dirty[i] })
			sorted[k] = true
		}
	}
	for _, i := range changed {
		n := s.Node(i)
		if n == nil || out.has(i) || !satisfies(n, t.filter) {
			continue
		}
		out.bits[i>>6] |= 1 << (i & 63)
		out.count++
		k := s.KindIndex(i)
		out.byKind[k] = append(slices.Clip(out.byKind[k]), i)
		sorted[k] = true
	}
	for k := range sorted {
		if sorted[k] {
			out.sortKind(s, k)
		}
	}
	out.seal()
	return out
}

// sitesOf answers the sites of every unit of a demand on a snapshot.
func (c *compiled) sitesOf(s *topology.Snapshot, obj *objective) *sitesCache {
	if k := c.sites.Load(); k != nil && k.epoch == s.MemoEpoch() && k.obj == obj.like {
		return k
	}
	k := &sitesCache{epoch: s.MemoEpoch(), obj: obj.like, sites: make([]*sites, len(c.units)), floor: make([][2]float64, len(c.units))}
	for i := range c.units {
		u := &c.units[i]
		key, filter := c.keys[i], c.filters[i]
		if obj.price != (priceKey{}) {
			key = fmt.Sprint(key, "@", obj.price.energy, ",", obj.price.price)
		}
		t := s.Memo(key, func() topology.Derived { return buildSites(s, filter, obj.price) }).(*sites)
		k.sites[i] = t
		for bound := range k.floor[i] {
			k.floor[i][bound] = t.floor(&obj.preference[bound], u.cores)
		}
	}
	k.crossing = c.crossingFloor(s, obj, k)
	adj := int32(0)
	for i := range c.units {
		u := &c.units[i]
		tight := u.tightness(obj)
		k.elems = append(k.elems, elem{unit: u, sites: k.sites[i], pref: &k.obj.preference[tight], req: u.req, cores: u.cores, home: -1, at: -1,
			floor: k.floor[i][tight], least: -1, adjFrom: adj, adjTo: adj + int32(len(u.adj)), grouped: len(u.apart) > 0})
		adj += int32(len(u.adj))
	}
	c.sites.Store(k)
	return k
}

// floor is the least preference, energy and price on any site, 0 without sites.
func (t *sites) floor(preference *[kindCount]float64, cores float64) float64 {
	least := math.Inf(1)
	for _, k := range t.kinds {
		least = min(least, preference[k.kind]+cores*k.least)
	}
	if math.IsInf(least, 1) {
		return 0
	}
	return least
}

func satisfies(n *topology.Node, filter []*Element) bool {
	for _, e := range filter {
		if !e.accepts(n) {
			return false
		}
	}
	return true
}

// accepts checks the unmeasured constraints of an element on a node.
func (e *Element) accepts(n *topology.Node) bool {
	r := &e.Requirements
	if len(e.AllowedKinds) > 0 && !slices.Contains(e.AllowedKinds, n.Kind) ||
		len(e.AllowedInfrastructures) > 0 && !slices.Contains(e.AllowedInfrastructures, n.Infrastructure) ||
		len(e.AllowedNodes) > 0 && !slices.Contains(e.AllowedNodes, n.ID) ||
		len(r.Arch) > 0 && !slices.Contains(r.Arch, n.Arch) ||
		r.SecurityLevel > n.SecurityLevel || !inArea(n.Area, e.Area) {
		return false
	}
	for k, v := range r.Labels {
		if got, ok := n.Labels[k]; !ok || got != v {
			return false
		}
	}
	for k := range r.Images {
		if !r.Images[k].runsOn(n) {
			return false
		}
	}
	return containsAll(n.Software, r.Software) && containsAll(n.Things, r.Things) &&
		containsAll(n.AccessTechnologies, r.AccessTechnologies)
}

// inArea reports whether area is want or lies within it.
func inArea(area, want string) bool {
	return want == "" || area == want || strings.HasPrefix(area, want+"/")
}

func containsAll(have, want []string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}
