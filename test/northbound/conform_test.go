package northbound

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-openapi/spec"

	"github.com/osmoslice/osmoslice/api/restapi"
	"github.com/osmoslice/osmoslice/internal/rest/shape"
)

// contract is swagger.json as answers are held to it.
var contract = sync.OnceValue(func() (c struct {
	routes []route
	shapes map[string]*shape.Shape
}) {
	// What is read-only is there to be answered.
	doc := strings.ReplaceAll(string(restapi.SwaggerJSON), `"readOnly": true`, `"x-read-only": true`)
	var s struct {
		Definitions spec.Definitions `json:"definitions"`
		Paths       map[string]map[string]struct {
			Responses map[string]struct {
				Schema *schema `json:"schema"`
			} `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal([]byte(doc), &s); err != nil {
		panic(err)
	}
	c.shapes = shape.All(s.Definitions)
	variable := regexp.MustCompile(`\\\{[^}]*\}`)
	for path, methods := range s.Paths {
		pattern := regexp.MustCompile("^" + base + variable.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")
		for method, o := range methods {
			r := route{method: strings.ToUpper(method), pattern: pattern, schemas: map[int]*schema{}}
			for status, answer := range o.Responses {
				if n, err := strconv.Atoi(status); err == nil {
					r.schemas[n] = answer.Schema
				}
			}
			c.routes = append(c.routes, r)
		}
	}
	return c
})

type route struct {
	method  string
	pattern *regexp.Regexp
	schemas map[int]*schema
}

// conforms requires a successful answer to be one that swagger.yaml declares,
// with a body of the declared shape: no unknown field, no wrong type.
func conforms(t testing.TB, method, path string, r reply) {
	t.Helper()
	if r.status >= 300 {
		return
	}
	path, _, _ = strings.Cut(path, "?")
	for _, route := range contract().routes {
		if route.method != method || !route.pattern.MatchString(path) {
			continue
		}
		s, declared := route.schemas[r.status]
		switch {
		case !declared:
			t.Errorf("%s %s answers %d, which is not declared", method, path, r.status)
		case s == nil && len(r.body) > 0:
			t.Errorf("%s %s = %d with a body: %s", method, path, r.status, r.body)
		case s != nil:
			of := &shape.Shape{Type: "array"}
			var name string
			if s.Items != nil {
				name = s.Items.Ref
			} else {
				name = s.Ref
			}
			d := contract().shapes[strings.TrimPrefix(name, "#/definitions/")]
			if of.Items = d; s.Items == nil {
				of = d
			}
			if err := shape.Check(of, r.body, "answer"); err != nil {
				t.Errorf("%s %s = %d: %v", method, path, r.status, err)
			}
		}
		return
	}
	t.Errorf("%s %s is not in swagger.yaml, and answers %d", method, path, r.status)
}
