package fulfilment

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// The actions of steps.
const (
	actApply       = "apply"       // install and wait until ready
	actRestore     = "restore"     // install what was there before
	actDelete      = "delete"      // remove, and give its capacity back
	actConnect     = "connect"     // make a server ready for a gateway or microElement
	actDisconnect  = "disconnect"  // undo it
	actAttach      = "attach"      // let a gateway deliver to its server
	actMove        = "move"        // carry a gateway's state from its old instance
	actProvision   = "provision"   // tell a gateway of devices
	actDeprovision = "deprovision" // have it forget them
	actProve       = "prove"       // send a reading and find it at the server
)

// deployArgs say which deployment a step is about.
type deployArgs struct {
	Element        string             `json:"element"`
	Release        string             `json:"releaseName"`
	Infrastructure string             `json:"infrastructureId"`
	Node           string             `json:"nodeId,omitempty"`
	NodeName       string             `json:"nodeName,omitempty"`
	Uses           slice.Requirements `json:"uses,omitzero"` // deducted for it
	Version        string             `json:"productVersion,omitempty"`
	Hash           string             `json:"specHash,omitempty"`
	// Spec to restore; nil: the element's own.
	Spec *spec `json:"spec,omitempty"`
}

// linkArgs say who is connected to which server.
type linkArgs struct {
	Element string `json:"element"`
	Server  string `json:"iotServer"`
}

// Plan makes the steps from what is to what shall be. It is pure.
func Plan(sit *Situation) []operation.Step {
	p := &planner{sit: sit, applied: map[string]string{}, fresh: map[string]bool{}}
	if sit.Type != operation.Terminate {
		for _, kind := range []slice.ElementKind{slice.Server, slice.Gateway, slice.MicroElement} {
			p.each(kind, p.install)
		}
		p.provisions()
		p.proofs()
	}
	positive := p.ids()
	p.removals(positive)
	return p.steps
}

type planner struct {
	sit     *Situation
	steps   []operation.Step
	applied map[string]string // element to its apply step
	fresh   map[string]bool   // its instance is new
}

func (p *planner) ids() []string {
	out := make([]string, 0, len(p.steps))
	for k := range p.steps {
		out = append(out, p.steps[k].ID)
	}
	return out
}

func (p *planner) each(kind slice.ElementKind, do func(e *slice.Element)) {
	for _, e := range p.sit.Elements {
		if e.Element == kind && !p.sit.doomed(e) {
			do(e)
		}
	}
}

// add appends a step and answers its id.
func (p *planner) add(s operation.Step, args any, after ...string) string {
	s.Args = raw(args)
	for _, a := range after {
		if a != "" {
			s.After = append(s.After, a)
		}
	}
	p.steps = append(p.steps, s)
	return s.ID
}

func raw(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}

func stepID(action string, e *slice.Element) string {
	return action + ":" + string(e.Element) + "/" + e.Name
}

// at is where an element shall run: the decided place, else where it is.
func (p *planner) at(e *slice.Element) (infrastructure, plugin string) {
	if at, ok := p.sit.Places[e.ID]; ok {
		return at.Infrastructure.ID, at.Infrastructure.Plugin
	}
	if e.Run != nil {
		if v := p.sit.Sites[e.Run.Infrastructure]; v != nil {
			return v.ID, v.Plugin
		}
		return e.Run.Infrastructure, ""
	}
	return "", ""
}

func (p *planner) able(e *slice.Element) Platform {
	_, plugin := p.at(e)
	return p.sit.Able(p.sit.Products[e.ID], plugin)
}

// change is what has to happen to an element's deployment.
type change int

const (
	nothing change = iota
	inPlace        // the same release, differently
	anew           // a new release; an old one, if any, goes afterwards
)

// change compares what runs with what shall.
func (s *Situation) change(e *slice.Element) change {
	at, decided := s.Places[e.ID]
	switch {
	case e.Run == nil:
		return anew
	case decided && at.Node.ID != e.Run.Node:
		return anew
	case s.hash(e) != e.Run.Hash, e.Run.ReadyAt == nil:
		return inPlace
	case s.Type == operation.Heal && (s.named(e) || len(s.params.Elements) == 0 && e.State != slice.Active):
		return inPlace
	}
	return nothing
}

// install plans an element's deployment and its connection.
func (p *planner) install(e *slice.Element) {
	kind := p.sit.change(e)
	infra, _ := p.at(e)
	var connect string
	server := p.sit.serverOf(e)
	fed := server != nil && (kind != nothing || p.applied[server.ID] != "")
	linked := fed && p.linked(e)
	if linked {
		connect = p.connect(e, server)
	}
	if e.Element == slice.MicroElement && linked && kind == nothing {
		kind = inPlace // what it was told of its server may have changed
	}
	if kind != nothing {
		p.apply(e, kind, infra, connect, server)
	}
	if e.Element != slice.Gateway {
		return
	}
	moved := ""
	if _, ok := p.able(e).Gateway.(platform.Mover); ok && p.movable(e, kind) {
		s := operation.Step{ID: stepID(actMove, e), Action: actMove, Target: e.ID, TargetName: e.Name, Infrastructure: infra, Optional: true}
		moved = p.add(s, linkArgs{Element: e.ID}, p.applied[e.ID])
	}
	if linked {
		s := operation.Step{ID: stepID(actAttach, e), Action: actAttach, Target: e.ID, TargetName: e.Name, Infrastructure: infra}
		if old := p.formerServer(e); old != "" && kind != anew {
			s.Undo, s.UndoArgs = actAttach, raw(linkArgs{e.ID, old})
		}
		p.add(s, linkArgs{e.ID, server.ID}, connect, p.applied[e.ID], moved)
	}
}

// movable: a former instance runs, at a site that answers.
func (p *planner) movable(e *slice.Element, kind change) bool {
	return kind == anew && e.Run != nil && e.Run.ReadyAt != nil && !p.sit.silent(e.Run.Infrastructure)
}

// linked reports whether an element can be connected to its server: both
// products can be asked, and the element wants it.
func (p *planner) linked(e *slice.Element) bool {
	server := p.sit.serverOf(e)
	if server == nil || p.able(server).Server == nil {
		return false
	}
	if e.Element == slice.Gateway {
		return p.able(e).Gateway != nil
	}
	return wantsUplink(p.sit.Products[e.ID])
}

// speaksOfServer: what an element is installed with tells of its server, which
// must be known by then. Others are installed beside it and told afterwards.
func (p *planner) speaksOfServer(e *slice.Element) bool {
	const server = "${server:"
	if wantsUplink(p.sit.Products[e.ID]) || speaks(p.sit.Products[e.ID], server) {
		return true
	}
	told := append(slices.Collect(maps.Values(e.Configuration)), e.Args...)
	return slices.ContainsFunc(told, func(v string) bool { return strings.Contains(v, server) || strings.Contains(v, "${uplink:") })
}

// wantsUplink: a template of the product speaks of the uplink.
func wantsUplink(pr *slice.Product) bool { return speaks(pr, "${uplink:") }

// speaks reports whether anything that a product is installed with holds a text.
func speaks(pr *slice.Product, text string) bool {
	if pr == nil || mentions(pr, text) {
		return pr != nil
	}
	for _, pack := range pr.Packaging {
		if pack.Process != nil && slices.ContainsFunc(pack.Process.Args, func(a string) bool { return strings.Contains(a, text) }) {
			return true
		}
		if pack.Chart != nil && strings.Contains(string(pack.Chart.Values), text) {
			return true
		}
	}
	return false
}

// formerServer is the server that an element fed before the change, if another.
func (p *planner) formerServer(e *slice.Element) string {
	was, ok := p.sit.params.Before[e.ID]
	if !ok || was.Server == e.Server {
		return ""
	}
	for _, o := range p.sit.Elements {
		if o.Element == slice.Server && o.Name == was.Server {
			return o.ID
		}
	}
	return ""
}

func (p *planner) connect(e, server *slice.Element) string {
	infra, _ := p.at(server)
	s := operation.Step{ID: stepID(actConnect, e), Action: actConnect, Target: e.ID, TargetName: e.Name, Infrastructure: infra}
	if !p.fresh[server.ID] && e.Run == nil {
		s.Undo, s.UndoArgs = actDisconnect, raw(linkArgs{e.ID, server.ID})
	}
	return p.add(s, linkArgs{e.ID, server.ID}, p.applied[server.ID])
}

// apply plans the installation itself.
func (p *planner) apply(e *slice.Element, kind change, infra, connect string, server *slice.Element) {
	args := p.sit.wish(e, kind)
	s := operation.Step{ID: stepID(actApply, e), Action: actApply, Target: e.ID, TargetName: e.Name, Infrastructure: infra}
	if kind == anew || e.Run.ReadyAt == nil {
		s.Undo, s.UndoArgs = actDelete, raw(args)
		s.Leaves = leftover(e, args)
	} else {
		was := specOf(e)
		if b, ok := p.sit.params.Before[e.ID]; ok {
			was = b
		}
		s.Undo, s.UndoArgs = actRestore, raw(deployArgs{
			Element: e.ID, Release: e.Run.Release, Infrastructure: e.Run.Infrastructure, Node: e.Run.Node,
			Uses: e.Run.Requirements, Version: e.Run.Version, Hash: e.Run.Hash, Spec: &was,
		})
		s.Leaves = &operation.Leftover{Target: e.ID, TargetName: e.Name, Infrastructure: infra, Detail: "its former deployment could not be restored"}
	}
	var after []string
	if e.Element == slice.MicroElement || p.speaksOfServer(e) {
		after = append(after, connect)
	}
	if e.Element == slice.MicroElement {
		if server != nil {
			after = append(after, p.applied[server.ID])
		}
		p.each(slice.Gateway, func(g *slice.Element) { after = append(after, p.applied[g.ID]) })
	}
	p.applied[e.ID] = p.add(s, args, after...)
	p.fresh[e.ID] = kind == anew
}

// wish is the deployment an element shall have.
func (s *Situation) wish(e *slice.Element, kind change) deployArgs {
	a := deployArgs{Element: e.ID, Uses: s.Needs[e.ID], Version: s.Products[e.ID].Version, Hash: s.hash(e)}
	if kind == anew {
		a.Release = releaseName(s.Slice.ID, e, s.Operation)
	} else {
		a.Release, a.Infrastructure, a.Node = e.Run.Release, e.Run.Infrastructure, e.Run.Node
	}
	if at, ok := s.Places[e.ID]; ok {
		a.Infrastructure, a.Node, a.NodeName = at.Infrastructure.ID, at.Node.ID, at.Node.Name
	}
	return a
}

func leftover(e *slice.Element, a deployArgs) *operation.Leftover {
	return &operation.Leftover{Target: e.ID, TargetName: e.Name, Infrastructure: a.Infrastructure, Release: a.Release}
}

// releaseName names a deployment for ever: kind, slice, element, operation.
func releaseName(sliceID string, e *slice.Element, op string) string {
	hex := func(id string, n int) string {
		id = strings.ReplaceAll(strings.ToLower(id), "-", "")
		return id[max(len(id)-n, 0):]
	}
	return strings.ToLower(string(e.Element)[:1]) + hex(sliceID, 32) + "-" + hex(e.ID, 8) + "-" + hex(op, 6)
}

// provisions plans what gateways are told of devices.
func (p *planner) provisions() {
	byID := map[string]*slice.Element{}
	for _, e := range p.sit.Elements {
		byID[e.ID] = e
	}
	for k, b := range p.sit.Batches {
		g := byID[b.Gateway]
		if g == nil || p.able(g).Gateway == nil || b.stale && p.applied[g.ID] == "" {
			continue
		}
		infra, _ := p.at(g)
		action := actProvision
		if b.Remove {
			action = actDeprovision
		}
		s := operation.Step{
			ID: stepID(action, g) + "/" + itoa(k), Action: action, Target: g.ID, TargetName: g.Name, Infrastructure: infra,
			Optional: b.Remove || !p.fresh[g.ID], Timeout: 2 * time.Minute,
		}
		moved := ""
		for i := range p.steps {
			if p.steps[i].ID == stepID(actMove, g) {
				moved = p.steps[i].ID
			}
		}
		p.add(s, b, p.applied[g.ID], moved)
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// removals plans what goes: after everything that comes, microElements first,
// then gateways, then servers.
func (p *planner) removals(after []string) {
	for _, kind := range []slice.ElementKind{slice.MicroElement, slice.Gateway, slice.Server} {
		var gone []string
		for _, e := range p.sit.Elements {
			if e.Element == kind {
				gone = append(gone, p.remove(e, after)...)
			}
		}
		if len(gone) > 0 {
			after = append(after[:len(after):len(after)], gone...)
		}
	}
}

// remove plans the deletes of one element's deployments that shall not be.
func (p *planner) remove(e *slice.Element, after []string) []string {
	var out []string
	doomed := p.sit.doomed(e)
	if s := p.sit.serverOf(e); doomed && s != nil && !p.sit.doomed(s) && s.Run != nil && p.linked(e) && e.Run != nil {
		infra, _ := p.at(s)
		out = append(out, p.add(operation.Step{
			ID: stepID(actDisconnect, e), Action: actDisconnect, Target: e.ID, TargetName: e.Name, Infrastructure: infra, Optional: true,
		}, linkArgs{e.ID, s.ID}, after...))
	}
	anew := !doomed && p.fresh[e.ID]
	for k, d := range []*slice.Deployment{e.Run, e.Previous} {
		if d == nil || !doomed && !anew && (k == 0 || e.Run != nil && d.Release == e.Run.Release) {
			continue
		}
		if k == 1 && e.Run != nil && d.Release == e.Run.Release {
			continue // the same instance
		}
		args := deployArgs{Element: e.ID, Release: d.Release, Infrastructure: d.Infrastructure, Node: d.Node, Uses: d.Requirements}
		s := operation.Step{
			ID: stepID(actDelete, e), Action: actDelete, Target: e.ID, TargetName: e.Name,
			Infrastructure: d.Infrastructure, GiveUp: true, Leaves: leftover(e, args),
		}
		if k == 1 {
			s.ID += "/previous"
		}
		out = append(out, p.add(s, args, after...))
	}
	return out
}
