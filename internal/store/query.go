package store

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Bounds of a list query.
const (
	defaultLimit = 100
	maxLimit     = 1000
	maxValues    = 100 // values of one condition
	maxConds     = 32
)

// Marker is the opaque marker of the page that ends with a resource; kind "" is
// an operation.
func Marker(kind slice.Kind, id string) string {
	if kind == "" {
		kind = slice.KindOperation
	}
	return base64.RawURLEncoding.EncodeToString([]byte(string(kind) + " " + id))
}

func after(kind slice.Kind, marker string) (string, error) {
	if marker == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(marker)
	id, ok := strings.CutPrefix(string(raw), string(kind)+" ")
	if err != nil || !ok || id == "" {
		return "", fault.New(fault.Malformed, "the page marker is not valid").With("nextpage_opaque_marker", marker, "the marker of a previous page of the same list")
	}
	return id, nil
}

// term is a condition on a column.
type term struct {
	column string
	op     string
	values []string
}

// listing is a compiled query: branches with one driving equality each, whose
// pages are merged by id.
type listing struct {
	terms []term
	after string
	limit int
	// newest lists by seq, the newest first, in one branch.
	newest bool
}

// compile checks a query against the whitelist of attributes.
func compile(q operation.Query, attrs map[string]string, parent string) (listing, error) {
	l := listing{limit: q.Limit}
	switch {
	case q.Limit == 0:
		l.limit = defaultLimit
	case q.Limit < 0 || q.Limit > maxLimit:
		return l, fault.New(fault.Malformed, "the page size is not valid").With("limit", strconv.Itoa(q.Limit), "1 to "+strconv.Itoa(maxLimit))
	}
	var err error
	if l.after, err = after(q.Kind, q.After); err != nil {
		return l, err
	}
	if q.Tenants != nil {
		l.terms = append(l.terms, term{"tenant", "in", dedupe(q.Tenants)})
	}
	if q.Parent != "" {
		l.terms = append(l.terms, term{parent, "in", []string{q.Parent}})
	}
	if len(q.Filter) > maxConds {
		return l, fault.New(fault.Malformed, "the filter has too many conditions").With("filter", strconv.Itoa(len(q.Filter)), "at most "+strconv.Itoa(maxConds))
	}
	for _, c := range q.Filter {
		t, err := condition(c, attrs)
		if err != nil {
			return l, err
		}
		l.terms = append(l.terms, t)
	}
	return l, nil
}

func condition(c operation.Condition, attrs map[string]string) (term, error) {
	column, ok := attrs[c.Attr]
	if !ok {
		allowed := slices.Sorted(maps.Keys(attrs))
		return term{}, fault.New(fault.Malformed, "the list cannot be filtered by %q", c.Attr).With("filter", c.Attr, strings.Join(allowed, ", "))
	}
	switch c.Op {
	case "eq", "neq", "gt", "gte", "lt", "lte":
		if len(c.Values) != 1 {
			return term{}, fault.New(fault.Malformed, "operator %s takes one value", c.Op).With("filter", strings.Join(c.Values, ","), "one value")
		}
	case "in", "nin", "cont", "ncont":
		if len(c.Values) == 0 || len(c.Values) > maxValues {
			return term{}, fault.New(fault.Malformed, "operator %s takes 1 to %d values", c.Op, maxValues).With("filter", strconv.Itoa(len(c.Values))+" values", "1 to "+strconv.Itoa(maxValues))
		}
	default:
		return term{}, fault.New(fault.Malformed, "the filter's operator is not known").With("filter", c.Op, "eq, neq, gt, gte, lt, lte, in, nin, cont, ncont")
	}
	for _, v := range c.Values {
		if !utf8.ValidString(v) || strings.Contains(v, "\x00") {
			return term{}, fault.New(fault.Malformed, "a value of the filter is not text").With("filter", c.Attr, "valid UTF-8 without NUL")
		}
	}
	op := c.Op
	if op == "eq" {
		op = "in"
	}
	return term{column, op, dedupe(c.Values)}, nil
}

func dedupe(v []string) []string {
	out := slices.Clone(v)
	slices.Sort(out)
	return slices.Compact(out)
}

// drivers lists what can drive a listing, best first: the columns that one
// index holds before id.
type drivers []string

var resourceDrivers = drivers{"name parent", "name", "parent ref", "parent state", "parent", "place", "ref", "tenant state", "class", "state", "tenant"}

var operationDrivers = drivers{"slice", "tenant state", "state", "type", "tenant"}

// maxBranches bounds the product of the driving values.
const maxBranches = 256

// pick answers the terms that drive: those of the first driver whose columns
// all have a wanted-values term. A lone "id" or range never drives: order by id
// does.
func (d drivers) pick(terms []term, most int) []int {
	for _, names := range d {
		var chosen []int
		product := 1
		for name := range strings.FieldsSeq(names) {
			i := slices.IndexFunc(terms, func(t term) bool { return t.column == name && t.op == "in" && !slices.Contains(t.values, "") })
			if i < 0 {
				product = 0
				break
			}
			product *= len(terms[i].values)
			chosen = append(chosen, i)
		}
		if product > 0 && product <= most {
			return chosen
		}
	}
	return nil
}

// builder writes one branch as SQL.
type builder struct {
	d    dialect
	text strings.Builder
	args []any
}

func (b *builder) arg(v any) string {
	b.args = append(b.args, v)
	return "$" + strconv.Itoa(len(b.args))
}

func (b *builder) term(t term, column string) {
	b.text.WriteString(" AND ")
	if len(t.values) == 0 { // no tenant at all
		b.text.WriteString("1 = 0")
		return
	}
	switch t.op {
	case "in", "nin":
		b.text.WriteString(column)
		if t.op == "nin" {
			b.text.WriteString(" NOT")
		}
		b.text.WriteString(" IN (")
		for i, v := range t.values {
			if i > 0 {
				b.text.WriteString(", ")
			}
			b.text.WriteString(b.arg(v))
		}
		b.text.WriteString(")")
	case "cont", "ncont":
		b.text.WriteString(map[bool]string{true: "NOT (", false: "("}[t.op == "ncont"])
		for i, v := range t.values {
			if i > 0 {
				b.text.WriteString(" OR ")
			}
			b.text.WriteString(b.d.contains(column, b.arg(v)))
		}
		b.text.WriteString(")")
	default:
		op := map[string]string{"neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}[t.op]
		b.text.WriteString(column + " " + op + " " + b.arg(t.values[0]))
	}
}

// branches answers the statements of a listing. Each has its driving columns
// bound to one value and everything else kept from the planner's choice of
// index.
func (l listing) branches(d dialect, head string, first []any, ds drivers) []*builder {
	most, order := maxBranches, "id"
	if l.newest {
		most, order = 1, "seq DESC"
	}
	driving := ds.pick(l.terms, most)
	combos := [][]string{nil}
	for _, i := range driving {
		var next [][]string
		for _, c := range combos {
			for _, v := range l.terms[i].values {
				next = append(next, append(slices.Clone(c), v))
			}
		}
		combos = next
	}
	// A listing by name has few rows: let it sort rather than walk in order.
	id := "id"
	if slices.ContainsFunc(driving, func(i int) bool { return l.terms[i].column == "name" }) {
		id, order = d.plain("id"), d.plain("id")
	}
	out := make([]*builder, 0, len(combos))
	for _, combo := range combos {
		b := &builder{d: d, args: slices.Clone(first)}
		b.text.WriteString(head)
		for i, t := range l.terms {
			if k := slices.Index(driving, i); k >= 0 {
				b.text.WriteString(" AND " + t.column + " = " + b.arg(combo[k]) + " AND " + t.column + " <> ''")
			} else {
				b.term(t, d.plain(t.column))
			}
		}
		if l.after != "" {
			b.text.WriteString(" AND " + id + " > " + b.arg(l.after))
		}
		b.text.WriteString(" ORDER BY " + order + " LIMIT " + b.arg(l.limit))
		out = append(out, b)
	}
	return out
}
