package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// compile compiles a JSON Schema that refers to nothing outside itself.
func compile(raw json.RawMessage) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	const url = "mem:///schema.json"
	c := jsonschema.NewCompiler()
	c.UseLoader(nowhere{})
	if err := c.AddResource(url, doc); err != nil {
		return nil, err
	}
	return c.Compile(url)
}

// nowhere loads nothing: a schema that somebody registers must not make the
// service read its own files or call addresses.
type nowhere struct{}

func (nowhere) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s: a schema may refer only to itself", url)
}

// noSuch is what is allowed where a schema has no property of a name.
const noSuch = "nothing: the schema has no such property"

// misfits adds to f what is wrong with v: the path below field, what was given,
// what is allowed.
func misfits(f *fault.Error, field string, v any, wrong *jsonschema.ValidationError) {
	leaves(wrong, func(e *jsonschema.ValidationError) {
		path := strings.Join(append([]string{field}, e.InstanceLocation...), "/")
		switch k := e.ErrorKind.(type) {
		case *kind.Required:
			for _, name := range k.Missing {
				_ = f.With(path+"/"+name, "", "a value: the schema requires it")
			}
		case *kind.AdditionalProperties:
			for _, name := range k.Properties {
				_ = f.With(path+"/"+name, given(v, append(slices.Clone(e.InstanceLocation), name)), noSuch)
			}
		default:
			_ = f.With(path, given(v, e.InstanceLocation), e.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
		}
	})
}

func leaves(e *jsonschema.ValidationError, visit func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		visit(e)
	}
	for _, c := range e.Causes {
		leaves(c, visit)
	}
}

// given renders the value at a path. What is validated holds no secrets, only
// references to them.
func given(v any, path []string) string {
	for _, p := range path {
		switch t := v.(type) {
		case map[string]any:
			v = t[p]
		case []any:
			var i int
			if _, err := fmt.Sscan(p, &i); err != nil || i < 0 || i >= len(t) {
				return ""
			}
			v = t[i]
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// compiledMost bounds the compiled schemas that are kept.
const compiledMost = 256

// configurations validates elements' configuration against their products'
// schemas.
type configurations struct {
	mu       sync.Mutex
	compiled map[[sha256.Size]byte]*jsonschema.Schema
}

// Compiles answers an Invalid fault naming field when schema is not a JSON
// Schema that stands by itself.
func (c *configurations) Compiles(field string, schema json.RawMessage) error {
	if len(schema) == 0 {
		return nil
	}
	_, err := c.schema(schema)
	if err != nil {
		return fault.Field(field, shortened(schema), "a JSON Schema that stands by itself: "+strings.ReplaceAll(err.Error(), "mem:///schema.json", ""))
	}
	return nil
}

func shortened(raw json.RawMessage) string {
	const most = 200
	if len(raw) > most {
		return string(raw[:most]) + "…"
	}
	return string(raw)
}

func (c *configurations) schema(raw json.RawMessage) (*jsonschema.Schema, error) {
	key := sha256.Sum256(raw)
	c.mu.Lock()
	s := c.compiled[key]
	c.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := compile(raw)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.compiled == nil || len(c.compiled) >= compiledMost {
		c.compiled = map[[sha256.Size]byte]*jsonschema.Schema{}
	}
	c.compiled[key] = s
	return s, nil
}

// Fits answers an Invalid fault that names every wrong entry below field.
// Values are text; where the schema wants a number or a boolean, one written as
// text fits. hidden names further entries whose values are not known here
// (secrets): they count as there, and fit whatever is wanted of their value.
func (c *configurations) Fits(field string, schema json.RawMessage, configuration map[string]string, hidden []string) error {
	if len(schema) == 0 {
		return nil
	}
	s, err := c.schema(schema)
	if err != nil {
		return fault.New(fault.Internal, "a product's configuration schema cannot be read").Because(err)
	}
	v := map[string]any{}
	for k, text := range configuration {
		v[k] = text
	}
	for _, k := range hidden {
		v[k] = ""
	}
	err = s.Validate(v)
	if reread(v, hidden, err) {
		err = s.Validate(v)
	}
	if err == nil {
		return nil
	}
	var wrong *jsonschema.ValidationError
	if !errors.As(err, &wrong) {
		return fault.New(fault.Invalid, "configuration cannot be checked").Because(err)
	}
	f := fault.New(fault.Invalid, "the configuration does not fit the product's schema")
	misfits(f, field, v, wrong)
	f.Params = slices.DeleteFunc(f.Params, func(p fault.Param) bool {
		name, below := strings.CutPrefix(p.Field, field+"/")
		return below && slices.Contains(hidden, name) && p.Allowed != noSuch
	})
	if len(f.Params) == 0 {
		return nil
	}
	return f
}

// reread takes the entries that did not fit as text for the numbers and booleans
// that they spell, and answers whether there are any.
func reread(v map[string]any, hidden []string, err error) (found bool) {
	var wrong *jsonschema.ValidationError
	if !errors.As(err, &wrong) {
		return false
	}
	leaves(wrong, func(e *jsonschema.ValidationError) {
		if len(e.InstanceLocation) != 1 || slices.Contains(hidden, e.InstanceLocation[0]) {
			return
		}
		text, ok := v[e.InstanceLocation[0]].(string)
		if !ok {
			return
		}
		scalar, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return
		}
		switch scalar.(type) {
		case bool, json.Number:
			v[e.InstanceLocation[0]], found = scalar, true
		}
	})
	return found
}
