package cli

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func (s *session) deleteCommand(n *noun) *cobra.Command {
	c := &cobra.Command{
		Use: "delete NAME…", Short: "Delete by name or id", Args: args(1, -1, "at least one name or id"),
	}
	parent := s.parentFlag(c, n, n.nested)
	c.ValidArgsFunction = s.completeNames(n, parent)
	change := changeFlagsOn(c, true)
	if n.cascades {
		c.Flags().BoolVar(&change.cascade, "cascade", false, "also end what depends on it; a running slice is terminated")
	}
	missing := false
	c.Flags().BoolVar(&missing, "ignore-missing", false, "what does not exist is no error")
	c.RunE = func(cmd *cobra.Command, names []string) error {
		for _, name := range names {
			err := s.remove(cmd.Context(), n, *parent, name, change)
			if missing && exitCode(err) == exitNotFound {
				continue
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

func (s *session) remove(ctx context.Context, n *noun, parent, ref string, change *changeFlags) error {
	w, err := s.wire()
	if err != nil {
		return err
	}
	short, cancel := s.within(ctx, callTimeout)
	defer cancel()
	parentID, err := s.parentID(short, n, parent, false)
	if err != nil {
		return err
	}
	id, err := s.id(short, n, parentID, ref)
	if err != nil {
		return err
	}
	path, ids := n.item(parentID, id)
	a, err := w.do(short, change.on(call{method: http.MethodDelete, path: path, ids: ids}))
	if err != nil {
		return err
	}
	if change.dryRun {
		if err := s.showPlan(short, n, "deleted", a.body); err != nil || !s.structured() {
			return err
		}
		return s.printDocument(a.body)
	}
	op := a.operation()
	switch {
	case s.structured() && len(a.body) > 0:
		err = s.printDocument(a.body)
	case s.structured():
	case op != "":
		fmt.Fprintf(s.Out, "%s %s accepted: operation %s\n", n.name, ref, op)
	default:
		fmt.Fprintf(s.Out, "%s %s deleted\n", n.name, ref)
	}
	if err != nil || op == "" || !s.flags.wait {
		return err
	}
	return s.watch(ctx, op)
}
