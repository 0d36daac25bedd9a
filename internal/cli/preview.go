package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// placementNoun is a kept placement, as lists and deletes know it. It is made by
// asking, not by a create.
func placementNoun() *noun {
	return &noun{
		name: "placement", what: "a kept placement", collection: "placements",
		columns: withMeta(column{"SLICE", "iotSliceName", false}, column{"FEASIBLE", "feasibilityResult", false},
			column{"RESERVATION", "resourceReservationStatus", false}, column{"UNTIL", "reservationExpiration", false},
			column{"KEPT UNTIL", "keptUntil", true}, column{"OPERATION", "lcmOpOccId", true}),
	}
}

// placementID finds a kept placement by id or name; an id may be an operation's.
func (s *session) placementID(ctx context.Context, ref string) (string, error) {
	if uuidRE.MatchString(ref) {
		return ref, nil
	}
	ctx, cancel := s.within(ctx, callTimeout)
	defer cancel()
	return s.id(ctx, placementNoun(), "", ref)
}

// asking is what a preview is asked with.
type asking struct {
	file, slice, name string
	reserve           bool
	until             string
}

func (s *session) previewCommand() *cobra.Command {
	a := asking{}
	c := &cobra.Command{
		Use: "preview", Short: "Keep a plan to be ordered later, with --reserve also what it needs",
		Long: "The answer is kept with everything it relied on: slice apply --placement NAME runs exactly this plan,\n" +
			"or says which node, link or row of the ledger has changed. With --reserve what it needs is held until then.",
		Args: args(0, 0, "no argument, but -f FILE or --slice NAME"),
	}
	f := c.Flags()
	f.StringVarP(&a.file, "file", "f", "", "file with the order, YAML or JSON; - is standard input")
	f.StringVar(&a.slice, "slice", "", "a stored slice, by id or name")
	f.StringVar(&a.name, "name", "", "name of what is kept; not given: its id")
	f.BoolVar(&a.reserve, "reserve", false, "hold what it needs, for the service's usual time")
	f.StringVar(&a.until, "until", "", "hold it until a time (2027-01-31T00:00:00Z), or for a duration (15m)")
	change := changeFlagsOn(c, false)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if (a.file == "") == (a.slice == "") {
			return usagef("give either -f FILE or --slice NAME")
		}
		if a.until != "" && !a.reserve {
			return usagef("--until is for --reserve")
		}
		return s.preview(cmd.Context(), a, change)
	}
	return c
}

// question is the body of a feasibility check.
func (s *session) question(ctx context.Context, file, slice string) (map[string]any, string, error) {
	if file != "" {
		order, err := s.readBody(file)
		return map[string]any{"order": order}, "", err
	}
	id, err := s.id(ctx, nounOf("slice"), "", slice)
	return map[string]any{"iotSliceId": id}, id, err
}

func (s *session) preview(ctx context.Context, a asking, change *changeFlags) error {
	w, err := s.wire()
	if err != nil {
		return err
	}
	ctx, cancel := s.within(ctx, callTimeout)
	defer cancel()
	body, sliceID, err := s.question(ctx, a.file, a.slice)
	if err != nil {
		return err
	}
	body["keep"] = true
	if a.name != "" {
		body["name"] = a.name
	}
	if a.reserve {
		body["resourceReservation"] = true
	}
	if a.until != "" {
		at, err := moment("until", a.until)
		if err != nil {
			return err
		}
		body["requestedReservationExpiration"] = at
	}
	got, err := w.do(ctx, change.on(call{method: http.MethodPost, path: "/placements", body: body}))
	if err != nil {
		return err
	}
	if err := s.printPlacement(ctx, sliceID, got.body); err != nil || s.structured() {
		return err
	}
	return s.printKept(got.body, a)
}

// printKept says what became of the question, and how to go on.
func (s *session) printKept(body json.RawMessage, a asking) error {
	var x struct {
		ID, Name  string
		Status    string `json:"resourceReservationStatus"`
		Until     string `json:"reservationExpiration"`
		KeptUntil string `json:"keptUntil"`
	}
	if err := json.Unmarshal(body, &x); err != nil {
		return fmt.Errorf("the service answered no placement: %w", err)
	}
	if x.ID == "" {
		s.note("nothing was kept: a dry run")
		return nil
	}
	if x.Status == "RESERVED" {
		fmt.Fprintf(s.Out, "placement %s: what it needs is reserved until %s\n", x.Name, clean(x.Until))
	} else {
		fmt.Fprintf(s.Out, "placement %s: kept until %s, nothing is reserved\n", x.Name, clean(x.KeptUntil))
	}
	if a.file != "" {
		fmt.Fprintf(s.Out, "order exactly this: slicectl slice apply -f %s --placement %s\n", a.file, x.Name)
	} else {
		fmt.Fprintf(s.Out, "order exactly this: slicectl slice instantiate %s --placement %s\n", a.slice, x.Name)
	}
	return nil
}

// explainCommand tells why each member goes where it does.
func (s *session) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain SLICE|PLACEMENT|OPERATION [MEMBER]", Short: "Explain a decision: why there, why not elsewhere, what would make it fit",
		Args: args(1, 2, "a slice, a kept placement or an operation, and perhaps a member"),
		RunE: func(cmd *cobra.Command, a []string) error {
			ctx, cancel := s.within(cmd.Context(), callTimeout)
			defer cancel()
			body, sliceID, err := s.decisionOf(ctx, a[0])
			if err != nil {
				return err
			}
			return s.printWhyNot(ctx, sliceID, body, strings.Join(a[1:], ""))
		},
	}
}

// decisionOf finds a decision: of a slice, by id or name, or of a placement or
// an operation.
func (s *session) decisionOf(ctx context.Context, ref string) (json.RawMessage, string, error) {
	id, err := s.id(ctx, nounOf("slice"), "", ref)
	if err == nil {
		body, err := s.placementOf(ctx, id)
		if exitCode(err) != exitNotFound || !uuidRE.MatchString(ref) {
			return body, id, err
		}
	} else if exitCode(err) != exitNotFound {
		return nil, "", err
	}
	if id, err = s.placementID(ctx, ref); err != nil {
		return nil, "", exitError{code: exitNotFound, error: fmt.Errorf("%q is no slice, no kept placement and no operation that can be seen", ref)}
	}
	w, err := s.wire()
	if err != nil {
		return nil, "", err
	}
	got, err := w.do(ctx, call{method: http.MethodGet, path: "/placements/{id}", ids: []string{id}})
	if err != nil {
		return nil, "", err
	}
	p, err := readPlacement(got.body)
	if err != nil {
		return nil, "", err
	}
	return got.body, p.Slice, nil
}

var whyNotColumns = []column{
	{"MEMBER", "element", false}, {"RUNS ON", "on", false}, {"FITS", "fits", false}, {"CONSTRAINT", "constraint", false},
	{"NEEDS", "required", false}, {"HAS", "available", false}, {"TOWARDS", "peer", true}, {"DETAIL", "detail", false},
}

// whyNotNodeCommand tells why members do not run on a node.
func (s *session) whyNotNodeCommand() *cobra.Command {
	slice := ""
	c := &cobra.Command{
		Use: "why-not NODE --slice NAME [MEMBER]", Short: "Say which constraints keep members away from a node",
		Args: args(1, 2, "the name or id of a node, and perhaps of a member"),
	}
	c.Flags().StringVar(&slice, "slice", "", "the slice, by id or name")
	_ = c.RegisterFlagCompletionFunc("slice", s.completeNames(nounOf("slice"), nil))
	c.RunE = func(cmd *cobra.Command, a []string) error {
		if slice == "" {
			return usagef("--slice is missing: whose members?")
		}
		ctx, cancel := s.within(cmd.Context(), callTimeout)
		defer cancel()
		id, err := s.id(ctx, nounOf("slice"), "", slice)
		if err != nil {
			return err
		}
		w, err := s.wire()
		if err != nil {
			return err
		}
		req := call{method: http.MethodGet, path: "/iotSlices/{id}/placement/whyNot/{node}", ids: []string{id, a[0]}}
		if len(a) > 1 {
			req.query = map[string][]string{"element": {a[1]}}
		}
		got, err := w.do(ctx, req)
		if err != nil {
			return err
		}
		return s.printMisses(ctx, id, got.body)
	}
	return c
}

func (s *session) printMisses(ctx context.Context, sliceID string, body json.RawMessage) error {
	if s.structured() {
		return s.printDocument(body)
	}
	var x struct {
		Node, Infrastructure string
		Members              []struct {
			Element, On string
			Fits        bool
			Reasons     []map[string]any
		}
	}
	if err := json.Unmarshal(body, &x); err != nil {
		return fmt.Errorf("the service answered no reasons: %w", err)
	}
	fmt.Fprintf(s.Out, "node %s of %s\n", clean(x.Node), clean(x.Infrastructure))
	called := s.names(ctx, sliceID, idRE.FindAllString(string(body), -1))
	var rows []json.RawMessage
	for _, m := range x.Members {
		reasons := m.Reasons
		if m.Fits {
			detail := "it would fit there, and costs more or as much"
			if m.On == x.Node {
				detail = "it is there"
			}
			reasons = []map[string]any{{"detail": detail}}
		}
		for _, r := range reasons {
			row := map[string]any{"element": m.Element, "on": m.On, "fits": m.Fits}
			for k, v := range r {
				if text, ok := v.(string); ok {
					row[k] = called.in(text)
				}
			}
			raw, err := json.Marshal(row)
			if err != nil {
				return err
			}
			rows = append(rows, raw)
		}
	}
	return s.printTable(whyNotColumns, rows)
}
