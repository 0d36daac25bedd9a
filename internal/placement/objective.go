package placement

import (
	"math"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// objective is Weights made ready: tables by kind index, already multiplied.
type objective struct {
	Weights
	preference [2][kindCount]float64 // [1]: bound by latency
	price      priceKey
	like       *objective // the one whose weights, but for Move, these are
}

var defaultObjective = newObjective(DefaultWeights())

func newObjective(w Weights) *objective {
	o := &objective{Weights: w, price: priceKey{w.Energy, w.Price}}
	for k, kind := range topology.Kinds() {
		o.preference[0][k] = w.Preference * w.Relaxed[kind]
		o.preference[1][k] = w.Preference * w.LatencyBound[kind]
	}
	o.like = o
	return o
}

// static is the cost of a unit on a node that does not depend on the others:
// preference, energy and price.
func (s *search) static(e *elem, n int32) float64 {
	kind, energy, price := s.snap.Stated(n)
	return e.pref[kind] + e.cores*(s.obj.Energy*energy+s.obj.Price*price)
}

// phi is the balance cost of a node: the squared utilisation of each of its
// resources. An element never costs less on a node because others are there,
// which the bounds rely on.
func (s *search) phi(st *nodeState, extra topology.Capacity) float64 {
	return s.squares(plus(st.used, extra), &st.inverse)
}

// squares is the balance cost of an amount in use.
func (s *search) squares(used topology.Capacity, inverse *[3]float64) float64 {
	u := float64(used.CPU) * inverse[0]
	sum := u * u
	if used.Memory|used.Storage != 0 {
		m, d := float64(used.Memory)*inverse[1], float64(used.Storage)*inverse[2]
		sum += m*m + d*d
	}
	return s.obj.Balance * sum
}

// inverse is 1/capacity where that is finite and not zero, else 0.
func inverse(c int64) float64 {
	if c <= 0 || c >= topology.Infinite {
		return 0
	}
	return 1 / float64(c)
}

// traffic is what the flows of a unit cost if it were on n: those that would
// then run between different nodes.
func (s *search) traffic(k, n int32) float64 {
	e, c := &s.elems[k], 0
	for _, x := range s.adj(e) {
		if _, _, ok := s.ends(&s.flows[x], k, n); ok {
			c++
		}
	}
	return s.obj.Traffic * float64(c)
}

// movesTo is how many members of a unit would have moved if it were on n.
func (e *elem) movesTo(n int32) int {
	if e.homes == nil {
		if e.home >= 0 && e.home != n {
			return 1
		}
		return 0
	}
	m := 0
	for _, h := range *e.homes {
		if h >= 0 && h != n {
			m++
		}
	}
	return m
}

// terms is the cost of the whole current state, waiting demands included.
func (s *search) terms() Terms {
	var t Terms
	for k := range s.elems {
		e := &s.elems[k]
		if e.at < 0 {
			continue
		}
		t.Moves += s.obj.Move * float64(e.movesTo(e.at))
		kind, energy, price := s.snap.Stated(e.at)
		t.Preference += e.pref[kind]
		t.Energy += s.obj.Energy * e.cores * energy
		t.Price += s.obj.Price * e.cores * price
	}
	for _, n := range s.touched {
		st := s.node(n)
		if st.count > 0 {
			t.Balance += st.phiNow - st.basePhi
		}
	}
	for k := range s.flows {
		if from, to := s.end(s.flows[k].a), s.end(s.flows[k].b); from != to && from != -1 && to != -1 {
			t.Traffic += s.obj.Traffic
		}
	}
	for k := range s.demands {
		if s.demands[k].waiting {
			t.Waiting += s.waitPrice(&s.demands[k])
		}
	}
	return t
}

// waitPrice is what leaving a demand out costs: a higher class and, within it,
// an older demand outweighs all below it as far as float64 can tell.
func (s *search) waitPrice(d *demandState) float64 {
	return s.obj.Waiting * math.Max(1, d.urgency)
}
