package cli

import (
	"encoding/json"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func listed(names []string) string {
	if len(names) == 0 {
		return "there is none"
	}
	return strings.Join(names, ", ")
}

// contextCommand manages which services are known.
func (s *session) contextCommand() *cobra.Command {
	c := group("context", "Services known by name")
	c.AddCommand(
		s.contextSet(),
		&cobra.Command{
			Use: "list", Short: "List the contexts", Args: args(0, 0, "no argument"),
			RunE: func(*cobra.Command, []string) error { return s.contextList() },
		},
		&cobra.Command{
			Use: "use NAME", Short: "Choose the context of later commands", Args: args(1, 1, "the name of a context"),
			ValidArgsFunction: s.completeContexts,
			RunE: func(_ *cobra.Command, a []string) error {
				return s.changeContexts(a[0], true, func(all *contexts) { all.Current = a[0] })
			},
		},
		&cobra.Command{
			Use: "delete NAME", Short: "Forget a context", Args: args(1, 1, "the name of a context"),
			ValidArgsFunction: s.completeContexts,
			RunE: func(_ *cobra.Command, a []string) error {
				return s.changeContexts(a[0], true, func(all *contexts) {
					delete(all.Contexts, a[0])
					if all.Current == a[0] {
						all.Current = ""
					}
				})
			},
		})
	return c
}

func (s *session) contextSet() *cobra.Command {
	var stdin bool
	c := &cobra.Command{
		Use: "set NAME", Short: "Add or change a context; the first one is used at once",
		Long: "Add or change a context from --server, --tenant, --key-file and --ca-file.\n" +
			"With --key-stdin the key is read from standard input and kept in the file of contexts (mode 0600).",
		Args: args(1, 1, "the name of the context"),
		RunE: func(_ *cobra.Command, a []string) error {
			key := ""
			if stdin {
				raw, err := io.ReadAll(io.LimitReader(s.In, 4096))
				if err != nil {
					return err
				}
				if key = strings.TrimSpace(string(raw)); key == "" {
					return usagef("--key-stdin: standard input is empty")
				}
			}
			return s.setContext(a[0], key)
		},
	}
	c.Flags().BoolVar(&stdin, "key-stdin", false, "read the API key from standard input and keep it")
	return c
}

func (s *session) setContext(name, key string) error {
	return s.changeContexts(name, false, func(all *contexts) {
		c := all.Contexts[name]
		c.Server, c.Tenant = first(s.flags.server, c.Server), first(s.flags.tenant, c.Tenant)
		if s.flags.keyFile != "" {
			c.KeyFile, c.APIKey = absolute(s.flags.keyFile), ""
		}
		if s.flags.caFile != "" {
			c.CAFile = absolute(s.flags.caFile)
		}
		if key != "" {
			c.APIKey, c.KeyFile = key, ""
		}
		all.Contexts[name] = c
		if all.Current == "" {
			all.Current = name
		}
	})
}

func absolute(path string) string {
	if a, err := filepath.Abs(path); err == nil {
		return a
	}
	return path
}

// changeContexts loads, changes and saves the contexts.
func (s *session) changeContexts(name string, mustExist bool, change func(*contexts)) error {
	all, err := s.loadContexts()
	if err != nil {
		return err
	}
	if _, known := all.Contexts[name]; mustExist && !known {
		return usagef("context: given %q, allowed: %s", name, listed(sortedKeys(all.Contexts)))
	}
	change(all)
	if c, left := all.Contexts[name]; left {
		if c.Server == "" {
			return usagef("--server is missing: what is the URL of the service?")
		}
		if _, err := serverURL(c.Server); err != nil {
			return err
		}
	}
	return s.saveContexts(all)
}

// contextList shows the contexts without their keys.
func (s *session) contextList() error {
	all, err := s.loadContexts()
	if err != nil {
		return err
	}
	rows := []json.RawMessage{}
	for _, name := range sortedKeys(all.Contexts) {
		c := all.Contexts[name]
		key := c.KeyFile
		if c.APIKey != "" {
			key = "(kept here)"
		}
		raw, err := json.Marshal(map[string]any{
			"name": name, "current": name == all.Current, "server": c.Server, "tenant": c.Tenant, "key": key,
		})
		if err != nil {
			return err
		}
		rows = append(rows, raw)
	}
	return s.printList(contextColumns, rows)
}

var contextColumns = []column{
	{"NAME", "name", false}, {"CURRENT", "current", false}, {"SERVER", "server", false},
	{"TENANT", "tenant", false}, {"KEY", "key", true},
}

func (s *session) completeContexts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, err := s.loadContexts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return sortedKeys(all.Contexts), cobra.ShellCompDirectiveNoFileComp
}
