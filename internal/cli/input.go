package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxInput bounds an input file.
const maxInput = 64 << 20

// readBodies reads a file ("-": standard input) of YAML or JSON documents. A
// document is one object or a list of them. Names used twice in one object are
// refused; numbers stay as they are written.
func (s *session) readBodies(file string) ([]map[string]any, error) {
	raw, name, err := s.readInput(file)
	if err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(strings.NewReader(raw))
	var bodies []map[string]any
	for n := 1; ; n++ {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, usagef("%s: %v", name, err)
		}
		v, err := plain(&doc)
		if err != nil {
			return nil, usagef("%s: document %d: %v", name, n, err)
		}
		switch v := v.(type) {
		case nil: // an empty document between separators
		case map[string]any:
			bodies = append(bodies, v)
		case []any:
			for i, item := range v {
				m, ok := item.(map[string]any)
				if !ok {
					return nil, usagef("%s: document %d, item %d: given %v, allowed: an object", name, n, i+1, item)
				}
				bodies = append(bodies, m)
			}
		default:
			return nil, usagef("%s: document %d: given %v, allowed: an object or a list of objects", name, n, v)
		}
	}
	if len(bodies) == 0 {
		return nil, usagef("%s: there is nothing in it", name)
	}
	return bodies, nil
}

// readBody reads a file that must hold one object.
func (s *session) readBody(file string) (map[string]any, error) {
	bodies, err := s.readBodies(file)
	if err != nil {
		return nil, err
	}
	if len(bodies) > 1 {
		return nil, usagef("%s: given %d objects, allowed: one", file, len(bodies))
	}
	return bodies[0], nil
}

func (s *session) readInput(file string) (raw, name string, err error) {
	in, name := s.In, "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", file, usagef("%v", err)
		}
		defer f.Close()
		in, name = f, file
	}
	b, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return "", name, usagef("%s: %v", name, err)
	}
	if len(b) > maxInput {
		return "", name, usagef("%s: larger than %d MiB", name, maxInput>>20)
	}
	return string(b), name, nil
}

// plain turns a YAML node into what encoding/json would make of the same in
// JSON, numbers as json.Number.
func plain(n *yaml.Node) (any, error) {
	// Decoding once checks anchors, merges and names used twice.
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, err
	}
	return jsonable(v)
}

func jsonable(v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		for k, w := range v {
			x, err := jsonable(w)
			if err != nil {
				return nil, err
			}
			v[k] = x
		}
		return v, nil
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, w := range v {
			x, err := jsonable(w)
			if err != nil {
				return nil, err
			}
			m[fmt.Sprint(k)] = x
		}
		return m, nil
	case []any:
		for i := range v {
			x, err := jsonable(v[i])
			if err != nil {
				return nil, err
			}
			v[i] = x
		}
		return v, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("given %v, allowed: a finite number", v)
		}
		return json.Number(strconv.FormatFloat(v, 'g', -1, 64)), nil
	case int, int64, uint64:
		return json.Number(fmt.Sprint(v)), nil
	}
	return v, nil
}
