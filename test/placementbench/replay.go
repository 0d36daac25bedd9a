package main

import (
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/placement/check"
	"github.com/osmoslice/osmoslice/internal/topology"
	"github.com/osmoslice/osmoslice/test/placementgen/instance"
)

// line is one decision about one application.
type line struct {
	K          int               `json:"k"`
	App        string            `json:"app"`
	Result     string            `json:"result"` // yes, no
	Placement  map[string]string `json:"placement"`
	Migrations int               `json:"migrations"`
	CPU        float64           `json:"cpu_us"` // of the step, divided among its applications
	LowerBound float64           `json:"lower_bound"`
	Gap        float64           `json:"gap"`
	order      []string
}

// cpu is the CPU time of this thread in µs.
func cpu() float64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return float64(t.Sec)*1e6 + float64(t.Nsec)/1e3
}

// player is an instance being replayed.
type player struct {
	in      *instance.Instance
	s       settings
	o       placement.Options
	snap    *topology.Snapshot
	ledger  *placement.Ledger
	demands []placement.Demand
	ids     []string
	at      []int              // commit in force, vr
	beside  *placement.Ledger  // vr, full: what the continuous run holds
	late    *topology.Snapshot // vr, full: with the order it has left
	was     map[string]map[string]string
	sum     *summary
}

// replay decides every step of an instance.
func replay(in *instance.Instance, s settings, emit func(line) error) (*summary, error) {
	p, err := newPlayer(in, s)
	if err != nil {
		return nil, err
	}
	steps := in.Steps()
	for k := 0; k < in.Total && (s.steps == 0 || k < s.steps); k++ {
		if err := p.step(k, steps, emit); err != nil {
			return nil, fmt.Errorf("%s: step %d: %w", in.Name, k, err)
		}
	}
	return p.sum, nil
}

func newPlayer(in *instance.Instance, s settings) (*player, error) {
	snap, err := in.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.Name, err)
	}
	p := &player{in: in, s: s, o: s.options, snap: snap, was: map[string]map[string]string{},
		sum: &summary{Instance: in.Name, Model: string(s.options.Model), Strategy: s.options.Strategy, Nodes: len(in.Nodes)}}
	p.o.Headroom, p.o.Replace = in.Headroom, s.full
	if p.o.Model == placement.ModelFogBrain && p.o.Budget == 0 {
		p.o.Budget, p.o.Backstop = 1<<40, -1 // the peer has no budget
	}
	p.ledger = placement.NewLedger(snap)
	return p, nil
}

func (p *player) step(k int, steps *instance.StepReader, emit func(line) error) error {
	if p.late != nil {
		p.snap, p.late = p.late, nil
	}
	runtime.GC() // what checking and explaining the last step has left
	t0 := cpu()
	if err := p.ingest(k, steps); err != nil {
		return err
	}
	p.ledger.Follow(p.snap)
	t1 := cpu()
	if err := p.prepare(k); err != nil {
		return err
	}
	p.ledger.Follow(p.snap)
	st := placement.State{Snapshot: p.snap, Ledger: p.ledger}
	warm(p.o)
	t1b := cpu()
	d := placement.Decide(st, p.demands, p.o)
	t2 := cpu()
	p.sum.Strategy = d.Strategy
	for _, v := range check.Decision(st, p.demands, p.o, &d) {
		p.sum.violation(fmt.Sprintf("step %d: %s", k, v))
	}
	t3 := cpu()
	if !p.s.silent {
		placement.Explain(st, p.demands, p.o, &d)
	}
	t4 := cpu()
	if err := p.ledger.Commit(&d); err != nil {
		return err
	}
	t5 := cpu()
	again := placement.Decide(st, p.demands, p.o)
	t6 := cpu()
	if !p.s.full && !again.Plan.Empty() && d.Feasible() {
		p.sum.Restless++
	}
	if p.in.Family == "fogarm" {
		n, l := check.Overcommitted(p.snap, p.ledger, p.ids)
		p.sum.Overcommits += n + l
	}
	p.sum.times(k, t1-t0, t2-t1b, t4-t3, t6-t5)
	return p.report(k, &d, t2-t1b, emit)
}

// prepare brings the vr family's visit order to where the peer has it. Before
// it reasons about a deployment it takes what that holds off the facts, which
// moves the nodes to the end; placing from nothing sees the order that the
// continuous run beside it has left.
func (p *player) prepare(k int) error {
	if p.in.Family != "vr" || p.o.Model != placement.ModelFogBrain {
		return nil
	}
	if !p.s.full {
		return p.demote(p.ledger)
	}
	p.ledger = placement.NewLedger(p.snap)
	if k == 0 {
		p.beside = placement.NewLedger(p.snap)
	}
	defer func(s *topology.Snapshot) { p.late, p.snap = p.snap, s }(p.snap)
	if err := p.demote(p.beside); err != nil {
		return err
	}
	o := p.o
	o.Replace = false
	d := placement.Decide(placement.State{Snapshot: p.snap, Ledger: p.beside}, p.demands, o)
	return p.beside.Commit(&d)
}

// demote moves the nodes that the application holds to the end of the visit
// order, newest first; what has no limit is not stated anew.
func (p *player) demote(l *placement.Ledger) error {
	h, ok := l.Holding(p.ids[0])
	if !ok {
		return nil
	}
	var patch topology.Patch
	seen := map[int32]bool{}
	for i := len(h.Elements) - 1; i >= 0; i-- {
		n, ok := p.snap.Index(h.Elements[i].Node)
		if !ok || seen[n] || p.snap.Capacity(n).CPU >= topology.Infinite {
			continue
		}
		seen[n] = true
		patch.Nodes = append(patch.Nodes, topology.NodeValue{Node: n, Capacity: p.snap.Capacity(n), Unavailable: !p.snap.Available(n)})
	}
	slices.Reverse(patch.Nodes)
	if len(patch.Nodes) == 0 {
		return nil
	}
	var err error
	p.snap, err = p.snap.ApplyPatch(patch)
	return err
}

// ingest reads the report of a step and brings the state up to date.
func (p *player) ingest(k int, steps *instance.StepReader) error {
	if p.in.Family == "vr" {
		commit := 0
		if n := len(p.in.Commits); n > 1 {
			commit = min(n-1, k/max(1, p.in.Total/n))
		}
		if k > 0 {
			if err := p.apply(steps); err != nil {
				return err
			}
		}
		if len(p.at) == 0 || p.at[0] != commit {
			p.at = []int{commit}
			return p.specify(p.in.Commits[commit])
		}
		return nil
	}
	if k == 0 {
		for _, a := range p.in.Apps {
			if err := p.specify(a); err != nil {
				return err
			}
		}
	}
	return p.apply(steps)
}

func (p *player) apply(steps *instance.StepReader) error {
	s, ok, err := steps.Next()
	if err != nil || !ok {
		return err
	}
	if p.snap, err = p.snap.ApplyPatch(s.Patch); err != nil {
		return err
	}
	for _, a := range s.Commits {
		if err := p.specify(a); err != nil {
			return err
		}
	}
	return nil
}

// specify puts a specification in force.
func (p *player) specify(a instance.App) error {
	d, err := placement.Prepare(p.snap, a.Demand())
	if err != nil {
		return err
	}
	for k := range p.demands {
		if p.demands[k].ID == d.ID {
			p.demands[k] = d
			return nil
		}
	}
	p.demands, p.ids = append(p.demands, d), append(p.ids, d.ID)
	return nil
}

// report counts migrations and writes the lines of a step.
func (p *player) report(k int, d *placement.Decision, us float64, emit func(line) error) error {
	served := d.Feasible()
	if served { // of plans that leave someone out it says nothing
		p.sum.MigrationsBound += d.MovesBound
	}
	p.sum.gap(d.Gap)
	p.sum.Steps++
	if d.BudgetHit {
		p.sum.BudgetHits++
	}
	for i := range d.Outcomes {
		out := &d.Outcomes[i]
		l := line{K: k, App: out.Demand, Result: "yes", Placement: map[string]string{}, CPU: us / float64(len(d.Outcomes)),
			LowerBound: d.Bound, Gap: d.Gap}
		if out.Status != placement.Placed {
			l.Result = "no"
			p.sum.Infeasible++
		}
		for _, a := range out.Placement {
			l.Placement[a.Element] = a.Node
			l.order = append(l.order, "on("+a.Element+","+a.Node+")")
		}
		for e, n := range p.was[out.Demand] {
			if now, ok := l.Placement[e]; ok {
				p.sum.Stayed++
				if now != n {
					l.Migrations++
				}
			}
		}
		p.sum.Migrations += l.Migrations
		if served {
			p.sum.MigrationsServed += l.Migrations
		}
		p.sum.Services += len(l.Placement)
		p.was[out.Demand] = l.Placement
		if err := emit(l); err != nil {
			return err
		}
	}
	return nil
}
