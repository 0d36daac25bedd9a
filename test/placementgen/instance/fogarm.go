package instance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
)

// module is one part of the shop application, with two forms of its traffic.
type module struct {
	name    string
	present float64
	size    float64
	flows   [2][]S2S
}

func modules() []module {
	to := func(peer string, mbit, ms float64) S2S { return S2S{To: peer, Bandwidth: mbit, MaxLatency: ms} }
	return []module{
		{"customers", .9, .5, [2][]S2S{{to("customers_db", 15, 300)}, {to("customers_db", 30, 200)}}},
		{"customers_db", 1, .25, [2][]S2S{}},
		{"products", .9, .25, [2][]S2S{{to("products_db", 15, 300)}, {to("products_db", 30, 200)}}},
		{"products_db", 1, .5, [2][]S2S{}},
		{"invoices", .9, .5, [2][]S2S{{to("invoices_db", 15, 300), to("products", 10, 400), to("customers", 10, 400)}, {to("invoices_db", 30, 200), to("products", 20, 300), to("customers", 20, 300)}}},
		{"invoices_db", 1, .25, [2][]S2S{}},
		{"webapp", .75, .25, [2][]S2S{{to("apigateway", 10, 200)}, {to("apigateway", 30, 200)}}},
		{"apigateway", .8, .25, [2][]S2S{{to("invoices", 15, 750), to("products", 15, 750), to("customers", 15, 750)}, {to("invoices_db", 30, 400), to("products", 7, 400), to("customers", 7, 400)}}},
	}
}

func shop(r *rand.Rand, name string) App {
	a := App{Name: name}
	for _, m := range modules() {
		form := r.IntN(2)
		if r.Float64() >= m.present {
			continue
		}
		a.Services = append(a.Services, Service{m.name, []string{"docker"}, m.size * (1 + 0.25*float64(form)), nil})
		for _, f := range m.flows[form] {
			f.From = m.name
			a.Flows = append(a.Flows, f)
		}
	}
	return a
}

// regionPath draws a path between regions 0, 1 and 2.
func regionPath(r *rand.Rand, a, b int) (ms, mbit float64) {
	between := func(low, high float64) float64 { return low + (high-low)*r.Float64() }
	switch {
	case a == b:
		return math.Round(between(1, 4)), math.Round(between(600, 1000))
	case a+b == 1:
		return math.Round(between(8, 14)), math.Round(between(200, 400))
	}
	return math.Round(between(28, 38)), math.Round(between(100, 250))
}

func makeFogArm(s Shape) (*Instance, error) {
	r := rand.New(rand.NewPCG(s.Seed, 2))
	in := &Instance{Name: fmt.Sprintf("fogarm_%d_%d", s.Nodes, s.Apps), Family: "fogarm", Total: s.Steps}
	in.Headroom.Node.CPU, in.Headroom.BandwidthKbit = units(0.5), units(0.5)
	region := func(i int) int { return i * 3 / s.Nodes }
	for i := range s.Nodes {
		name := []string{"ct", "pa", "to"}[region(i)]
		in.Nodes = append(in.Nodes, Node{ID: fmt.Sprintf("node%d_%s", i, name), Region: name, Hardware: units(s.Memory), Software: []string{"docker"}})
	}
	for i := range s.Nodes {
		for j := range s.Nodes {
			if i != j {
				ms, mbit := regionPath(r, region(i), region(j))
				in.Links = append(in.Links, [2]int32{int32(i), int32(j)})
				in.First = append(in.First, path(ms, mbit))
			}
		}
	}
	for a := range s.Apps {
		in.Apps = append(in.Apps, shop(r, fmt.Sprintf("app%d", a)))
	}
	var b bytes.Buffer
	for k := range s.Steps {
		if err := in.fogArmStep(&b, r, s, k); err != nil {
			return nil, err
		}
	}
	in.steps = b.Bytes()
	return in, nil
}

// fogArmStep writes one step: less memory here and there, a twentieth of nodes
// and links failed, slower links, and half of the applications replaced.
func (in *Instance) fogArmStep(b *bytes.Buffer, r *rand.Rand, s Shape, k int) error {
	less := func(most float64) float64 { return most * 0.25 * max(0, 0.5+0.25*r.NormFloat64()) }
	fails := func() bool { return k > 0 && r.Float64() < 0.05 }
	step := map[string]any{"k": k, "order": r.Perm(s.Nodes)}
	failed, list, memory := make([]bool, s.Nodes), []int{}, make([]float64, s.Nodes)
	for i := range memory {
		memory[i] = s.Memory
		if k > 0 {
			memory[i] = math.Round(1000*(s.Memory-less(s.Memory))) / 1000
		}
		if failed[i] = fails(); failed[i] {
			list = append(list, i)
		}
	}
	links := make([]any, len(in.Links))
	for x, l := range in.Links {
		if fails() || failed[l[0]] || failed[l[1]] {
			links[x] = 0
			continue
		}
		ms, mbit := in.First[x].LatencyMS, float64(in.First[x].BandwidthKbit)/Unit
		if k > 0 {
			ms, mbit = max(1, ms+math.Trunc(50+25*r.NormFloat64())), math.Round(10*(mbit-less(mbit)))/10
		}
		links[x] = [2]float64{ms, mbit}
	}
	commits := []App{}
	for a := range s.Apps {
		if k > 0 && r.Float64() < 0.5 {
			commits = append(commits, shop(r, fmt.Sprintf("app%d", a)))
		}
	}
	step["node_failed"], step["ram_gb"], step["links"], step["commits"] = list, memory, links, commits
	return json.NewEncoder(b).Encode(step)
}
