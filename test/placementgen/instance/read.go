package instance

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// base is base.json of both families.
type base struct {
	Family  string         `json:"family"`
	HwTh    float64        `json:"hwTh"`
	BwTh    float64        `json:"bwTh"`
	Nodes   []baseNode     `json:"nodes"`
	Tiers   [][][2]float64 `json:"tier_links_lat_bw"`
	Links   [][4]float64   `json:"links_i_j_lat_bw"`
	Commits []App          `json:"commits"`
	Apps    []App          `json:"apps_initial"`
}

type baseNode struct {
	ID       string          `json:"id"`
	Tier     int             `json:"tier"`
	Region   string          `json:"region"`
	Hardware json.RawMessage `json:"hardware"`
	RAM      float64         `json:"ram_gb"`
	Software []string        `json:"software"`
	Things   []string        `json:"things"`
}

// Read reads an instance folder; its steps are read one by one later.
func Read(dir string) (*Instance, error) {
	raw, err := readFile(dir, "base.json")
	if err != nil {
		return nil, err
	}
	var b base
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, fmt.Errorf("%s: base.json: %w", dir, err)
	}
	in := &Instance{Name: filepath.Base(dir), Family: b.Family, Commits: b.Commits, Apps: b.Apps}
	if in.Family == "" {
		in.Family = "vr"
		if len(b.Apps) > 0 {
			in.Family = "fogarm"
		}
	}
	in.Headroom.Node.CPU, in.Headroom.BandwidthKbit = units(b.HwTh), units(b.BwTh)
	for _, n := range b.Nodes {
		hw, err := hardware(n)
		if err != nil {
			return nil, fmt.Errorf("%s: base.json: node %s: %w", dir, n.ID, err)
		}
		in.Nodes = append(in.Nodes, Node{n.ID, n.Tier, n.Region, hw, n.Software, n.Things})
	}
	for _, row := range b.Tiers {
		var paths []topology.Path
		for _, v := range row {
			paths = append(paths, path(v[0], v[1]))
		}
		in.Tiers = append(in.Tiers, paths)
	}
	for _, l := range b.Links {
		in.Links = append(in.Links, [2]int32{int32(l[0]), int32(l[1])})
		in.First = append(in.First, path(l[2], l[3]))
	}
	if in.steps, err = readFile(dir, "steps.jsonl"); err != nil {
		return nil, err
	}
	in.Total = bytes.Count(bytes.TrimSpace(in.steps), []byte{'\n'}) + 1
	if in.Family == "vr" {
		in.Total++ // step 0 is the base
	}
	return in, in.check()
}

func (in *Instance) check() error {
	switch {
	case in.Family != "vr" && in.Family != "fogarm":
		return fmt.Errorf("%s: family %q: allowed are vr and fogarm", in.Name, in.Family)
	case len(in.Nodes) == 0:
		return fmt.Errorf("%s: no nodes", in.Name)
	case in.Family == "vr" && len(in.Commits) == 0:
		return fmt.Errorf("%s: no commits", in.Name)
	}
	for _, n := range in.Nodes {
		if in.Family == "vr" && (n.Tier < 0 || n.Tier >= len(in.Tiers)) {
			return fmt.Errorf("%s: node %s: tier %d of %d", in.Name, n.ID, n.Tier, len(in.Tiers))
		}
	}
	return nil
}

func path(latency, mbit float64) topology.Path {
	return topology.Path{LatencyMS: latency, BandwidthKbit: units(mbit)}
}

func hardware(n baseNode) (int64, error) {
	if len(n.Hardware) == 0 {
		return units(n.RAM), nil
	}
	if string(n.Hardware) == `"inf"` {
		return topology.Infinite, nil
	}
	var v float64
	err := json.Unmarshal(n.Hardware, &v)
	if err == nil && (math.IsNaN(v) || v < 0) {
		err = errors.New("hardware must be 0 or more")
	}
	return units(v), err
}

// readFile reads a file of a folder, plain or gzipped.
func readFile(dir, name string) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return raw, err
	}
	f, err := os.Open(filepath.Join(dir, name+".gz"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s/%s.gz: %w", dir, name, err)
	}
	return io.ReadAll(z)
}
