package cli

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// infrastructureVerbs: keeping functions away, and inventories and scripts as a
// whole.
func infrastructureVerbs(s *session, n *noun) []*cobra.Command {
	var cmds []*cobra.Command
	for _, v := range []struct {
		verb, short string
		cordoned    bool
	}{{"cordon", "Keep new functions away", true}, {"uncordon", "Let new functions come again", false}} {
		c := &cobra.Command{
			Use: v.verb + " NAME", Short: v.short, Args: args(1, 1, "the name or id of an infrastructure"),
			ValidArgsFunction: s.completeNames(n, nil),
		}
		change := changeFlagsOn(c, true)
		c.RunE = func(cmd *cobra.Command, a []string) error {
			return s.patch(cmd.Context(), n, "", a[0], map[string]any{"cordoned": v.cordoned}, change)
		}
		cmds = append(cmds, c)
	}
	return append(cmds,
		s.bootstrapCommand(),
		s.readBelow(n, "export", "inventory", "Print nodes and links, as import takes them"),
		s.writeBelow(n, "import", "inventory", "Create or change nodes and links by name, from a file"),
		s.readBelow(n, "script", "simulation", "Print how a simulated infrastructure behaves"),
		s.writeBelow(n, "simulate", "simulation", "Say how a simulated infrastructure behaves, from a file"))
}

// readBelow prints a document below an infrastructure.
func (s *session) readBelow(n *noun, verb, part, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " NAME", Short: short, Args: args(1, 1, "the name or id of an infrastructure"),
		ValidArgsFunction: s.completeNames(n, nil),
		RunE: func(cmd *cobra.Command, a []string) error {
			return s.below(cmd.Context(), n, a[0], call{method: http.MethodGet, path: "/infrastructures/{id}/" + part}, true)
		},
	}
}

// writeBelow replaces a document below an infrastructure.
func (s *session) writeBelow(n *noun, verb, part, short string) *cobra.Command {
	var file string
	var prune bool
	c := &cobra.Command{
		Use: verb + " NAME -f FILE", Short: short, Args: args(1, 1, "the name or id of an infrastructure"),
		ValidArgsFunction: s.completeNames(n, nil),
	}
	c.Flags().StringVarP(&file, "file", "f", "", "file, YAML or JSON; - is standard input")
	if part == "inventory" {
		c.Flags().BoolVar(&prune, "prune", false, "delete nodes and links that the file does not name")
	}
	change := changeFlagsOn(c, false)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		if file == "" {
			return usagef("-f FILE is missing")
		}
		body, err := s.readBody(file)
		if err != nil {
			return err
		}
		req := call{method: http.MethodPut, path: "/infrastructures/{id}/" + part, body: body, query: url.Values{}}
		if prune {
			req.query.Set("prune", "true")
		}
		return s.below(cmd.Context(), n, a[0], change.on(req), part == "simulation")
	}
	return c
}

var inventoryColumns = []column{
	{"CREATED", "created", false}, {"UPDATED", "updated", false}, {"UNCHANGED", "unchanged", false}, {"DELETED", "deleted", false},
}

// below makes a call below an infrastructure and prints the answer.
func (s *session) below(ctx context.Context, n *noun, ref string, c call, document bool) error {
	w, err := s.wire()
	if err != nil {
		return err
	}
	ctx, cancel := s.within(ctx, callTimeout)
	defer cancel()
	id, err := s.id(ctx, n, "", ref)
	if err != nil {
		return err
	}
	c.ids = []string{id}
	a, err := w.do(ctx, c)
	if err != nil {
		return err
	}
	if document && !s.structured() {
		return writeYAML(s.Out, a.body)
	}
	return s.printOne(inventoryColumns, a.body)
}

// linkEnds turns the names of a link's ends into ids: infrastructures, or nodes
// of the link's own infrastructure, or INFRASTRUCTURE/NODE.
func (s *session) linkEnds(ctx context.Context, infrastructureID string, body map[string]any) error {
	for _, end := range []string{"from", "to"} {
		ref, ok := body[end].(string)
		if !ok || uuidRE.MatchString(ref) {
			continue
		}
		var id string
		var err error
		if body["level"] == "INFRASTRUCTURE" {
			id, err = s.id(ctx, nounOf("infrastructure"), "", ref)
		} else {
			below := infrastructureID
			if site, node, qualified := strings.Cut(ref, "/"); qualified {
				ref = node
				if below, err = s.id(ctx, nounOf("infrastructure"), "", site); err != nil {
					return err
				}
			}
			id, err = s.id(ctx, nounOf("node"), below, ref)
		}
		if err != nil {
			return err
		}
		body[end] = id
	}
	return nil
}
