package placement

import (
	"fmt"
	"math"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Limits on one demand; beyond them a demand is refused, not tried.
const (
	MaxElements = 10_000
	MaxFlows    = 100_000
	// MaxQuantity is the most that one element or flow may ask for.
	MaxQuantity int64 = 1 << 40
)

// Validate checks a demand by itself. Errors are Invalid faults that name the
// field, what was given and what is allowed.
func (d *Demand) Validate() error {
	switch {
	case d.ID == "":
		return fault.Field("id", "", "a non-empty id")
	case len(d.Elements) > MaxElements:
		return fault.Field("elements", fmt.Sprintf("%d elements", len(d.Elements)), fmt.Sprintf("at most %d", MaxElements))
	case len(d.Flows) > MaxFlows:
		return fault.Field("flows", fmt.Sprintf("%d flows", len(d.Flows)), fmt.Sprintf("at most %d", MaxFlows))
	}
	ids := make(map[string]bool, len(d.Elements))
	for k := range d.Elements {
		e, field := &d.Elements[k], fmt.Sprintf("elements/%d", k)
		if e.ID == "" || ids[e.ID] {
			return fault.Field(field+"/id", e.ID, "a non-empty id, unique in its demand")
		}
		ids[e.ID] = true
		if err := e.validate(field); err != nil {
			return err
		}
	}
	for k := range d.Flows {
		if err := d.Flows[k].validate(fmt.Sprintf("flows/%d", k), ids); err != nil {
			return err
		}
	}
	return d.validateGroups()
}

func (e *Element) validate(field string) error {
	r := e.Requirements
	for _, q := range [3]struct {
		name  string
		value int64
	}{{"cpu", r.CPU}, {"memory", r.Memory}, {"storage", r.Storage}} {
		if q.value < 0 || q.value > MaxQuantity {
			return fault.Field(field+"/requirements/"+q.name, fmt.Sprint(q.value), fmt.Sprintf("0 to %d", MaxQuantity))
		}
	}
	for k, kind := range e.AllowedKinds {
		if !slices.Contains(topology.Kinds(), kind) {
			return fault.Field(fmt.Sprintf("%s/allowedKinds/%d", field, k), string(kind), fmt.Sprint(topology.Kinds()))
		}
	}
	switch e.Kind {
	case "", Gateway, Server, MicroElement:
	default:
		return fault.Field(field+"/kind", string(e.Kind), "gateway, server or microElement")
	}
	if math.IsNaN(e.LatencyMS) || e.LatencyMS < 0 {
		return fault.Field(field+"/latencyMs", fmt.Sprint(e.LatencyMS), "0 (no matter) or a positive number")
	}
	for _, g := range e.Affinity {
		if slices.Contains(e.AntiAffinity, g) || slices.Contains(e.Redundancy, g) {
			return fault.Field(field+"/affinity", g, "a group that the element is not also kept apart in")
		}
	}
	return nil
}

func (f *Flow) validate(field string, ids map[string]bool) error {
	if (f.From == "") == (f.FromNode == "") {
		return fault.Field(field+"/from", f.From+f.FromNode, "either from or fromNode")
	}
	if (f.To == "") == (f.ToNode == "") {
		return fault.Field(field+"/to", f.To+f.ToNode, "either to or toNode")
	}
	if f.From != "" && !ids[f.From] {
		return fault.Field(field+"/from", f.From, "the id of an element of the demand")
	}
	if f.To != "" && !ids[f.To] {
		return fault.Field(field+"/to", f.To, "the id of an element of the demand")
	}
	if f.From == "" && f.To == "" {
		return fault.Field(field, f.FromNode+" to "+f.ToNode, "at least one end that is an element")
	}
	if f.From != "" && f.From == f.To {
		return fault.Field(field+"/to", f.To, "another element than its from")
	}
	if math.IsNaN(f.MaxLatencyMS) || f.MaxLatencyMS < 0 {
		return fault.Field(field+"/maxLatencyMs", fmt.Sprint(f.MaxLatencyMS), "0 (no bound) or a positive number")
	}
	if math.IsNaN(f.MaxLoss) || f.MaxLoss < 0 || f.MaxLoss > 1 {
		return fault.Field(field+"/maxLoss", fmt.Sprint(f.MaxLoss), "0 (no bound) to 1")
	}
	if f.BandwidthKbit < 0 || f.BandwidthKbit > MaxQuantity {
		return fault.Field(field+"/bandwidthKbit", fmt.Sprint(f.BandwidthKbit), fmt.Sprintf("0 to %d", MaxQuantity))
	}
	return nil
}

// validateGroups refuses elements that affinity joins, over any chain or ring
// of groups, while anti-affinity or redundancy keeps them apart.
func (d *Demand) validateGroups() error {
	root := make([]int, len(d.Elements))
	for k := range root {
		root[k] = k
	}
	find := func(k int) int {
		for root[k] != k {
			root[k] = root[root[k]]
			k = root[k]
		}
		return k
	}
	first := map[string]int{}
	for k := range d.Elements {
		for _, g := range d.Elements[k].Affinity {
			if f, ok := first[g]; ok {
				root[find(k)] = find(f)
			} else {
				first[g] = k
			}
		}
	}
	apart := map[string]int{}
	for k := range d.Elements {
		e := &d.Elements[k]
		for kind, groups := range [2][]string{e.AntiAffinity, e.Redundancy} {
			for _, g := range groups {
				key := fmt.Sprint(kind, "/", find(k), "/", g)
				if other, ok := apart[key]; ok {
					return fault.Field(fmt.Sprintf("elements/%d/affinity", k), e.ID+" and "+d.Elements[other].ID,
						fmt.Sprintf("elements that group %q keeps apart must not be joined by affinity", g))
				}
				apart[key] = k
			}
		}
	}
	return nil
}

// Validate checks options.
func (o *Options) Validate() error {
	switch o.Model {
	case "", ModelOsmoslice, ModelFogBrain:
	default:
		return fault.Field("model", string(o.Model), "osmoslice or fogbrain")
	}
	if _, ok := Strategies[o.Strategy]; o.Strategy != "" && !ok {
		return fault.Field("strategy", o.Strategy, fmt.Sprint(StrategyNames()))
	}
	if o.Budget < 0 {
		return fault.Field("budget", fmt.Sprint(o.Budget), "0 (default) or more search steps")
	}
	if h := o.Headroom.Node; h.CPU < 0 || h.Memory < 0 || h.Storage < 0 {
		return fault.Field("headroom/node", fmt.Sprintf("%+v", h), "0 or more")
	}
	if o.Headroom.BandwidthKbit < 0 {
		return fault.Field("headroom/bandwidthKbit", fmt.Sprint(o.Headroom.BandwidthKbit), "0 or more")
	}
	if o.Weights != nil {
		return o.Weights.validate()
	}
	return nil
}

func (w *Weights) validate() error {
	for name, v := range map[string]float64{"waiting": w.Waiting, "move": w.Move, "preference": w.Preference,
		"traffic": w.Traffic, "balance": w.Balance, "energy": w.Energy, "price": w.Price, "hysteresis": w.Hysteresis, "latencyBoundMs": w.LatencyBoundMS} {
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			return fault.Field("weights/"+name, fmt.Sprint(v), "a finite number, 0 or more")
		}
	}
	for _, table := range []map[topology.Kind]float64{w.LatencyBound, w.Relaxed} {
		for k, v := range table {
			if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
				return fault.Field("weights/"+string(k), fmt.Sprint(v), "a finite number, 0 or more")
			}
		}
	}
	return nil
}
