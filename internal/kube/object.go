package kube

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Objects reads YAML documents; lists are taken apart.
func Objects(manifest string) ([]unstructured.Unstructured, error) {
	var out []unstructured.Unstructured
	dec := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		var u unstructured.Unstructured
		err := dec.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "the manifest cannot be read").Because(err)
		}
		switch {
		case len(u.Object) == 0:
		case u.IsList():
			if err := u.EachListItem(func(o runtime.Object) error {
				if item, ok := o.(*unstructured.Unstructured); ok {
					out = append(out, *item)
				}
				return nil
			}); err != nil {
				return nil, fault.New(fault.Invalid, "a list of the manifest cannot be read").Because(err)
			}
		case u.GetKind() == "" || u.GetAPIVersion() == "" || u.GetName() == "":
			return nil, fault.New(fault.Invalid, "an object of the manifest has no apiVersion, kind or name")
		default:
			out = append(out, u)
		}
	}
}

// YAML writes objects as documents that Objects reads back.
func YAML(objects []unstructured.Unstructured) (string, error) {
	var b bytes.Buffer
	for i := range objects {
		y, err := sigsyaml.Marshal(objects[i].Object)
		if err != nil {
			return "", fault.New(fault.Invalid, "an object cannot be written").Because(err)
		}
		b.WriteString("---\n")
		b.Write(y)
	}
	return b.String(), nil
}

// resource finds where objects of u's kind are.
func (k *Cluster) resource(u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := u.GroupVersionKind()
	m, err := k.Mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, Fault(err, "the cluster does not know %s", gvk)
	}
	r := k.Dynamic.Resource(m.Resource)
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return r.Namespace(u.GetNamespace()), nil
	}
	return r, nil
}

// Apply makes an object be as u says, by server-side apply: what u does not say
// is left alone. The answer is the object as it is then.
func (k *Cluster) Apply(ctx context.Context, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	r, err := k.resource(u)
	if err != nil {
		return nil, err
	}
	live, err := r.Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: FieldOwner, Force: true})
	if err != nil {
		return nil, Fault(err, "%s %s cannot be applied", u.GetKind(), u.GetName())
	}
	return live, nil
}

// Live reads the object that u names, nil when there is none.
func (k *Cluster) Live(ctx context.Context, u *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	r, err := k.resource(u)
	if err != nil {
		return nil, err
	}
	live, err := r.Get(ctx, u.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // absence is an answer
	}
	if err != nil {
		return nil, Fault(err, "%s %s cannot be read", u.GetKind(), u.GetName())
	}
	return live, nil
}
