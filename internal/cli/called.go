package cli

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"

	"github.com/osmoslice/osmoslice/models"
)

// called maps ids to names, as far as they could be found.
type called struct {
	names map[string]string
	sites map[string]string // node id to the name of its infrastructure
}

func (c *called) of(id string) string {
	if name := c.names[id]; name != "" {
		return clean(name)
	}
	if id == "" {
		return "-"
	}
	return clean(id)
}

var idRE = regexp.MustCompile(`[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`)

// in puts names for ids into a sentence.
func (c *called) in(sentence string) string {
	return clean(idRE.ReplaceAllStringFunc(sentence, func(id string) string { return c.of(id) }))
}

// translated puts names for the ids in a sentence of the service. A plan knows
// what its new members are called.
func (s *session) translated(ctx context.Context, sliceID string, plan *models.Plan, sentence string) string {
	ids := idRE.FindAllString(sentence, -1)
	if len(ids) == 0 {
		return clean(sentence)
	}
	c := s.names(ctx, sliceID, ids)
	c.learn(plan)
	return c.in(sentence)
}

func (c *called) learn(plan *models.Plan) {
	if plan == nil {
		return
	}
	for _, change := range plan.Changes {
		if change != nil && c.names[change.ID] == "" {
			c.names[change.ID] = change.Name
		}
	}
}

// assigned learns from a kept placement what its members and nodes are called.
func (c *called) assigned(p *placed) {
	for _, a := range p.Assignments {
		if c.names[a.ElementID] == "" {
			c.names[a.ElementID] = a.Element
		}
		if c.names[a.NodeID] == "" {
			c.names[a.NodeID] = a.Node
		}
		if c.sites[a.NodeID] == "" {
			c.sites[a.NodeID] = a.Infrastructure
		}
	}
}

// names looks up what ids are called. What cannot be read (a foreign
// infrastructure) keeps its id.
func (s *session) names(ctx context.Context, sliceID string, ids []string) *called {
	c := &called{names: map[string]string{}, sites: map[string]string{}}
	w, err := s.wire()
	if err != nil || !slices.ContainsFunc(ids, uuidRE.MatchString) {
		return c
	}
	learn := func(call call, each func(id, name string)) {
		rows, err := w.list(ctx, call, 0)
		if err != nil {
			return
		}
		for _, row := range rows {
			var v struct{ ID, Name string }
			if json.Unmarshal(row, &v) == nil {
				c.names[v.ID] = v.Name
				if each != nil {
					each(v.ID, v.Name)
				}
			}
		}
	}
	if sliceID != "" {
		for _, list := range []string{"iotServers", "iotGateways", "microElements"} {
			learn(call{path: "/iotSlices/{id}/" + list, ids: []string{sliceID}}, nil)
		}
	}
	sites := map[string]string{}
	learn(call{path: "/infrastructures", all: true}, func(id, name string) { sites[id] = name })
	for _, id := range sortedKeys(sites) {
		learn(call{path: "/infrastructures/{id}/nodes", ids: []string{id}, all: true}, func(node, _ string) { c.sites[node] = sites[id] })
		if c.knows(ids) {
			break
		}
	}
	return c
}

// ids are those a decision speaks of.
func (d *decision) ids() []string {
	var ids []string
	for _, o := range d.Outcomes {
		for _, a := range o.Placement {
			ids = append(ids, a.Node)
		}
	}
	for _, e := range d.Explanations {
		ids = append(ids, e.Element)
		for _, r := range e.Rejected {
			ids = append(append(ids, r.Nodes...), r.Nearest.Node)
		}
		for _, r := range e.Runners {
			ids = append(ids, r.Node)
		}
	}
	return ids
}

func (c *called) knows(ids []string) bool {
	return !slices.ContainsFunc(ids, func(id string) bool { return uuidRE.MatchString(id) && c.names[id] == "" })
}
