package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/osmoslice/osmoslice/models"
)

// showPlan tells people what a dry run found. The answer is a Plan, or a
// resource with the plan in it, or a resource alone.
func (s *session) showPlan(ctx context.Context, n *noun, verb string, body json.RawMessage) error {
	plan, err := planOf(body)
	if err != nil {
		return err
	}
	known := &models.Plan{}
	if plan != nil {
		known.Changes = plan.Changes
	}
	if plan != nil && verb == "converged" { // the differences were shown already
		plan.Changes = nil
	}
	if plan == nil {
		if !s.structured() {
			fmt.Fprintf(s.Out, "%s would be %s\n", n.name, verb)
		}
		return nil
	}
	if !s.structured() {
		s.printPlan(ctx, plan)
	}
	if !plan.Feasible && (plan.Reason != "" || len(plan.Steps) > 0) {
		reason := first(s.translated(ctx, "", known, plan.Reason), "there is no place for it now")
		return exitError{code: exitInfeasible, error: fmt.Errorf("infeasible: %s", reason)}
	}
	return nil
}

func planOf(body json.RawMessage) (*models.Plan, error) {
	if len(body) == 0 {
		return nil, nil
	}
	var with struct {
		DryRunPlan *models.Plan    `json:"dryRunPlan"`
		Plan       *models.Plan    `json:"plan"`
		Feasible   *bool           `json:"feasible"`
		Changes    json.RawMessage `json:"changes"`
	}
	if err := json.Unmarshal(body, &with); err != nil {
		return nil, fmt.Errorf("the service answered no plan: %w", err)
	}
	if with.DryRunPlan != nil || with.Plan != nil {
		if with.DryRunPlan != nil {
			return with.DryRunPlan, nil
		}
		return with.Plan, nil
	}
	if with.Feasible == nil {
		return nil, nil
	}
	plan := &models.Plan{}
	return plan, json.Unmarshal(body, plan)
}

var signs = map[string]string{"create": "+", "update": "~", "delete": "-"}

func (s *session) printPlan(ctx context.Context, p *models.Plan) {
	for _, c := range p.Changes {
		if c != nil {
			fmt.Fprintf(s.Out, "%s %s %s\n", first(signs[c.Verb], "?"), c.Kind, clean(first(c.Name, c.ID)))
		}
	}
	if len(p.Steps) > 0 {
		fmt.Fprintf(s.Out, "%d steps would run:\n", len(p.Steps))
	}
	for _, st := range p.Steps {
		if st != nil {
			fmt.Fprintf(s.Out, "  %-12s %s%s\n", st.Action, clean(st.TargetName), s.at(ctx, st.InfrastructureID))
		}
	}
}

// at names the infrastructure of a step, as far as it can be read.
func (s *session) at(ctx context.Context, id string) string {
	if id == "" {
		return ""
	}
	if s.siteNames == nil {
		s.siteNames = map[string]string{}
		if w, err := s.wire(); err == nil {
			rows, err := w.list(ctx, call{path: "/infrastructures", all: true}, 1000)
			for _, row := range rows {
				var v struct{ ID, Name string }
				if err == nil && json.Unmarshal(row, &v) == nil {
					s.siteNames[v.ID] = v.Name
				}
			}
		}
	}
	return " at " + clean(first(s.siteNames[id], id))
}
