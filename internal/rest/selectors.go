package rest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/rest/shape"
)

// selector says which attributes an answer has (ETSI NFV-SOL013 §5.3). The zero
// selector leaves everything as it is.
type selector struct {
	only, without [][]string // paths, split
}

// always are attributes that no selector takes away: the client needs them to
// go on.
var always = []string{"id", "name", "revision"}

// large are the attributes that exclude_default leaves out.
var large = []string{
	"nest", "unmapped", "packaging", "configuration", "files", "configurationSchema", "connection",
	"args", "previousDeployment", "magnitudes", "actions", "operationParams", "steps", "causes", "stateHistory", "sliceProfile", "decision", "checkIndex",
}

// parseSelector reads the query; of is the shape of one resource.
func parseSelector(r *http.Request, of *shape.Shape) (s selector, err error) {
	if r.URL.RawQuery == "" {
		return s, nil
	}
	q := r.URL.Query()
	fields, without := q.Get("fields"), q.Get("exclude_fields")
	all, short := flag(q["all_fields"]), flag(q["exclude_default"])
	if all && (fields != "" || without != "" || short) || fields != "" && without != "" {
		return s, fault.New(fault.Malformed, "the selectors contradict each other").
			With("fields", r.URL.RawQuery, "all_fields alone; fields, or exclude_fields; each of these two with exclude_default")
	}
	if s.only, err = paths("fields", fields, of); err != nil {
		return s, err
	}
	if s.without, err = paths("exclude_fields", without, of); err != nil {
		return s, err
	}
	if short {
		for _, name := range large {
			named := slices.ContainsFunc(s.only, func(p []string) bool { return p[0] == name })
			if _, has := of.Props[name]; has && !named {
				s.without = append(s.without, []string{name})
			}
		}
	}
	return s, nil
}

// flag is a query parameter that needs no value.
func flag(values []string) bool {
	return len(values) > 0 && values[len(values)-1] != "false"
}

func paths(param, list string, of *shape.Shape) (out [][]string, err error) {
	if list == "" {
		return nil, nil
	}
	for attr := range strings.SplitSeq(list, ",") {
		path := strings.Split(attr, "/")
		at := of
		for i, name := range path {
			path[i] = unescape.Replace(name)
			if at, err = step(at, path[i], param, attr); err != nil {
				return nil, err
			}
		}
		out = append(out, path)
	}
	return out, nil
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~", "~a", ",", "~b", "@")

// step goes to a field; arrays stand for their items.
func step(at *shape.Shape, name, param, attr string) (*shape.Shape, error) {
	for at.Items != nil {
		at = at.Items
	}
	switch {
	case at.Props != nil:
		if f, ok := at.Props[name]; ok {
			return f.Shape, nil
		}
		return nil, fault.New(fault.Malformed, "the selector names an unknown attribute").
			With(param, attr, "one of "+strings.Join(at.Names(), ", ")+", or below with /")
	case at.Values != nil:
		return at.Values, nil
	case at.Type == "object" || at.Type == "":
		return &shape.Shape{}, nil
	}
	return nil, fault.New(fault.Malformed, "the selector goes below an attribute that has no parts").With(param, attr, "a shorter path")
}

// apply projects one JSON object.
func (s selector) apply(object []byte) ([]byte, error) {
	if s.only == nil && s.without == nil {
		return object, nil
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if s.only != nil {
		keep := slices.Clone(s.only)
		for _, name := range always {
			keep = append(keep, []string{name})
		}
		v = only(v, keep)
	}
	for _, path := range s.without {
		if !slices.Contains(always, path[0]) {
			without(v, path)
		}
	}
	return json.Marshal(v)
}

// only keeps what lies on the paths.
func only(v any, paths [][]string) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = only(v[i], paths)
		}
	case map[string]any:
		below := map[string][][]string{}
		whole := map[string]bool{}
		for _, p := range paths {
			if len(p) == 1 {
				whole[p[0]] = true
			} else {
				below[p[0]] = append(below[p[0]], p[1:])
			}
		}
		maps.DeleteFunc(v, func(name string, _ any) bool { return !whole[name] && below[name] == nil })
		for name, x := range v {
			if !whole[name] {
				v[name] = only(x, below[name])
			}
		}
	}
	return v
}

func without(v any, path []string) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			without(x, path)
		}
	case map[string]any:
		if len(path) == 1 {
			delete(v, path[0])
			return
		}
		without(v[path[0]], path[1:])
	}
}
