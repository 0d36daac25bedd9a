package placement_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/placement/check"
)

// TestNothingIsOvercommitted checks every strategy's decisions, and that they
// can be committed and then hold.
func TestNothingIsOvercommitted(t *testing.T) {
	for _, strategy := range placement.StrategyNames() {
		t.Run(strategy, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				sc := newScene(rapidDraw{t}, 10)
				sc.o.Strategy = strategy
				d := placement.Decide(sc.st, sc.demands, sc.o)
				for _, v := range check.Decision(sc.st, sc.demands, sc.o, &d) {
					if strategy == "fogbrain" && grouped(sc.demands) {
						continue // the peer knows no groups
					}
					t.Errorf("%s", v)
				}
				if err := sc.st.Ledger.Commit(&d); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func grouped(demands []placement.Demand) bool {
	for _, d := range demands {
		for _, e := range d.Elements {
			if len(e.Affinity) > 0 {
				return true
			}
		}
	}
	return false
}

// TestSameInputSamePlan decides twice, prepared and not.
func TestSameInputSamePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sc := newScene(rapidDraw{t}, 10)
		a := placement.Decide(sc.st, sc.demands, sc.o)
		prepared := slices.Clone(sc.demands)
		for k := range prepared {
			p, err := placement.Prepare(sc.st.Snapshot, prepared[k])
			if err != nil {
				t.Fatal(err)
			}
			prepared[k] = p
		}
		b := placement.Decide(sc.st, prepared, sc.o)
		if a.Cost != b.Cost || !slices.EqualFunc(a.Outcomes, b.Outcomes, func(x, y placement.Outcome) bool {
			return x.Status == y.Status && slices.Equal(x.Placement, y.Placement)
		}) {
			t.Fatalf("%+v\n%+v", a.Outcomes, b.Outcomes)
		}
	})
}

// TestFeasibleIsFound: what the exact search serves the default serves, at no
// lower cost than the proven optimum, and no bound exceeds that optimum.
func TestFeasibleIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sc := newScene(rapidDraw{t}, 8)
		sc.o.Strategy = "exact"
		best := placement.Decide(sc.st, sc.demands, sc.o)
		if best.BudgetHit {
			t.Skip("not proven")
		}
		sc.o.Strategy = "osmotic"
		sc.o.Budget = 0
		ours := placement.Decide(sc.st, sc.demands, sc.o)
		if best.Feasible() && !ours.Feasible() {
			t.Fatalf("feasible, but %+v", ours.Waiting)
		}
		if ours.Cost < best.Cost-1e-6*best.Cost-1e-9 {
			t.Fatalf("cost %g below the proven optimum %g", ours.Cost, best.Cost)
		}
		if ours.Bound > best.Cost*(1+1e-9)+1e-9 {
			t.Fatalf("bound %g above the optimum %g", ours.Bound, best.Cost)
		}
		if moved := len(best.Plan.Migrate); best.Feasible() && ours.MovesBound > moved {
			t.Fatalf("moves bound %d, the optimum moves %d", ours.MovesBound, moved)
		}
	})
}

// TestStableElementsStay: an element that was not displaced moves only if no
// plan exists in which all those stay.
func TestStableElementsStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sc := newScene(rapidDraw{t}, 8)
		d := placement.Decide(sc.st, sc.demands, sc.o)
		if !d.Feasible() || d.BudgetHit {
			t.Skip("not all served")
		}
		displaced := map[[2]string]bool{}
		for _, m := range d.Displaced {
			displaced[[2]string{m.Demand, m.Element}] = true
		}
		moved := slices.ContainsFunc(d.Plan.Migrate, func(m placement.Move) bool { return !displaced[[2]string{m.Demand, m.Element}] })
		if !moved {
			return
		}
		pinned := slices.Clone(sc.demands)
		for k := range pinned {
			h, _ := sc.st.Ledger.Holding(pinned[k].ID)
			pinned[k].Elements = slices.Clone(pinned[k].Elements)
			for _, e := range h.Elements {
				for i := range pinned[k].Elements {
					if x := &pinned[k].Elements[i]; x.ID == e.Element && !displaced[[2]string{pinned[k].ID, x.ID}] {
						x.AllowedNodes = []string{e.Node}
					}
				}
			}
		}
		sc.o.Strategy = "exact"
		other := placement.Decide(sc.st, pinned, sc.o)
		moves := len(other.Plan.Migrate)
		if other.Feasible() && moves < len(d.Plan.Migrate) {
			t.Fatalf("%d moves, though %d are enough when all others stay: %+v", len(d.Plan.Migrate), moves, d.Plan.Migrate)
		}
	})
}

// TestRelaxingNeverHurts: a weaker demand has no dearer optimum.
func TestRelaxingNeverHurts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sc := newScene(rapidDraw{t}, 7)
		sc.o.Strategy = "exact"
		w := placement.DefaultWeights()
		w.Balance, w.Energy, w.Price, w.LatencyBoundMS = 0, 0, 0, 0 // those price what is asked for
		sc.o.Weights = &w
		before := placement.Decide(sc.st, sc.demands, sc.o)
		weaker := slices.Clone(sc.demands)
		k := rapid.IntRange(0, len(weaker)-1).Draw(t, "demand")
		weaker[k].Elements, weaker[k].Flows = slices.Clone(weaker[k].Elements), slices.Clone(weaker[k].Flows)
		if n := len(weaker[k].Flows); n > 0 && rapid.Bool().Draw(t, "flow") {
			f := &weaker[k].Flows[rapid.IntRange(0, n-1).Draw(t, "which flow")]
			f.MaxLatencyMS, f.BandwidthKbit = f.MaxLatencyMS*2, f.BandwidthKbit/2
		} else {
			e := &weaker[k].Elements[rapid.IntRange(0, len(weaker[k].Elements)-1).Draw(t, "which element")]
			e.Requirements.CPU, e.Requirements.Software, e.AntiAffinity = e.Requirements.CPU/2, nil, nil
		}
		after := placement.Decide(sc.st, weaker, sc.o)
		if before.BudgetHit || after.BudgetHit {
			t.Skip("not proven")
		}
		if after.Cost > before.Cost+1e-6*before.Cost+1e-9 {
			t.Fatalf("cost %g, relaxed %g", before.Cost, after.Cost)
		}
	})
}

// TestRelaxationMakesItFit decides again with what the explanation proposes.
func TestRelaxationMakesItFit(t *testing.T) {
	seen := 0
	rapid.Check(t, func(t *rapid.T) {
		sc := newScene(rapidDraw{t}, 8)
		d := placement.Decide(sc.st, sc.demands, sc.o)
		for _, x := range placement.Explain(sc.st, sc.demands, sc.o, &d) {
			if x.Relaxation == nil {
				continue
			}
			seen++
			changed := slices.Clone(sc.demands)
			for k := range changed {
				if changed[k].ID == x.Demand {
					changed[k] = apply(changed[k], x.Relaxation)
				}
			}
			after := placement.Decide(sc.st, changed, sc.o)
			if after.Outcome(x.Demand).Status != placement.Placed {
				t.Fatalf("%+v does not make it fit: %+v", *x.Relaxation, after.Waiting)
			}
		}
	})
	if seen == 0 {
		t.Error("no relaxation was ever proposed")
	}
}

// apply changes a demand as a relaxation says, by its public fields alone.
func apply(d placement.Demand, r *placement.Relaxation) placement.Demand {
	d.Elements, d.Flows = slices.Clone(d.Elements), slices.Clone(d.Flows)
	for _, j := range r.Flows {
		switch f := &d.Flows[j]; r.Constraint {
		case "latency":
			f.MaxLatencyMS = max(f.MaxLatencyMS, r.Value)
		case "bandwidth":
			f.BandwidthKbit = min(f.BandwidthKbit, int64(r.Value))
		}
	}
	for i := range d.Elements {
		e := &d.Elements[i]
		if e.ID != r.Element {
			continue
		}
		switch r.Constraint {
		case "cpu":
			e.Requirements.CPU = int64(r.Value)
		case "memory":
			e.Requirements.Memory = int64(r.Value)
		case "software":
			e.Requirements.Software = nil
		}
	}
	return d
}

type seedDraw struct{ r *rand.Rand }

func (d seedDraw) between(_ string, low, high int) int { return low + d.r.IntN(high-low+1) }

// TestGapAgainstExact measures the default, and its heuristics without the
// closing proof (a budget of one step), against the proven optimum of 1,000
// random small instances.
func TestGapAgainstExact(t *testing.T) {
	var gaps, quick []float64
	proven := 0
	above := func(cost, best float64) float64 {
		if best > 0 {
			return 100 * (cost - best) / best
		}
		return 0
	}
	for seed := uint64(0); len(gaps) < 1000; seed++ {
		sc := newScene(seedDraw{rand.New(rand.NewPCG(seed, 1))}, 8)
		sc.o.Strategy = "exact"
		best := placement.Decide(sc.st, sc.demands, sc.o)
		if best.BudgetHit {
			continue
		}
		sc.o.Strategy, sc.o.Budget = "osmotic", 0
		ours := placement.Decide(sc.st, sc.demands, sc.o)
		if ours.Gap == 0 {
			proven++
		}
		if ours.Bound > best.Cost+1e-6 || best.Bound > ours.Cost+1e-6 {
			t.Errorf("seed %d: bounds %g and %g above the costs %g and %g", seed, ours.Bound, best.Bound, best.Cost, ours.Cost)
		}
		gaps = append(gaps, above(ours.Cost, best.Cost))
		sc.o.Budget = 1
		short := placement.Decide(sc.st, sc.demands, sc.o)
		quick = append(quick, above(short.Cost, best.Cost))
	}
	slices.Sort(gaps)
	slices.Sort(quick)
	t.Logf("without proof and repair: median %.3f %%, p95 %.3f %%, max %.3f %%", quick[500], quick[950], quick[999])
	t.Logf("gap to the optimum of %d instances: median %.3f %%, p95 %.3f %%, max %.3f %%; %d proven optimal within the default budget", len(gaps), gaps[500], gaps[950], gaps[999], proven)
	if gaps[500] > 1 {
		t.Errorf("median gap %.2f %%, at most 1 %% is wanted", gaps[500])
	}
}
