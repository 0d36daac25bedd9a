package placement_test

import (
	"math/rand/v2"
	"testing"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/placement/check"
)

// TestTreesFindTheOptimum holds the search along trees against one that tries
// every node of every unit: small problems with rings, groups, devices and shared
// links, kept and placed from nothing.
func TestTreesFindTheOptimum(t *testing.T) {
	compared, served := 0, 0
	for seed := uint64(0); compared < 1500; seed++ {
		sc := newScene(seedDraw{rand.New(rand.NewPCG(seed, 2))}, 7)
		sc.o.Replace = seed%2 == 0
		want := placement.ByDepth(sc.st, sc.demands, sc.o)
		sc.o.Strategy = "exact"
		got := placement.Decide(sc.st, sc.demands, sc.o)
		if want.BudgetHit || got.BudgetHit {
			continue
		}
		compared++
		if want.Feasible() {
			served++
		}
		if diff := got.Cost - want.Cost; diff > 1e-6 || diff < -1e-6 || got.Gap != 0 {
			t.Errorf("seed %d: cost %g, gap %g %%; trying every node finds %g", seed, got.Cost, got.Gap, want.Cost)
		}
		sc.o.Strategy, sc.o.Budget = "", 0
		ours := placement.Decide(sc.st, sc.demands, sc.o)
		if ours.Bound > want.Cost+1e-6 {
			t.Errorf("seed %d: bound %g above the optimum %g", seed, ours.Bound, want.Cost)
		}
		for _, v := range check.Decision(sc.st, sc.demands, sc.o, &ours) {
			t.Errorf("seed %d: %s", seed, v)
		}
	}
	t.Logf("%d compared, %d of them feasible", compared, served)
	if served < compared/4 {
		t.Errorf("only %d of %d were feasible", served, compared)
	}
}
