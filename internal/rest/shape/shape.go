package shape

import (
	"slices"
	"strings"

	"github.com/go-openapi/spec"
)

// Shape is what a JSON value may look like. The zero Shape is free-form.
type Shape struct {
	// Type is object, array, string, number, integer, boolean, or "" for any.
	Type string
	// Props are an object's fields by name; nil with no Values: free-form.
	Props map[string]Field
	// Values is the shape of a map's values, Items of an array's.
	Values, Items *Shape
	names         string
}

// Field is a field of an object; a read-only one is the service's to write.
type Field struct {
	*Shape
	ReadOnly bool
}

// Names lists the fields of an object, sorted.
func (s *Shape) Names() []string {
	var out []string
	for n := range s.Props {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// All reads every definition of a document, by name.
func All(definitions spec.Definitions) map[string]*Shape {
	b := builder{definitions: definitions, done: map[string]*Shape{}}
	for name := range definitions {
		b.definition(name)
	}
	return b.done
}

type builder struct {
	definitions spec.Definitions
	done        map[string]*Shape
}

func (b *builder) definition(name string) *Shape {
	if s, ok := b.done[name]; ok {
		return s
	}
	s := &Shape{}
	b.done[name] = s // before its fields: definitions may refer to themselves
	*s = *b.shape(b.definitions[name])
	return s
}

func (b *builder) shape(d spec.Schema) *Shape {
	if ref := d.Ref.String(); ref != "" {
		return b.definition(strings.TrimPrefix(ref, "#/definitions/"))
	}
	s := &Shape{}
	if len(d.Type) > 0 {
		s.Type = d.Type[0]
	}
	if len(d.Properties) > 0 {
		s.Props = make(map[string]Field, len(d.Properties))
		for name, p := range d.Properties {
			s.Props[name] = Field{b.shape(p), p.ReadOnly}
		}
		s.names = strings.Join(s.Names(), ", ")
	}
	if d.AdditionalProperties != nil && d.AdditionalProperties.Schema != nil {
		s.Values = b.shape(*d.AdditionalProperties.Schema)
	}
	if d.Items != nil && d.Items.Schema != nil {
		s.Items = b.shape(*d.Items.Schema)
	}
	return s
}
