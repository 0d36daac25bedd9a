package event

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// attributes are what events can be filtered by.
var attributes = map[string]func(e *slice.Event) string{
	"notificationType": func(e *slice.Event) string { return e.Type },
	"tenantId":         func(e *slice.Event) string { return e.Tenant },
	"resourceKind":     func(e *slice.Event) string { return string(e.Kind) },
	"resourceId":       func(e *slice.Event) string { return e.Resource },
	"resourceName":     func(e *slice.Event) string { return e.Name },
	"parentId":         func(e *slice.Event) string { return e.Parent },
	"state":            func(e *slice.Event) string { return e.State },
	"lcmOperationType": func(e *slice.Event) string { return e.OperationType },
	"operationState":   func(e *slice.Event) string { return e.OperationState },
	"position":         func(e *slice.Event) string { return strconv.FormatInt(e.Position, 10) },
}

// operators compare an attribute with values (ETSI NFV-SOL013 §5.2).
var operators = map[string]func(got string, values []string) bool{
	"eq":    func(got string, v []string) bool { return got == v[0] },
	"neq":   func(got string, v []string) bool { return got != v[0] },
	"gt":    func(got string, v []string) bool { return order(got, v[0]) > 0 },
	"gte":   func(got string, v []string) bool { return order(got, v[0]) >= 0 },
	"lt":    func(got string, v []string) bool { return order(got, v[0]) < 0 },
	"lte":   func(got string, v []string) bool { return order(got, v[0]) <= 0 },
	"in":    func(got string, v []string) bool { return slices.Contains(v, got) },
	"nin":   func(got string, v []string) bool { return !slices.Contains(v, got) },
	"cont":  func(got string, v []string) bool { return contains(got, v) },
	"ncont": func(got string, v []string) bool { return !contains(got, v) },
}

// order compares as numbers where both are, else as texts.
func order(a, b string) int {
	x, xerr := strconv.ParseInt(a, 10, 64)
	y, yerr := strconv.ParseInt(b, 10, 64)
	if xerr == nil && yerr == nil {
		return cmp.Compare(x, y)
	}
	return strings.Compare(a, b)
}

func contains(got string, values []string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return strings.Contains(got, v) })
}

// CheckFilter answers fault.Malformed that names what events cannot be filtered
// by.
func CheckFilter(filter []operation.Condition) error {
	for _, c := range filter {
		if attributes[c.Attr] == nil {
			return fault.New(fault.Malformed, "events cannot be filtered by %q", c.Attr).
				With("filter", c.Attr, strings.Join(slices.Sorted(maps.Keys(attributes)), ", "))
		}
		if operators[c.Op] == nil {
			return fault.New(fault.Malformed, "the filter's operator is not known").
				With("filter", c.Op, "eq, neq, gt, gte, lt, lte, in, nin, cont, ncont")
		}
		if len(c.Values) == 0 {
			return fault.New(fault.Malformed, "operator %s needs a value", c.Op).With("filter", "", "a value")
		}
	}
	return nil
}

// Scope is whose events a reader may hear.
type Scope struct {
	// Tenants; nil is every tenant.
	Tenants []string
	Filter  []operation.Condition
}

// Match reports whether e is in the scope. The filter has passed CheckFilter.
func (s Scope) Match(e *slice.Event) bool {
	if s.Tenants != nil && !slices.Contains(s.Tenants, e.Tenant) {
		return false
	}
	for _, c := range s.Filter {
		if !operators[c.Op](attributes[c.Attr](e), c.Values) {
			return false
		}
	}
	return true
}
