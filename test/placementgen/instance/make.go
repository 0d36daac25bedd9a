package instance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// Shape says what instance to make.
type Shape struct {
	Family   string  // vr or fogarm
	Nodes    int     // vr: rounded down to a multiple of the five tiers
	Steps    int     // the first one included
	Seed     uint64  //
	Rate     float64 // vr: part of the nodes and links that change per step
	MaxLinks int     // vr: at most so many links change per step; 0: no limit
	Copies   int     // vr: that many copies of the three-service application in one; 0: the seven specifications
	Apps     int     // fogarm
	Memory   float64 // fogarm: GB per node
}

var tierNames = []string{"cloud", "ispdatacentre", "cabinetserver", "accesspoint", "smartphone"}

var tierSoftware = [][]string{
	{"ubuntu", "mySQL", "gcc", "make", "nodejs", "java"},
	{"ubuntu", "mySQL", "nodejs", "java"},
	{"ubuntu", "mySQL", "nodejs"},
	{"ubuntu", "gcc", "make", "java"},
	{"android", "gcc", "make", "java"}}

var tierHardware = []float64{math.Inf(1), 50, 20, 4, 8}

// tierPaths are latency in ms and bandwidth in Mbit/s from tier to tier.
var tierPaths = [5][5][2]float64{
	{{20, 1000}, {110, 1000}, {135, 100}, {148, 20}, {150, 18}},
	{{110, 1000}, {20, 1000}, {25, 500}, {38, 50}, {20, 1000}},
	{{135, 100}, {25, 500}, {20, 1000}, {13, 50}, {15, 35}},
	{{148, 3}, {38, 4}, {13, 4}, {10, 50}, {2, 70}},
	{{150, 2}, {40, 2.5}, {15, 3}, {2, 70}, {15, 50}}}

// Make makes an instance; the same shape makes the same instance.
func Make(s Shape) (*Instance, error) {
	switch {
	case s.Nodes < 5 || s.Steps < 1:
		return nil, fmt.Errorf("%d nodes and %d steps: at least 5 and 1 are needed", s.Nodes, s.Steps)
	case s.Family == "vr":
		return makeVR(s)
	case s.Family == "fogarm" && s.Apps > 0 && s.Memory > 0:
		return makeFogArm(s)
	}
	return nil, fmt.Errorf("family %q with %d apps and %g GB: allowed are vr, and fogarm with some of each", s.Family, s.Apps, s.Memory)
}

func makeVR(s Shape) (*Instance, error) {
	r := rand.New(rand.NewPCG(s.Seed, 1))
	per := s.Nodes / 5
	n := per * 5
	in := &Instance{Name: fmt.Sprintf("vr_%d", n), Family: "vr", Total: s.Steps, Commits: vrCommits()}
	if s.Copies > 0 {
		in.Name = fmt.Sprintf("vrrep_%d_%d", n, 3*s.Copies)
		in.Commits = []App{copies(in.Commits[0], s.Copies)}
	}
	in.Headroom.Node.CPU, in.Headroom.BandwidthKbit = units(0.5), units(0.5)
	for i := range n {
		t := i / per
		var things []string
		if t >= 3 {
			things = []string{"vrViewer"}
		}
		in.Nodes = append(in.Nodes, Node{ID: tierNames[t] + strconv.Itoa(i%per), Tier: t, Hardware: units(tierHardware[t]), Software: tierSoftware[t], Things: things})
	}
	for _, row := range tierPaths {
		var paths []topology.Path
		for _, v := range row {
			paths = append(paths, path(v[0], v[1]))
		}
		in.Tiers = append(in.Tiers, paths)
	}
	var b bytes.Buffer
	for k := 1; k < s.Steps; k++ {
		vrStep(&b, r, s, k, n)
	}
	in.steps = b.Bytes()
	return in, nil
}

// vrStep writes one step: a sample of nodes and of links gets new values.
func vrStep(b *bytes.Buffer, r *rand.Rand, s Shape, k, n int) {
	per := n / 5
	fmt.Fprintf(b, `{"k":%d,"nodes":[`, k)
	comma := ""
	for i := range n {
		if r.Float64() > s.Rate {
			continue
		}
		high := 1.1 * tierHardware[i/per]
		if math.IsInf(high, 1) {
			high = 100
		}
		fmt.Fprintf(b, "%s[%d,%.3f]", comma, i, 0.1+(high-0.1)*r.Float64())
		comma = ","
	}
	b.WriteString(`],"links":[`)
	want := int(s.Rate * float64(n) * float64(n-1))
	if s.MaxLinks > 0 {
		want = min(want, s.MaxLinks)
	}
	seen := map[[2]int]bool{}
	comma = ""
	for len(seen) < want {
		i, j := r.IntN(n), r.IntN(n)
		if i == j || seen[[2]int{i, j}] {
			continue
		}
		seen[[2]int{i, j}] = true
		q := tierPaths[i/per][j/per]
		fmt.Fprintf(b, "%s[%d,%d,%.3f,%.3f]", comma, i, j, q[0]*(0.5+r.Float64()), 0.1+(1.1*q[1]-0.1)*r.Float64())
		comma = ","
	}
	b.WriteString("]}\n")
}

// vrCommits are successive specifications of one application.
func vrCommits() []App {
	store := Service{"videoStorage", []string{"mySQL", "ubuntu"}, 16, nil}
	scene := Service{"sceneSelector", []string{"ubuntu"}, 2, nil}
	driver := Service{"vrDriver", []string{"gcc", "make"}, 2, []string{"vrViewer"}}
	tokens := Service{"tokensDealer", []string{"ubuntu", "mySQL"}, 5, nil}
	where := Service{"geoLocalisator", []string{"gcc", "make"}, 2, nil}
	base := []S2S{{"videoStorage", "sceneSelector", 150, 16}, {"sceneSelector", "videoStorage", 150, 0.5}, {"sceneSelector", "vrDriver", 20, 8}, {"vrDriver", "sceneSelector", 20, 1}}
	geo := []S2S{{"geoLocalisator", "sceneSelector", 50, 2}, {"sceneSelector", "geoLocalisator", 50, 2}}
	tok := []S2S{{"geoLocalisator", "tokensDealer", 200, 0.5}, {"tokensDealer", "geoLocalisator", 200, 1}}
	with := func(parts ...[]S2S) (out []S2S) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	bigger := store
	bigger.Hardware = 30
	return []App{
		{"vrApp", []Service{store, scene, driver}, base},
		{"vrApp", []Service{store, scene, driver, tokens, where}, with(base, geo, tok)},
		{"vrApp", []Service{store, scene, driver, where}, with(base, geo)},
		{"vrApp", []Service{bigger, scene, driver, where}, with(base, geo)},
	}
}

func copies(a App, n int) App {
	out := App{Name: fmt.Sprintf("%sx%d", a.Name, n)}
	for i := range n {
		name := func(s string) string { return fmt.Sprintf("%s_%d", s, i) }
		for _, s := range a.Services {
			s.Name = name(s.Name)
			out.Services = append(out.Services, s)
		}
		for _, f := range a.Flows {
			f.From, f.To = name(f.From), name(f.To)
			out.Flows = append(out.Flows, f)
		}
	}
	return out
}

// Write writes the instance as a folder.
func (in *Instance) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	raw, err := json.Marshal(in.base())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "base.json"), append(raw, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "steps.jsonl"), in.steps, 0o644)
}

// base is the instance's base.json.
func (in *Instance) base() map[string]any {
	one := func(v int64) any {
		if v >= topology.Infinite {
			return "inf"
		}
		return float64(v) / Unit
	}
	var nodes []map[string]any
	for _, n := range in.Nodes {
		m := map[string]any{"id": n.ID, "software": n.Software, "things": append([]string{}, n.Things...)}
		if in.Family == "vr" {
			m["tier"], m["hardware"] = n.Tier, one(n.Hardware)
		} else {
			m["region"], m["ram_gb"] = n.Region, one(n.Hardware)
		}
		nodes = append(nodes, m)
	}
	out := map[string]any{"family": in.Family, "nodes": nodes, "hwTh": float64(in.Headroom.Node.CPU) / Unit, "bwTh": float64(in.Headroom.BandwidthKbit) / Unit}
	if in.Family == "vr" {
		out["tier_links_lat_bw"], out["commits"] = tierPaths, in.Commits
		return out
	}
	var links [][4]float64
	for k, l := range in.Links {
		links = append(links, [4]float64{float64(l[0]), float64(l[1]), in.First[k].LatencyMS, float64(in.First[k].BandwidthKbit) / Unit})
	}
	out["links_i_j_lat_bw"], out["apps_initial"] = links, in.Apps
	return out
}
