package cli

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

// bodyFlags are the flags from which a body is made: a file, one flag per
// field, and --set/--unset for everything else.
type bodyFlags struct {
	file   string
	fields []field
	values map[string]*[]string
	labels []string
	set    []string
	unset  []string
}

// bodyFlagsOn adds the flags of a noun to a command.
func bodyFlagsOn(c *cobra.Command, n *noun, change bool) *bodyFlags {
	b := &bodyFlags{fields: n.fields, values: map[string]*[]string{}}
	what := "file with the resource, YAML or JSON, several separated by ---; - is standard input"
	if change {
		what = "file with the changes (a merge patch), YAML or JSON; - is standard input"
	}
	c.Flags().StringVarP(&b.file, "file", "f", "", what)
	for _, f := range n.fields {
		if change && f.flag == "instantiate" {
			continue
		}
		v := &[]string{}
		b.values[f.flag] = v
		c.Flags().Var(&flagValue{v, f.kind}, f.flag, f.usage)
		if f.kind == yes {
			c.Flags().Lookup(f.flag).NoOptDefVal = "true"
		}
	}
	c.Flags().StringArrayVarP(&b.labels, "label", "l", nil, "label: KEY=VALUE")
	c.Flags().StringArrayVar(&b.set, "set", nil, "any other attribute: PATH=VALUE, for example --set serviceProfile.sst=3")
	if change {
		c.Flags().StringArrayVar(&b.unset, "unset", nil, "attribute to remove: PATH")
	}
	return b
}

// flagValue collects what a flag was given, as text.
type flagValue struct {
	values *[]string
	kind   fieldKind
}

func (v *flagValue) String() string { return "" }

func (v *flagValue) Type() string {
	return [...]string{"string", "number", "bool", "strings", "key=value", "object", "name[:unit[:type]]"}[v.kind]
}

func (v *flagValue) Set(text string) error {
	if v.kind == words {
		for w := range strings.SplitSeq(text, ",") {
			*v.values = append(*v.values, strings.TrimSpace(w))
		}
		return nil
	}
	if v.kind != pairs && v.kind != items {
		*v.values = nil
	}
	*v.values = append(*v.values, text)
	return nil
}

// given reports whether any flag but the file says something.
func (b *bodyFlags) given() bool {
	for _, v := range b.values {
		if len(*v) > 0 {
			return true
		}
	}
	return len(b.labels)+len(b.set)+len(b.unset) > 0
}

// apply writes the flags over a body.
func (b *bodyFlags) apply(body map[string]any) error {
	for _, f := range b.fields {
		v := b.values[f.flag]
		if v == nil || len(*v) == 0 {
			continue
		}
		value, err := f.value(*v)
		if err != nil {
			return err
		}
		if err := setPath(body, f.path, value); err != nil {
			return err
		}
	}
	if len(b.labels) > 0 {
		labels, err := pairsOf("label", b.labels)
		if err != nil {
			return err
		}
		if err := setPath(body, "labels", labels); err != nil {
			return err
		}
	}
	for _, text := range b.set {
		path, value, ok := strings.Cut(text, "=")
		if !ok || path == "" {
			return usagef("--set: given %q, allowed: PATH=VALUE", text)
		}
		if err := setPath(body, path, scalar(value)); err != nil {
			return err
		}
	}
	for _, path := range b.unset {
		if err := setPath(body, path, nil); err != nil {
			return err
		}
	}
	return nil
}

// value reads what a flag was given as its kind.
func (f field) value(given []string) (any, error) {
	text := given[len(given)-1]
	switch f.kind {
	case num:
		n := json.Number(text)
		if _, err := n.Float64(); err != nil || !json.Valid([]byte(text)) {
			return nil, usagef("--%s: given %q, allowed: a number", f.flag, text)
		}
		return n, nil
	case yes:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, usagef("--%s: given %q, allowed: true or false", f.flag, text)
		}
		return b, nil
	case words:
		return given, nil
	case pairs:
		return pairsOf(f.flag, given)
	case items:
		return itemsOf(f.flag, given)
	case object:
		var m map[string]any
		if err := yaml.Unmarshal([]byte(text), &m); err != nil || m == nil {
			return nil, usagef("--%s: given %q, allowed: a JSON object", f.flag, text)
		}
		return m, nil
	}
	return text, nil
}

func pairsOf(flag string, given []string) (map[string]any, error) {
	m := map[string]any{}
	for _, text := range given {
		k, v, ok := strings.Cut(text, "=")
		if !ok || k == "" {
			return nil, usagef("--%s: given %q, allowed: KEY=VALUE", flag, text)
		}
		m[k] = v
	}
	return m, nil
}

func itemsOf(flag string, given []string) ([]any, error) {
	var list []any
	for _, text := range given {
		parts := strings.SplitN(text, ":", 3)
		if parts[0] == "" {
			return nil, usagef("--%s: given %q, allowed: NAME[:UNIT[:TYPE]]", flag, text)
		}
		item := map[string]any{"name": parts[0]}
		for i, key := range []string{"name", "unit", "type"} {
			if i < len(parts) && parts[i] != "" {
				item[key] = parts[i]
			}
		}
		list = append(list, item)
	}
	return list, nil
}

// scalar reads a value of --set: JSON when it is, else text.
func scalar(text string) any {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) == nil && !dec.More() {
		return v
	}
	return text
}

// setPath sets body[a][b][c] for "a.b.c", making the objects on the way.
func setPath(body map[string]any, path string, value any) error {
	steps := strings.Split(path, ".")
	at := body
	for _, step := range steps[:len(steps)-1] {
		if step == "" {
			return usagef("path %q: a name is empty", path)
		}
		next, ok := at[step].(map[string]any)
		if !ok {
			if at[step] != nil {
				return usagef("path %q: %q is no object", path, step)
			}
			next = map[string]any{}
			at[step] = next
		}
		at = next
	}
	at[steps[len(steps)-1]] = value
	return nil
}
