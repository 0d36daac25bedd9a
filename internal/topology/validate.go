package topology

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// sameFacts compares all but the measured facts.
func sameFacts(a, b *Node) bool {
	return a.ID == b.ID && a.Infrastructure == b.Infrastructure && a.Kind == b.Kind && a.Arch == b.Arch &&
		slices.Equal(a.Software, b.Software) && slices.Equal(a.Things, b.Things) &&
		slices.Equal(a.AccessTechnologies, b.AccessTechnologies) && maps.Equal(a.Labels, b.Labels) &&
		a.SecurityLevel == b.SecurityLevel && a.Area == b.Area &&
		a.EnergyPerCPU == b.EnergyPerCPU && a.PricePerCPU == b.PricePerCPU
}

func quantity(field string, v int64) error {
	if v < 0 || v > Infinite {
		return fault.Field(field, fmt.Sprint(v), fmt.Sprintf("0 to %d (without limit)", Infinite))
	}
	return nil
}

func measure(field string, v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return fault.Field(field, fmt.Sprint(v), "a finite number, 0 or more")
	}
	return nil
}

func first(errs ...error) error {
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}

// Validate checks a capacity; field is its path in the input.
func (c Capacity) Validate(field string) error {
	return first(quantity(field+"/cpu", c.CPU), quantity(field+"/memory", c.Memory), quantity(field+"/storage", c.Storage))
}

// Validate checks a path; field is its path in the input.
func (p Path) Validate(field string) error {
	if math.IsNaN(p.Loss) || p.Loss < 0 || p.Loss > 1 {
		return fault.Field(field+"/loss", fmt.Sprint(p.Loss), "a fraction from 0 to 1")
	}
	return first(measure(field+"/latencyMs", p.LatencyMS), quantity(field+"/bandwidthKbit", p.BandwidthKbit))
}

// Validate checks a node by itself; field is its path in the input.
func (n *Node) Validate(field string) error {
	if n.ID == "" {
		return fault.Field(field+"/id", "", "a non-empty id")
	}
	if !slices.Contains(kinds, n.Kind) {
		return fault.Field(field+"/kind", string(n.Kind), fmt.Sprint(kinds))
	}
	if l := n.Location; l != nil {
		if !(l.Lat >= -90 && l.Lat <= 90) {
			return fault.Field(field+"/location/lat", fmt.Sprint(l.Lat), "degrees from -90 to 90")
		}
		if !(l.Lon >= -180 && l.Lon <= 180) {
			return fault.Field(field+"/location/lon", fmt.Sprint(l.Lon), "degrees from -180 to 180")
		}
	}
	return first(n.Capacity.Validate(field+"/capacity"),
		measure(field+"/energyPerCpu", n.EnergyPerCPU), measure(field+"/pricePerCpu", n.PricePerCPU))
}

// check validates a delta against the snapshot it is meant for.
func (s *Snapshot) check(d Delta) error {
	gone := map[string]bool{}
	for k, id := range d.RemoveNodes {
		if _, ok := s.Index(id); !ok {
			return fault.Field(fmt.Sprintf("removeNodes/%d", k), id, "the id of a present node")
		}
		gone[id] = true
	}
	if err := s.checkGroups(d); err != nil {
		return err
	}
	added := map[string]bool{}
	for k := range d.Nodes {
		n, field := &d.Nodes[k], fmt.Sprintf("nodes/%d", k)
		if err := n.Validate(field); err != nil {
			return err
		}
		if added[n.ID] {
			return fault.Field(field+"/id", n.ID, "an id named once")
		}
		if _, ok := s.groups.index[n.Infrastructure]; !ok && !named(d.Infrastructures, n.Infrastructure) {
			return fault.Field(field+"/infrastructure", n.Infrastructure, "the id of a known infrastructure, or none")
		}
		added[n.ID] = true
	}
	present := func(id string) bool {
		_, ok := s.Index(id)
		return added[id] || ok && !gone[id]
	}
	for k, l := range d.Links {
		if err := checkEnds("links", k, l.From, l.To, present); err != nil {
			return err
		}
		if err := l.Path().Validate(fmt.Sprintf("links/%d", k)); err != nil {
			return err
		}
	}
	for k, l := range d.RemoveLinks {
		if err := checkEnds("removeLinks", k, l[0], l[1], present); err != nil {
			return err
		}
	}
	for k, id := range d.Order {
		if !present(id) {
			return fault.Field(fmt.Sprintf("order/%d", k), id, "the id of a present node")
		}
	}
	return nil
}

func checkEnds(list string, k int, from, to string, present func(string) bool) error {
	switch {
	case !present(from):
		return fault.Field(fmt.Sprintf("%s/%d/from", list, k), from, "the id of a present node")
	case !present(to):
		return fault.Field(fmt.Sprintf("%s/%d/to", list, k), to, "the id of a present node")
	case from == to:
		return fault.Field(fmt.Sprintf("%s/%d/to", list, k), to, "another node than its from")
	}
	return nil
}

func named(list []Infrastructure, id string) bool {
	return slices.ContainsFunc(list, func(f Infrastructure) bool { return f.ID == id })
}

func (s *Snapshot) checkGroups(d Delta) error {
	known := map[string]bool{}
	for k, f := range d.Infrastructures {
		field := fmt.Sprintf("infrastructures/%d", k)
		if f.ID == "" || known[f.ID] {
			return fault.Field(field+"/id", f.ID, "a non-empty id, named once")
		}
		known[f.ID] = true
		if f.Intra != nil {
			if err := f.Intra.Validate(field + "/intra"); err != nil {
				return err
			}
		}
	}
	for k, l := range d.GroupLinks {
		field := fmt.Sprintf("groupLinks/%d", k)
		for end, id := range map[string]string{"from": l.From, "to": l.To} {
			if _, ok := s.groups.index[id]; id == "" || !ok && !known[id] {
				return fault.Field(field+"/"+end, id, "the id of a known infrastructure")
			}
		}
		if l.From == l.To {
			return fault.Field(field+"/to", l.To, "another infrastructure; paths within one are its intra")
		}
		if err := l.Path.Validate(field + "/path"); err != nil {
			return err
		}
	}
	return nil
}

func (s *Snapshot) checkPatch(p Patch) error {
	for k, v := range p.Nodes {
		if s.Node(v.Node) == nil {
			return fault.Field(fmt.Sprintf("nodes/%d", k), fmt.Sprint(v.Node), "the index of a present node")
		}
		if v.Capacity.Validate("") != nil {
			return v.Capacity.Validate(fmt.Sprintf("nodes/%d/capacity", k))
		}
	}
	for k, l := range p.Links {
		if s.Node(l.From) == nil || s.Node(l.To) == nil || l.From == l.To {
			return fault.Field(fmt.Sprintf("links/%d", k), fmt.Sprintf("%d to %d", l.From, l.To), "two different present nodes")
		}
		if err := l.Path.Validate(""); err != nil {
			return l.Path.Validate(fmt.Sprintf("links/%d", k))
		}
	}
	return nil
}
