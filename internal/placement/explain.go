package placement

import "fmt"

func (s *search) explainAll() []Explanation { return nil }

func (s *search) reportWaiting(d *Decision) {
	for k := range s.demands {
		if ds := &s.demands[k]; ds.waiting {
			d.Waiting = append(d.Waiting, Wait{Demand: d.Outcomes[ds.input].Demand, Proven: ds.proven, Detail: fmt.Sprintf("no node found for every element")})
		}
	}
}

// Explain answers the explanations of a decision that was made on this state.
func Explain(st State, demands []Demand, o Options, d *Decision) []Explanation { return nil }
