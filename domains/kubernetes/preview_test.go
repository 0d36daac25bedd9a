package kubernetes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/internal/kube/helm"
)

func TestCompared(t *testing.T) {
	const before = `
kind: Deployment
apiVersion: apps/v1
metadata: {name: a, annotations: {osmoslice.dev/generation: "1"}}
spec: {template: {spec: {containers: [{name: main, image: "x:1"}]}}}
---
{kind: Secret, apiVersion: v1, metadata: {name: s}, data: {password: b2xk}}
---
{kind: Service, apiVersion: v1, metadata: {name: gone}}
`
	after := strings.NewReplacer("x:1", "x:2", "b2xk", "bmV3", `"1"`, `"2"`, "name: gone", "name: new").Replace(before)
	got, err := compared(helm.Preview{Before: before, After: after, ValuesNow: map[string]any{"replicas": 1, "osmoslice": map[string]any{"generation": 1}},
		ValuesThen: map[string]any{"replicas": int64(1), "tag": "2", "osmoslice": map[string]any{"generation": 2}}})
	if err != nil {
		t.Fatal(err)
	}
	want := `[{values tag  "2"} {Deployment a spec/template/spec/containers/0/image "x:1" "x:2"} {Service gone  {} } {Service new   {}}]`
	if text := fmt.Sprint(got); text != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}
