package placement

import "testing"

// TestSurvivability: the edge node is the only one its gateway may use, the
// server could leave the cloud for nothing else.
func TestSurvivability(t *testing.T) {
	snap := small(t)
	led := NewLedger(snap)
	d := twoElements()
	got := Decide(State{snap, led}, []Demand{d}, Options{})
	if err := led.Commit(&got); err != nil {
		t.Fatal(err)
	}
	before := led.Len()
	losses, err := Survivability(State{snap, led}, d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"node e1": false, "node c1": false, "link c1": false, "infrastructure edge": false, "infrastructure cloud": false}
	for _, l := range losses {
		replaceable, ok := want[l.Kind+" "+l.ID]
		if !ok || l.Replaceable != replaceable || len(l.Elements) == 0 || !l.Replaceable && l.Detail == "" {
			t.Errorf("%+v", l)
		}
		delete(want, l.Kind+" "+l.ID)
	}
	if len(want) > 0 || led.Len() != before {
		t.Errorf("missing %v", want)
	}
	// A server that also fits on the edge survives the loss of the cloud.
	d.Elements[1].Requirements.CPU = 400
	d.Elements[1].AllowedKinds = nil
	got = Decide(State{snap, led}, []Demand{d}, Options{})
	if err := led.Commit(&got); err != nil {
		t.Fatal(err)
	}
	losses, err = Survivability(State{snap, led}, d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range losses {
		if l.ID == "cloud" && (!l.Replaceable || len(l.Plan.Migrate) != 1) {
			t.Errorf("%+v", l)
		}
	}
}
