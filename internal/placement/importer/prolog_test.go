package importer

import (
	"testing"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/topology"
)

const sample = `
:-dynamic deployment/3.
% an application
application(shop, [web, db]).
service(web, [ubuntu, 'my SQL'], 2, []).
service(db, [], 0.5, [cam]).
s2s(web, db, 20, 1.5).
s2s(web, gone, 20, 1.5).
node(n1, [ubuntu, 'my SQL'], 4, []). node(n2, [], inf, [cam]).
link(n1, n2, 10.5, 8).
rule(X) :- node(X, _, 1.5, _), true.
`

func TestFacts(t *testing.T) {
	got, err := Facts(sample, topology.Fog)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Nodes) != 2 || got.Nodes[0].Capacity.CPU != 4000 || got.Nodes[1].Capacity.CPU != topology.Infinite || got.Nodes[0].Software[1] != "my SQL" {
		t.Errorf("%+v", got.Nodes)
	}
	if len(got.Links) != 1 || got.Links[0].LatencyMS != 10.5 || got.Links[0].BandwidthKbit != 8000 {
		t.Errorf("%+v", got.Links)
	}
	d := got.Demands[0]
	if len(got.Demands) != 1 || len(d.Elements) != 2 || d.Elements[1].Requirements.CPU != 500 || len(d.Flows) != 1 || d.Flows[0].BandwidthKbit != 1500 {
		t.Errorf("%+v", got.Demands)
	}
	snap, err := topology.New(nil, nil, got.Nodes, got.Links)
	if err != nil {
		t.Fatal(err)
	}
	if x := placement.Decide(placement.State{Snapshot: snap}, got.Demands, placement.Options{}); !x.Feasible() {
		t.Errorf("%+v", x.Waiting)
	}
}

func TestBadFacts(t *testing.T) {
	for _, text := range []string{"node(n1, [], -1, []).", "node(n1, [], many, []).", "link(a, b, 1", "node(n1, [a b], 1, []).", "application(a, [ghost]).", "node(n1, [], 1, [])", "s2s(a, b, nan, 1).", "node('n1, [], 1, []).", "node(n, [], 1e99, [])."} {
		if got, err := Facts(text, topology.Fog); got != nil || !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
}

func FuzzFacts(f *testing.F) {
	f.Add(sample)
	f.Add("node(a,[[[[]]]],1,[]).")
	f.Add("a(.1).:-x.")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Facts(text, topology.Fog)
		if (got == nil) == (err == nil) {
			t.Fatalf("%v %v", got, err)
		}
	})
}
