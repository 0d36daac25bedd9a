package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// sliceVerbs are the lifecycle operations and questions of a slice.
func sliceVerbs(s *session, n *noun) []*cobra.Command {
	cmds := []*cobra.Command{
		s.lifecycle(n, "instantiate", "Bring a slice into being"),
		s.lifecycle(n, "scale", "Change the replicas of members"),
		s.lifecycle(n, "heal", "Mend members that do not run"),
		s.lifecycle(n, "migrate", "Move members to other places"),
		s.lifecycle(n, "terminate", "End a slice; what was ordered stays as a design"),
	}
	return append(cmds, s.showPlacementCommand(n), s.whyNotCommand(n), s.nestCommand(n), s.membersCommand(n))
}

// lifecycleFlags are what the lifecycle operations can be told.
type lifecycleFlags struct {
	elements            []string
	replicas            int
	replace             bool
	infrastructures     []string
	kinds, nodes, avoid []string
	onFailure           string
	placement           string
}

func (s *session) lifecycle(n *noun, verb, short string) *cobra.Command {
	f := &lifecycleFlags{}
	c := &cobra.Command{
		Use: verb + " NAME", Short: short, Args: args(1, 1, "the name or id of a slice"),
		ValidArgsFunction: s.completeNames(n, nil),
	}
	change := changeFlagsOn(c, true)
	flags := c.Flags()
	flags.StringVar(&f.onFailure, "on-failure", "", "rollback or hold; not given: as the slice says")
	if verb == "instantiate" {
		flags.StringVar(&f.placement, "placement", "", "run exactly the plan of this kept placement, by id or name, or be told what changed")
	}
	if verb == "scale" || verb == "heal" || verb == "migrate" {
		flags.StringSliceVarP(&f.elements, "element", "e", nil, "members concerned, by name or id")
	}
	if verb == "scale" {
		flags.IntVar(&f.replicas, "replicas", 0, "how many replicas each shall have")
	}
	if verb == "heal" || verb == "migrate" {
		flags.StringSliceVar(&f.infrastructures, "infrastructure", nil, "only to these infrastructures")
		flags.StringSliceVar(&f.avoid, "avoid", nil, "not to these infrastructures")
		flags.StringSliceVar(&f.kinds, "kind", nil, "only to these tiers")
		flags.StringSliceVar(&f.nodes, "node", nil, "only to these nodes")
	}
	if verb == "heal" {
		flags.BoolVar(&f.replace, "replace", false, "choose places anew for what runs well, too")
	}
	c.RunE = func(cmd *cobra.Command, a []string) error {
		body, err := s.lifecycleBody(verb, f)
		if err != nil {
			return err
		}
		if f.placement != "" {
			id, err := s.placementID(cmd.Context(), f.placement)
			if err != nil {
				return err
			}
			body["placementId"] = id
		}
		return s.order(cmd.Context(), n, verb, a[0], body, change)
	}
	return c
}

func (s *session) lifecycleBody(verb string, f *lifecycleFlags) (map[string]any, error) {
	if (verb == "scale" || verb == "migrate") && len(f.elements) == 0 {
		return nil, usagef("--element is missing: which members?")
	}
	if verb == "scale" && f.replicas < 1 {
		return nil, usagef("--replicas: given %d, allowed: 1 or more", f.replicas)
	}
	body := map[string]any{}
	put := func(to map[string]any, key string, list []string) {
		if len(list) > 0 {
			to[key] = list
		}
	}
	put(body, "elements", f.elements)
	if f.replicas > 0 {
		body["replicas"] = f.replicas
	}
	if f.replace {
		body["replace"] = true
	}
	if f.onFailure != "" {
		body["onFailure"] = f.onFailure
	}
	target := map[string]any{}
	put(target, "infrastructures", f.infrastructures)
	put(target, "deniedInfrastructures", f.avoid)
	put(target, "kinds", f.kinds)
	put(target, "nodes", f.nodes)
	if len(target) > 0 {
		body["target"] = target
	}
	return body, nil
}

// order posts a lifecycle operation and, with --wait, shows it to its end.
func (s *session) order(ctx context.Context, n *noun, verb, ref string, body any, change *changeFlags) error {
	w, err := s.wire()
	if err != nil {
		return err
	}
	short, cancel := s.within(ctx, callTimeout)
	defer cancel()
	id, err := s.id(short, n, "", ref)
	if err != nil {
		return err
	}
	a, err := w.do(short, change.on(call{method: http.MethodPost, path: "/iotSlices/{id}/" + verb, ids: []string{id}, body: body}))
	if err != nil {
		return err
	}
	op := a.operation()
	if op == "" { // a dry run, or nothing to do
		if s.structured() {
			if err := s.printDocument(a.body); err != nil {
				return err
			}
		}
		return s.showPlan(ctx, n, verb+"d", a.body)
	}
	if !s.structured() {
		fmt.Fprintf(s.Out, "%s of slice %s accepted: operation %s\n", verb, ref, op)
	}
	operations := nounOf("operation")
	if s.flags.wait {
		if err := s.watch(ctx, op); err != nil {
			return err
		}
		if a.body, err = s.again(ctx, operations, a.body); err != nil {
			return err
		}
	}
	if s.structured() {
		return s.printOne(operations.columns, a.body)
	}
	return nil
}

func (s *session) nestCommand(n *noun) *cobra.Command {
	return &cobra.Command{
		Use: "nest NAME", Short: "Show a slice as a GSMA NEST", Args: args(1, 1, "the name or id of a slice"),
		ValidArgsFunction: s.completeNames(n, nil),
		RunE: func(cmd *cobra.Command, a []string) error {
			w, err := s.wire()
			if err != nil {
				return err
			}
			ctx, cancel := s.within(cmd.Context(), callTimeout)
			defer cancel()
			id, err := s.id(ctx, n, "", a[0])
			if err != nil {
				return err
			}
			answer, err := w.do(ctx, call{method: http.MethodGet, path: "/iotSlices/{id}/nest", ids: []string{id}})
			if err != nil {
				return err
			}
			return s.printDocument(answer.body)
		},
	}
}

// membersCommand lists all members of a slice in one table.
func (s *session) membersCommand(n *noun) *cobra.Command {
	return &cobra.Command{
		Use: "members NAME", Short: "List everything a slice is made of", Args: args(1, 1, "the name or id of a slice"),
		ValidArgsFunction: s.completeNames(n, nil),
		RunE: func(cmd *cobra.Command, a []string) error {
			w, err := s.wire()
			if err != nil {
				return err
			}
			ctx, cancel := s.within(cmd.Context(), callTimeout)
			defer cancel()
			id, err := s.id(ctx, n, "", a[0])
			if err != nil {
				return err
			}
			all := map[string]any{}
			for i, list := range memberLists {
				rows, err := w.list(ctx, call{path: "/iotSlices/{id}/" + list, ids: []string{id}}, 0)
				if err != nil {
					return err
				}
				all[list] = rows
				if s.structured() || len(rows) == 0 {
					continue
				}
				if i > 0 && len(all) > 1 {
					fmt.Fprintln(s.Out)
				}
				fmt.Fprintln(s.Out, list)
				if err := s.printTable(memberColumns(list), rows); err != nil {
					return err
				}
			}
			if s.structured() {
				return s.printValue(all)
			}
			return nil
		},
	}
}

func memberColumns(collection string) []column {
	for _, n := range nouns {
		if n.collection == collection {
			return n.columns
		}
	}
	return nil
}
