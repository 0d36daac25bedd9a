package instance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// Steps answers a reader of the steps, from the first.
func (in *Instance) Steps() *StepReader { return &StepReader{in: in, rest: in.steps} }

// StepReader reads steps one by one.
type StepReader struct {
	in   *Instance
	rest []byte
	scan scanner
	last Step
}

// Next reads the next step; ok is false after the last. The step's lists are
// overwritten by the next call.
func (r *StepReader) Next() (s *Step, ok bool, err error) {
	line, rest, _ := bytes.Cut(r.rest, []byte{'\n'})
	r.rest = rest
	if len(bytes.TrimSpace(line)) == 0 {
		return nil, false, nil
	}
	r.last = Step{Patch: topology.Patch{Nodes: r.last.Patch.Nodes[:0], Links: r.last.Patch.Links[:0], Order: r.last.Patch.Order[:0]}}
	r.scan = scanner{b: line}
	if r.in.Family == "vr" {
		err = r.vr(&r.last)
	} else {
		err = r.fogarm(&r.last)
	}
	if err == nil {
		err = r.scan.err
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: steps.jsonl: step %d: %w", r.in.Name, r.last.K, err)
	}
	return &r.last, true, nil
}

func (r *StepReader) vr(s *Step) error {
	c := &r.scan
	return c.object(func(key string) error {
		switch key {
		case "k":
			s.K = int(c.number())
		case "nodes":
			c.array(func() {
				c.expect('[')
				i := int32(c.number())
				c.expect(',')
				hw := c.number()
				c.expect(']')
				s.Patch.Nodes = append(s.Patch.Nodes, topology.NodeValue{Node: i, Capacity: topology.Capacity{CPU: units(hw)}})
			})
		case "links":
			c.array(func() {
				c.expect('[')
				i := int32(c.number())
				c.expect(',')
				j := int32(c.number())
				c.expect(',')
				lat := c.number()
				c.expect(',')
				bw := c.number()
				c.expect(']')
				s.Patch.Links = append(s.Patch.Links, topology.LinkValue{From: i, To: j, Path: path(lat, bw)})
			})
		default:
			return c.skip()
		}
		return nil
	})
}

func (r *StepReader) fogarm(s *Step) error {
	c, failed := &r.scan, map[int32]bool{}
	err := c.object(func(key string) error {
		switch key {
		case "k":
			s.K = int(c.number())
		case "order":
			c.array(func() { s.Patch.Order = append(s.Patch.Order, int32(c.number())) })
		case "node_failed":
			c.array(func() { failed[int32(c.number())] = true })
		case "ram_gb":
			i := int32(0)
			c.array(func() {
				s.Patch.Nodes = append(s.Patch.Nodes, topology.NodeValue{Node: i, Capacity: topology.Capacity{CPU: units(c.number())}})
				i++
			})
		case "links":
			r.links(s)
		case "commits":
			return c.value(&s.Commits)
		default:
			return c.skip()
		}
		return nil
	})
	for k := range s.Patch.Nodes {
		s.Patch.Nodes[k].Unavailable = failed[int32(k)]
	}
	if err == nil && (len(s.Patch.Nodes) != len(r.in.Nodes) || len(s.Patch.Links) != len(r.in.Links)) {
		err = fmt.Errorf("%d nodes and %d links stated, the base has %d and %d", len(s.Patch.Nodes), len(s.Patch.Links), len(r.in.Nodes), len(r.in.Links))
	}
	return err
}

// links reads link values aligned with the base's: 0 for down, or a pair.
func (r *StepReader) links(s *Step) {
	c, k := &r.scan, 0
	c.array(func() {
		if k >= len(r.in.Links) {
			c.fail("more links than the base has")
			return
		}
		v := topology.LinkValue{From: r.in.Links[k][0], To: r.in.Links[k][1]}
		if c.peek() == '[' {
			c.expect('[')
			lat := c.number()
			c.expect(',')
			v.Path = path(lat, c.number())
			c.expect(']')
		} else {
			c.number()
			v.Down = true
		}
		s.Patch.Links = append(s.Patch.Links, v)
		k++
	})
}

// scanner reads JSON of known shape without building values.
type scanner struct {
	b   []byte
	i   int
	err error
}

func (c *scanner) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("byte %d: %s", c.i, what)
	}
	c.i = len(c.b)
}

func (c *scanner) peek() byte {
	for c.i < len(c.b) && c.b[c.i] <= ' ' {
		c.i++
	}
	if c.i < len(c.b) {
		return c.b[c.i]
	}
	return 0
}

func (c *scanner) expect(ch byte) {
	if c.peek() != ch {
		c.fail("expected " + strconv.QuoteRune(rune(ch)))
		return
	}
	c.i++
}

// number reads a number; short decimals without a conversion of their text.
func (c *scanner) number() float64 {
	c.peek()
	from, digits, scale, dot := c.i, int64(0), 0, false
	for ; c.i < len(c.b); c.i++ {
		ch := c.b[c.i]
		if ch >= '0' && ch <= '9' {
			digits = digits*10 + int64(ch-'0')
			if dot {
				scale++
			}
		} else if ch == '.' && !dot {
			dot = true
		} else {
			break
		}
	}
	odd := c.i < len(c.b) && (c.b[c.i] == '-' || c.b[c.i] == 'e' || c.b[c.i] == 'E' || c.b[c.i] == '+')
	if n := c.i - from; n > 0 && n < 16 && !odd {
		return float64(digits) / pow10[scale]
	}
	for c.i < len(c.b) && bytes.IndexByte([]byte("+-.eE0123456789"), c.b[c.i]) >= 0 {
		c.i++
	}
	v, err := strconv.ParseFloat(string(c.b[from:c.i]), 64)
	if err != nil {
		c.fail("expected a number")
	}
	return v
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16}

func (c *scanner) array(item func()) {
	c.expect('[')
	if c.peek() == ']' {
		c.i++
		return
	}
	for c.err == nil {
		item()
		if c.peek() == ']' {
			c.i++
			return
		}
		c.expect(',')
	}
}

func (c *scanner) object(field func(key string) error) error {
	c.expect('{')
	for c.err == nil && c.peek() == '"' {
		end := bytes.IndexByte(c.b[c.i+1:], '"')
		if end < 0 {
			c.fail("unfinished key")
			break
		}
		key := string(c.b[c.i+1 : c.i+1+end])
		c.i += end + 2
		c.expect(':')
		if err := field(key); err != nil {
			return err
		}
		if c.peek() != ',' {
			break
		}
		c.i++
	}
	c.expect('}')
	return c.err
}

// value decodes the next JSON value.
func (c *scanner) value(v any) error {
	d := json.NewDecoder(bytes.NewReader(c.b[c.i:]))
	if err := d.Decode(v); err != nil {
		return err
	}
	c.i += int(d.InputOffset())
	return nil
}

func (c *scanner) skip() error {
	var v json.RawMessage
	return c.value(&v)
}
