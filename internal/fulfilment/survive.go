package fulfilment

import (
	"context"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Survivability is the N-1 view of a slice: what single losses would break it.
type Survivability struct {
	Slice     string `json:"iotSliceId"`
	SliceName string `json:"iotSliceName"`
	// Survives tells that a replacement exists now for every single loss.
	Survives bool   `json:"survivesAny"`
	Losses   []Loss `json:"losses"`
}

// Loss is one node, link or infrastructure whose loss would break the slice.
type Loss struct {
	Kind        string     `json:"kind"` // node, link, infrastructure
	ID          string     `json:"id"`
	Name        string     `json:"name,omitempty"`
	To          string     `json:"to,omitempty"` // the other end of a link
	ToName      string     `json:"toName,omitempty"`
	Elements    []string   `json:"elements"` // names
	Replaceable bool       `json:"replaceable"`
	Moves       []LossMove `json:"moves,omitempty"`
	Detail      string     `json:"detail,omitempty"` // why there is no replacement
}

// LossMove is where a member would go.
type LossMove struct {
	Element        string `json:"element"`
	From           string `json:"from"` // names of nodes
	To             string `json:"to"`
	Node           string `json:"nodeId"`
	Infrastructure string `json:"infrastructure"`
}

// picture is a slice as it is placed now, on a state of its own: questions about
// it hold up no decision.
type picture struct {
	sit    *Situation
	state  placement.State
	demand placement.Demand
	at     map[string]string // element id to node id
	// names of nodes, elements, and the infrastructures by node.
	nodes, elements, sites map[string]string
	infra                  map[string]string
}

// picture reads a slice the actor may see, with what it holds credited to it.
func (s *Service) picture(ctx context.Context, sliceID string) (*picture, error) {
	if err := require(ctx, reads); err != nil {
		return nil, err
	}
	var out *picture
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		if _, err := get(ctx, tx, slice.KindIoTSlice, sliceID); err != nil {
			return err
		}
		sit, err := s.situation(ctx, tx, &operation.Operation{ID: s.c.NewID(), Slice: sliceID, Type: operation.Update})
		if err != nil {
			return err
		}
		hs, err := tx.Holdings(ctx, sliceID)
		if err != nil {
			return err
		}
		out, err = s.place.picture(ctx, tx, sit, waysOf(hs))
		return err
	})
	return out, err
}

func (p *placer) picture(ctx context.Context, tx operation.Tx, sit *Situation, have ways) (*picture, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refresh(ctx, tx); err != nil {
		return nil, err
	}
	q := p.question(sit)
	if q.refused != nil {
		return nil, q.refused
	}
	own := p.borrow(sit, q.demand.ID, credit{own: have})
	defer p.giveBack(q.demand.ID, own)
	x := &picture{sit: sit, demand: q.demand, at: map[string]string{}, nodes: map[string]string{}, elements: map[string]string{}, sites: map[string]string{}, infra: map[string]string{}}
	var closed topology.Delta
	mine := map[string]bool{}
	for _, e := range sit.Elements {
		x.elements[e.ID] = e.Name
		if e.Run != nil && e.Run.Node != "" {
			x.at[e.ID], mine[e.Run.Node] = e.Run.Node, true
		}
	}
	for id, n := range p.nodes {
		v := p.infra[n.Infrastructure]
		if v == nil {
			continue
		}
		if x.nodes[id] = n.Name; !usable(v, sit.Slice.Tenant) {
			x.nodes[id] = "a node of others" // not this tenant's to know
		}
		x.sites[id], x.infra[v.ID] = v.Name, v.Name
		// What must move looks for a new place, and these take nothing new.
		if f := nodeFacts(n, v); f.Labels[openLabel] != "yes" && !mine[id] {
			f.Unavailable = true
			closed.Nodes = append(closed.Nodes, f)
		}
	}
	snap := p.snap
	if len(closed.Nodes) > 0 {
		var err error
		if snap, err = snap.Apply(closed); err != nil {
			return nil, err
		}
	}
	x.state = placement.State{Snapshot: snap, Ledger: p.ledger.Clone()}
	return x, nil
}

// Survivability tries every single loss of what a slice stands on, and says
// whether and where its members could be placed again now, beside what all
// others hold.
func (s *Service) Survivability(ctx context.Context, sliceID string) (*Survivability, error) {
	x, err := s.picture(ctx, sliceID)
	if err != nil {
		return nil, err
	}
	if len(x.at) == 0 {
		return nil, fault.New(fault.Conflict, "slice %q is %s; nothing of it runs that could be lost", x.sit.Slice.Name, x.sit.Slice.State)
	}
	x.only()
	o := s.c.Placement
	o.Explain = false
	losses, err := placement.Survivability(x.state, x.demand, o)
	if err != nil {
		return nil, err
	}
	out := &Survivability{Slice: sliceID, SliceName: x.sit.Slice.Name, Survives: true, Losses: make([]Loss, 0, len(losses))}
	for k := range losses {
		l := x.loss(&losses[k])
		out.Survives = out.Survives && l.Replaceable
		out.Losses = append(out.Losses, l)
	}
	return out, nil
}

// only leaves out of the demand what does not run: it cannot be lost.
func (x *picture) only() {
	var elements []placement.Element
	for _, e := range x.demand.Elements {
		if x.at[e.ID] != "" {
			elements = append(elements, e)
		}
	}
	var flows []placement.Flow
	for _, f := range x.demand.Flows {
		if x.at[f.From] != "" && x.at[f.To] != "" {
			flows = append(flows, f)
		}
	}
	x.demand.Elements, x.demand.Flows = elements, flows
}

func (x *picture) loss(l *placement.Loss) Loss {
	out := Loss{Kind: l.Kind, ID: l.ID, Name: x.nodes[l.ID], To: l.To, ToName: x.nodes[l.To], Replaceable: l.Replaceable, Detail: l.Detail}
	if l.Kind == "infrastructure" {
		out.Name = x.infra[l.ID]
	}
	for _, e := range l.Elements {
		out.Elements = append(out.Elements, x.elements[e])
	}
	for _, moves := range [][]placement.Move{l.Plan.Migrate, l.Plan.Add} {
		for _, m := range moves {
			from := firstOf(m.From, x.at[m.Element])
			out.Moves = append(out.Moves, LossMove{Element: x.elements[m.Element], From: x.nodes[from], To: x.nodes[m.To], Node: m.To, Infrastructure: x.sites[m.To]})
		}
	}
	return out
}

// WhyNot is why members do not run on a node.
type WhyNot struct {
	Slice          string         `json:"iotSliceId"`
	Node           string         `json:"nodeId"`
	NodeName       string         `json:"node"`
	Infrastructure string         `json:"infrastructure"`
	Members        []WhyNotMember `json:"members"`
}

// WhyNotMember is why one does not.
type WhyNotMember struct {
	Element string `json:"element"`
	On      string `json:"on,omitempty"` // where it runs, or would
	Fits    bool   `json:"fits"`         // it would fit there, and costs more or as much
	Reasons []Miss `json:"reasons,omitempty"`
}

// Miss is one constraint that the node does not satisfy.
type Miss struct {
	Constraint string `json:"constraint"`
	Peer       string `json:"peer,omitempty"` // the other node of a link
	Required   string `json:"required,omitempty"`
	Available  string `json:"available,omitempty"`
	Detail     string `json:"detail,omitempty"`
}

// WhyNot says, for each member of a slice or for one, by id or name, every
// constraint that it misses on a node, by id or name, beside the others as they
// are placed now.
func (s *Service) WhyNot(ctx context.Context, sliceID, node, member string) (*WhyNot, error) {
	x, err := s.picture(ctx, sliceID)
	if err != nil {
		return nil, err
	}
	n, v, err := s.place.nodeNamed(node, x.sit.Slice.Tenant)
	if err != nil {
		return nil, err
	}
	out := &WhyNot{Slice: sliceID, Node: n.ID, NodeName: n.Name, Infrastructure: v.Name, Members: []WhyNotMember{}}
	demands := []placement.Demand{x.demand}
	o := s.c.Placement
	o.Explain = false
	d := placement.Decide(x.state, demands, o)
	if d.Feasible() {
		for _, a := range d.Outcomes[0].Placement {
			x.at[a.Element] = a.Node
		}
	}
	for _, e := range x.sit.Elements {
		if member != "" && member != e.Name && member != e.ID {
			continue
		}
		m := WhyNotMember{Element: e.Name, On: x.nodes[x.at[e.ID]]}
		m.Reasons = x.misses(o, &d, e, n, v)
		m.Fits = len(m.Reasons) == 0
		out.Members = append(out.Members, m)
	}
	if member != "" && len(out.Members) == 0 {
		return nil, fault.Field("element", member, "the id or name of a gateway, server or microElement of the slice")
	}
	return out, nil
}

// misses lists why an element may not go to a node: the rules of the order
// before those of the placer.
func (x *picture) misses(o placement.Options, d *placement.Decision, e *slice.Element, n *slice.Node, v *slice.Infrastructure) []Miss {
	var out []Miss
	if why := refuse(x.sit, e, v); why != "" {
		out = append(out, Miss{Constraint: "infrastructure", Detail: why})
	}
	if (n.Cordoned || n.State == slice.Inactive) && x.at[e.ID] != n.ID {
		out = append(out, Miss{Constraint: "available", Detail: "the node takes nothing new: cordoned, or it does not answer"})
	}
	misses, _ := placement.WhyNot(x.state, []placement.Demand{x.demand}, o, d, x.demand.ID, e.ID, n.ID)
	for _, m := range misses {
		said := slices.ContainsFunc(out, func(o Miss) bool { return o.Constraint == m.Constraint })
		if said || strings.HasPrefix(m.Required, openLabel) {
			continue // in the order's words
		}
		out = append(out, Miss{Constraint: m.Constraint, Peer: x.nodes[m.Peer], Required: m.Required, Available: m.Available})
	}
	return out
}

// nodeNamed finds a node that a tenant may use, by id or name.
func (p *placer) nodeNamed(ref, tenant string) (*slice.Node, *slice.Infrastructure, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found *slice.Node
	for id, n := range p.nodes {
		if id != ref && n.Name != ref || !p.usable(n.Infrastructure, tenant) {
			continue
		}
		if id == ref {
			return n, p.infra[n.Infrastructure], nil
		}
		if found != nil {
			return nil, nil, fault.Field("node", ref, "the id of a node: several are called so")
		}
		found = n
	}
	if found == nil {
		return nil, nil, fault.Absent("node", ref)
	}
	return found, p.infra[found.Infrastructure], nil
}
