package helm

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/osmoslice/osmoslice/internal/fault"
)

func TestRenderWithoutACluster(t *testing.T) {
	files := fstest.MapFS{
		"c/Chart.yaml":             {Data: []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n")},
		"c/values.yaml":            {Data: []byte("text: a\n")},
		"c/values.schema.json":     {Data: []byte(`{"properties": {"text": {"type": "string"}}}`)},
		"c/templates/_part.tpl":    {Data: []byte(`{{ define "part" }}{{ .Values.text }}{{ end }}`)},
		"c/templates/map.yaml":     {Data: []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {text: {{ include \"part\" . }}, found: \"{{ len (lookup \"v1\" \"Secret\" \"a\" \"b\") }}\"}\n")},
		"broken/Chart.yaml":        {Data: []byte("name: [")},
		"wrong/Chart.yaml":         {Data: []byte("apiVersion: v2\nname: wrong\nversion: 1.0.0\n")},
		"wrong/templates/map.yaml": {Data: []byte("{{ .Nothing.here }}")},
	}
	got, err := Render(files, "c", "rel", "ns", map[string]any{"text": "b"})
	if err != nil || !strings.Contains(got, "text: b") || !strings.Contains(got, "name: rel") || !strings.Contains(got, `found: "0"`) {
		t.Errorf("%s, %v", got, err)
	}
	for dir, want := range map[string]fault.Kind{"absent": fault.NotFound, "broken": fault.Invalid, "wrong": fault.Invalid} {
		if _, err := Render(files, dir, "rel", "ns", nil); !fault.Is(err, want) {
			t.Errorf("%s: %v, want %s", dir, err, want)
		}
	}
	if _, err := Render(files, "c", "rel", "ns", map[string]any{"text": 1}); err == nil || !strings.Contains(err.Error(), "text") {
		t.Errorf("a wrong value: %v", err)
	}
}
