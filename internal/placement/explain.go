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
