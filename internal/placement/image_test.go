package placement

import (
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// mixed is an edge with an amd64 and an arm64 node and one that tells nothing,
// and an amd64 cloud.
func mixed(t *testing.T) *topology.Snapshot {
	t.Helper()
	node := func(id, infra, arch string) topology.Node {
		return topology.Node{ID: id, Infrastructure: infra, Kind: topology.NetworkEdge, Arch: arch, Capacity: topology.Capacity{CPU: 1000, Memory: 1000, Storage: 1000}}
	}
	s, err := topology.New([]topology.Infrastructure{{ID: "edge"}, {ID: "cloud"}}, nil,
		[]topology.Node{node("e-amd", "edge", "amd64"), node("e-arm", "edge", "arm64"), node("e-any", "edge", ""), node("c-amd", "cloud", "amd64")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An image binds at the nodes of its infrastructure alone, with every strategy.
func TestImagesNarrowNodes(t *testing.T) {
	pi := Image{Name: "acme/pi:1", Infrastructure: "edge", Arch: []string{"arm64"}}
	for name, c := range map[string]struct {
		images  []Image
		allowed []string
		want    string
	}{
		"arm only":         {[]Image{pi}, []string{"e-amd", "e-arm"}, "e-arm"},
		"untold node":      {[]Image{pi}, []string{"e-amd", "e-any"}, "e-any"},
		"another site's":   {[]Image{pi}, []string{"e-amd", "c-amd"}, "c-amd"},
		"two must agree":   {[]Image{pi, {Name: "acme/x:1", Infrastructure: "edge", Arch: []string{"amd64"}}}, []string{"e-amd", "e-arm"}, ""},
		"for nothing":      {[]Image{{Name: "acme/none:1", Infrastructure: "edge"}}, []string{"e-amd", "e-arm"}, ""},
		"nothing is known": {nil, []string{"e-amd"}, "e-amd"},
	} {
		for _, strategy := range StrategyNames() {
			d := Demand{ID: "s", Elements: []Element{{ID: "e", AllowedNodes: c.allowed, Requirements: Requirements{CPU: 1, Images: c.images}}}}
			got := Decide(State{Snapshot: mixed(t)}, []Demand{d}, Options{Strategy: strategy, Explain: true})
			if at := nodeOf(&got, "s", "e"); at != c.want {
				t.Errorf("%s, %s: at %q, want %q", name, strategy, at, c.want)
			}
		}
	}
}

func TestImagesAreExplained(t *testing.T) {
	d := Demand{ID: "s", Elements: []Element{{ID: "e", AllowedNodes: []string{"e-amd"}, Requirements: Requirements{CPU: 1,
		Images: []Image{{Name: "acme/pi:1", Infrastructure: "edge", Arch: []string{"arm64"}}}}}}}
	got := Decide(State{Snapshot: mixed(t)}, []Demand{d}, Options{Explain: true})
	for _, x := range got.Explanations {
		for _, r := range x.Rejected {
			if r.Constraint == "image" && r.Nearest.Required == "acme/pi:1 for amd64" && strings.Contains(r.Nearest.Available, "only for arm64") {
				return
			}
		}
	}
	t.Errorf("not explained: %+v", got.Explanations)
}
