package assignment

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// exhaustive is the least cost over all permutations.
func exhaustive(n int, cost []float64) float64 {
	best := math.Inf(1)
	used := make([]bool, n)
	var visit func(i int, sum float64)
	visit = func(i int, sum float64) {
		if i == n {
			best = min(best, sum)
			return
		}
		for j := range n {
			if !used[j] {
				used[j] = true
				visit(i+1, sum+cost[i*n+j])
				used[j] = false
			}
		}
	}
	visit(0, 0)
	return best
}

func drawCosts(t *rapid.T, n int) []float64 {
	high := rapid.SampledFrom([]int{2, 10, 1_000_000}).Draw(t, "range")
	scale := rapid.SampledFrom([]float64{1, 1e-3, 0.1}).Draw(t, "scale")
	c := make([]float64, n*n)
	for k := range c {
		c[k] = float64(rapid.IntRange(-high, high).Draw(t, "cost")) * scale
	}
	return c
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*(1+math.Abs(a)) }

func TestOptimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 7).Draw(t, "n")
		cost := drawCosts(t, n)
		want := exhaustive(n, cost)
		for name, solve := range map[string]func(int, []float64) (*Problem, error){"jonker-volgenant": Solve, "plain": Plain} {
			p, err := solve(n, slices.Clone(cost))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Verify(1e-9); err != nil || !near(p.Cost(), want) {
				t.Fatalf("%s: cost %g, want %g, %v", name, p.Cost(), want, err)
			}
		}
	})
}

// TestChanged changes rows and columns of a solved problem and compares with
// solving again from nothing.
func TestChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		p, err := Solve(n, drawCosts(t, n))
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			k := rapid.IntRange(0, n-1).Draw(t, "which")
			line := drawCosts(t, n)[:n]
			if rapid.Bool().Draw(t, "row") {
				err = p.SetRow(k, line)
			} else {
				err = p.SetColumn(k, line)
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := Plain(n, slices.Clone(p.cost))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Verify(1e-9); err != nil || !near(p.Cost(), again.Cost()) {
				t.Fatalf("cost %g, from nothing %g, %v", p.Cost(), again.Cost(), err)
			}
		}
	})
}

func TestLarge(t *testing.T) {
	for _, high := range []int{3, 100, 1 << 30} {
		cost := random(200, high)
		a, _ := Solve(200, slices.Clone(cost))
		b, _ := Plain(200, cost)
		if err := a.Verify(1e-9); err != nil || !near(a.Cost(), b.Cost()) {
			t.Errorf("costs to %d: %g and %g, %v", high, a.Cost(), b.Cost(), err)
		}
	}
}

func TestBadInput(t *testing.T) {
	if _, err := Solve(2, []float64{1, 2, 3}); err == nil {
		t.Error("three costs for two rows were taken")
	}
	if _, err := Solve(1, []float64{math.NaN()}); !errors.Is(err, ErrNotFinite) {
		t.Errorf("NaN: %v", err)
	}
	p, _ := Solve(1, []float64{1})
	if p.SetRow(1, []float64{1}) == nil || p.SetColumn(0, []float64{math.Inf(1)}) == nil {
		t.Error("a bad change was taken")
	}
}

func random(n, high int) []float64 {
	r := rand.New(rand.NewPCG(uint64(n), uint64(high)))
	c := make([]float64, n*n)
	for k := range c {
		c[k] = float64(r.IntN(high))
	}
	return c
}

func BenchmarkSolve(b *testing.B) {
	for _, n := range []int{100, 1000} {
		for _, high := range []int{100, 1 << 30} {
			cost := random(n, high)
			for name, solve := range map[string]func(int, []float64) (*Problem, error){"jv": Solve, "plain": Plain} {
				b.Run(fmt.Sprintf("%s/n=%d/max=%d", name, n, high), func(b *testing.B) {
					for b.Loop() {
						if _, err := solve(n, cost); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			b.Run(fmt.Sprintf("row/n=%d/max=%d", n, high), func(b *testing.B) {
				p, err := Solve(n, slices.Clone(cost))
				if err != nil {
					b.Fatal(err)
				}
				for i := 0; b.Loop(); i++ {
					if err := p.SetRow(i%n, cost[(i*7%n)*n:(i*7%n+1)*n]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
