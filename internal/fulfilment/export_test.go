package fulfilment

import "github.com/osmoslice/osmoslice/internal/placement"

// Misplace changes every decision before it is checked.
func (s *Service) Misplace(change func(*placement.Decision)) {
	s.place.ask = func(st placement.State, ds []placement.Demand, o placement.Options) placement.Decision {
		d := placement.Decide(st, ds, o)
		change(&d)
		return d
	}
}
