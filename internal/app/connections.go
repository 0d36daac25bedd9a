package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// connections validates connection data against the plugins' JSON Schemas.
type connections map[string]*jsonschema.Schema

// newConnections compiles the plugins' schemas.
func newConnections(plugins map[string]domain.Plugin) (connections, error) {
	out := connections{}
	for name, p := range plugins {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(p.Schema))
		if err != nil {
			return nil, fmt.Errorf("plugin %s: connection schema: %w", name, err)
		}
		url := "mem:///" + name + ".json"
		c := jsonschema.NewCompiler()
		if err := c.AddResource(url, doc); err != nil {
			return nil, fmt.Errorf("plugin %s: connection schema: %w", name, err)
		}
		if out[name], err = c.Compile(url); err != nil {
			return nil, fmt.Errorf("plugin %s: connection schema: %w", name, err)
		}
	}
	return out, nil
}

// Validate answers an Invalid fault that names every wrong field below
// "connection", and the plugin when it is unknown.
func (c connections) Validate(plugin string, connection json.RawMessage) error {
	schema, ok := c[plugin]
	if !ok {
		names := make([]string, 0, len(c))
		for n := range c {
			names = append(names, n)
		}
		slices.Sort(names)
		return fault.Field("plugin", plugin, strings.Join(names, ", "))
	}
	if len(connection) == 0 {
		connection = json.RawMessage("{}")
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(connection))
	if err != nil {
		return fault.Field("connection", string(connection), "a JSON object").Because(err)
	}
	var wrong *jsonschema.ValidationError
	if err := schema.Validate(v); errors.As(err, &wrong) {
		f := fault.New(fault.Invalid, "connection data does not fit the %s plugin", plugin)
		leaves(wrong, func(e *jsonschema.ValidationError) {
			path := strings.Join(append([]string{"connection"}, e.InstanceLocation...), "/")
			_ = f.With(path, given(v, e.InstanceLocation), e.ErrorKind.LocalizedString(message.NewPrinter(language.English)))
		})
		return f
	} else if err != nil {
		return fault.New(fault.Invalid, "connection data cannot be checked").Because(err)
	}
	return nil
}

func leaves(e *jsonschema.ValidationError, visit func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		visit(e)
	}
	for _, c := range e.Causes {
		leaves(c, visit)
	}
}

// given renders the value at a path. Connection data holds no secrets, only
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
