package fulfilment

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/domains/simulated"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// drawSituation draws a slice somewhere on its way: members that run, run
// otherwise than wanted, run elsewhere, never got ready, or are not there yet.
func drawSituation(t *rapid.T) *Situation {
	play := simulated.Platform{}
	sit := &Situation{
		Type:      rapid.SampledFrom([]operation.Type{operation.Instantiate, operation.Update, operation.Heal, operation.Migrate, operation.Terminate}).Draw(t, "type"),
		Operation: slice.NewID(), Slice: &slice.IoTSlice{Meta: slice.Meta{ID: slice.NewID(), Name: "s"}},
		Products: map[string]*slice.Product{}, Needs: map[string]slice.Requirements{}, Places: map[string]place{},
		Sites: map[string]*slice.Infrastructure{}, Plugins: map[string]bool{"simulated": true},
		Able: func(*slice.Product, string) Platform { return Platform{Gateway: play, Server: play} },
	}
	var nodes []*slice.Node
	for k := range 3 {
		v := &slice.Infrastructure{Meta: slice.Meta{ID: fmt.Sprint("site-", k), Name: fmt.Sprint("site-", k)}, Plugin: "simulated"}
		sit.Sites[v.ID] = v
		nodes = append(nodes, &slice.Node{Meta: slice.Meta{ID: fmt.Sprint("node-", k), Name: "n"}, Infrastructure: v.ID})
	}
	servers := rapid.IntRange(1, 2).Draw(t, "servers")
	n := servers + rapid.IntRange(0, 4).Draw(t, "others")
	for k := range n {
		e := &slice.Element{Meta: slice.Meta{ID: slice.NewID(), Name: fmt.Sprint("e", k)}, Slice: sit.Slice.ID, State: slice.Active}
		pr := &slice.Product{Meta: slice.Meta{ID: "p", Name: "p"}, Version: "1"}
		switch {
		case k < servers:
			e.Element = slice.Server
		case rapid.Bool().Draw(t, "gateway"):
			e.Element, e.Server = slice.Gateway, fmt.Sprint("e", rapid.IntRange(0, servers-1).Draw(t, "server"))
		default:
			e.Element, e.Server = slice.MicroElement, "e0"
			if rapid.Bool().Draw(t, "wants uplink") {
				pr.Configuration = map[string]string{"K": "${uplink:password}"}
			}
		}
		sit.Products[e.ID], sit.Needs[e.ID] = pr, slice.Requirements{Memory: 1}
		sit.Elements = append(sit.Elements, e)
	}
	for _, e := range sit.Elements {
		drawRun(t, sit, e, nodes)
		if e.Element != slice.Server && rapid.IntRange(0, 5).Draw(t, "remove") == 0 {
			sit.params.Remove = append(sit.params.Remove, e.ID)
		}
		if e.Element == slice.Gateway {
			sit.Batches = append(sit.Batches, batch{Gateway: e.ID, First: "a", Last: "b", Count: 2, stale: rapid.Bool().Draw(t, "stale")})
		}
	}
	return sit
}

func drawRun(t *rapid.T, sit *Situation, e *slice.Element, nodes []*slice.Node) {
	now := time.Now()
	at := rapid.SampledFrom(nodes).Draw(t, "node")
	deployment := func(node *slice.Node, release string) *slice.Deployment {
		return &slice.Deployment{Release: release, Infrastructure: node.Infrastructure, Node: node.ID, Version: "1", ReadyAt: &now, Hash: sit.hash(e)}
	}
	if rapid.IntRange(0, 3).Draw(t, "runs") > 0 {
		e.Run = deployment(at, "r1-"+e.ID)
		if rapid.IntRange(0, 3).Draw(t, "differs") == 0 {
			e.Run.Hash = "old"
		}
		if rapid.IntRange(0, 4).Draw(t, "unready") == 0 {
			e.Run.ReadyAt = nil
			if rapid.Bool().Draw(t, "moving") {
				e.Previous = deployment(rapid.SampledFrom(nodes).Draw(t, "former"), "r0-"+e.ID)
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "moves") == 0 {
			at = rapid.SampledFrom(nodes).Draw(t, "next")
		}
	}
	if !sit.doomed(e) {
		sit.Places[e.ID] = place{sit.Sites[at.Infrastructure], at}
	}
}

// carryOut does on record what a plan's steps do in the world, in their order.
func carryOut(t *rapid.T, sit *Situation, steps []operation.Step) {
	byID := map[string]*slice.Element{}
	for _, e := range sit.Elements {
		byID[e.ID] = e
	}
	done := map[string]bool{}
	for len(done) < len(steps) {
		before := len(done)
		for _, s := range steps {
			if done[s.ID] || slices.ContainsFunc(s.After, func(id string) bool { return !done[id] }) {
				continue
			}
			done[s.ID] = true
			var a deployArgs
			if s.Action != actApply && s.Action != actDelete || json.Unmarshal(s.Args, &a) != nil {
				continue
			}
			e := byID[a.Element]
			if s.Action == actApply {
				now := time.Now()
				if e.Run != nil && e.Run.Release != a.Release {
					if e.Previous != nil && e.Run.ReadyAt != nil {
						t.Fatalf("three deployments of %s", e.Name)
					}
					if e.Previous == nil {
						e.Previous = e.Run
					}
				}
				e.Run = &slice.Deployment{Release: a.Release, Infrastructure: a.Infrastructure, Node: a.Node, Version: a.Version, Hash: a.Hash, ReadyAt: &now}
				continue
			}
			switch {
			case e.Run != nil && e.Run.Release == a.Release:
				e.Run = nil
			case e.Previous != nil && e.Previous.Release == a.Release:
				e.Previous = nil
			}
		}
		if len(done) == before {
			t.Fatalf("the plan has a ring, or a step after one that is not there: %+v", steps)
		}
	}
}

func TestAPlanLeadsWhereItShallAndNoFurther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sit := drawSituation(t)
		steps := Plan(sit)
		ids := map[string]bool{}
		for _, s := range steps {
			if ids[s.ID] {
				t.Fatalf("two steps are %s", s.ID)
			}
			ids[s.ID] = true
			if s.Action == actDelete && (!s.GiveUp || s.Leaves == nil || s.Undo != "") {
				t.Fatalf("a delete that cannot be given up: %+v", s)
			}
			if s.Action == actApply && s.Undo == "" {
				t.Fatalf("an apply without a way back: %+v", s)
			}
		}
		carryOut(t, sit, steps)
		gone := map[string]bool{}
		for _, e := range sit.Elements {
			gone[e.ID] = sit.doomed(e)
			switch {
			case gone[e.ID] && (e.Run != nil || e.Previous != nil):
				t.Fatalf("%s %s shall be gone and is %+v, %+v", e.Element, e.Name, e.Run, e.Previous)
			case !gone[e.ID] && (e.Run == nil || e.Run.Node != sit.Places[e.ID].Node.ID || e.Run.Hash != sit.hash(e)):
				t.Fatalf("%s %s is %+v, wanted at %s", e.Element, e.Name, e.Run, sit.Places[e.ID].Node.ID)
			}
		}
		sit.Elements = slices.DeleteFunc(sit.Elements, func(e *slice.Element) bool { return gone[e.ID] })
		sit.Type, sit.params, sit.Batches = operation.Update, params{}, nil
		if len(sit.Elements) > 0 && sit.Elements[0].Run == nil {
			return
		}
		if again := Plan(sit); len(again) != 0 {
			t.Fatalf("a slice that is as it shall be gets %d steps: %+v", len(again), again)
		}
	})
}
