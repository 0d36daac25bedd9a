package slice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// maxNESTAttributes bounds a NEST; GSMA NG.116 v10 defines about 70.
const maxNESTAttributes = 512

// nestAttribute is one attribute of a NEST as it comes and goes.
type nestAttribute struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
	Unit  string          `json:"unit,omitempty"`
}

type nestDocument struct {
	Attributes []nestAttribute `json:"attributes"`
}

// NESTToProfile reads a GSMA NEtwork Slice Type (NG.116: {attributes: [{name,
// value, unit}]}) into the 3GPP attributes it corresponds to. Attribute names
// are those of the GST, compared without regard to case; a sub-attribute is
// written "attribute: sub-attribute", or as a member of the attribute's object
// value. unmapped names what the profile has no place for, and, with the
// reason, what it could only take with a loss: the raw NEST stays the truth. A
// known attribute with a value of the wrong type, unit or range is an Invalid
// fault.
func NESTToProfile(raw json.RawMessage) (profile *ServiceProfile, unmapped []string, err error) {
	c := &checks{subject: "nest"}
	profile, unmapped = nestToProfile(raw, c, "nest")
	if c.e != nil {
		return nil, nil, c.e
	}
	return profile, unmapped, nil
}

func nestToProfile(raw json.RawMessage, c *checks, at string) (*ServiceProfile, []string) {
	if len(raw) > maxDocument {
		c.wrong(at, len(raw), fmt.Sprintf("at most %d bytes", maxDocument))
		return nil, nil
	}
	var doc struct {
		Attributes *[]nestAttribute `json:"attributes"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil || doc.Attributes == nil {
		c.wrong(at, "", `an object {"attributes": [{"name", "value", "unit"}]}`)
		return nil, nil
	}
	if len(*doc.Attributes) > maxNESTAttributes {
		c.wrong(at+"/attributes", len(*doc.Attributes), fmt.Sprintf("at most %d attributes", maxNESTAttributes))
		return nil, nil
	}
	r := nestReader{c: c, profile: &ServiceProfile{}, seen: map[string]bool{}}
	for i, a := range *doc.Attributes {
		r.attribute(fmt.Sprintf("%s/attributes/%d", at, i), a)
	}
	if c.e == nil {
		r.profile.check(c, "serviceProfile")
	}
	return r.profile, r.unmapped
}

// nestReader collects what a NEST says.
type nestReader struct {
	c        *checks
	profile  *ServiceProfile
	unmapped []string
	seen     map[string]bool
	// name, unit and at are of the attribute being read.
	name, unit, at string
}

func (r *nestReader) attribute(at string, a nestAttribute) {
	if a.Name == "" || len(a.Name) > 253 {
		r.c.wrong(at+"/name", a.Name, "the name of a GST attribute, 1 to 253 bytes")
		return
	}
	if len(a.Value) == 0 {
		r.c.wrong(at+"/value", "", "a value")
		return
	}
	r.unit = a.Unit
	r.one(at, a.Name, a.Value)
}

// one reads an attribute or sub-attribute; an object value that no attribute
// takes as a whole is read member by member.
func (r *nestReader) one(at, name string, value json.RawMessage) {
	m, known := gst[strings.ToLower(name)]
	object := isObject(value)
	if known && (!object || m.object) {
		r.at, r.name = at+"/value", name
		key := strings.ToLower(name)
		if r.seen[key] {
			r.c.wrong(at+"/name", name, "an attribute named once")
			return
		}
		r.seen[key] = true
		m.read(r, value)
		return
	}
	if object && !strings.Contains(name, ": ") {
		var parts map[string]json.RawMessage
		if json.Unmarshal(value, &parts) == nil && len(parts) > 0 && hasParts(name) {
			for _, k := range sortedKeys(parts) {
				r.one(at, name+": "+k, parts[k])
			}
			return
		}
	}
	r.lost(name, "")
}

// lost notes an attribute that the profile cannot hold, or only with a loss.
func (r *nestReader) lost(name, why string) {
	if why != "" {
		name += " (" + why + ")"
	}
	r.unmapped = append(r.unmapped, name)
}

func isObject(raw json.RawMessage) bool {
	t := bytes.TrimLeft(raw, " \t\r\n")
	return len(t) > 0 && t[0] == '{'
}

// hasParts reports whether the table knows sub-attributes of name.
func hasParts(name string) bool {
	prefix := strings.ToLower(name) + ": "
	for k := range gst {
		if strings.HasPrefix(k, prefix) {
			return true
		}
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// ProfileToNEST writes the profile as a NEST with GST names and their default
// units, attributes in the order of the GST's table. unmapped names the
// attributes of the profile (by 3GPP name) that the GST cannot hold, or only
// with a loss. Reading the answer with NESTToProfile gives back everything
// that is not in unmapped.
func ProfileToNEST(p *ServiceProfile) (raw json.RawMessage, unmapped []string, err error) {
	w := nestWriter{doc: nestDocument{Attributes: []nestAttribute{}}}
	if p != nil {
		if err := p.Validate(); err != nil {
			return nil, nil, err
		}
		w.profile(p)
	}
	raw, err = json.Marshal(w.doc)
	return raw, w.unmapped, err
}

type nestWriter struct {
	doc      nestDocument
	unmapped []string
}

func (w *nestWriter) put(name string, value any, unit string) {
	raw, err := json.Marshal(value)
	if err != nil { // numbers were validated finite, texts are text
		w.lost(name)
		return
	}
	w.doc.Attributes = append(w.doc.Attributes, nestAttribute{Name: name, Value: raw, Unit: unit})
}

func (w *nestWriter) lost(name string) { w.unmapped = append(w.unmapped, name) }
