package placement

import (
	"cmp"
	"slices"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// unitLink is the flows between two units of a demand, both directions together.
type unitLink struct {
	a, b  int32
	flows float64
}

// crossingFloor is a lower bound on what the flows of a demand cost beyond the
// units' floors, wherever the units go. Two units either pay for the flows
// between them, or share a node and pay what that node costs above the floors;
// a unit's part of the latter is spread over its links, so that the sum over
// all links never counts it twice.
func (c *compiled) crossingFloor(s *topology.Snapshot, obj *objective, k *sitesCache) float64 {
	sum := 0.0
	links, degree := c.links(), make([]float64, len(c.units))
	for _, l := range links {
		degree[l.a]++
		degree[l.b]++
	}
	free := links[:0]
	for _, l := range links {
		pay := obj.Traffic * l.flows
		for kind := range kindCount {
			if meet(k.sites[l.a], k.sites[l.b], kind) {
				pay = min(pay, c.slack(obj, k, l.a, kind)/degree[l.a]+c.slack(obj, k, l.b, kind)/degree[l.b])
			}
		}
		if sum += pay; pay == 0 {
			free = append(free, l)
		}
	}
	for i := range c.flows {
		if f := &c.flows[i]; f.a < 0 || f.b < 0 {
			if n, ok := s.Index(c.fixed[f.fixed]); ok && !k.sites[max(f.a, f.b)].has(n) {
				sum += obj.Traffic
			}
		}
	}
	return sum + obj.Traffic*c.between(free, k)
}

// links lists the pairs of units that have flows, each once.
func (c *compiled) links() []unitLink {
	var out []unitLink
	for k := range c.flows {
		f := &c.flows[k]
		if f.a < 0 || f.b < 0 {
			continue
		}
		a, b := min(f.a, f.b), max(f.a, f.b)
		i := slices.IndexFunc(out, func(l unitLink) bool { return l.a == a && l.b == b })
		if i < 0 {
			i = len(out)
			out = append(out, unitLink{a: a, b: b})
		}
		out[i].flows++
	}
	return out
}

// slack is what a unit pays above its floor on any node of a kind, at least.
func (c *compiled) slack(obj *objective, k *sitesCache, u int32, kind int) float64 {
	bound := 0
	if c.units[u].minLatency <= obj.LatencyBoundMS {
		bound = 1
	}
	return obj.preference[bound][kind] + c.units[u].cores*k.sites[u].unit[kind][0] - k.floor[u][bound]
}

// meet reports whether two units share a site of a kind.
func meet(a, b *sites, kind int) bool {
	if len(a.byKind[kind]) > len(b.byKind[kind]) {
		a, b = b, a
	}
	return slices.ContainsFunc(a.byKind[kind], b.has)
}

// between counts flows of links that cost nothing by themselves: a unit between
// two that share no site cannot be with both. No flow is counted twice.
func (c *compiled) between(links []unitLink, k *sitesCache) (count float64) {
	for mid := range c.units {
		var near []*unitLink
		for i := range links {
			if l := &links[i]; l.a == int32(mid) || l.b == int32(mid) {
				near = append(near, l)
			}
		}
		slices.SortFunc(near, func(x, y *unitLink) int { return cmp.Compare(y.flows, x.flows) })
		for i, x := range near {
			for _, y := range near[i+1:] {
				p, q := x.a+x.b-int32(mid), y.a+y.b-int32(mid)
				if m := min(x.flows, y.flows); m > 0 && disjoint(k.sites[p].bits, k.sites[q].bits) {
					count += m
					x.flows -= m
					y.flows -= m
				}
			}
		}
	}
	return count
}

func disjoint(a, b []uint64) bool {
	for k := range min(len(a), len(b)) {
		if a[k]&b[k] != 0 {
			return false
		}
	}
	return true
}
