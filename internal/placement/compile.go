package placement

import (
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"unique"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// compiled is a demand in the form the search works on. It is immutable but for
// its cache of sites. Elements joined by affinity are one unit.
type compiled struct {
	lineage  *topology.Snapshot
	source   *Demand                 // with its own copy of the lists
	ids      []string                // of its elements
	names    []unique.Handle[string] // the ids, to be compared at once
	takes    []topology.Capacity     // what each element takes of its node
	units    []unit
	unitOf   []int32      // per element
	filters  [][]*Element // per unit: what its nodes must satisfy
	keys     []string     // per unit: equal keys have equal sites
	flows    []cflow
	loaded   []flow   // the same as a search begins with them
	fixed    []string // node ids that flows end at
	adjacent []int32  // flow indexes, grouped by unit
	apart    []apartGroup
	index    map[string]int32 // element by id
	sites    atomic.Pointer[sitesCache]
}

// unit is one or more elements that share a node.
type unit struct { // what keeping it asks for comes first, in one cache line
	req        topology.Capacity
	cores      float64
	minLatency float64 // the tightest bound of its flows; +Inf when none
	adj        []int32 // part of compiled.adjacent
	apart      []int32 // indexes of compiled.apart
	members    []int32 // element indexes
}

// cflow is a flow between units, or between a unit and a fixed node.
type cflow struct {
	a, b       int32 // unit; -1: the fixed node
	fixed      int32 // in compiled.fixed
	index      int32 // in Demand.Flows
	maxLatency float64
	maxLoss    float64
	kbit       int64
}

// apartGroup is an anti-affinity or redundancy group with two or more units.
type apartGroup struct {
	name  string
	infra bool // different infrastructures, not just nodes
	units []int32
}

// sitesCache is what a demand needs of a snapshot's unmeasured facts.
type sitesCache struct {
	epoch    any
	obj      *objective
	sites    []*sites
	floor    [][2]float64 // per unit: least static cost; [1]: bound by latency
	elems    []elem       // per unit: as a search begins with it
	crossing float64      // least cost of its flows beyond the floors
}

// Prepare validates and compiles a demand once for a snapshot's lineage, so
// that deciding it again is cheaper. The copy it answers must not be changed.
func Prepare(s *topology.Snapshot, d Demand) (Demand, error) {
	if err := d.Validate(); err != nil {
		return d, err
	}
	own := d
	own.Elements, own.Flows = slices.Clone(d.Elements), slices.Clone(d.Flows)
	d.compiled = compile(s, &own)
	d.compiled.sitesOf(s, defaultObjective)
	return d, nil
}

func compile(s *topology.Snapshot, d *Demand) *compiled {
	c := &compiled{lineage: s, source: d, unitOf: make([]int32, len(d.Elements))}
	c.joinUnits(d)
	c.index = make(map[string]int32, len(d.Elements))
	for k := range d.Elements {
		c.index[d.Elements[k].ID] = int32(k)
		c.addID(d.Elements[k].ID)
		c.takes = append(c.takes, d.Elements[k].Requirements.Hardware())
	}
	for k := range d.Flows {
		c.addFlow(&d.Flows[k], int32(k))
	}
	c.linkFlows()
	for k := range c.flows {
		f := &c.flows[k]
		c.loaded = append(c.loaded, flow{f.a, f.b, f.maxLatency, f.maxLoss, f.kbit, -1, noRow})
	}
	c.addApart(d)
	return c
}

func (c *compiled) addID(id string) {
	c.ids, c.names = append(c.ids, id), append(c.names, unique.Make(id))
}

// joinUnits makes one unit of all elements that affinity groups connect.
func (c *compiled) joinUnits(d *Demand) {
	group := map[string]int32{}
	root := func(k int32) int32 {
		for c.unitOf[k] != k {
			k = c.unitOf[k]
		}
		return k
	}
	for k := range d.Elements {
		c.unitOf[k] = int32(k)
		for _, g := range d.Elements[k].Affinity {
			if f, ok := group[g]; ok {
				a, b := root(f), root(int32(k))
				c.unitOf[max(a, b)] = min(a, b)
			} else {
				group[g] = int32(k)
			}
		}
	}
	at := make([]int32, len(d.Elements))
	for k := range d.Elements {
		r := root(int32(k))
		if r == int32(k) {
			at[k] = int32(len(c.units))
			c.units = append(c.units, unit{minLatency: math.Inf(1)})
			c.filters = append(c.filters, nil)
		}
		u, e := &c.units[at[r]], &d.Elements[k]
		u.members = append(u.members, int32(k))
		c.filters[at[r]] = append(c.filters[at[r]], e)
		u.req = plus(u.req, e.Requirements.Hardware())
		if e.LatencyMS > 0 {
			u.minLatency = min(u.minLatency, e.LatencyMS)
		}
	}
	for k := range d.Elements {
		at[k] = at[root(int32(k))]
	}
	c.unitOf = at
	for k := range c.units {
		u := &c.units[k]
		u.cores = float64(u.req.CPU) / 1000
		c.keys = append(c.keys, filterKey(c.filters[k]))
	}
}

func plus(a, b topology.Capacity) topology.Capacity {
	return topology.Capacity{CPU: a.CPU + b.CPU, Memory: a.Memory + b.Memory, Storage: a.Storage + b.Storage}
}

func minus(a, b topology.Capacity) topology.Capacity {
	return topology.Capacity{CPU: a.CPU - b.CPU, Memory: a.Memory - b.Memory, Storage: a.Storage - b.Storage}
}

func within(a, b topology.Capacity) bool {
	return a.CPU <= b.CPU && a.Memory <= b.Memory && a.Storage <= b.Storage
}

func (c *compiled) addFlow(f *Flow, at int32) {
	x := cflow{a: -1, b: -1, maxLatency: f.MaxLatencyMS, maxLoss: f.MaxLoss, kbit: f.BandwidthKbit, index: at}
	if f.From != "" {
		x.a = c.unitOf[c.index[f.From]]
	}
	if f.To != "" {
		x.b = c.unitOf[c.index[f.To]]
	}
	if x.a == x.b {
		return // joined by affinity: within one node
	}
	if x.a < 0 || x.b < 0 {
		x.fixed = int32(len(c.fixed))
		c.fixed = append(c.fixed, f.FromNode+f.ToNode)
	}
	if x.maxLatency == 0 {
		x.maxLatency = math.Inf(1)
	}
	if x.maxLoss == 0 {
		x.maxLoss = 1
	}
	for _, u := range []int32{x.a, x.b} {
		if u >= 0 {
			c.units[u].minLatency = min(c.units[u].minLatency, x.maxLatency)
		}
	}
	c.flows = append(c.flows, x)
}

// linkFlows builds the adjacency of units and flows in one array, for each unit
// first what comes to it: when many nodes are tried for a unit, those links stand
// side by side, where the other end keeps them.
func (c *compiled) linkFlows() {
	count := make([]int, len(c.units)+1)
	ends := func(visit func(u int32, f int32)) {
		for k := range c.flows {
			if u := c.flows[k].b; u >= 0 {
				visit(u, int32(k))
			}
		}
		for k := range c.flows {
			if u := c.flows[k].a; u >= 0 {
				visit(u, int32(k))
			}
		}
	}
	ends(func(u, _ int32) { count[u+1]++ })
	for k := range c.units {
		count[k+1] += count[k]
	}
	c.adjacent = make([]int32, count[len(c.units)])
	fill := slices.Clone(count)
	ends(func(u, f int32) {
		c.adjacent[fill[u]] = f
		fill[u]++
	})
	for k := range c.units {
		c.units[k].adj = c.adjacent[count[k]:count[k+1]]
	}
}

func (c *compiled) addApart(d *Demand) {
	index := map[string]int{}
	add := func(name string, infra bool, u int32) {
		key := strconv.FormatBool(infra) + name
		g, ok := index[key]
		if !ok {
			g = len(c.apart)
			index[key] = g
			c.apart = append(c.apart, apartGroup{name: name, infra: infra})
		}
		c.apart[g].units = append(c.apart[g].units, u)
	}
	for k := range d.Elements {
		for _, g := range d.Elements[k].AntiAffinity {
			add(g, false, c.unitOf[k])
		}
		for _, g := range d.Elements[k].Redundancy {
			add(g, true, c.unitOf[k])
		}
	}
	for g := range c.apart {
		for _, u := range c.apart[g].units {
			c.units[u].apart = append(c.units[u].apart, int32(g))
		}
	}
}

// filterKey is a canonical text of what a node must satisfy beside hardware.
func filterKey(elements []*Element) string {
	keys := make([]string, len(elements))
	for k, e := range elements {
		var b strings.Builder
		r := &e.Requirements
		for _, l := range [][]string{r.Software, r.Things, r.Arch, r.AccessTechnologies, e.AllowedInfrastructures, e.AllowedNodes} {
			l = slices.Clone(l)
			sort.Strings(l)
			b.WriteString(strconv.Itoa(len(l)))
			for _, w := range l {
				b.WriteString(strconv.Quote(w))
			}
		}
		for _, kind := range e.AllowedKinds {
			b.WriteString(strconv.Quote(string(kind)))
		}
		labels := make([]string, 0, len(r.Labels))
		for k, v := range r.Labels {
			labels = append(labels, strconv.Quote(k)+strconv.Quote(v))
		}
		for k := range r.Images {
			i := &r.Images[k]
			b.WriteString("|" + strconv.Quote(i.Infrastructure) + strconv.Quote(i.Name) + strings.Join(i.Arch, ","))
		}
		sort.Strings(labels)
		b.WriteString("|" + strings.Join(labels, ",") + "|" + strconv.Itoa(r.SecurityLevel) + "|" + strconv.Quote(e.Area))
		keys[k] = b.String()
	}
	sort.Strings(keys)
	return strings.Join(slices.Compact(keys), "&")
}
