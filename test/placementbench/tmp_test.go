package main
import ("testing";"fmt";"os";"github.com/osmoslice/osmoslice/internal/placement";"github.com/osmoslice/osmoslice/test/placementgen/instance")
func TestTmpSteps(t *testing.T){
	in, err := instance.Read(os.Getenv("BENCH_INSTANCE")); if err!=nil {t.Skip()}
	p, _ := newPlayer(in, settings{options: placement.Options{Strategy: "osmotic"}})
	steps := in.Steps()
	for k := range in.Total {
		if err := p.ingest(k, steps); err != nil { t.Fatal(err) }
		p.ledger.Follow(p.snap)
		st := placement.State{Snapshot: p.snap, Ledger: p.ledger}
		var d placement.Decision
		best := 1e9
		for range 100 { a:=cpu(); d = placement.Decide(st, p.demands, p.o); b:=cpu(); best=min(best,b-a) }
		fmt.Printf("%d %.1f steps=%d moves=%d adds=%d gap=%.3f cost=%.3f bound=%.3f\n", k, best, d.Steps, len(d.Plan.Migrate), len(d.Plan.Add), d.Gap, d.Cost, d.Bound)
		p.ledger.Commit(&d)
	}
}
