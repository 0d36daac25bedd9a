package placement

import (
	"cmp"
	"slices"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// Loss is a single failure that would break a slice as it is placed now.
type Loss struct {
	Kind     string   `json:"kind"` // node, link, infrastructure
	ID       string   `json:"id"`
	To       string   `json:"to,omitempty"` // the other end of a link, lost in both directions
	Elements []string `json:"elements"`     // whose node or flow is lost
	// Replaceable tells whether a placement exists now without what is lost;
	// Plan is how to get there, Detail why there is none.
	Replaceable bool   `json:"replaceable"`
	Plan        Plan   `json:"plan,omitzero"`
	Detail      string `json:"detail,omitempty"`
}

// Survivability is the N-1 view of one placed demand: every single node, link
// or infrastructure whose loss would break it, and whether it could be placed
// again at once, beside what all others hold. A demand that holds nothing has
// no losses.
func Survivability(st State, d Demand, o Options) ([]Loss, error) {
	if err := st.validate(); err != nil {
		return nil, err
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if st.Ledger == nil {
		return nil, nil
	}
	h, ok := st.Ledger.Holding(d.ID)
	if !ok {
		return nil, nil
	}
	losses := losable(st.Snapshot, &d, h)
	for k := range losses {
		l := &losses[k]
		s, err := without(st.Snapshot, l)
		if err != nil {
			return nil, err
		}
		after := Decide(State{s, st.Ledger}, []Demand{d}, o)
		l.Replaceable = after.Feasible()
		if l.Replaceable {
			l.Plan = after.Plan
		} else if len(after.Waiting) > 0 {
			l.Detail = after.Waiting[0].Detail
		}
	}
	return losses, nil
}

// losable lists what a placed demand stands on.
func losable(s *topology.Snapshot, d *Demand, h Holding) []Loss {
	at := map[string]string{}
	all := map[lossKey][]string{}
	add := func(key lossKey, element string) {
		if !slices.Contains(all[key], element) {
			all[key] = append(all[key], element)
		}
	}
	place := func(node, element string) {
		i, ok := s.Index(node)
		if !ok {
			return // already lost
		}
		add(lossKey{"node", node, ""}, element)
		if in := s.Node(i).Infrastructure; in != "" {
			add(lossKey{"infrastructure", in, ""}, element)
		}
	}
	for _, e := range h.Elements {
		at[e.Element] = e.Node
		place(e.Node, e.Element)
	}
	for _, f := range d.Flows {
		from, to := cmp.Or(f.FromNode, at[f.From]), cmp.Or(f.ToNode, at[f.To])
		_, okFrom := s.Index(from)
		_, okTo := s.Index(to)
		if from == to || !okFrom || !okTo {
			continue
		}
		a, b := min(from, to), max(from, to)
		for _, element := range []string{f.From, f.To} {
			if element != "" {
				add(lossKey{"link", a, b}, element)
			}
		}
		if f.FromNode != "" {
			place(f.FromNode, f.To)
		}
		if f.ToNode != "" {
			place(f.ToNode, f.From)
		}
	}
	out := make([]Loss, 0, len(all))
	for k, elements := range all {
		slices.Sort(elements)
		out = append(out, Loss{Kind: k.Kind, ID: k.ID, To: k.To, Elements: elements})
	}
	slices.SortFunc(out, func(a, b Loss) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID), cmp.Compare(a.To, b.To))
	})
	return out
}

// lossKey identifies a loss.
type lossKey struct{ Kind, ID, To string }

// without is the snapshot after a loss.
func without(s *topology.Snapshot, l *Loss) (*topology.Snapshot, error) {
	var d topology.Delta
	switch l.Kind {
	case "node":
		d.RemoveNodes = []string{l.ID}
	case "infrastructure":
		for _, i := range s.Order() {
			if s.Node(i).Infrastructure == l.ID {
				d.RemoveNodes = append(d.RemoveNodes, s.ID(i))
			}
		}
	case "link":
		d.Links = []topology.Link{{From: l.ID, To: l.To, Down: true}, {From: l.To, To: l.ID, Down: true}}
	}
	return s.Apply(d)
}
