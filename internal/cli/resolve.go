package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

var uuidRE = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// parentFlag adds --slice or --infrastructure to a command of a member.
func (s *session) parentFlag(c *cobra.Command, n *noun, must bool) *string {
	v := new(string)
	if n.parent == "" {
		return v
	}
	usage := "the " + n.parent + " it belongs to, by id or name"
	if !must {
		usage += "; needed when the name alone is not clear"
	}
	c.Flags().StringVar(v, n.parent, "", usage)
	_ = c.RegisterFlagCompletionFunc(n.parent, s.completeNames(nounOf(n.parent), nil))
	return v
}

// parentID finds the parent's id; "" when there is none to find.
func (s *session) parentID(ctx context.Context, n *noun, ref string, must bool) (string, error) {
	if n.parent == "" {
		return "", nil
	}
	if ref == "" {
		if must || n.nested {
			return "", usagef("--%s is missing: which %s does it belong to?", n.parent, n.parent)
		}
		return "", nil
	}
	return s.id(ctx, nounOf(n.parent), "", ref)
}

// id finds the id of what ref names: an id stays, a name is looked up.
func (s *session) id(ctx context.Context, n *noun, parentID, ref string) (string, error) {
	if uuidRE.MatchString(ref) {
		return ref, nil
	}
	row, err := s.byName(ctx, n, parentID, ref)
	if err != nil {
		return "", err
	}
	v, err := decoded(row)
	if err != nil {
		return "", err
	}
	return cell(lookup(v, "id")), nil
}

// byName finds the only resource of that name. Of a product, NAME@VERSION
// names one version.
func (s *session) byName(ctx context.Context, n *noun, parentID, ref string) (json.RawMessage, error) {
	w, err := s.wire()
	if err != nil {
		return nil, err
	}
	name, version := ref, ""
	if n.name == "product" {
		name, version, _ = strings.Cut(ref, "@")
	}
	path, ids := n.path(parentID)
	rows, err := w.list(ctx, call{path: path, ids: ids, query: url.Values{"filter": {eq("name", name)}}, all: n.shared}, 0)
	if err != nil {
		return nil, err
	}
	var found []json.RawMessage
	var choices []string
	for _, row := range rows {
		v, err := decoded(row)
		if err != nil {
			return nil, err
		}
		if version == "" || lookup(v, "version") == version {
			found = append(found, row)
		}
		choice := cell(lookup(v, "id"))
		if n.name == "product" {
			choice = name + "@" + cell(lookup(v, "version"))
		}
		choices = append(choices, choice)
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		detail := n.name + " " + strings.TrimSpace(ref) + " does not exist"
		p := &problem{status: http.StatusNotFound}
		p.Detail = &detail
		return nil, p
	}
	return nil, usagef("%s %q is not clear: name one of %s", n.name, ref, strings.Join(choices, ", "))
}

// eq is the attribute filter for equality (ETSI NFV-SOL013 §5.2.2): quoted, with
// quotes doubled.
func eq(attr, value string) string {
	return "(eq," + attr + ",'" + strings.ReplaceAll(value, "'", "''") + "')"
}

// resolveRefs turns names into ids where a body refers to other nouns.
func (s *session) resolveRefs(ctx context.Context, n *noun, body map[string]any) error {
	for _, path := range sortedKeys(n.refs) {
		of := nounOf(n.refs[path])
		switch v := body[path].(type) {
		case string:
			id, err := s.id(ctx, of, "", v)
			if err != nil {
				return err
			}
			body[path] = id
		case []string:
			if err := s.resolveAll(ctx, of, len(v), func(i int) any { return v[i] }, body, path); err != nil {
				return err
			}
		case []any:
			if err := s.resolveAll(ctx, of, len(v), func(i int) any { return v[i] }, body, path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) resolveAll(ctx context.Context, of *noun, n int, at func(int) any, body map[string]any, path string) error {
	out := make([]any, n)
	for i := range n {
		out[i] = at(i)
		ref, ok := out[i].(string)
		if !ok {
			continue // the service says what is wrong with it
		}
		id, err := s.id(ctx, of, "", ref)
		if err != nil {
			return err
		}
		out[i] = id
	}
	body[path] = out
	return nil
}

// fetch reads one resource by id or name.
func (s *session) fetch(ctx context.Context, n *noun, parentID, ref string) (json.RawMessage, error) {
	w, err := s.wire()
	if err != nil {
		return nil, err
	}
	id, err := s.id(ctx, n, parentID, ref)
	if err != nil {
		return nil, err
	}
	path, ids := n.item(parentID, id)
	a, err := w.do(ctx, call{method: http.MethodGet, path: path, ids: ids})
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

// completeNames completes names of a noun, quickly or not at all.
func (s *session) completeNames(n *noun, parent *string) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		w, err := s.wire()
		if err != nil || n == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		parentID := ""
		if parent != nil {
			if parentID, err = s.parentID(ctx, n, *parent, false); err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
		}
		path, ids := n.path(parentID)
		rows, err := w.list(ctx, call{path: path, ids: ids}, 200)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, row := range rows {
			v, err := decoded(row)
			if err != nil {
				continue
			}
			if name, ok := lookup(v, "name").(string); ok && name != "" {
				names = append(names, name)
			} else if id, ok := lookup(v, "id").(string); ok {
				names = append(names, id)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
