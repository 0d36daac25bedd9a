package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/osmoslice/osmoslice/models"
)

// placed is the answer to where and why; of the decision what is shown.
type placed struct {
	Feasibility string          `json:"feasibilityResult"`
	Operation   string          `json:"lcmOpOccId"`
	Decision    json.RawMessage `json:"decision"`
	Plan        json.RawMessage `json:"plan"`
	Slice       string          `json:"iotSliceId"`
	Reason      string          `json:"inFeasibleReason"`
	Assignments []struct {
		ElementID, Element, NodeID, Node, Infrastructure string
	} `json:"assignments"`
	plan   models.Plan
	inPlan json.RawMessage // the decision in the plan
}

// decision is what the placer said, as far as it is shown.
type decision struct {
	Cost     float64 `json:"cost"`
	Bound    float64 `json:"bound"`
	Gap      float64 `json:"gap"`
	Outcomes []struct {
		Status    string `json:"status"`
		Placement []struct{ Element, Node string }
	} `json:"outcomes"`
	Waiting []struct {
		Detail string `json:"detail"`
	} `json:"waiting"`
	Explanations []explanation `json:"explanations"`
	Refused      []struct{ Element, Infrastructure, Reason string }
	// Images are what was known, and in Note what was not, of a member's images.
	Images []struct {
		Element, Image, Note, From string
		Architectures              []string
	} `json:"images"`
}

type explanation struct {
	Element    string             `json:"element"`
	Node       string             `json:"node"`
	Reason     string             `json:"reason"`
	Terms      map[string]float64 `json:"terms"`
	Candidates int                `json:"candidates"`
	Fitting    int                `json:"fitting"`
	Rejected   []struct {
		Constraint string   `json:"constraint"`
		Count      int      `json:"count"`
		Nodes      []string `json:"nodes"`
		Nearest    struct{ Node, Peer, Required, Available string }
	} `json:"rejected"`
	Runners []struct {
		Node string  `json:"node"`
		More float64 `json:"more"`
	} `json:"runners"`
	Relaxation *struct {
		Change   string `json:"change"`
		Verified bool   `json:"verified"`
	} `json:"relaxation"`
}

// readPlacement reads the answer of the service.
func readPlacement(body json.RawMessage) (*placed, error) {
	p := &placed{}
	err := json.Unmarshal(body, p)
	if err == nil && len(p.Plan) > 0 {
		var with struct {
			Decision json.RawMessage `json:"decision"`
		}
		err = errors.Join(json.Unmarshal(p.Plan, &p.plan), json.Unmarshal(p.Plan, &with))
		p.inPlan = with.Decision
	}
	if err != nil {
		return nil, fmt.Errorf("the service answered no placement: %w", err)
	}
	return p, nil
}

func (p *placed) decision() (*decision, error) {
	raw := p.Decision
	if len(raw) == 0 {
		raw = p.inPlan
	}
	d := &decision{}
	if len(raw) == 0 {
		return d, nil
	}
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, fmt.Errorf("the service answered no decision: %w", err)
	}
	return d, nil
}

// placementOf reads the decision in force, or asks where the slice would go
// when there is none yet.
func (s *session) placementOf(ctx context.Context, sliceID string) (json.RawMessage, error) {
	w, err := s.wire()
	if err != nil {
		return nil, err
	}
	a, err := w.do(ctx, call{method: http.MethodGet, path: "/iotSlices/{id}/placement", ids: []string{sliceID}})
	if code := exitCode(err); code == exitNotFound || code == exitConflict {
		a, err = w.do(ctx, call{method: http.MethodPost, path: "/placements", body: map[string]any{"iotSliceId": sliceID}})
	}
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

func (s *session) showPlacementCommand(n *noun) *cobra.Command {
	return &cobra.Command{
		Use: "placement NAME", Short: "Show where each member runs, and why there", Args: args(1, 1, "the name or id of a slice"),
		ValidArgsFunction: s.completeNames(n, nil),
		RunE: func(cmd *cobra.Command, a []string) error {
			ctx, cancel := s.within(cmd.Context(), callTimeout)
			defer cancel()
			id, err := s.id(ctx, n, "", a[0])
			if err != nil {
				return err
			}
			body, err := s.placementOf(ctx, id)
			if err != nil {
				return err
			}
			return s.printPlacement(ctx, id, body)
		},
	}
}

func (s *session) whyNotCommand(n *noun) *cobra.Command {
	c := &cobra.Command{
		Use: "why-not NAME [MEMBER]", Short: "Show why members do not run elsewhere, or nowhere",
		Args: args(1, 2, "the name or id of a slice, and perhaps of a member"), ValidArgsFunction: s.completeNames(n, nil),
	}
	c.RunE = func(cmd *cobra.Command, a []string) error {
		ctx, cancel := s.within(cmd.Context(), callTimeout)
		defer cancel()
		id, err := s.id(ctx, n, "", a[0])
		if err != nil {
			return err
		}
		body, err := s.placementOf(ctx, id)
		if err != nil {
			return err
		}
		only := ""
		if len(a) > 1 {
			only = a[1]
		}
		return s.printWhyNot(ctx, id, body, only)
	}
	return c
}

// placementCommand asks without ordering, and reads what was decided.
func (s *session) placementCommand() *cobra.Command {
	c := group("placement", "Ask where an order would go, and read decisions")
	get := &cobra.Command{
		Use: "get OPERATION", Short: "Show the decision made for an operation", Args: args(1, 1, "the id of an operation, or the id or name of a placement"),
		RunE: func(cmd *cobra.Command, a []string) error {
			w, err := s.wire()
			if err != nil {
				return err
			}
			ctx, cancel := s.within(cmd.Context(), callTimeout)
			defer cancel()
			id, err := s.placementID(ctx, a[0])
			if err != nil {
				return err
			}
			answer, err := w.do(ctx, call{method: http.MethodGet, path: "/placements/{id}", ids: []string{id}})
			if err != nil {
				return err
			}
			return s.printPlacement(ctx, "", answer.body)
		},
	}
	var file, slice string
	n := placementNoun()
	get.Use, get.Short = "get PLACEMENT|OPERATION", "Show a kept placement, or the decision made for an operation"
	ask := &cobra.Command{
		Use: "ask", Short: "Ask whether an order would fit now, and where; nothing is reserved",
		Args: args(0, 0, "no argument, but -f FILE or --slice NAME"),
	}
	ask.Flags().StringVarP(&file, "file", "f", "", "file with the order, YAML or JSON; - is standard input")
	ask.Flags().StringVar(&slice, "slice", "", "a stored slice, by id or name")
	ask.RunE = func(cmd *cobra.Command, _ []string) error {
		if (file == "") == (slice == "") {
			return usagef("give either -f FILE or --slice NAME")
		}
		return s.ask(cmd.Context(), file, slice)
	}
	list, remove := s.listCommand(n), s.deleteCommand(n)
	list.Short, remove.Short = "List kept previews and reservations", "Forget kept previews, and release what they hold"
	c.AddCommand(get, ask, list, remove, s.previewCommand(), s.explainCommand(), s.whyNotNodeCommand(), s.surviveCommand())
	return c
}

func (s *session) ask(ctx context.Context, file, slice string) error {
	w, err := s.wire()
	if err != nil {
		return err
	}
	ctx, cancel := s.within(ctx, callTimeout)
	defer cancel()
	question, id, err := s.question(ctx, file, slice)
	if err != nil {
		return err
	}
	a, err := w.do(ctx, call{method: http.MethodPost, path: "/placements", body: question})
	if err != nil {
		return err
	}
	return s.printPlacement(ctx, id, a.body)
}

var placementColumns = []column{
	{"MEMBER", "member", false}, {"NODE", "node", false}, {"INFRASTRUCTURE", "infrastructure", false},
	{"CHOSEN FROM", "candidates", true}, {"FITTING", "fitting", true}, {"WHY", "why", false},
}

func (s *session) printPlacement(ctx context.Context, sliceID string, body json.RawMessage) error {
	p, err := readPlacement(body)
	if err != nil {
		return err
	}
	if s.structured() {
		if err := s.printDocument(body); err != nil {
			return err
		}
		return s.verdict(ctx, sliceID, p)
	}
	d, err := p.decision()
	if err != nil {
		return err
	}
	called := s.names(ctx, first(sliceID, p.Slice), d.ids())
	called.learn(&p.plan)
	called.assigned(p)
	why := map[string]explanation{}
	for _, e := range d.Explanations {
		why[e.Element] = e
	}
	var rows []json.RawMessage
	for _, o := range d.Outcomes {
		for _, at := range o.Placement {
			e := why[at.Element]
			raw, err := json.Marshal(map[string]any{
				"member": called.of(at.Element), "node": called.of(at.Node), "infrastructure": called.sites[at.Node],
				"why": called.in(e.Reason), "candidates": e.Candidates, "fitting": e.Fitting,
			})
			if err != nil {
				return err
			}
			rows = append(rows, raw)
		}
	}
	if err := s.printTable(placementColumns, rows); err != nil {
		return err
	}
	for _, i := range d.Images {
		if i.Note != "" {
			fmt.Fprintf(s.Out, "note: %s: %s\n", i.Element, i.Note)
		}
	}
	if len(rows) > 0 {
		fmt.Fprintf(s.Out, "cost %.4g, no placement costs less than %.4g (gap %.3g %%)\n", d.Cost, d.Bound, d.Gap)
	}
	return s.verdict(ctx, sliceID, p)
}

// verdict is an error when there is no place.
func (s *session) verdict(ctx context.Context, sliceID string, p *placed) error {
	if p.Feasibility != "INFEASIBLE" {
		return nil
	}
	reason := first(s.translated(ctx, sliceID, &p.plan, first(p.plan.Reason, p.Reason)), "there is no place for it now")
	return exitError{code: exitInfeasible, error: fmt.Errorf("infeasible: %s", reason)}
}

func (s *session) printWhyNot(ctx context.Context, sliceID string, body json.RawMessage, only string) error {
	p, err := readPlacement(body)
	if err != nil {
		return err
	}
	d, err := p.decision()
	if err != nil {
		return err
	}
	if s.structured() {
		if err := s.printDocument(body); err != nil {
			return err
		}
		return s.verdict(ctx, sliceID, p)
	}
	called := s.names(ctx, first(sliceID, p.Slice), d.ids())
	called.learn(&p.plan)
	called.assigned(p)
	shown := 0
	for _, e := range d.Explanations {
		if only != "" && only != e.Element && only != called.of(e.Element) {
			continue
		}
		shown++
		s.printExplanation(called, e)
		for _, r := range d.Refused {
			if r.Element == e.Element || r.Element == called.of(e.Element) {
				fmt.Fprintf(s.Out, "  not at %s: %s\n", called.of(r.Infrastructure), called.in(r.Reason))
			}
		}
		for _, i := range d.Images {
			switch {
			case i.Element != e.Element && i.Element != called.of(e.Element):
			case i.Note != "":
				fmt.Fprintf(s.Out, "  note: %s\n", i.Note)
			default:
				fmt.Fprintf(s.Out, "  image %s: for %s (%s)\n", i.Image, strings.Join(i.Architectures, ", "), i.From)
			}
		}
	}
	for _, w := range d.Waiting {
		fmt.Fprintf(s.Out, "waiting: %s\n", called.in(w.Detail))
	}
	if shown == 0 && only != "" {
		return usagef("no decision speaks of a member %q", only)
	}
	if shown == 0 {
		fmt.Fprintln(s.Out, "nothing was decided yet")
	}
	return s.verdict(ctx, sliceID, p)
}

func (s *session) printExplanation(called *called, e explanation) {
	where := "has no place"
	if e.Node != "" {
		where = "runs on " + called.of(e.Node)
	}
	fmt.Fprintf(s.Out, "%s %s: %s (%d of %d nodes fit)\n", called.of(e.Element), where, called.in(e.Reason), e.Fitting, e.Candidates)
	if s.flags.output == "wide" {
		for _, term := range sortedKeys(e.Terms) {
			fmt.Fprintf(s.Out, "  costs %.4g for %s\n", e.Terms[term], clean(term))
		}
	}
	for _, r := range e.Rejected {
		nodes := make([]string, len(r.Nodes))
		for i, id := range r.Nodes {
			nodes[i] = called.of(id)
		}
		more := ""
		if r.Count > len(nodes) {
			more = fmt.Sprintf(" and %d more", r.Count-len(nodes))
		}
		near := ""
		if r.Nearest.Required != "" {
			near = fmt.Sprintf("; nearest %s: needs %s, has %s", called.of(r.Nearest.Node), clean(r.Nearest.Required), clean(r.Nearest.Available))
		}
		fmt.Fprintf(s.Out, "  not on %s%s: %s%s\n", strings.Join(nodes, ", "), more, clean(r.Constraint), near)
	}
	for _, r := range e.Runners {
		fmt.Fprintf(s.Out, "  would fit on %s, but costs %.4g more\n", called.of(r.Node), r.More)
	}
	if e.Relaxation != nil {
		fmt.Fprintf(s.Out, "  it would fit: %s\n", called.in(e.Relaxation.Change))
	}
}
