package check

import (
	"fmt"
	"math"
	"strings"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Violation is one thing that is wrong with a decision.
type Violation struct {
	Demand  string `json:"demand,omitempty"`
	Element string `json:"element,omitempty"`
	Rule    string `json:"rule"` // e.g. "cpu", "latency", "row", "plan"
	Detail  string `json:"detail"`
}

func (v Violation) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s: %s", v.Demand, v.Element, v.Rule, v.Detail))
}

type use struct{ cpu, memory, storage int64 }

type pair struct{ from, to string }

// checker collects what the decision gives out.
type checker struct {
	st      placement.State
	o       placement.Options
	found   []Violation
	load    map[string]use // per node, by placed elements of the given demands
	before  map[string]use // per node, by what the given demands held
	traffic map[pair]int64 // per pair, with an entry for flows of 0
	past    map[pair]int64
	where   map[string]map[string]string // demand -> element -> node
}

// Decision checks a decision against the state, demands and options it was
// made with.
func Decision(st placement.State, demands []placement.Demand, o placement.Options, d *placement.Decision) []Violation {
	c := &checker{st: st, o: o, load: map[string]use{}, before: map[string]use{}, traffic: map[pair]int64{}, past: map[pair]int64{}, where: map[string]map[string]string{}}
	if len(d.Outcomes) != len(demands) {
		c.add("", "", "outcomes", "%d outcomes for %d demands", len(d.Outcomes), len(demands))
		return c.found
	}
	for k := range demands {
		out := &d.Outcomes[k]
		if out.Status != placement.Rejected {
			c.held(demands[k].ID)
		}
		if out.Demand != demands[k].ID {
			c.add(demands[k].ID, "", "outcomes", "outcome %d is of %q", k, out.Demand)
		}
		if out.Status == placement.Placed {
			c.demand(&demands[k], out)
		} else if len(out.Placement) > 0 {
			c.add(out.Demand, "", "outcomes", "%s, but %d elements have a node", out.Status, len(out.Placement))
		}
	}
	c.nodes()
	c.links()
	c.rows(d)
	c.plan(demands, d)
	if d.Bound > d.Cost*(1+1e-9)+1e-9 || math.IsNaN(d.Cost) || d.Gap < 0 || d.Gap > 100+1e-9 {
		c.add("", "", "bound", "cost %g, bound %g, gap %g %%", d.Cost, d.Bound, d.Gap)
	}
	return c.found
}

func (c *checker) add(demand, element, rule, format string, args ...any) {
	c.found = append(c.found, Violation{demand, element, rule, fmt.Sprintf(format, args...)})
}

func (c *checker) held(demand string) {
	if c.st.Ledger == nil {
		return
	}
	h, _ := c.st.Ledger.Holding(demand)
	for _, e := range h.Elements {
		u := c.before[e.Node]
		c.before[e.Node] = use{u.cpu + e.Take.CPU, u.memory + e.Take.Memory, u.storage + e.Take.Storage}
	}
	for _, f := range h.Flows {
		c.past[pair{f.From, f.To}] += f.Kbit
	}
}

// demand checks one placed demand by itself and adds up what it takes.
func (c *checker) demand(d *placement.Demand, out *placement.Outcome) {
	at := map[string]string{}
	for _, a := range out.Placement {
		if _, twice := at[a.Element]; twice {
			c.add(d.ID, a.Element, "element", "placed twice")
		}
		at[a.Element] = a.Node
	}
	if len(at) != len(d.Elements) {
		c.add(d.ID, "", "element", "%d of %d elements placed", len(at), len(d.Elements))
	}
	c.where[d.ID] = at
	for i := range d.Elements {
		e := &d.Elements[i]
		name, ok := at[e.ID]
		if !ok {
			c.add(d.ID, e.ID, "element", "has no node")
			continue
		}
		c.element(d, e, name)
	}
	for i := range d.Flows {
		c.flow(d, &d.Flows[i], at)
	}
	c.groups(d, at)
}

func (c *checker) element(d *placement.Demand, e *placement.Element, name string) {
	i, ok := c.st.Snapshot.Index(name)
	if !ok || !c.st.Snapshot.Available(i) {
		c.add(d.ID, e.ID, "available", "node %q is absent or unavailable", name)
		return
	}
	n, r := c.st.Snapshot.Node(i), e.Requirements
	u := c.load[name]
	c.load[name] = use{u.cpu + r.CPU, u.memory + r.Memory, u.storage + r.Storage}
	subset := func(rule string, want, have []string) {
		set := map[string]bool{}
		for _, h := range have {
			set[h] = true
		}
		for _, w := range want {
			if !set[w] {
				c.add(d.ID, e.ID, rule, "node %q lacks %q", name, w)
			}
		}
	}
	subset("software", r.Software, n.Software)
	subset("things", r.Things, n.Things)
	subset("accessTechnologies", r.AccessTechnologies, n.AccessTechnologies)
	oneOf := func(rule, have string, allowed []string) {
		if len(allowed) > 0 && !strings.Contains("\x00"+strings.Join(allowed, "\x00")+"\x00", "\x00"+have+"\x00") {
			c.add(d.ID, e.ID, rule, "node %q has %q, allowed %q", name, have, allowed)
		}
	}
	kinds := []string{}
	for _, k := range e.AllowedKinds {
		kinds = append(kinds, string(k))
	}
	oneOf("kind", string(n.Kind), kinds)
	oneOf("infrastructure", n.Infrastructure, e.AllowedInfrastructures)
	oneOf("node", n.ID, e.AllowedNodes)
	oneOf("arch", n.Arch, r.Arch)
	for _, image := range r.Images {
		if n.Arch != "" && n.Infrastructure == image.Infrastructure {
			runs := map[string]bool{}
			for _, a := range image.Arch {
				runs[a] = true
			}
			if !runs[n.Arch] {
				c.add(d.ID, e.ID, "image", "node %q is %q, image %s is for %q", name, n.Arch, image.Name, image.Arch)
			}
		}
	}
	for k, v := range r.Labels {
		if got, ok := n.Labels[k]; !ok || got != v {
			c.add(d.ID, e.ID, "labels", "node %q has %s=%q, not %q", name, k, got, v)
		}
	}
	if n.SecurityLevel < r.SecurityLevel {
		c.add(d.ID, e.ID, "securityLevel", "node %q has %d < %d", name, n.SecurityLevel, r.SecurityLevel)
	}
	if e.Area != "" && n.Area != e.Area && !strings.HasPrefix(n.Area, e.Area+"/") {
		c.add(d.ID, e.ID, "area", "node %q is in %q, not within %q", name, n.Area, e.Area)
	}
}

func (c *checker) flow(d *placement.Demand, f *placement.Flow, at map[string]string) {
	from, to := f.FromNode, f.ToNode
	if f.From != "" {
		from = at[f.From]
	}
	if f.To != "" {
		to = at[f.To]
	}
	if from == to || from == "" || to == "" {
		return
	}
	name := f.From + " to " + f.To
	a, okA := c.st.Snapshot.Index(from)
	b, okB := c.st.Snapshot.Index(to)
	if !okA || !okB {
		c.add(d.ID, name, "link", "end %q or %q is absent", from, to)
		return
	}
	p, ok := c.st.Snapshot.Path(a, b)
	switch {
	case !ok:
		c.add(d.ID, name, "link", "no link from %q to %q", from, to)
	case f.MaxLatencyMS > 0 && p.LatencyMS > f.MaxLatencyMS:
		c.add(d.ID, name, "latency", "%g ms > %g ms from %q to %q", p.LatencyMS, f.MaxLatencyMS, from, to)
	case f.MaxLoss > 0 && p.Loss > f.MaxLoss:
		c.add(d.ID, name, "loss", "%g > %g from %q to %q", p.Loss, f.MaxLoss, from, to)
	}
	c.traffic[pair{from, to}] += f.BandwidthKbit
}

// groups checks affinity, anti-affinity and redundancy.
func (c *checker) groups(d *placement.Demand, at map[string]string) {
	for i := range d.Elements {
		for j := range i {
			a, b := &d.Elements[i], &d.Elements[j]
			na, nb := at[a.ID], at[b.ID]
			if common(a.Affinity, b.Affinity) && na != nb {
				c.add(d.ID, a.ID, "affinity", "on %q, %s on %q", na, b.ID, nb)
			}
			if common(a.AntiAffinity, b.AntiAffinity) && na == nb {
				c.add(d.ID, a.ID, "antiAffinity", "on %q as is %s", na, b.ID)
			}
			if common(a.Redundancy, b.Redundancy) && (na == nb || c.site(na) != "" && c.site(na) == c.site(nb)) {
				c.add(d.ID, a.ID, "redundancy", "on %q, %s on %q: one infrastructure", na, b.ID, nb)
			}
		}
	}
}

func (c *checker) site(node string) string {
	if i, ok := c.st.Snapshot.Index(node); ok {
		return c.st.Snapshot.Node(i).Infrastructure
	}
	return ""
}

func common(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}

// nodes checks that no node used by the given demands is given out too far.
func (c *checker) nodes() {
	for name, u := range c.load {
		i, ok := c.st.Snapshot.Index(name)
		if !ok {
			continue
		}
		room, mine, h := c.st.Snapshot.Capacity(i), c.before[name], c.o.Headroom.Node
		var used topology.Capacity
		if c.st.Ledger != nil {
			used, _ = c.st.Ledger.NodeRow(name)
		}
		if c.o.FactsAreFree {
			used = topology.Capacity{}
		}
		for _, x := range []struct {
			rule             string
			need, own, used  int64
			capacity, spared int64
		}{
			{"cpu", u.cpu, mine.cpu, used.CPU, room.CPU, h.CPU},
			{"memory", u.memory, mine.memory, used.Memory, room.Memory, h.Memory},
			{"storage", u.storage, mine.storage, used.Storage, room.Storage, h.Storage},
		} {
			if x.capacity < topology.Infinite && x.need+x.spared > x.capacity-x.used+x.own {
				c.add("", "", x.rule, "node %q gives out %d beside %d of others and %d spared, of %d", name, x.need, x.used-x.own, x.spared, x.capacity)
			}
		}
	}
}

func (c *checker) links() {
	for p, kbit := range c.traffic {
		a, _ := c.st.Snapshot.Index(p.from)
		b, _ := c.st.Snapshot.Index(p.to)
		path, ok := c.st.Snapshot.Path(a, b)
		if !ok {
			continue // reported with the flow
		}
		var used int64
		if c.st.Ledger != nil && !c.o.FactsAreFree {
			used, _ = c.st.Ledger.LinkRow(p.from, p.to)
		}
		if path.BandwidthKbit < topology.Infinite && kbit+c.o.Headroom.BandwidthKbit > path.BandwidthKbit-used+c.past[p] {
			c.add("", "", "bandwidth", "%q to %q gives out %d beside %d of others and %d spared, of %d", p.from, p.to, kbit, used-c.past[p], c.o.Headroom.BandwidthKbit, path.BandwidthKbit)
		}
	}
}
