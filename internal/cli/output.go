package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"gopkg.in/yaml.v3"
)

// structured reports whether the answer is for machines.
func (s *session) structured() bool { return s.flags.output == "json" || s.flags.output == "yaml" }

// printList prints rows as a table, or as one JSON or YAML list.
func (s *session) printList(columns []column, rows []json.RawMessage) error {
	if s.structured() {
		if rows == nil {
			rows = []json.RawMessage{}
		}
		raw, err := json.Marshal(rows)
		if err != nil {
			return err
		}
		return s.printDocument(raw)
	}
	return s.printTable(columns, rows)
}

// printOne prints one resource: as a table of one row, or as a document.
func (s *session) printOne(columns []column, row json.RawMessage) error {
	if s.structured() {
		return s.printDocument(row)
	}
	return s.printTable(columns, []json.RawMessage{row})
}

func (s *session) printTable(columns []column, rows []json.RawMessage) error {
	shown := make([]column, 0, len(columns))
	for _, c := range columns {
		if !c.wide || s.flags.output == "wide" {
			shown = append(shown, c)
		}
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	for i, c := range shown {
		fmt.Fprint(w, tab(i), c.header)
	}
	fmt.Fprintln(w)
	for _, row := range rows {
		v, err := decoded(row)
		if err != nil {
			return err
		}
		for i, c := range shown {
			fmt.Fprint(w, tab(i), cell(lookup(v, c.path)))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

func tab(i int) string {
	if i == 0 {
		return ""
	}
	return "\t"
}

// decoded reads JSON with numbers as they are written.
func decoded(raw json.RawMessage) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("the service answered no JSON: %w", err)
	}
	return v, nil
}

// lookup follows a path of names, "a.b.c".
func lookup(v any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[step]
	}
	return v
}

// cell is a value in a table: one line without control characters, so that
// what others named cannot draw on the terminal.
func cell(v any) string {
	var text string
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		text = v
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = cell(v[i])
		}
		text = strings.Join(parts, ",")
	case map[string]any:
		text = cellOf(v)
	default:
		text = fmt.Sprint(v)
	}
	if text == "" {
		return "-"
	}
	return clean(text)
}

// cellOf shows texts as key=value, other values by their key alone.
func cellOf(m map[string]any) string {
	var parts []string
	for _, k := range sortedKeys(m) {
		if text, ok := m[k].(string); ok {
			k += "=" + text
		}
		parts = append(parts, k)
	}
	return strings.Join(parts, ",")
}

func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

// printDocument prints JSON indented, or as YAML with the same order.
func (s *session) printDocument(raw json.RawMessage) error {
	if s.flags.output == "yaml" {
		return writeYAML(s.Out, raw)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(raw), "", "  "); err != nil {
		return fmt.Errorf("the service answered no JSON: %w", err)
	}
	b.WriteByte('\n')
	_, err := b.WriteTo(s.Out)
	return err
}

func writeYAML(w io.Writer, raw json.RawMessage) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil { // JSON is YAML
		return fmt.Errorf("the service answered no JSON: %w", err)
	}
	restyle(&doc)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return err
	}
	return enc.Close()
}

// restyle drops the flow style and needless quotes that JSON brought along.
func restyle(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle | yaml.DoubleQuotedStyle
	for _, c := range n.Content {
		restyle(c)
	}
}

// printValue prints a value made here the way an answer is printed.
func (s *session) printValue(v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.printDocument(raw)
}
