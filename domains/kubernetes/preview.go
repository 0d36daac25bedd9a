package kubernetes

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/kube"
	"github.com/osmoslice/osmoslice/internal/kube/helm"
)

var _ domain.Previewer = (*Driver)(nil)

// Preview renders the wish and tells how its values and objects differ from
// what Helm has recorded. It changes nothing.
func (d *Driver) Preview(ctx context.Context, dep domain.Deployment) ([]domain.Difference, error) {
	m, err := d.enter(ctx, dep.Ref)
	if err != nil {
		return nil, err
	}
	w, err := m.plan(dep)
	if err != nil {
		return nil, err
	}
	p, err := m.helm.Preview(ctx, helm.Wish{Name: dep.Release, Namespace: w.namespace, Chart: w.chart, Values: w.values, Labels: w.labels})
	if err != nil {
		return nil, err
	}
	return compared(p)
}

// ceaseless are fields that every wish changes.
var ceaseless = []string{"osmoslice/generation", "osmoslice/hash", "metadata/annotations/osmoslice.dev~1generation", "metadata/annotations/osmoslice.dev~1hash"}

// compared lists the differences of a preview, values first. It is pure.
func compared(p helm.Preview) ([]domain.Difference, error) {
	out := differing("values", fields(p.ValuesNow), fields(p.ValuesThen))
	before, err := named(p.Before)
	if err != nil {
		return nil, err
	}
	after, err := named(p.After)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		was, is := before[name], after[name]
		switch {
		case was == nil:
			out = append(out, domain.Difference{Object: name, After: "{}"})
		case is == nil:
			out = append(out, domain.Difference{Object: name, Before: "{}"})
		default:
			out = append(out, differing(name, was, is)...)
		}
	}
	return out, nil
}

// named are a manifest's objects by kind and name, as fields.
func named(manifest string) (map[string]map[string]string, error) {
	objects, err := kube.Objects(manifest)
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]string{}
	for i := range objects {
		u := &objects[i]
		f := fields(u.Object)
		if u.GetKind() == "Secret" {
			for k := range f {
				if strings.HasPrefix(k, "data/") || strings.HasPrefix(k, "stringData/") {
					delete(f, k) // a secret, and made by chance in a preview
				}
			}
		}
		out[u.GetKind()+" "+u.GetName()] = f
	}
	return out, nil
}

// fields flattens a document to its leaves, in JSON, by path.
func fields(doc map[string]any) map[string]string {
	out := map[string]string{}
	b, err := json.Marshal(doc)
	if err != nil {
		return out
	}
	var plain any
	if json.Unmarshal(b, &plain) == nil {
		flatten(plain, "", out)
	}
	return out
}

func flatten(v any, path string, out map[string]string) {
	at := func(key string) string {
		key = strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1")
		if path == "" {
			return key
		}
		return path + "/" + key
	}
	switch t := v.(type) {
	case map[string]any:
		for k, x := range t {
			flatten(x, at(k), out)
		}
	case []any:
		for i, x := range t {
			flatten(x, at(strconv.Itoa(i)), out)
		}
	default:
		b, err := json.Marshal(v)
		if err == nil && path != "" {
			out[path] = string(b)
		}
	}
}

func differing(object string, before, after map[string]string) []domain.Difference {
	var out []domain.Difference
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if before[k] != after[k] && !slices.Contains(ceaseless, k) {
			out = append(out, domain.Difference{Object: object, Field: k, Before: before[k], After: after[k]})
		}
	}
	return out
}
