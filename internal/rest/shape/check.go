package shape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Bounds of one document.
const (
	MaxDepth  = 64
	MaxParams = 50
)

// Check compares a document with s. what names it in the error ("body").
func Check(s *Shape, doc []byte, what string) error {
	c := checker{dec: json.NewDecoder(bytes.NewReader(doc)), what: what}
	c.dec.UseNumber()
	err := c.value(s, "", 0)
	if err == nil {
		err = c.end()
	}
	var stop *fault.Error
	switch {
	case errors.As(err, &stop):
		return stop
	case err != nil:
		return c.malformed(err)
	case c.wrong != nil:
		return c.wrong
	}
	return nil
}

type checker struct {
	dec   *json.Decoder
	what  string
	wrong *fault.Error
}

// end requires that nothing follows the document.
func (c *checker) end() error {
	switch _, err := c.dec.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return errors.New("something follows the document")
}

func (c *checker) malformed(err error) error {
	reason := err.Error()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		reason = "it ends too early"
	}
	return fault.New(fault.Malformed, "the %s is not JSON: %s", c.what, reason).
		With(c.what, "", fmt.Sprintf("a JSON document; this one goes wrong near byte %d", c.dec.InputOffset()))
}

func (c *checker) refuse(path, given, allowed string) {
	if c.wrong == nil {
		c.wrong = fault.New(fault.Invalid, "the %s is not valid", c.what)
	}
	if path == "" {
		path = c.what
	}
	if len(c.wrong.Params) < MaxParams {
		_ = c.wrong.With(path, given, allowed)
	}
}

var free = &Shape{}

// value checks the next value. An error is broken JSON, or a fault that ends
// the check.
func (c *checker) value(s *Shape, path string, depth int) error {
	if depth > MaxDepth {
		return fault.New(fault.Malformed, "the %s is nested too deep", c.what).
			With(path[:min(len(path), 200)], "", fmt.Sprintf("at most %d levels", MaxDepth))
	}
	t, err := c.dec.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '{' {
			return c.object(s, path, depth)
		}
		return c.array(s, path, depth)
	case nil:
	case string:
		c.expect(s, path, "string", t)
	case json.Number:
		c.number(s, path, t)
	case bool:
		c.expect(s, path, "boolean", strconv.FormatBool(t))
	}
	return nil
}

func (c *checker) expect(s *Shape, path, typ, given string) bool {
	if s.Type == "" || s.Type == typ {
		return true
	}
	c.refuse(path, given, article(s.Type))
	return false
}

func article(typ string) string {
	switch typ {
	case "integer":
		return "a whole number of 64 bits"
	case "object", "array":
		return "an " + typ
	}
	return "a " + typ
}

func (c *checker) number(s *Shape, path string, n json.Number) {
	if s.Type == "integer" {
		if _, err := n.Int64(); err != nil {
			c.refuse(path, n.String(), article("integer"))
		}
		return
	}
	if c.expect(s, path, "number", n.String()) {
		if _, err := n.Float64(); err != nil {
			c.refuse(path, n.String(), "a number of 64 bits")
		}
	}
}

func (c *checker) object(s *Shape, path string, depth int) error {
	if !c.expect(s, path, "object", "an object") {
		s = free
	}
	seen := make(map[string]struct{}, 8)
	for c.dec.More() {
		t, err := c.dec.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string) // the decoder lets nothing else be a name
		at := join(path, name)
		if _, twice := seen[name]; twice {
			c.refuse(at, "twice", "each field once")
		}
		seen[name] = struct{}{}
		if err := c.value(c.field(s, name, at), at, depth+1); err != nil {
			return err
		}
	}
	_, err := c.dec.Token()
	return err
}

// field is the shape of an object's field; free-form after a refusal, so that
// one mistake is told once.
func (c *checker) field(s *Shape, name, at string) *Shape {
	switch {
	case s.Props != nil:
		f, ok := s.Props[name]
		if !ok {
			c.refuse(at, "an unknown field", "one of "+s.names)
			return free
		}
		if f.ReadOnly {
			c.refuse(at, "a read-only field", "nothing: the service writes it")
			return free
		}
		return f.Shape
	case s.Values != nil:
		return s.Values
	}
	return free
}

func (c *checker) array(s *Shape, path string, depth int) error {
	items := free
	if c.expect(s, path, "array", "an array") && s.Items != nil {
		items = s.Items
	}
	for i := 0; c.dec.More(); i++ {
		if err := c.value(items, join(path, strconv.Itoa(i)), depth+1); err != nil {
			return err
		}
	}
	_, err := c.dec.Token()
	return err
}

// join appends one step to a path (RFC 6901 §3 escapes).
func join(path, name string) string {
	if strings.ContainsAny(name, "~/") {
		name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	if path == "" {
		return name
	}
	return path + "/" + name
}
