package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

const completionTimeout = 2 * time.Second

// nounCommand makes the commands of a noun from its row in the table.
func (s *session) nounCommand(n *noun) *cobra.Command {
	c := group(n.name, "Work with "+n.what)
	c.Aliases = append([]string{n.name + "s", n.collection}, n.aliases...)
	c.AddCommand(s.listCommand(n))
	if !n.listOnly {
		c.AddCommand(s.getCommand(n))
	}
	if !n.readOnly {
		c.AddCommand(s.deleteCommand(n))
		if !n.ownCreate {
			c.AddCommand(s.createCommand(n))
		}
		if !n.noPatch {
			c.AddCommand(s.updateCommand(n))
		}
		if n.converges {
			c.AddCommand(s.applyCommand(n))
		}
	}
	c.AddCommand(s.verbs(n)...)
	return c
}

// verbs are the commands that only this noun has.
func (s *session) verbs(n *noun) []*cobra.Command {
	verbs, own := map[string]func(*session, *noun) []*cobra.Command{
		"infrastructure": infrastructureVerbs, "slice": sliceVerbs, "gateway": gatewayVerbs, "device": deviceVerbs,
		"node": inventoryVerbs, "link": inventoryVerbs,
		"operation": operationVerbs, "key": keyVerbs, "secret": secretVerbs,
	}[n.name]
	if !own {
		return nil
	}
	return verbs(s, n)
}

func (s *session) listCommand(n *noun) *cobra.Command {
	var filter string
	var limit int
	c := &cobra.Command{Use: "list", Short: "List, oldest first", Args: args(0, 0, "no argument")}
	parent := s.parentFlag(c, n, n.nested)
	c.Flags().StringVar(&filter, "filter", "", "attribute filter, for example \"(eq,state,ACTIVE)\" (ETSI NFV-SOL013 §5.2)")
	c.Flags().IntVar(&limit, "limit", 0, "how many at most; 0: all")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 0 {
			return usagef("--limit: given %d, allowed: 0 or more", limit)
		}
		ctx, cancel := s.within(cmd.Context(), callTimeout)
		defer cancel()
		parentID, err := s.parentID(ctx, n, *parent, false)
		if err != nil {
			return err
		}
		w, err := s.wire()
		if err != nil {
			return err
		}
		path, ids := n.path(parentID)
		query := url.Values{}
		if filter != "" {
			query.Set("filter", filter)
		}
		rows, err := w.list(ctx, call{path: path, ids: ids, query: query, all: n.shared && !n.readOnly}, limit)
		if err != nil {
			return err
		}
		return s.printList(n.columns, rows)
	}
	return c
}

func (s *session) getCommand(n *noun) *cobra.Command {
	c := &cobra.Command{Use: "get NAME…", Short: "Show by name or id", Args: args(1, -1, "at least one name or id")}
	parent := s.parentFlag(c, n, n.nested)
	c.ValidArgsFunction = s.completeNames(n, parent)
	c.RunE = func(cmd *cobra.Command, names []string) error {
		ctx, cancel := s.within(cmd.Context(), callTimeout)
		defer cancel()
		parentID, err := s.parentID(ctx, n, *parent, false)
		if err != nil {
			return err
		}
		var rows []json.RawMessage
		for _, name := range names {
			row, err := s.fetch(ctx, n, parentID, name)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		if len(rows) == 1 {
			return s.printOne(n.columns, rows[0])
		}
		return s.printList(n.columns, rows)
	}
	return c
}

// changeFlags are the flags of everything that changes something.
type changeFlags struct {
	dryRun  bool
	ifMatch int64
	cascade bool
}

func changeFlagsOn(c *cobra.Command, ifMatch bool) *changeFlags {
	f := &changeFlags{}
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be done, by the same code, and do nothing")
	if ifMatch {
		c.Flags().Int64Var(&f.ifMatch, "if-match", 0, "do it only to this revision")
	}
	return f
}

func (f *changeFlags) on(c call) call {
	if f == nil {
		return c
	}
	if c.query == nil {
		c.query = url.Values{}
	}
	if f.dryRun {
		c.query.Set("dryRun", "true")
	}
	if f.cascade {
		c.query.Set("cascade", "true")
	}
	if f.ifMatch > 0 {
		c.header = map[string]string{"If-Match": fmt.Sprintf("%q", fmt.Sprint(f.ifMatch))}
	}
	return c
}

func (s *session) createCommand(n *noun) *cobra.Command {
	c := &cobra.Command{
		Use: "create [NAME]", Short: "Create from flags, a file, or both (flags win)",
		Args: args(0, 1, "a name, or -f FILE"),
	}
	parent := s.parentFlag(c, n, true)
	body := bodyFlagsOn(c, n, false)
	change := changeFlagsOn(c, false)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		bodies := []map[string]any{{}}
		var err error
		switch {
		case body.file != "":
			if bodies, err = s.readBodies(body.file); err != nil {
				return err
			}
			if len(a) > 0 && len(bodies) > 1 {
				return usagef("%s holds %d resources; a name fits only one", body.file, len(bodies))
			}
		case len(a) == 0 && !body.given():
			return usagef("%s needs a name, flags or -f FILE", cmd.CommandPath())
		}
		for _, b := range bodies {
			if len(a) > 0 {
				b["name"] = a[0]
			}
			if err := body.apply(b); err != nil {
				return err
			}
		}
		return s.create(cmd.Context(), n, *parent, bodies, change)
	}
	return c
}

// create posts each body; several devices of one slice go in one call.
func (s *session) create(ctx context.Context, n *noun, parent string, bodies []map[string]any, change *changeFlags) error {
	if n.name == "device" && len(bodies) > 1 {
		return s.createDevices(ctx, parent, bodies, change)
	}
	var rows []json.RawMessage
	for _, b := range bodies {
		ref, err := parentOf(n, b, parent)
		if err != nil {
			return err
		}
		done, err := s.submit(ctx, n, "created", func(ctx context.Context) (call, error) {
			parentID, err := s.parentID(ctx, n, ref, true)
			if err == nil && n.name == "link" {
				err = s.linkEnds(ctx, parentID, b)
			}
			if err == nil {
				err = s.resolveRefs(ctx, n, b)
			}
			path, ids := n.path(parentID)
			return change.on(call{method: http.MethodPost, path: path, ids: ids, body: b}), err
		})
		if err != nil {
			return err
		}
		rows = append(rows, done)
	}
	if !s.structured() {
		return nil
	}
	if len(rows) == 1 {
		return s.printOne(n.columns, rows[0])
	}
	return s.printList(n.columns, rows)
}

// parentOf takes the parent's name from the flag, or from the file, where it
// stands under the parent's noun ("slice: plant-1").
func parentOf(n *noun, body map[string]any, flag string) (string, error) {
	if n.parent == "" {
		return "", nil
	}
	inFile, _ := body[n.parent].(string)
	delete(body, n.parent)
	if flag != "" && inFile != "" && flag != inFile {
		return "", usagef("--%s says %q, the file %q", n.parent, flag, inFile)
	}
	return first(flag, inFile), nil
}

// submit makes one changing call, tells what came of it, waits if asked to, and
// answers the resource as it is then.
func (s *session) submit(ctx context.Context, n *noun, verb string, make func(context.Context) (call, error)) (json.RawMessage, error) {
	w, err := s.wire()
	if err != nil {
		return nil, err
	}
	short, cancel := s.within(ctx, callTimeout)
	defer cancel()
	c, err := make(short)
	if err != nil {
		return nil, err
	}
	a, err := w.do(short, c)
	if err != nil {
		return nil, err
	}
	if c.query.Get("dryRun") == "true" {
		return a.body, s.showPlan(short, n, verb, a.body)
	}
	s.tell(n, verb, a)
	op := a.operation()
	if op == "" || !s.flags.wait {
		return a.body, nil
	}
	if err := s.watch(ctx, op); err != nil {
		return nil, err
	}
	if verb == "deleted" || c.method == http.MethodDelete {
		return a.body, nil
	}
	return s.again(ctx, n, a.body)
}

// again reads a resource anew after its operation.
func (s *session) again(ctx context.Context, n *noun, body json.RawMessage) (json.RawMessage, error) {
	v, err := decoded(body)
	if err != nil {
		return nil, err
	}
	id, ok := lookup(v, "id").(string)
	if !ok || n.nested {
		return body, nil
	}
	ctx, cancel := s.within(ctx, callTimeout)
	defer cancel()
	return s.fetch(ctx, n, "", id)
}

// tell says what was done, for people; what is told only once goes to standard
// output in any case.
func (s *session) tell(n *noun, verb string, a *answer) {
	name, v := "", any(nil)
	if len(a.body) > 0 {
		var err error
		if v, err = decoded(a.body); err != nil {
			v = nil
		}
		name = cell(lookup(v, "name"))
		if name == "-" {
			name = cell(lookup(v, "id"))
		}
	}
	if s.structured() {
		return
	}
	if op := a.operation(); op != "" {
		fmt.Fprintf(s.Out, "%s %s accepted: operation %s\n", n.name, name, op)
	} else {
		fmt.Fprintf(s.Out, "%s %s %s\n", n.name, name, verb)
	}
	for _, once := range []string{"secret", "token"} {
		if value, ok := lookup(v, once).(string); ok && value != "" {
			fmt.Fprintf(s.Out, "%s (told only now): %s\n", once, value)
		}
	}
}

func (s *session) updateCommand(n *noun) *cobra.Command {
	c := &cobra.Command{
		Use: "update NAME", Short: "Change attributes (merge patch)", Args: args(1, 1, "a name or id"),
	}
	if n.bringsAbout {
		c.Long = "Change attributes (merge patch). Without a change: an operation that brings about what is stored."
	}
	parent := s.parentFlag(c, n, n.nested)
	c.ValidArgsFunction = s.completeNames(n, parent)
	body := bodyFlagsOn(c, n, true)
	change := changeFlagsOn(c, true)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		patch := map[string]any{}
		if body.file != "" {
			var err error
			if patch, err = s.readBody(body.file); err != nil {
				return err
			}
		} else if !body.given() && n.bringsAbout {
			return s.order(cmd.Context(), n, "update", a[0], nil, change)
		} else if !body.given() {
			return usagef("%s: nothing to change; give flags, --set, --unset or -f FILE", cmd.CommandPath())
		}
		if err := body.apply(patch); err != nil {
			return err
		}
		return s.patch(cmd.Context(), n, *parent, a[0], patch, change)
	}
	return c
}

func (s *session) patch(ctx context.Context, n *noun, parent, ref string, patch map[string]any, change *changeFlags) error {
	row, err := s.submit(ctx, n, "updated", func(ctx context.Context) (call, error) {
		parentID, err := s.parentID(ctx, n, parent, false)
		if err != nil {
			return call{}, err
		}
		id, err := s.id(ctx, n, parentID, ref)
		if err == nil {
			err = s.resolveRefs(ctx, n, patch)
		}
		path, ids := n.item(parentID, id)
		return change.on(call{method: http.MethodPatch, path: path, ids: ids, body: patch}), err
	})
	if err != nil || !s.structured() {
		return err
	}
	return s.printOne(n.columns, row)
}
