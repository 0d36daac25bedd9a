package main

import (
	"cmp"
	"os"
	"path/filepath"
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

// BenchmarkChanged decides the changed steps of an instance, ingest apart.
func BenchmarkChanged(b *testing.B) {
	for _, strategy := range []string{"fogbrain", "osmotic"} {
		b.Run(strategy, func(b *testing.B) {
			in, err := instance.Read(cmp.Or(os.Getenv("BENCH_INSTANCE"), filepath.Join("testdata", "fogarm_30")))
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				b.StopTimer()
				p, err := newPlayer(in, settings{options: placement.Options{Strategy: strategy}})
				if err != nil {
					b.Fatal(err)
				}
				steps := in.Steps()
				for k := range 30 {
					if err := p.ingest(k, steps); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					d := placement.Decide(placement.State{Snapshot: p.snap, Ledger: p.ledger}, p.demands, p.o)
					b.StopTimer()
					if err := p.ledger.Commit(&d); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
			}
		})
	}
}
