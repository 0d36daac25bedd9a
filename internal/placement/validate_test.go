package placement

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/topology"
)

func TestBadDemands(t *testing.T) {
	e := func(id string) Element { return Element{ID: id} }
	for field, d := range map[string]Demand{
		"id":                             {},
		"elements/0/id":                  {ID: "d", Elements: []Element{{}}},
		"elements/1/id":                  {ID: "d", Elements: []Element{e("a"), e("a")}},
		"elements/0/kind":                {ID: "d", Elements: []Element{{ID: "a", Kind: "robot"}}},
		"elements/0/allowedKinds/0":      {ID: "d", Elements: []Element{{ID: "a", AllowedKinds: []topology.Kind{"MOON"}}}},
		"elements/0/requirements/cpu":    {ID: "d", Elements: []Element{{ID: "a", Requirements: Requirements{CPU: -1}}}},
		"elements/0/requirements/memory": {ID: "d", Elements: []Element{{ID: "a", Requirements: Requirements{Memory: math.MaxInt64}}}},
		"flows/0/from":                   {ID: "d", Elements: []Element{e("a")}, Flows: []Flow{{From: "ghost", To: "a"}}},
		"flows/0/to":                     {ID: "d", Elements: []Element{e("a")}, Flows: []Flow{{From: "a"}}},
		"flows/0/maxLatencyMs":           {ID: "d", Elements: []Element{e("a"), e("b")}, Flows: []Flow{{From: "a", To: "b", MaxLatencyMS: math.NaN()}}},
		"flows/0/bandwidthKbit":          {ID: "d", Elements: []Element{e("a"), e("b")}, Flows: []Flow{{From: "a", To: "b", BandwidthKbit: -1}}},
		"elements/0/affinity":            {ID: "d", Elements: []Element{{ID: "a", Affinity: []string{"g"}, AntiAffinity: []string{"g"}}}},
		// a ring: a–b by g, b–c by h, and a kept apart from c
		"elements/2/affinity": {ID: "d", Elements: []Element{{ID: "a", Affinity: []string{"g"}, AntiAffinity: []string{"x"}}, {ID: "b", Affinity: []string{"g", "h"}}, {ID: "c", Affinity: []string{"h"}, AntiAffinity: []string{"x"}}}},
	} {
		err := d.Validate()
		if !fault.Is(err, fault.Invalid) || fault.Of(err).Params[0].Field != field || fault.Of(err).Params[0].Allowed == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestBadInputRejectsOnlyItself: one bad demand does not keep the others out,
// and nothing panics without nodes, ledger or demands.
func TestBadInputRejectsOnlyItself(t *testing.T) {
	bad := Demand{ID: "bad", Elements: []Element{{ID: "a", Requirements: Requirements{Memory: -1}}}}
	d := Decide(State{Snapshot: small(t)}, []Demand{bad, twoElements(), twoElements()}, Options{})
	if d.Outcomes[0].Status != Rejected || d.Outcomes[0].Err == nil || d.Outcomes[1].Status != Placed || d.Outcomes[2].Status != Rejected {
		t.Errorf("%+v", d.Outcomes)
	}
	for name, st := range map[string]State{"no snapshot": {}, "other lineage": {small(t), NewLedger(small(t))}} {
		if d := Decide(st, []Demand{twoElements()}, Options{}); d.Outcomes[0].Status != Rejected || !fault.Is(d.Outcomes[0].Err, fault.Invalid) {
			t.Errorf("%s: %+v", name, d.Outcomes)
		}
	}
	for _, strategy := range StrategyNames() {
		empty := Decide(State{Snapshot: topology.Empty()}, []Demand{twoElements(), {ID: "nothing"}}, Options{Strategy: strategy, Explain: true})
		if empty.Outcomes[0].Status != Waiting || empty.Outcomes[1].Status != Placed {
			t.Errorf("%s on an empty topology: %+v", strategy, empty.Outcomes)
		}
		if none := Decide(State{Snapshot: small(t)}, nil, Options{Strategy: strategy}); len(none.Outcomes) != 0 || !none.Plan.Empty() {
			t.Errorf("%s without demands: %+v", strategy, none)
		}
	}
	nan := DefaultWeights()
	nan.Move = math.NaN()
	for field, o := range map[string]Options{"model": {Model: "x"}, "strategy": {Strategy: "x"}, "budget": {Budget: -1}, "weights/move": {Weights: &nan}, "headroom/bandwidthKbit": {Headroom: Headroom{BandwidthKbit: -1}}} {
		d := Decide(State{Snapshot: small(t)}, []Demand{twoElements()}, o)
		if err := d.Outcomes[0].Err; !fault.Is(err, fault.Invalid) || fault.Of(err).Params[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestBudgetIsCountedInSteps: the same budget gives the same plan, and a small
// one still answers, with its gap.
func TestBudgetIsCountedInSteps(t *testing.T) {
	st := State{Snapshot: small(t)}
	demands := []Demand{twoElements()}
	a := Decide(st, demands, Options{Budget: 1, Backstop: -1})
	b := Decide(st, demands, Options{Budget: 1, Backstop: -1})
	if !a.Feasible() || a.Cost != b.Cost || a.Steps != b.Steps || a.Backstop || a.Bound > a.Cost {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// TestBackstopIsReported: a search that the clock has ended says so, and still
// answers the best it has found.
func TestBackstopIsReported(t *testing.T) {
	var nodes []topology.Node
	for i := range 40 {
		nodes = append(nodes, topology.Node{ID: fmt.Sprint("n", i), Infrastructure: "a", Kind: topology.Fog, EnergyPerCPU: float64(i % 7), Capacity: topology.Capacity{CPU: int64(1000 + 37*i), Memory: 1000, Storage: 1000}})
	}
	snap, err := topology.New([]topology.Infrastructure{{ID: "a", Intra: &topology.Path{LatencyMS: 1, BandwidthKbit: 1000}}}, nil, nodes, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := Demand{ID: "d"}
	for i := range 18 {
		d.Elements = append(d.Elements, Element{ID: fmt.Sprint("e", i), Requirements: Requirements{CPU: int64(400 + 10*i), Memory: 500}})
		if i > 0 {
			d.Flows = append(d.Flows, Flow{From: fmt.Sprint("e", i-1), To: fmt.Sprint("e", i), BandwidthKbit: 10})
		}
	}
	got := Decide(State{Snapshot: snap}, []Demand{d}, Options{Strategy: "exact", Budget: 1 << 40, Backstop: time.Nanosecond})
	if !got.Backstop || !got.BudgetHit || !got.Feasible() || got.Bound > got.Cost {
		t.Errorf("backstop %t, budget hit %t, feasible %t, bound %g of %g", got.Backstop, got.BudgetHit, got.Feasible(), got.Bound, got.Cost)
	}
}

// TestExplanationsSayWhy: the server is drawn to the cloud only because the
// edge has no room; a third slice is told what is missing.
func TestExplanationsSayWhy(t *testing.T) {
	snap := small(t)
	led := NewLedger(snap)
	d := twoElements()
	got := Decide(State{snap, led}, []Demand{d}, Options{Explain: true})
	srv := got.Explanations[1]
	if srv.Node != "c1" || srv.Candidates != 2 || srv.Fitting != 1 || len(srv.Rejected) != 1 || srv.Rejected[0].Constraint != "cpu" {
		t.Errorf("%+v", srv)
	}
	m := srv.Rejected[0].Nearest
	if m.Node != "e1" || m.By != 1000 || !strings.HasPrefix(m.Required, "1500 ") || !strings.HasPrefix(m.Available, "500 ") {
		t.Errorf("%+v", m)
	}
	if err := led.Commit(&got); err != nil {
		t.Fatal(err)
	}
	late := twoElements()
	late.ID = "late"
	no := Decide(State{snap, led}, []Demand{late}, Options{Explain: true})
	w := no.Waiting[0]
	if w.Bottleneck == nil || w.Bottleneck.Constraint != "cpu" || w.Bottleneck.Element != "gw" || !w.Proven {
		t.Errorf("%+v %+v", w, w.Bottleneck)
	}
	if r := w.Relaxation; r == nil || r.Element != "gw" || r.Node != "e1" || r.Constraint != "cpu" || r.Value != 500 || !r.Verified {
		t.Errorf("%+v", w.Relaxation)
	}
	why, ok := WhyNot(State{snap, led}, []Demand{d}, Options{}, &got, "s1", "gw", "c1")
	if !ok || len(why) == 0 || why[0].Constraint != "kind" {
		t.Errorf("%+v %v", why, ok)
	}
}

// TestPriorityThenAgeDecidesWhoWaits on a node that holds only one of three.
func TestPriorityThenAgeDecidesWhoWaits(t *testing.T) {
	snap := small(t)
	led := NewLedger(snap)
	one := func(id string, priority int, age int) Demand {
		d := Demand{ID: id, Priority: priority, Elements: []Element{{ID: "gw", AllowedNodes: []string{"e1"}, Requirements: Requirements{CPU: 1500}}}}
		d.Submitted = d.Submitted.AddDate(age, 0, 0)
		return d
	}
	first := Decide(State{snap, led}, []Demand{one("young", 1, 9)}, Options{})
	if err := led.Commit(&first); err != nil || !first.Feasible() {
		t.Fatal(err)
	}
	d := Decide(State{snap, led}, []Demand{one("young", 1, 9), one("old", 1, 2), one("low", 0, 1)}, Options{})
	for id, want := range map[string]Status{"young": Waiting, "old": Placed, "low": Waiting} {
		if got := d.Outcome(id).Status; got != want {
			t.Errorf("%s is %s, want %s: %+v", id, got, want, d.Waiting)
		}
	}
	if len(d.Plan.Remove) != 1 || d.Plan.Remove[0].Demand != "young" {
		t.Errorf("%+v", d.Plan)
	}
}
