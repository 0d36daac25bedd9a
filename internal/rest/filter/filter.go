package filter

import (
	"fmt"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
)

// Bounds of one filter.
const (
	MaxLength     = 4096
	MaxConditions = 32
	MaxValues     = 256
)

// ops maps each operator to whether it takes several values.
var ops = map[string]bool{
	"eq": false, "neq": false, "gt": false, "gte": false, "lt": false, "lte": false,
	"in": true, "nin": true, "cont": true, "ncont": true,
}

const allowedOps = "eq, neq, gt, gte, lt, lte, in, nin, cont, ncont"

// Parse answers the conditions of a filter, which hold together; none for "".
func Parse(s string) ([]operation.Condition, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > MaxLength {
		return nil, wrong(s, "at most %d characters", MaxLength)
	}
	p := parser{s: s}
	var out []operation.Condition
	for {
		c, err := p.expression()
		if err != nil {
			return nil, err
		}
		if out = append(out, c); len(out) > MaxConditions {
			return nil, wrong(s, "at most %d expressions", MaxConditions)
		}
		if p.at == len(p.s) {
			return out, nil
		}
		if !p.take(';') {
			return nil, p.expected(`";" or the end`)
		}
	}
}

type parser struct {
	s  string
	at int
}

func (p *parser) take(c byte) bool {
	if p.at < len(p.s) && p.s[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *parser) expected(what string) error {
	return wrong(p.s, "%s at character %d", what, p.at+1)
}

func wrong(given, allowed string, args ...any) error {
	return fault.New(fault.Malformed, "the filter is not valid").
		With("filter", given, fmt.Sprintf(allowed, args...))
}

func (p *parser) expression() (c operation.Condition, err error) {
	if !p.take('(') {
		return c, p.expected(`"("`)
	}
	c.Op = p.until(",()';")
	several, ok := ops[c.Op]
	if !ok {
		return c, wrong(p.s, "one of %s before character %d", allowedOps, p.at+1)
	}
	if !p.take(',') {
		return c, p.expected(`","`)
	}
	if c.Attr, err = p.attribute(); err != nil {
		return c, err
	}
	for p.take(',') {
		v, err := p.value()
		if err != nil {
			return c, err
		}
		if c.Values = append(c.Values, v); len(c.Values) > MaxValues {
			return c, wrong(p.s, "at most %d values", MaxValues)
		}
	}
	if !p.take(')') {
		return c, p.expected(`"," or ")"`)
	}
	if len(c.Values) == 0 || len(c.Values) > 1 && !several {
		return c, wrong(p.s, "one value for %s, before character %d", c.Op, p.at+1)
	}
	return c, nil
}

func (p *parser) until(stops string) string {
	n := strings.IndexAny(p.s[p.at:], stops)
	if n < 0 {
		n = len(p.s) - p.at
	}
	p.at += n
	return p.s[p.at-n : p.at]
}

// attribute reads a path. A "/" inside of a name stays "~1", so that the path
// is still one.
func (p *parser) attribute() (string, error) {
	raw := p.until(",()';")
	for name := range strings.SplitSeq(raw, "/") {
		if name == "" {
			return "", p.expected("an attribute, its names separated by / and not empty,")
		}
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] != '~' {
			b.WriteByte(raw[i])
			continue
		}
		if i++; i == len(raw) {
			return "", p.expected("~0, ~1, ~a or ~b")
		}
		switch raw[i] {
		case '0':
			b.WriteString("~0")
		case '1':
			b.WriteString("~1")
		case 'a':
			b.WriteByte(',')
		case 'b':
			b.WriteByte('@')
		default:
			return "", p.expected("~0, ~1, ~a or ~b")
		}
	}
	return b.String(), nil
}

func (p *parser) value() (string, error) {
	if !p.take('\'') {
		return p.until(",()';"), nil
	}
	var b strings.Builder
	for {
		n := strings.IndexByte(p.s[p.at:], '\'')
		if n < 0 {
			return "", p.expected("the closing quote of a value")
		}
		b.WriteString(p.s[p.at : p.at+n])
		p.at += n + 1
		if !p.take('\'') {
			return b.String(), nil
		}
		b.WriteByte('\'')
	}
}

// Format writes conditions as a filter; "" for none.
func Format(conditions []operation.Condition) string {
	var b strings.Builder
	for i, c := range conditions {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString("(" + c.Op + "," + escape.Replace(c.Attr))
		for _, v := range c.Values {
			b.WriteByte(',')
			if strings.ContainsAny(v, ",()';") {
				v = "'" + strings.ReplaceAll(v, "'", "''") + "'"
			}
			b.WriteString(v)
		}
		b.WriteByte(')')
	}
	return b.String()
}

var escape = strings.NewReplacer(",", "~a", "@", "~b")
