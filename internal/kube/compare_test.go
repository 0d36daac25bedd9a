package kube

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const recorded = `apiVersion: apps/v1
kind: Deployment
metadata: {name: gw, labels: {a: b}}
spec:
  replicas: 1
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers:
        - name: main
          image: x:1
          resources: {limits: {cpu: 1000m, memory: 1024Mi}}
          ports: [{containerPort: 80}]
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {password: hush}
---
apiVersion: example.dev/v1
kind: Thing
metadata: {name: t}
spec: {size: 3, list: [1, 2]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: np}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}
`

func object(t *testing.T, manifest string, i int) *unstructured.Unstructured {
	t.Helper()
	all, err := Objects(manifest)
	if err != nil || i >= len(all) {
		t.Fatalf("%d objects, %v", len(all), err)
	}
	return &all[i]
}

// live is a recorded object with what a cluster adds.
func live(t *testing.T, i int) *unstructured.Unstructured {
	u := object(t, recorded, i)
	u.SetResourceVersion("77")
	u.SetUID("u")
	u.SetAnnotations(map[string]string{"deployment.kubernetes.io/revision": "1"})
	if i == 0 {
		containers, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
		c := containers[0].(map[string]any)
		c["imagePullPolicy"] = "IfNotPresent"
		c["ports"] = []any{map[string]any{"containerPort": int64(80), "protocol": "TCP"}}
		c["resources"] = map[string]any{"limits": map[string]any{"cpu": "1", "memory": "1Gi"}}
		set(u, containers, "spec", "template", "spec", "containers")
		set(u, "Always", "spec", "template", "spec", "restartPolicy")
		set(u, map[string]any{"replicas": int64(1)}, "status")
	}
	if i == 1 {
		unstructured.RemoveNestedField(u.Object, "stringData")
		set(u, "aHVzaA==", "data", "password")
		set(u, "Opaque", "type")
	}
	return u
}

func set(u *unstructured.Unstructured, v any, at ...string) {
	if err := unstructured.SetNestedField(u.Object, v, at...); err != nil {
		panic(err)
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name   string
		i      int
		edit   func(u *unstructured.Unstructured)
		ignore Ignore
		want   string // first difference, "" none
	}{
		{"as recorded, with defaults", 0, func(*unstructured.Unstructured) {}, nil, ""},
		{"replicas", 0, func(u *unstructured.Unstructured) { set(u, int64(3), "spec", "replicas") }, nil, "Deployment gw: spec/replicas is not 1"},
		{"replicas, ignored", 0, func(u *unstructured.Unstructured) { set(u, int64(3), "spec", "replicas") }, Ignore{"Deployment:spec/replicas"}, ""},
		{"replicas, ignored of another kind", 0, func(u *unstructured.Unstructured) { set(u, int64(3), "spec", "replicas") }, Ignore{"StatefulSet:spec/replicas"}, "Deployment gw: spec/replicas is not 1"},
		{"image", 0, func(u *unstructured.Unstructured) {
			cs, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
			cs[0].(map[string]any)["image"] = "evil:1"
			set(u, cs, "spec", "template", "spec", "containers")
		}, nil, `Deployment gw: spec/template/spec/containers/main/image is not "x:1"`},
		{"a label taken away", 0, func(u *unstructured.Unstructured) { u.SetLabels(nil) }, nil, `Deployment gw: metadata/labels/a is not "b"`},
		{"a label added", 0, func(u *unstructured.Unstructured) { u.SetLabels(map[string]string{"a": "b", "c": "d"}) }, nil, ""},
		{"secret as recorded", 1, func(*unstructured.Unstructured) {}, nil, ""},
		{"secret edited", 1, func(u *unstructured.Unstructured) { set(u, "b3RoZXI=", "data", "password") }, nil, "Secret s: data/password was changed"},
		{"policy as recorded", 3, func(*unstructured.Unstructured) {}, nil, ""},
		{"policy opened", 3, func(u *unstructured.Unstructured) { set(u, []any{map[string]any{}}, "spec", "ingress") }, nil, "NetworkPolicy np: spec/ingress/?/from/?/podSelector is not {}"},
		{"policy closed", 3, func(u *unstructured.Unstructured) { unstructured.RemoveNestedField(u.Object, "spec", "ingress") }, nil, "NetworkPolicy np: spec/ingress/?/from/?/podSelector is not {}"},
		{"unknown kind as recorded", 2, func(*unstructured.Unstructured) {}, nil, ""},
		{"unknown kind edited", 2, func(u *unstructured.Unstructured) { set(u, int64(4), "spec", "size") }, Ignore{"*:metadata"}, "Thing t: spec/size is not 3"},
	} {
		u := live(t, c.i)
		c.edit(u)
		got, err := Compare(object(t, recorded, c.i), u, c.ignore)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		text := ""
		if len(got) > 0 {
			text = got[0].String()
		}
		if text != c.want || len(got) > 1 {
			t.Errorf("%s: %v, want %q", c.name, got, c.want)
		}
	}
	got, err := Compare(object(t, recorded, 0), nil, nil)
	if err != nil || len(got) != 1 || got[0].String() != "Deployment gw is missing" {
		t.Errorf("missing: %v, %v", got, err)
	}
}
