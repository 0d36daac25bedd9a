package check

import (
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// rows checks that the decision lists exactly the rows it changes.
func (c *checker) rows(d *placement.Decision) {
	nodes, links := map[string]use{}, map[pair]int64{}
	for n, u := range c.load {
		nodes[n] = u
	}
	for n, u := range c.before {
		v := nodes[n]
		nodes[n] = use{v.cpu - u.cpu, v.memory - u.memory, v.storage - u.storage}
	}
	for p, k := range c.traffic {
		links[p] += k
	}
	for p, k := range c.past {
		links[p] -= k
	}
	for _, r := range d.Rows {
		if r.To == "" {
			if v := nodes[r.From]; v != (use{r.Take.CPU, r.Take.Memory, r.Take.Storage}) {
				c.add("", "", "row", "node %q changes by %+v, listed %+v", r.From, v, r.Take)
			}
			delete(nodes, r.From)
		} else {
			if v := links[pair{r.From, r.To}]; v != r.Kbit {
				c.add("", "", "row", "link %q to %q changes by %d, listed %d", r.From, r.To, v, r.Kbit)
			}
			delete(links, pair{r.From, r.To})
		}
	}
	if c.st.Ledger != nil {
		if row := c.st.Ledger.Stale(d.Rows); row != "" {
			c.add("", "", "row", "row %s is listed with another version", row)
		}
	}
	for n, v := range nodes {
		if v != (use{}) {
			c.add("", "", "row", "node %q changes by %+v and is not listed", n, v)
		}
	}
	for p, v := range links {
		if v != 0 {
			c.add("", "", "row", "link %q to %q changes by %d and is not listed", p.from, p.to, v)
		}
	}
}

// plan checks that carrying out the plan leads to the outcomes.
func (c *checker) plan(demands []placement.Demand, d *placement.Decision) {
	type key struct{ demand, element string }
	now := map[key]string{}
	for k := range demands {
		if c.st.Ledger == nil || d.Outcomes[k].Status == placement.Rejected {
			continue
		}
		h, _ := c.st.Ledger.Holding(demands[k].ID)
		for _, e := range h.Elements {
			now[key{h.Demand, e.Element}] = e.Node
		}
	}
	step := func(m placement.Move) {
		k := key{m.Demand, m.Element}
		if now[k] != m.From {
			c.add(m.Demand, m.Element, "plan", "is on %q, the plan says %q", now[k], m.From)
		}
		delete(now, k)
		if m.To != "" {
			now[k] = m.To
		}
	}
	for _, list := range [][]placement.Move{d.Plan.Remove, d.Plan.Migrate, d.Plan.Add} {
		for _, m := range list {
			step(m)
		}
	}
	for demand, at := range c.where {
		for element, node := range at {
			if now[key{demand, element}] != node {
				c.add(demand, element, "plan", "ends on %q, decided %q", now[key{demand, element}], node)
			}
			delete(now, key{demand, element})
		}
	}
	for k, node := range now {
		c.add(k.demand, k.element, "plan", "is left on %q", node)
	}
}

// Overcommitted counts the nodes and links that a ledger gives out beyond their
// capacity in a snapshot, whoever holds them.
func Overcommitted(s *topology.Snapshot, l *placement.Ledger, demands []string) (nodes, links int) {
	load, traffic := map[string]use{}, map[pair]int64{}
	for _, id := range demands {
		h, _ := l.Holding(id)
		for _, e := range h.Elements {
			u := load[e.Node]
			load[e.Node] = use{u.cpu + e.Take.CPU, u.memory + e.Take.Memory, u.storage + e.Take.Storage}
		}
		for _, f := range h.Flows {
			traffic[pair{f.From, f.To}] += f.Kbit
		}
	}
	for name, u := range load {
		i, ok := s.Index(name)
		if !ok {
			nodes++
			continue
		}
		if room := s.Capacity(i); u.cpu > room.CPU || u.memory > room.Memory || u.storage > room.Storage {
			nodes++
		}
	}
	for p, kbit := range traffic {
		a, _ := s.Index(p.from)
		b, _ := s.Index(p.to)
		if path, ok := s.Path(a, b); !ok || kbit > path.BandwidthKbit {
			links++
		}
	}
	return nodes, links
}
