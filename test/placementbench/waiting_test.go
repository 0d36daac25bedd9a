package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/test/placementgen/instance"
)

// TestFewestWait holds over-full instances against an integer program (test/
// placementproof/least_waiting.py), which says how many applications have to wait
// at the very least, links left out. Within the default budget no step leaves
// more than one waiting beyond that; with a larger one hardly any step does.
func TestFewestWait(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "least_waiting.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bySeed map[string][]int
	if err := json.Unmarshal(raw, &bySeed); err != nil || len(bySeed) == 0 {
		t.Fatalf("%d seeds: %v", len(bySeed), err)
	}
	for _, c := range []struct {
		budget int64
		most   float64
		seeds  []string
	}{{placement.DefaultBudget, 1.3, []string{"7", "8", "9"}}, {25 * placement.DefaultBudget, 1.1, []string{"7"}}} {
		t.Run(strconv.FormatInt(c.budget, 10), func(t *testing.T) {
			t.Parallel()
			least, ours := 0, 0
			for _, seed := range c.seeds {
				l, o := fewest(t, seed, bySeed[seed], c.budget)
				least, ours = least+l, ours+o
			}
			t.Logf("%d wait, %d at the least", ours, least)
			if float64(ours) > c.most*float64(least) {
				t.Errorf("%d wait, %d at the least", ours, least)
			}
		})
	}
}

func fewest(t *testing.T, seed string, want []int, budget int64) (least, ours int) {
	t.Helper()
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	in, err := instance.Make(instance.Shape{Family: "fogarm", Nodes: 60, Apps: 50, Memory: 3.5, Steps: len(want), Seed: n})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]int, len(want))
	o := placement.Options{Budget: budget, Backstop: -1}
	if len(want) == 0 {
		t.Fatalf("seed %s: nothing recorded", seed)
	}
	sum, err := replay(in, settings{silent: true, options: o}, func(l line) error {
		if l.Result != "yes" {
			got[l.K]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Overcommits+sum.Violations > 0 {
		t.Errorf("seed %s: %+v", seed, sum.Found)
	}
	for k := range want {
		least, ours = least+want[k], ours+got[k]
		if got[k] < want[k] || got[k] > want[k]+1 {
			t.Errorf("seed %s, step %d: %d wait, %d at the least", seed, k, got[k], want[k])
		}
	}
	return least, ours
}
