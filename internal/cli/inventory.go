package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// inventoryVerbs import and export all nodes, or all links, of an
// infrastructure. What is said of the other kind in a file is left alone.
func inventoryVerbs(s *session, n *noun) []*cobra.Command {
	return []*cobra.Command{s.inventoryImport(n), s.inventoryExport(n)}
}

func (s *session) inventoryImport(n *noun) *cobra.Command {
	var file string
	var prune bool
	c := &cobra.Command{
		Use: "import -f FILE", Short: "Create or change " + n.collection + " by name, all of the file or nothing",
		Long: "The file is a report as export prints it: an object with a list " + n.collection + ", or the list itself.\n" +
			"Importing it again changes nothing. An item that is wrong is named with its field, and nothing is done.",
		Args: args(0, 0, "no argument, but -f FILE"),
	}
	parent := s.parentFlag(c, n, true)
	c.Flags().StringVarP(&file, "file", "f", "", "file, YAML or JSON; - is standard input")
	c.Flags().BoolVar(&prune, "prune", false, "delete "+n.collection+" that the file does not name")
	change := changeFlagsOn(c, false)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case file == "":
			return usagef("-f FILE is missing")
		case *parent == "":
			return usagef("--infrastructure is missing: whose %s?", n.collection)
		}
		items, err := s.readItems(file, n.collection)
		if err != nil {
			return err
		}
		req := call{method: http.MethodPut, path: "/infrastructures/{id}/inventory", body: map[string]any{n.collection: items}, query: url.Values{}}
		if prune {
			req.query.Set("prune", "true")
		}
		return s.below(cmd.Context(), nounOf("infrastructure"), *parent, change.on(req), false)
	}
	return c
}

// readItems reads a report's list of one kind.
func (s *session) readItems(file, list string) ([]any, error) {
	bodies, err := s.readBodies(file)
	if err != nil {
		return nil, err
	}
	items := []any{}
	for _, b := range bodies {
		in, given := b[list]
		_, other := b[map[string]string{"nodes": "links", "links": "nodes"}[list]]
		switch in := in.(type) {
		case []any:
			items = append(items, in...)
		case nil:
			if given || other {
				continue // a report of the other kind
			}
			items = append(items, b)
		default:
			return nil, usagef("%s: %s: given %v, allowed: a list", file, list, in)
		}
	}
	return items, nil
}

func (s *session) inventoryExport(n *noun) *cobra.Command {
	c := &cobra.Command{Use: "export", Short: "Print all " + n.collection + ", as import takes them", Args: args(0, 0, "no argument, but --infrastructure NAME")}
	parent := s.parentFlag(c, n, true)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if *parent == "" {
			return usagef("--infrastructure is missing: whose %s?", n.collection)
		}
		return s.exportItems(cmd.Context(), *parent, n.collection)
	}
	return c
}

func (s *session) exportItems(ctx context.Context, infrastructure, list string) error {
	w, err := s.wire()
	if err != nil {
		return err
	}
	ctx, cancel := s.within(ctx, callTimeout)
	defer cancel()
	id, err := s.id(ctx, nounOf("infrastructure"), "", infrastructure)
	if err != nil {
		return err
	}
	got, err := w.do(ctx, call{method: http.MethodGet, path: "/infrastructures/{id}/inventory", ids: []string{id}})
	if err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(got.body, &all); err != nil {
		return fmt.Errorf("the service answered no inventory: %w", err)
	}
	raw, err := json.Marshal(map[string]json.RawMessage{list: all[list]})
	if err != nil {
		return err
	}
	if s.flags.output == "json" {
		return s.printDocument(raw)
	}
	return writeYAML(s.Out, raw)
}
