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
		"wrong/Chart.yaml":         {Data: []byte("apiVersion: v2\nname: wrong\nversion: 1.0.0\n")},
		"wrong/templates/map.yaml": {Data: []byte("{{ .Nothing.here }}")},
	}
	c, err := Load(files, "c")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Render("rel", "ns", map[string]any{"text": "b"})
	if err != nil || !strings.Contains(got, "text: b") || !strings.Contains(got, "name: rel") || !strings.Contains(got, `found: "0"`) {
		t.Errorf("%s, %v", got, err)
	}
	wrong, err := Load(files, "wrong")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Render("rel", "ns", nil); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "wrong") {
		t.Errorf("a template that fails: %v", err)
	}
	if _, err := c.Render("rel", "ns", map[string]any{"text": 1}); err == nil || !strings.Contains(err.Error(), "text") {
		t.Errorf("a wrong value: %v", err)
	}
}
