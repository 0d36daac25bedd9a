package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
)

// spread is the distribution of a time in µs.
type spread struct {
	Median float64 `json:"median"`
	Mean   float64 `json:"mean"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	v = slices.Clone(v)
	slices.Sort(v)
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	at := func(q float64) float64 { return round(v[min(len(v)-1, int(math.Ceil(q*float64(len(v))))-1)]) }
	return spread{Median: round(v[len(v)/2]), Mean: round(sum / float64(len(v))), P99: at(0.99), Max: round(v[len(v)-1])}
}

func round(v float64) float64 { return math.Round(v*100) / 100 }

// summary is what an instance came to.
type summary struct {
	Instance         string   `json:"instance"`
	Model            string   `json:"model"`
	Strategy         string   `json:"strategy"`
	Nodes            int      `json:"nodes"`
	Steps            int      `json:"steps"`
	First            float64  `json:"first_us"`   // the first decision: everything is placed
	Changed          spread   `json:"changed_us"` // decisions of the other steps
	Unchanged        spread   `json:"unchanged_us"`
	Ingest           spread   `json:"ingest_us"`
	Explain          spread   `json:"explain_us"`
	Migrations       int      `json:"migrations"`
	MigrationsServed int      `json:"migrations_all_served"` // in steps that leave no application out
	MigrationsBound  int      `json:"migrations_bound"`      // the least there, proven
	Stayed           int      `json:"stayed"`                // services in both the old and the new specification
	Services         int      `json:"services"`
	Percent          float64  `json:"migrations_percent"`
	Overcommits      int      `json:"overcommits"`
	Infeasible       int      `json:"infeasible"`
	BudgetHits       int      `json:"budget_hits"`
	Restless         int      `json:"restless"` // steps at which deciding again changed something
	GapMedian        float64  `json:"gap_median"`
	GapMax           float64  `json:"gap_max"`
	Violations       int      `json:"violations"`
	Found            []string `json:"found,omitempty"`

	changed, unchanged, ingest, explain, gaps []float64
}

func (s *summary) times(k int, ingest, decide, explain, unchanged float64) {
	if k == 0 {
		s.First = round(decide)
	} else {
		s.changed = append(s.changed, decide)
		s.ingest = append(s.ingest, ingest)
	}
	s.explain = append(s.explain, explain)
	s.unchanged = append(s.unchanged, unchanged)
}

func (s *summary) gap(v float64) { s.gaps = append(s.gaps, v) }

func (s *summary) violation(text string) {
	s.Violations++
	if len(s.Found) < 10 {
		s.Found = append(s.Found, text)
	}
}

// close computes the distributions.
func (s *summary) close() {
	s.Changed, s.Unchanged = spreadOf(s.changed), spreadOf(s.unchanged)
	s.Ingest, s.Explain = spreadOf(s.ingest), spreadOf(s.explain)
	g := spreadOf(s.gaps)
	s.GapMedian, s.GapMax = g.Median, g.Max
	if s.Stayed > 0 {
		s.Percent = round(100 * float64(s.Migrations) / float64(s.Stayed))
	}
}

func writeSummary(w io.Writer, s settings, sum *summary) error {
	sum.close()
	if s.json {
		return json.NewEncoder(w).Encode(map[string]*summary{"summary": sum})
	}
	_, err := fmt.Fprintf(w, `%s: %d nodes, %d steps, model %s, strategy %s
  decide, first     %10.1f µs
  decide, changed   %10.1f µs median %10.1f mean %10.1f p99 %10.1f max
  decide, unchanged %10.1f µs median %10.1f mean %10.1f p99 %10.1f max
  ingest            %10.1f µs median %10.1f mean
  explain           %10.1f µs median %10.1f mean
  migrations %d (where all are served %d, proven bound %d) of %d that stayed: %.2f %%; overcommits %d; infeasible %d
  gap median %.2f %% max %.2f %%; budget hit %d times; changed again when asked again %d times; checker %d violations
`, sum.Instance, sum.Nodes, sum.Steps, sum.Model, sum.Strategy, sum.First,
		sum.Changed.Median, sum.Changed.Mean, sum.Changed.P99, sum.Changed.Max,
		sum.Unchanged.Median, sum.Unchanged.Mean, sum.Unchanged.P99, sum.Unchanged.Max,
		sum.Ingest.Median, sum.Ingest.Mean, sum.Explain.Median, sum.Explain.Mean,
		sum.Migrations, sum.MigrationsServed, sum.MigrationsBound, sum.Stayed, sum.Percent, sum.Overcommits, sum.Infeasible,
		sum.GapMedian, sum.GapMax, sum.BudgetHits, sum.Restless, sum.Violations)
	for _, f := range sum.Found {
		fmt.Fprintln(w, "  violation:", f)
	}
	return err
}
