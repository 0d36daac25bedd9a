package placement

import (
	"cmp"
	"slices"

	"github.com/osmoslice/osmoslice/internal/placement/assignment"
)

const (
	waveRows    = 256 // units assigned at once
	waveColumns = 24  // nodes considered per unit, the cheapest that fit
	forbidden   = 1e9
)

// hungarian places a wave of new and displaced units one to one on nodes by an
// optimal assignment, as the osmotic middleware of Carnevale et al. (2019)
// does: what an element wants and what a node offers are the weights. A unit
// whose flows do not hold beside the others of its wave is given another node
// by re-inserting its row. What is left after the waves is inserted singly.
func hungarian(s *search) {
	s.keepAll()
	s.pending()
	rest := slices.Clone(s.todo)
	for len(rest) > 0 {
		wave := rest[:min(len(rest), waveRows)]
		left := s.wave(wave)
		if len(left) == len(wave) {
			break
		}
		rest = append(left, rest[len(wave):]...)
	}
	s.insertRest()
	s.close()
}

// insertRest serves what the waves left, rank by rank, as osmotic does.
func (s *search) insertRest() {
	s.serveByRank(slices.DeleteFunc(slices.Clone(s.todo), func(k int32) bool { return s.elems[k].at >= 0 }))
	s.readmit()
	s.giveBackRoom()
	s.polish()
}

// wave assigns units to nodes, one each, and answers those left without.
func (s *search) wave(units []int32) (left []int32) {
	options := make([][]candidate, len(units))
	columns := map[int32]int{}
	var nodes []int32
	for i, k := range units {
		c := s.candidates(k)
		options[i] = c[:min(len(c), waveColumns)]
		for _, o := range options[i] {
			if _, ok := columns[o.node]; !ok {
				columns[o.node] = len(nodes)
				nodes = append(nodes, o.node)
			}
		}
	}
	n := len(units) + len(nodes) // a row may stay without a node, a node without a row
	cost := make([]float64, n*n)
	for i := range units {
		row := cost[i*n : (i+1)*n]
		for j := range row {
			row[j] = forbidden
		}
		for _, o := range options[i] {
			row[columns[o.node]] = o.cost
		}
		row[len(nodes)+i] = forbidden / 2 // its own "nowhere"
	}
	p, err := assignment.Solve(n, cost)
	if err != nil {
		return units // costs out of range: insert singly
	}
	return s.settle(units, nodes, p, cost, n)
}

// settle places the units as assigned. One that does not fit beside those just
// placed loses that node and its row is inserted again.
func (s *search) settle(units, nodes []int32, p *assignment.Problem, cost []float64, n int) (left []int32) {
	order := make([]int, len(units))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(cost[a*n+p.Column(a)], cost[b*n+p.Column(b)])
	})
	settled := make([]bool, len(nodes))
	for _, i := range order {
		placed := false
		for range 4 {
			j := p.Column(i)
			if j >= len(nodes) || cost[i*n+j] >= forbidden/2 {
				break
			}
			if !settled[j] && s.try(units[i], nodes[j]) {
				settled[j], placed = true, true
				break
			}
			row := slices.Clone(cost[i*n : (i+1)*n])
			row[j] = forbidden
			if p.SetRow(i, row) != nil || s.spent(int64(n)) {
				break
			}
		}
		if !placed {
			left = append(left, units[i])
		}
	}
	return left
}
