package kube

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Difference is a field of a live object that is not as recorded.
type Difference struct {
	Object string // "Deployment gateway"
	Path   string // "spec/replicas"; empty: the object is missing
	Want   string // shortened; empty for secrets
}

// String says it for a person.
func (d Difference) String() string {
	if d.Path == "" {
		return d.Object + " is missing"
	}
	if d.Want == "" {
		return fmt.Sprintf("%s: %s was changed", d.Object, d.Path)
	}
	return fmt.Sprintf("%s: %s is not %s", d.Object, d.Path, d.Want)
}

// Ignore names fields whose change is no drift: "Kind:path", where a path stands
// for all below it and the kind * for every kind.
type Ignore []string

func (i Ignore) covers(kind, path string) bool {
	return slices.ContainsFunc(i, func(rule string) bool {
		k, p, _ := strings.Cut(rule, ":")
		return (k == "*" || k == kind) && (path == p || strings.HasPrefix(path, p+"/"))
	})
}

// Compare answers what must change for live (nil: it is missing) to be as want
// says: a three-way merge of the recorded object with the live one, so that
// defaults and what others added are no difference. It is pure.
func Compare(want, live *unstructured.Unstructured, ignore Ignore) ([]Difference, error) {
	name := want.GetKind() + " " + want.GetName()
	if live == nil {
		return []Difference{{Object: name}}, nil
	}
	recorded, typed, err := canonical(want)
	if err != nil {
		return nil, err
	}
	current, err := json.Marshal(live.Object)
	if err != nil {
		return nil, fault.New(fault.Internal, "%s cannot be compared", name).Because(err)
	}
	patch, err := threeWay(recorded, current, typed)
	if err != nil {
		return nil, fault.New(fault.Internal, "%s cannot be compared", name).Because(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(patch, &fields); err != nil {
		return nil, fault.New(fault.Internal, "%s cannot be compared", name).Because(err)
	}
	var out []Difference
	leaves(fields, "", false, func(path string, v any) {
		if ignore.covers(want.GetKind(), path) {
			return
		}
		d := Difference{Object: name, Path: path}
		if want.GetKind() != "Secret" {
			b, _ := json.Marshal(v)
			d.Want = shorten(string(b))
		}
		out = append(out, d)
	})
	slices.SortFunc(out, func(a, b Difference) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func shorten(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:77], "") + "..."
	}
	return s
}

func threeWay(recorded, current []byte, typed runtime.Object) ([]byte, error) {
	if typed == nil {
		return jsonmergepatch.CreateThreeWayJSONMergePatch(recorded, recorded, current)
	}
	schema, err := strategicpatch.NewPatchMetaFromStruct(typed)
	if err != nil {
		return nil, err
	}
	return strategicpatch.CreateThreeWayMergePatch(recorded, recorded, current, schema, true)
}

// canonical writes an object as the API server would: quantities in their
// shortest form, a secret's text as data. A kind that is not known stays as it is.
func canonical(u *unstructured.Unstructured) ([]byte, runtime.Object, error) {
	u = u.DeepCopy()
	if texts, ok, _ := unstructured.NestedStringMap(u.Object, "stringData"); ok && u.GetKind() == "Secret" {
		for k, v := range texts {
			_ = unstructured.SetNestedField(u.Object, base64.StdEncoding.EncodeToString([]byte(v)), "data", k)
		}
		unstructured.RemoveNestedField(u.Object, "stringData")
	}
	var typed runtime.Object
	if obj, err := scheme.Scheme.New(u.GroupVersionKind()); err == nil {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, obj); err != nil {
			return nil, nil, fault.New(fault.Invalid, "%s %s is not a proper object", u.GetKind(), u.GetName()).Because(err)
		}
		m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
		if err != nil {
			return nil, nil, fault.New(fault.Invalid, "%s %s is not a proper object", u.GetKind(), u.GetName()).Because(err)
		}
		gvk := u.GroupVersionKind()
		u.Object, typed = m, obj
		u.SetGroupVersionKind(gvk)
	}
	unstructured.RemoveNestedField(u.Object, "status")
	withoutNull(u.Object)
	b, err := json.Marshal(u.Object)
	if err != nil {
		return nil, nil, fault.New(fault.Internal, "%s %s cannot be written", u.GetKind(), u.GetName()).Because(err)
	}
	return b, typed, nil
}

func withoutNull(v any) {
	switch t := v.(type) {
	case map[string]any:
		for k, x := range t {
			if x == nil {
				delete(t, k)
			}
			withoutNull(x)
		}
	case []any:
		for _, x := range t {
			withoutNull(x)
		}
	}
}

// leaves visits the fields of a patch, its directives left out. whole: v is part
// of a list that the patch replaces as a whole, where an empty object is
// something; elsewhere in a patch it changes nothing.
func leaves(v any, path string, whole bool, visit func(string, any)) {
	if list, ok := v.([]any); ok && len(list) > 0 {
		if _, objects := list[0].(map[string]any); objects {
			for _, x := range list {
				leaves(x, path+"/"+element(x), whole, visit)
			}
			return
		}
	}
	m, ok := v.(map[string]any)
	if !ok || len(m) == 0 && whole {
		visit(path, v)
		return
	}
	for k, x := range m {
		if strings.HasPrefix(k, "$") || k == "name" && path != "" && len(m) > 1 {
			continue // a directive, or the key of a list's element
		}
		next := strings.ReplaceAll(k, "/", "~1")
		if path != "" {
			next = path + "/" + next
		}
		_, list := x.([]any)
		_, merged := m["$setElementOrder/"+k]
		leaves(x, next, whole || list && !merged, visit)
	}
}

func element(v any) string {
	m, _ := v.(map[string]any)
	for _, key := range []string{"name", "port", "containerPort", "mountPath", "key"} {
		if x, ok := m[key]; ok {
			return fmt.Sprint(x)
		}
	}
	return "?"
}
