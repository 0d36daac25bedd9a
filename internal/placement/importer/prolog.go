// Package importer reads foreign descriptions of topologies and applications
// into the project's nouns. It is pure: text in, nouns out.
//
// Facts reads FogBrainX's Prolog facts:
//
//	node(N, [Software], FreeHardware or inf, [Things]).
//	link(A, B, LatencyMs, FreeMbps).
//	application(A, [Services]).
//	service(S, [Software], Hardware, [Things]).
//	s2s(A, B, MaxLatencyMs, Mbps).
//
// Directives and other facts are skipped, as are comments. A unit of hardware
// becomes a core (1000 milli-cores). Traffic with a service that is not there
// is left out, as FogBrainX ignores it. Errors are Invalid faults that name the
// line.
package importer

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Imported is what a set of facts describes.
type Imported struct {
	Nodes   []topology.Node
	Links   []topology.Link
	Demands []placement.Demand
}

// term is an atom, a number, a list or a compound.
type term struct {
	name string // "" for a list
	args []term
	list bool
}

// Facts reads Prolog facts. Nodes get the given kind, as the facts state none.
func Facts(text string, kind topology.Kind) (*Imported, error) {
	out, f := &Imported{}, &facts{services: map[string]placement.Element{}}
	r := &reader{text: text, line: 1}
	for {
		t, ok, err := r.clause()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if err := f.take(out, t, kind); err != nil {
			return nil, fault.Of(err).Because(fmt.Errorf("the clause that ends at line %d", r.line))
		}
	}
	if err := f.demands(out); err != nil {
		return nil, err
	}
	return out, nil
}

// facts collects what an application is made of until all is read.
type facts struct {
	apps     []term
	services map[string]placement.Element
	traffic  []placement.Flow
}

func (f *facts) take(out *Imported, t term, kind topology.Kind) error {
	switch fmt.Sprint(t.name, "/", len(t.args)) {
	case "node/4":
		hw, err := quantity("node hardware", t.args[2])
		if err != nil {
			return err
		}
		out.Nodes = append(out.Nodes, topology.Node{ID: t.args[0].name, Kind: kind, Software: t.args[1].atoms(), Things: t.args[3].atoms(),
			Capacity: topology.Capacity{CPU: hw, Memory: topology.Infinite, Storage: topology.Infinite}})
	case "link/4":
		ms, err1 := number("link latency", t.args[2])
		kbit, err2 := quantity("link bandwidth", t.args[3])
		if err := either(err1, err2); err != nil {
			return err
		}
		out.Links = append(out.Links, topology.Link{From: t.args[0].name, To: t.args[1].name, LatencyMS: ms, BandwidthKbit: kbit})
	case "application/2":
		f.apps = append(f.apps, t)
	case "service/4":
		hw, err := quantity("service hardware", t.args[2])
		if err != nil {
			return err
		}
		f.services[t.args[0].name] = placement.Element{ID: t.args[0].name, Kind: placement.MicroElement,
			Requirements: placement.Requirements{CPU: hw, Software: t.args[1].atoms(), Things: t.args[3].atoms()}}
	case "s2s/4":
		ms, err1 := number("s2s latency", t.args[2])
		kbit, err2 := quantity("s2s bandwidth", t.args[3])
		if err := either(err1, err2); err != nil {
			return err
		}
		f.traffic = append(f.traffic, placement.Flow{From: t.args[0].name, To: t.args[1].name, MaxLatencyMS: ms, BandwidthKbit: kbit})
	}
	return nil
}

// demands makes one demand of each application.
func (f *facts) demands(out *Imported) error {
	for _, a := range f.apps {
		d := placement.Demand{ID: a.args[0].name}
		has := map[string]bool{}
		for _, name := range a.args[1].atoms() {
			e, ok := f.services[name]
			if !ok {
				return fault.Field("application/"+d.ID, name, "services that are described")
			}
			has[name] = true
			d.Elements = append(d.Elements, e)
		}
		for _, x := range f.traffic {
			if has[x.From] && has[x.To] {
				d.Flows = append(d.Flows, x)
			}
		}
		if err := d.Validate(); err != nil {
			return err
		}
		out.Demands = append(out.Demands, d)
	}
	return nil
}

func either(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (t term) atoms() (out []string) {
	for _, a := range t.args {
		out = append(out, a.name)
	}
	return out
}

func number(what string, t term) (float64, error) {
	v, err := strconv.ParseFloat(t.name, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0, fault.Field(what, t.name, "a number, 0 or more")
	}
	return v, nil
}

// quantity is a number in thousandths, or without limit when it is inf.
func quantity(what string, t term) (int64, error) {
	if t.name == "inf" {
		return topology.Infinite, nil
	}
	const parts = 1000
	v, err := number(what, t)
	if err == nil && v*parts >= float64(placement.MaxQuantity) {
		err = fault.Field(what, t.name, fmt.Sprintf("less than %g, or inf", float64(placement.MaxQuantity)/parts))
	}
	if err != nil {
		return 0, err
	}
	return int64(math.Round(v * parts)), nil
}

// reader reads clauses.
type reader struct {
	text string
	i    int
	line int
}

func (r *reader) fail(allowed string) error {
	given := r.text[min(r.i, len(r.text)):]
	given, _, _ = strings.Cut(given, "\n")
	return fault.Field(fmt.Sprintf("line %d", r.line), given, allowed)
}

// space skips white space and comments.
func (r *reader) space() {
	for r.i < len(r.text) {
		switch r.text[r.i] {
		case '\n':
			r.line++
			r.i++
		case ' ', '\t', '\r':
			r.i++
		case '%':
			for r.i < len(r.text) && r.text[r.i] != '\n' {
				r.i++
			}
		default:
			return
		}
	}
}

// clause reads the next fact; directives and rules are skipped.
func (r *reader) clause() (t term, ok bool, err error) {
	for {
		r.space()
		if r.i >= len(r.text) {
			return t, false, nil
		}
		if !strings.HasPrefix(r.text[r.i:], ":-") {
			if t, err = r.term(0); err != nil {
				return t, false, err
			}
			r.space()
			if r.i < len(r.text) && r.text[r.i] == '.' {
				r.i++
				return t, true, nil
			}
			if !strings.HasPrefix(r.text[r.i:], ":-") {
				return t, false, r.fail("a clause that ends with a full stop")
			}
		}
		r.skip()
	}
}

// skip passes over the rest of a directive or rule: a full stop before white
// space or the end.
func (r *reader) skip() {
	for ; r.i < len(r.text); r.i++ {
		c := r.text[r.i]
		if c == '\n' {
			r.line++
		}
		if c == '.' && (r.i+1 == len(r.text) || strings.IndexByte(" \t\r\n%", r.text[r.i+1]) >= 0) {
			r.i++
			return
		}
	}
}

const maxDepth = 16

func (r *reader) term(depth int) (t term, err error) {
	if depth > maxDepth {
		return t, r.fail(fmt.Sprintf("terms at most %d deep", maxDepth))
	}
	r.space()
	if r.i < len(r.text) && r.text[r.i] == '[' {
		r.i++
		t.list = true
		t.args, err = r.arguments(']', depth)
		return t, err
	}
	if t.name, err = r.word(); err != nil {
		return t, err
	}
	if r.i < len(r.text) && r.text[r.i] == '(' {
		r.i++
		t.args, err = r.arguments(')', depth)
	}
	return t, err
}

func (r *reader) arguments(end byte, depth int) (args []term, err error) {
	r.space()
	if r.i < len(r.text) && r.text[r.i] == end {
		r.i++
		return nil, nil
	}
	for {
		t, err := r.term(depth + 1)
		if err != nil {
			return nil, err
		}
		args = append(args, t)
		r.space()
		if r.i >= len(r.text) {
			return nil, r.fail("a closing " + string(end))
		}
		c := r.text[r.i]
		r.i++
		switch c {
		case end:
			return args, nil
		case ',':
		default:
			r.i--
			return nil, r.fail("a comma or " + string(end))
		}
	}
}

// word reads an atom, plain or quoted, a variable or a number.
func (r *reader) word() (string, error) {
	from := r.i
	if r.i < len(r.text) && r.text[r.i] == '\'' {
		end := strings.IndexByte(r.text[r.i+1:], '\'')
		if end < 0 {
			return "", r.fail("a closing quote")
		}
		r.i += end + 2
		return r.text[from+1 : r.i-1], nil
	}
	for r.i < len(r.text) {
		c := r.text[r.i]
		dot := c == '.' && r.i+1 < len(r.text) && r.text[r.i+1] >= '0' && r.text[r.i+1] <= '9'
		if c != '_' && c != '-' && !dot && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			break
		}
		r.i++
	}
	if r.i == from {
		return "", r.fail("an atom, a number or a list")
	}
	return r.text[from:r.i], nil
}
