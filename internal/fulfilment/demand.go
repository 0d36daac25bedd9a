package fulfilment

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// question is what the placer is asked.
type question struct {
	demand   placement.Demand
	refusals []refusal
	refused  error // a rule that no place could honour
}

// question makes the demand of a situation: one element per member that shall
// run, bounded by the slice's and its own policy.
func (p *placer) question(sit *Situation) question {
	sl := sit.Slice
	q := question{demand: placement.Demand{ID: sl.ID, Tenant: sl.Tenant, Priority: sl.Priority, Submitted: sl.CreatedAt}}
	for _, e := range sit.Elements {
		if sit.doomed(e) {
			continue
		}
		el, err := p.element(sit, e, &q)
		if err != nil {
			q.refused = err
			return q
		}
		q.demand.Elements = append(q.demand.Elements, el)
	}
	q.groups(sit)
	q.flows(sit)
	return q
}

// policies that bind an element, the slice's first.
func policies(sit *Situation, e *slice.Element) []*slice.PlacementPolicy {
	var out []*slice.PlacementPolicy
	for _, p := range []*slice.PlacementPolicy{sit.Slice.Placement, e.Placement, sit.target(e)} {
		if p != nil {
			out = append(out, p)
		}
	}
	return out
}

// narrow intersects two lists of which an empty one allows all. ok is false when
// nothing is left.
func narrow(a, b []string) (out []string, ok bool) {
	switch {
	case len(a) == 0:
		return b, true
	case len(b) == 0:
		return a, true
	}
	out = slices.DeleteFunc(slices.Clone(a), func(v string) bool { return !slices.Contains(b, v) })
	return out, len(out) > 0
}

func (p *placer) element(sit *Situation, e *slice.Element, q *question) (placement.Element, error) {
	need := sit.Needs[e.ID]
	el := placement.Element{
		ID: e.ID, Name: e.Name, Kind: placement.ElementKind(e.Element),
		Requirements: placement.Requirements{
			CPU: need.CPU, Memory: need.Memory, Storage: need.Storage, Software: need.Software, Things: need.Things,
			Arch: need.Architectures, AccessTechnologies: need.AccessTechnologies, Labels: map[string]string{},
		},
	}
	if sp := sit.Slice.ServiceProfile; sp != nil && e.Element == slice.Gateway {
		el.Requirements.AccessTechnologies = union(need.AccessTechnologies, sp.AccessTechnologies)
	}
	if e.Element == slice.Gateway {
		el.LatencyMS = latencyBound(sit, e)
	}
	if e.Run == nil || !sit.mayStay(e) {
		el.Requirements.Labels[openLabel] = "yes"
	}
	var kinds, nodes []string
	for _, pol := range policies(sit, e) {
		var ok bool
		if kinds, ok = narrow(kinds, pol.Kinds); !ok {
			return el, clashing(e, "kinds")
		}
		if len(pol.Nodes) > 0 {
			ids, err := p.nodeIDs(sit, e, pol.Nodes)
			if err != nil {
				return el, err
			}
			if nodes, ok = narrow(nodes, ids); !ok {
				return el, clashing(e, "nodes")
			}
		}
		for k, v := range pol.NodeLabels {
			if old, both := el.Requirements.Labels[k]; both && old != v {
				return el, clashing(e, "nodeLabels/"+k)
			}
			el.Requirements.Labels[k] = v
		}
		el.Requirements.SecurityLevel = max(el.Requirements.SecurityLevel, pol.MinSecurity)
	}
	for _, k := range kinds {
		el.AllowedKinds = append(el.AllowedKinds, topology.Kind(k))
	}
	allowed, all := p.infrastructures(sit, e, &el, q)
	switch {
	case len(allowed) == 0:
		return el, p.nowhere(e, q)
	case !all:
		el.AllowedInfrastructures = allowed
	}
	el.AllowedNodes = p.affordable(sit, e, nodes, allowed)
	if limit := maxPrice(sit, e); limit != nil && len(el.AllowedNodes) == 0 {
		return el, fault.New(fault.Conflict, "no node may run %q within placementPolicy/maxPricePerHour %g", e.Name, *limit)
	}
	return el, nil
}

func clashing(e *slice.Element, field string) error {
	return fault.New(fault.Conflict, "the slice's placementPolicy/%s and that of %q have nothing in common", field, e.Name)
}

// nowhere says why no infrastructure is a candidate.
func (p *placer) nowhere(e *slice.Element, q *question) error {
	var why []string
	for _, r := range q.refusals {
		if r.Element == e.Name && len(why) < 5 {
			why = append(why, r.Infrastructure+": "+r.Reason)
		}
	}
	if len(why) == 0 {
		why = []string{"no infrastructure is registered for this tenant"}
	}
	return fault.New(fault.Conflict, "no infrastructure may run %q: %s", e.Name, strings.Join(why, "; "))
}

// nodeIDs resolves pinned nodes, by id or name.
func (p *placer) nodeIDs(sit *Situation, e *slice.Element, pins []string) ([]string, error) {
	var ids []string
	for _, pin := range pins {
		before := len(ids)
		if n := p.nodes[pin]; n != nil && p.usable(n.Infrastructure, sit.Slice.Tenant) {
			ids = append(ids, pin)
		}
		for _, id := range slices.Sorted(maps.Keys(p.nodes)) {
			if n := p.nodes[id]; n.Name == pin && p.usable(n.Infrastructure, sit.Slice.Tenant) {
				ids = append(ids, id)
			}
		}
		if len(ids) == before {
			return nil, fault.New(fault.Conflict, "%q is pinned to node %q, which does not exist", e.Name, pin)
		}
	}
	return ids, nil
}

func (p *placer) usable(infrastructure, tenant string) bool {
	v := p.infra[infrastructure]
	return v != nil && usable(v, tenant)
}

// infrastructures lists where an element may go; all tells that there is no
// other registered one with nodes.
func (p *placer) infrastructures(sit *Situation, e *slice.Element, el *placement.Element, q *question) (allowed []string, all bool) {
	all = true
	for _, id := range p.order {
		v := p.infra[id]
		if !usable(v, sit.Slice.Tenant) {
			all = false
			continue // not this tenant's to know
		}
		if why := refuse(sit, e, v); why != "" {
			all = false
			q.refusals = append(q.refusals, refusal{e.Name, v.Name, why})
			continue
		}
		if len(p.nodesOf[id]) == 0 {
			q.refusals = append(q.refusals, refusal{e.Name, v.Name, "it has no nodes"})
			continue
		}
		if why := p.imageRules(sit, e, v, el); why != "" {
			all = false
			q.refusals = append(q.refusals, refusal{e.Name, v.Name, why})
			continue
		}
		allowed = append(allowed, id)
	}
	return allowed, all
}

// refuse is why an element may not run at an infrastructure, "" if it may.
func refuse(sit *Situation, e *slice.Element, v *slice.Infrastructure) string {
	pr := sit.Products[e.ID]
	if _, ok := pr.Packaging[v.Plugin]; !ok {
		return fmt.Sprintf("product %s %s is not packaged for plugin %s", pr.Name, pr.Version, v.Plugin)
	}
	if !sit.Plugins[v.Plugin] {
		return fmt.Sprintf("plugin %s is not part of this service", v.Plugin)
	}
	if !sit.mayStay(e) || e.Run.Infrastructure != v.ID {
		switch {
		case v.Cordoned:
			return "it is cordoned"
		case v.State == slice.Inactive:
			return "it does not answer: " + v.Cause
		}
	}
	named := func(list []string) bool { return slices.Contains(list, v.ID) || slices.Contains(list, v.Name) }
	for _, pol := range policies(sit, e) {
		switch {
		case len(pol.Infrastructures) > 0 && !named(pol.Infrastructures):
			return fmt.Sprintf("placementPolicy/infrastructures allows %v", pol.Infrastructures)
		case named(pol.DeniedInfrastructures):
			return "placementPolicy/deniedInfrastructures names it"
		case len(pol.Providers) > 0 && !slices.Contains(pol.Providers, v.Provider):
			return fmt.Sprintf("its provider is %q, placementPolicy/providers allows %v", v.Provider, pol.Providers)
		case len(pol.Area) > 0 && !slices.ContainsFunc(pol.Area, func(a string) bool { return v.Area == a || strings.HasPrefix(v.Area, a+"/") }):
			return fmt.Sprintf("its area is %q, placementPolicy/area allows %v", v.Area, pol.Area)
		}
	}
	if e.Element == slice.Gateway {
		if bound := latencyBound(sit, e); bound > 0 && v.AccessLatencyMS > bound {
			return fmt.Sprintf("latency from its access network is %g ms > %g ms", v.AccessLatencyMS, bound)
		}
	}
	return ""
}

// latencyBound is the least latency that the element or the profile asks for
// between devices and a gateway, ms; 0: none.
func latencyBound(sit *Situation, e *slice.Element) float64 {
	bound := sit.Needs[e.ID].MaxLatencyMS
	if sp := sit.Slice.ServiceProfile; sp != nil {
		for _, l := range []*float64{sp.DLLatency, sp.ULLatency} {
			if l != nil && *l > 0 && (bound == 0 || *l < bound) {
				bound = *l
			}
		}
	}
	return bound
}

func maxPrice(sit *Situation, e *slice.Element) *float64 {
	var limit *float64
	for _, pol := range policies(sit, e) {
		if m := pol.MaxPricePerHour; m != nil && (limit == nil || *m < *limit) {
			limit = m
		}
	}
	return limit
}

// affordable narrows nodes (none: all) to those within the price bound, when
// there is one.
func (p *placer) affordable(sit *Situation, e *slice.Element, nodes, allowed []string) []string {
	limit := maxPrice(sit, e)
	if limit == nil {
		return nodes
	}
	if len(nodes) == 0 {
		for _, v := range allowed {
			nodes = append(nodes, slices.Sorted(maps.Keys(p.nodesOf[v]))...)
		}
	}
	cores := float64(sit.Needs[e.ID].CPU) / 1000
	return slices.DeleteFunc(slices.Clone(nodes), func(id string) bool {
		n := p.nodes[id]
		return n == nil || cores*firstOf(n.PricePerCPUHour, p.infra[n.Infrastructure].PricePerCPUHour) > *limit
	})
}

// groups translates affinities: who must, or must not, share a node.
func (q *question) groups(sit *Situation) {
	byName := map[string]*placement.Element{}
	for k := range q.demand.Elements {
		byName[q.demand.Elements[k].Name] = &q.demand.Elements[k]
	}
	pair := func(a, b string) string { return min(a, b) + "+" + max(a, b) }
	for _, e := range sit.Elements {
		me := byName[e.Name]
		if me == nil {
			continue
		}
		for _, pol := range policies(sit, e) {
			for _, other := range pol.Affinity {
				if o := byName[other]; o != nil && o != me {
					g := pair(e.Name, other)
					me.Affinity, o.Affinity = union(me.Affinity, []string{g}), union(o.Affinity, []string{g})
				}
			}
			for _, other := range pol.AntiAffinity {
				if o := byName[other]; o != nil && o != me {
					g := pair(e.Name, other)
					me.AntiAffinity, o.AntiAffinity = union(me.AntiAffinity, []string{g}), union(o.AntiAffinity, []string{g})
				}
			}
			switch pol.Spread {
			case "node":
				me.AntiAffinity = union(me.AntiAffinity, []string{"~spread"})
			case "infrastructure":
				me.Redundancy = union(me.Redundancy, []string{"~spread"})
			}
		}
	}
}

// flows states the latency and bandwidth bounds between members.
func (q *question) flows(sit *Situation) {
	for _, f := range sit.flows(sit.wanted) {
		q.demand.Flows = append(q.demand.Flows, placement.Flow{From: f.from.ID, To: f.to.ID, MaxLatencyMS: f.latency, BandwidthKbit: f.kbit})
	}
}
