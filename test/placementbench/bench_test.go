package main

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/test/placementgen/instance"
)

// BenchmarkUnchanged decides again when nothing has changed.
func BenchmarkUnchanged(b *testing.B) {
	for _, dir := range []string{"vr_160", "fogarm_30"} {
		for _, strategy := range []string{"fogbrain", "osmotic"} {
			b.Run(dir+"/"+strategy, func(b *testing.B) {
				in, err := instance.Read(filepath.Join("testdata", dir))
				if err != nil {
					b.Fatal(err)
				}
				p, err := newPlayer(in, settings{options: placement.Options{Strategy: strategy}})
				if err != nil {
					b.Fatal(err)
				}
				if err := p.step(0, in.Steps(), func(line) error { return nil }); err != nil {
					b.Fatal(err)
				}
				st := placement.State{Snapshot: p.snap, Ledger: p.ledger}
				for b.Loop() {
					if d := placement.Decide(st, p.demands, p.o); !d.Plan.Empty() {
						b.Fatal("changed")
					}
				}
			})
		}
	}
}

// BenchmarkChanged decides the changed steps of an instance, each on the state
// that its report has left, without reading the reports again.
func BenchmarkChanged(b *testing.B) {
	for _, strategy := range []string{"fogbrain", "osmotic"} {
		b.Run(strategy, func(b *testing.B) {
			in, err := instance.Read(cmp.Or(os.Getenv("BENCH_INSTANCE"), filepath.Join("testdata", "fogarm_30")))
			if err != nil {
				b.Fatal(err)
			}
			states, err := record(in, placement.Options{Strategy: strategy})
			if err != nil {
				b.Fatal(err)
			}
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b.ReportAllocs()
			from := cpu()
			for b.Loop() {
				for k := range states {
					placement.Decide(states[k].State, states[k].demands, states[k].o)
				}
			}
			b.ReportMetric((cpu()-from)/float64(b.N*len(states)), "cpu-µs/step")
		})
	}
}

// recorded is what one decision of a replay was made on.
type recorded struct {
	placement.State
	demands []placement.Demand
	o       placement.Options
}

// record replays an instance and keeps the state of every changed step.
func record(in *instance.Instance, o placement.Options) (out []recorded, err error) {
	p, err := newPlayer(in, settings{options: o, full: o.Replace})
	if err != nil {
		return nil, err
	}
	steps := in.Steps()
	for k := range min(in.Total, 2_000_000/(len(in.Nodes)*len(in.Nodes))+10) {
		if err := p.ingest(k, steps); err != nil {
			return nil, err
		}
		p.ledger.Follow(p.snap)
		st := placement.State{Snapshot: p.snap, Ledger: p.ledger}
		if k > 0 {
			out = append(out, recorded{placement.State{Snapshot: p.snap, Ledger: p.ledger.Clone()}, slices.Clone(p.demands), p.o})
		}
		d := placement.Decide(st, p.demands, p.o)
		if err := p.ledger.Commit(&d); err != nil {
			return nil, err
		}
	}
	return out, nil
}
