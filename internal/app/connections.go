package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// connections validates connection data against the plugins' JSON Schemas.
type connections map[string]*jsonschema.Schema

// newConnections compiles the plugins' schemas.
func newConnections(plugins map[string]domain.Plugin) (connections, error) {
	out := connections{}
	for name, p := range plugins {
		s, err := compile(p.Schema)
		if err != nil {
			return nil, fmt.Errorf("plugin %s: connection schema: %w", name, err)
		}
		out[name] = s
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
		misfits(f, "connection", v, wrong)
		return f
	} else if err != nil {
		return fault.New(fault.Invalid, "connection data cannot be checked").Because(err)
	}
	return nil
}
