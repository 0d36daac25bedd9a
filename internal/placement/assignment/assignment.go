package assignment

import (
	"errors"
	"fmt"
	"math"
)

// Problem is a dense square problem and, once solved, its optimum.
type Problem struct {
	n     int
	cost  []float64 // row-major
	price []float64 // per column: the dual
	col   []int32   // per row
	row   []int32   // per column
	dist  []float64
	from  []int32
	order []int32
}

// ErrNotFinite is what a cost that is NaN or infinite is refused with. To forbid
// a pair give it a cost above the sum of all others'.
var ErrNotFinite = errors.New("assignment: costs must be finite")

// Solve solves a problem given as n·n costs, row by row. It keeps the slice.
func Solve(n int, cost []float64) (*Problem, error) {
	p, err := newProblem(n, cost)
	if err != nil {
		return nil, err
	}
	free := p.reduceColumns()
	for range 2 {
		free = p.reduceRows(free)
	}
	for _, i := range free {
		p.augment(i)
	}
	return p, nil
}

// Plain solves a problem by shortest augmenting paths from nothing.
func Plain(n int, cost []float64) (*Problem, error) {
	p, err := newProblem(n, cost)
	if err != nil {
		return nil, err
	}
	for i := range int32(n) {
		p.augment(i)
	}
	return p, nil
}

func newProblem(n int, cost []float64) (*Problem, error) {
	if n < 0 || len(cost) != n*n {
		return nil, fmt.Errorf("assignment: %d costs given for %d rows, want %d", len(cost), n, n*n)
	}
	for _, c := range cost {
		if math.IsNaN(c) || math.IsInf(c, 0) {
			return nil, ErrNotFinite
		}
	}
	p := &Problem{n: n, cost: cost, price: make([]float64, n), col: make([]int32, n), row: make([]int32, n),
		dist: make([]float64, n), from: make([]int32, n), order: make([]int32, n)}
	for k := range n {
		p.col[k], p.row[k] = -1, -1
	}
	return p, nil
}

// Column is the column of a row.
func (p *Problem) Column(row int) int { return int(p.col[row]) }

// Cost is the total cost of the assignment.
func (p *Problem) Cost() float64 {
	sum := 0.0
	for i := range p.n {
		sum += p.cost[i*p.n+int(p.col[i])]
	}
	return sum
}

// SetRow replaces the costs of a row and restores the optimum.
func (p *Problem) SetRow(row int, cost []float64) error {
	if err := p.fits(row, cost); err != nil {
		return err
	}
	copy(p.cost[row*p.n:], cost)
	p.row[p.col[row]] = -1
	p.col[row] = -1
	p.augment(int32(row))
	return nil
}

// SetColumn replaces the costs of a column and restores the optimum.
func (p *Problem) SetColumn(column int, cost []float64) error {
	if err := p.fits(column, cost); err != nil {
		return err
	}
	i := p.row[column]
	price := math.Inf(1)
	for r := range p.n {
		p.cost[r*p.n+column] = cost[r]
		if int32(r) != i { // the others must not prefer the column to their own
			c := int(p.col[r])
			price = min(price, cost[r]-(p.cost[r*p.n+c]-p.price[c]))
		}
	}
	if p.n == 1 {
		price = 0
	}
	p.price[column] = price
	p.row[column], p.col[i] = -1, -1
	p.augment(i)
	return nil
}

func (p *Problem) fits(k int, cost []float64) error {
	if k < 0 || k >= p.n || len(cost) != p.n {
		return fmt.Errorf("assignment: %d costs given for row or column %d, want %d for one of 0 to %d", len(cost), k, p.n, p.n-1)
	}
	for _, c := range cost {
		if math.IsNaN(c) || math.IsInf(c, 0) {
			return ErrNotFinite
		}
	}
	return nil
}

// reduceColumns prices every column at its least cost and gives it to the row
// that has it, then lets assigned rows lower the price of their column as far
// as they would still keep it. It answers the rows without a column.
func (p *Problem) reduceColumns() (free []int32) {
	n := p.n
	least := make([]int32, n)
	for j := range n {
		p.price[j] = math.Inf(1)
	}
	for i := range n {
		for j, c := range p.cost[i*n : (i+1)*n] {
			if c < p.price[j] {
				p.price[j], least[j] = c, int32(i)
			}
		}
	}
	matches := make([]int32, n)
	for j := n - 1; j >= 0; j-- {
		i := least[j]
		if matches[i]++; matches[i] == 1 {
			p.col[i], p.row[j] = int32(j), i
		}
	}
	for i := range n {
		switch matches[i] {
		case 0:
			free = append(free, int32(i))
		case 1:
			own := p.col[i]
			slack := math.Inf(1)
			for j, c := range p.cost[i*n : (i+1)*n] {
				if int32(j) != own && c-p.price[j] < slack {
					slack = c - p.price[j]
				}
			}
			if !math.IsInf(slack, 1) {
				p.price[own] -= slack - (p.cost[i*n+int(own)] - p.price[own])
			}
		}
	}
	return free
}

// reduceRows lets every free row take its cheapest column, lowering its price
// to the second cheapest, and turns out who had it.
func (p *Problem) reduceRows(free []int32) (left []int32) {
	n, budget := p.n, 0
	for k := 0; k < len(free); {
		i := free[k]
		k++
		row := p.cost[int(i)*n : (int(i)+1)*n]
		first, second := math.Inf(1), math.Inf(1)
		j1, j2 := int32(-1), int32(-1)
		for j, c := range row {
			if h := c - p.price[j]; h < second {
				if h < first {
					first, second, j1, j2 = h, first, int32(j), j1
				} else {
					second, j2 = h, int32(j)
				}
			}
		}
		lower := first < second && j2 >= 0 && p.price[j1]-(second-first) < p.price[j1]
		if lower {
			p.price[j1] -= second - first
		} else if p.row[j1] >= 0 {
			// Several are equally cheap: a free one of them, or no one is turned
			// out, as nothing would be gained by it.
			if j1 = p.freeAt(row, first); j1 < 0 {
				left = append(left, i)
				continue
			}
		}
		out := p.row[j1]
		p.col[i], p.row[j1] = j1, i
		if out < 0 {
			continue
		}
		p.col[out] = -1
		budget++
		if lower && budget < 4*n { // at once, with the new price
			k--
			free[k] = out
		} else {
			left = append(left, out)
		}
	}
	return left
}

// freeAt answers a free column that costs a row what its cheapest does, or -1.
func (p *Problem) freeAt(row []float64, least float64) int32 {
	for j, c := range row {
		if c-p.price[j] == least && p.row[j] < 0 {
			return int32(j)
		}
	}
	return -1
}

// augment finds the shortest path from a free row to a free column under the
// present prices (Dijkstra), turns it around and corrects the prices.
func (p *Problem) augment(start int32) {
	n := p.n
	row := p.cost[int(start)*n : (int(start)+1)*n]
	for j := range n {
		p.order[j] = int32(j)
		p.from[j] = start
		p.dist[j] = row[j] - p.price[j]
	}
	low, up, end := 0, 0, int32(-1) // order[:low] done, [low:up] at the least distance
	least := 0.0
	scanned := 0
	for end < 0 {
		if low == up {
			scanned = low
			up = p.nearest(low)
			least = p.dist[p.order[low]]
			for _, j := range p.order[low:up] {
				if p.row[j] < 0 {
					end = j
					break
				}
			}
			if end >= 0 {
				break
			}
		}
		j1 := p.order[low]
		low++
		up, end = p.relax(j1, least, up)
	}
	for _, j := range p.order[:scanned] {
		p.price[j] += p.dist[j] - least
	}
	for j := end; ; {
		i := p.from[j]
		p.row[j] = i
		j, p.col[i] = p.col[i], j
		if i == start {
			return
		}
	}
}

// nearest moves all columns at the least distance to the front of those not
// done, and answers where they end.
func (p *Problem) nearest(low int) (up int) {
	up = low + 1
	least := p.dist[p.order[low]]
	for k := up; k < p.n; k++ {
		j := p.order[k]
		h := p.dist[j]
		if h > least {
			continue
		}
		if h < least {
			up, least = low, h
		}
		p.order[k] = p.order[up]
		p.order[up] = j
		up++
	}
	return up
}

// relax shortens the paths through the row of a column at the least distance.
func (p *Problem) relax(j1 int32, least float64, up int) (int, int32) {
	n := p.n
	i := p.row[j1]
	row := p.cost[int(i)*n : (int(i)+1)*n]
	u := row[j1] - p.price[j1] - least
	for k := up; k < n; k++ {
		j := p.order[k]
		h := row[j] - p.price[j] - u
		if h >= p.dist[j] {
			continue
		}
		p.from[j], p.dist[j] = i, h
		if h <= least {
			if p.row[j] < 0 {
				return up, j
			}
			p.order[k] = p.order[up]
			p.order[up] = j
			up++
		}
	}
	return up, -1
}

// Verify checks that the assignment is one to one and that the prices prove it
// optimal, to a relative tolerance.
func (p *Problem) Verify(tolerance float64) error {
	seen := make([]bool, p.n)
	for i := range p.n {
		j := p.col[i]
		if j < 0 || seen[j] || p.row[j] != int32(i) {
			return fmt.Errorf("assignment: row %d has column %d, which another has", i, j)
		}
		seen[j] = true
		own := p.cost[i*p.n+int(j)] - p.price[j]
		for k, c := range p.cost[i*p.n : (i+1)*p.n] {
			if h := c - p.price[k]; h < own-tolerance*(1+math.Abs(own)+math.Abs(c)) {
				return fmt.Errorf("assignment: row %d has column %d at %g and would rather have %d at %g", i, j, own, k, h)
			}
		}
	}
	return nil
}
