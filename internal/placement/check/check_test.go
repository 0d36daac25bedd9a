package check

import (
	"slices"
	"testing"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// world is three nodes with everything a rule can ask for, and a slice on them.
func world(t *testing.T) (placement.State, []placement.Demand, placement.Options, placement.Decision) {
	t.Helper()
	node := func(id string, cpu int64) topology.Node {
		return topology.Node{ID: id, Infrastructure: "i-" + id, Kind: topology.Fog, Arch: "amd64", SecurityLevel: 2, Area: "EU/IT", Labels: map[string]string{"zone": "1"},
			Software: []string{"x"}, Things: []string{"cam"}, AccessTechnologies: []string{"lte"}, Capacity: topology.Capacity{CPU: cpu, Memory: 1000, Storage: 1000}}
	}
	bare := topology.Node{ID: "bare", Infrastructure: "i-a", Kind: topology.Cloud, Capacity: topology.Unlimited()}
	var infras []topology.Infrastructure
	for _, i := range []string{"i-a", "i-b"} {
		infras = append(infras, topology.Infrastructure{ID: i})
	}
	links := []topology.Link{{From: "a", To: "b", LatencyMS: 5, BandwidthKbit: 1000, Loss: 0.01}, {From: "a", To: "bare", LatencyMS: 90, BandwidthKbit: 10, Loss: 0.5}}
	snap, err := topology.New(infras, nil, []topology.Node{node("a", 1000), node("b", 1000), bare}, links)
	if err != nil {
		t.Fatal(err)
	}
	need := placement.Requirements{CPU: 400, Memory: 400, Storage: 400, Software: []string{"x"}, Things: []string{"cam"}, Arch: []string{"amd64"},
		AccessTechnologies: []string{"lte"}, Labels: map[string]string{"zone": "1"}, SecurityLevel: 2}
	full := placement.Element{Requirements: need, AllowedKinds: []topology.Kind{topology.Fog}, AllowedInfrastructures: []string{"i-a", "i-b"}, AllowedNodes: []string{"a", "b"}, Area: "EU", Redundancy: []string{"r"}, AntiAffinity: []string{"g"}}
	first, second := full, full
	first.ID, second.ID = "e1", "e2"
	first.Affinity, second.Affinity = []string{"x"}, []string{"y"}
	demands := []placement.Demand{{ID: "d", Elements: []placement.Element{first, second}, Flows: []placement.Flow{{From: "e1", To: "e2", MaxLatencyMS: 10, MaxLoss: 0.1, BandwidthKbit: 600}}}}
	st := placement.State{Snapshot: snap, Ledger: placement.NewLedger(snap)}
	d := placement.Decide(st, demands, placement.Options{})
	if found := Decision(st, demands, placement.Options{}, &d); len(found) > 0 || !d.Feasible() {
		t.Fatalf("a good decision: %v, %v", found, d.Waiting)
	}
	return st, demands, placement.Options{}, d
}

// TestFindsEveryViolation breaks a good decision, or what it was decided for,
// in one way each and wants that rule to be named.
func TestFindsEveryViolation(t *testing.T) {
	type broken struct {
		st *placement.State
		dm []placement.Demand
		o  *placement.Options
		d  *placement.Decision
	}
	for rule, breakIt := range map[string]func(b broken){
		"cpu":                func(b broken) { b.dm[0].Elements[0].Requirements.CPU = 1001 },
		"memory":             func(b broken) { b.o.Headroom.Node.Memory = 601 },
		"storage":            func(b broken) { b.dm[0].Elements[1].Requirements.Storage = 5000 },
		"bandwidth":          func(b broken) { b.o.Headroom.BandwidthKbit = 401 },
		"latency":            func(b broken) { b.dm[0].Flows[0].MaxLatencyMS = 4 },
		"loss":               func(b broken) { b.dm[0].Flows[0].MaxLoss = 0.001 },
		"software":           func(b broken) { b.dm[0].Elements[0].Requirements.Software = []string{"y"} },
		"things":             func(b broken) { b.dm[0].Elements[0].Requirements.Things = []string{"y"} },
		"accessTechnologies": func(b broken) { b.dm[0].Elements[0].Requirements.AccessTechnologies = []string{"y"} },
		"labels":             func(b broken) { b.dm[0].Elements[0].Requirements.Labels = map[string]string{"zone": "2"} },
		"arch":               func(b broken) { b.dm[0].Elements[0].Requirements.Arch = []string{"arm64"} },
		"image": func(b broken) {
			r := &b.dm[0].Elements[0].Requirements
			for _, at := range []string{"i-a", "i-b", "i-c", "i-d"} {
				r.Images = append(r.Images, placement.Image{Name: "acme/pi:1", Infrastructure: at, Arch: []string{"arm64"}})
			}
		},
		"securityLevel":  func(b broken) { b.dm[0].Elements[0].Requirements.SecurityLevel = 3 },
		"kind":           func(b broken) { b.dm[0].Elements[0].AllowedKinds = []topology.Kind{topology.Cloud} },
		"infrastructure": func(b broken) { b.dm[0].Elements[0].AllowedInfrastructures = []string{"z"} },
		"node":           func(b broken) { b.dm[0].Elements[0].AllowedNodes = []string{"z"} },
		"area":           func(b broken) { b.dm[0].Elements[0].Area = "EU/I" },
		"affinity":       func(b broken) { b.dm[0].Elements[1].Affinity = []string{"x"} },
		"antiAffinity":   func(b broken) { move(b.d, "e2", "beside") },
		"redundancy":     func(b broken) { move(b.d, "e2", "bare") },
		"link":           func(b broken) { b.dm[0].Flows[0].From, b.dm[0].Flows[0].To = "e2", "e1" },
		"available":      func(b broken) { move(b.d, "e2", "ghost") },
		"element":        func(b broken) { b.d.Outcomes[0].Placement = b.d.Outcomes[0].Placement[:1] },
		"outcomes":       func(b broken) { b.d.Outcomes[0].Status = placement.Waiting },
		"row":            func(b broken) { b.d.Rows[0].Take.CPU++ },
		"plan":           func(b broken) { b.d.Plan.Add = b.d.Plan.Add[1:] },
		"bound":          func(b broken) { b.d.Bound = b.d.Cost + 1 },
	} {
		t.Run(rule, func(t *testing.T) {
			st, demands, o, d := world(t)
			d.Outcomes[0].Placement = slices.Clone(d.Outcomes[0].Placement)
			breakIt(broken{&st, demands, &o, &d})
			found := Decision(st, demands, o, &d)
			if !slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == rule }) {
				t.Errorf("not found; found %v", found)
			}
		})
	}
}

// move puts an element elsewhere: "beside" is where the other one is, "bare" the
// node in the infrastructure of a, to which the other one goes.
func move(d *placement.Decision, element, node string) {
	list := d.Outcomes[0].Placement
	own := slices.IndexFunc(list, func(a placement.Assignment) bool { return a.Element == element })
	switch other := 1 - own; node {
	case "beside":
		list[own].Node = list[other].Node
	case "bare":
		list[own].Node, list[other].Node = node, "a"
	default:
		list[own].Node = node
	}
}

// TestStaleRow: another decision has changed a row since.
func TestStaleRow(t *testing.T) {
	st, demands, o, d := world(t)
	if err := st.Ledger.Reserve(placement.Holding{Demand: "other", Elements: []placement.HeldElement{{Element: "e", Node: "a", Take: topology.Capacity{CPU: 1}}, {Element: "f", Node: "b", Take: topology.Capacity{CPU: 1}}}}); err != nil {
		t.Fatal(err)
	}
	if found := Decision(st, demands, o, &d); !slices.ContainsFunc(found, func(v Violation) bool { return v.Rule == "row" }) {
		t.Errorf("%v", found)
	}
	if n, l := Overcommitted(st.Snapshot, st.Ledger, []string{"other"}); n+l != 0 {
		t.Errorf("%d nodes, %d links", n, l)
	}
}
