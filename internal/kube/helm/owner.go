package helm

import (
	"bytes"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
)

// mapper is what knows the cluster's kinds; nil without a cluster.
func (r *run) mapper() meta.RESTMapper {
	if r.cfg.RESTClientGetter == nil {
		return nil
	}
	m, err := r.cfg.RESTClientGetter.ToRESTMapper()
	if err != nil {
		return nil
	}
	return m
}

// owner is a post-renderer: it writes the owner's labels on every object and pod
// template, and refuses what would lie outside the namespace.
type owner struct {
	namespace string
	labels    map[string]string
	mapper    meta.RESTMapper
}

// podTemplates are the kinds that make pods, and where.
var podTemplates = map[string][]string{
	"Deployment": {"spec", "template"}, "StatefulSet": {"spec", "template"}, "DaemonSet": {"spec", "template"},
	"ReplicaSet": {"spec", "template"}, "Job": {"spec", "template"}, "CronJob": {"spec", "jobTemplate", "spec", "template"},
}

// Run changes what Helm rendered.
func (o *owner) Run(in *bytes.Buffer) (*bytes.Buffer, error) {
	objects, err := kube.Objects(in.String())
	if err != nil {
		return nil, err
	}
	for i := range objects {
		if err := o.own(&objects[i]); err != nil {
			return nil, err
		}
	}
	text, err := kube.YAML(objects)
	return bytes.NewBufferString(text), err
}

func (o *owner) own(u *unstructured.Unstructured) error {
	gvk := u.GroupVersionKind()
	if o.mapper != nil {
		m, err := o.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil {
			return kube.Fault(err, "the cluster does not know %s", gvk)
		}
		if m.Scope.Name() != meta.RESTScopeNameNamespace {
			return fault.New(fault.Invalid, "the chart has an object of the whole cluster").With("chart", gvk.Kind+" "+u.GetName(), "objects of a namespace only")
		}
	}
	if ns := u.GetNamespace(); ns != "" && ns != o.namespace {
		return fault.New(fault.Invalid, "the chart has an object of another namespace").With("chart", fmt.Sprintf("%s %s/%s", gvk.Kind, ns, u.GetName()), o.namespace)
	}
	u.SetNamespace(o.namespace)
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	for k, v := range o.labels {
		labels[k] = v
	}
	u.SetLabels(labels)
	at, ok := podTemplates[gvk.Kind]
	if !ok {
		return nil
	}
	for k, v := range o.labels {
		if err := unstructured.SetNestedField(u.Object, v, append(append([]string{}, at...), "metadata", "labels", k)...); err != nil {
			return fault.New(fault.Invalid, "the chart's %s %s has no proper pod template", gvk.Kind, u.GetName()).Because(err)
		}
	}
	return nil
}
