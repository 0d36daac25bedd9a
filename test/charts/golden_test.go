package charts

import (
	"bytes"
	"encoding/base64"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func update() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden renders")
	flag.Parse()
	os.Exit(m.Run())
}

// What the charts render is reviewed line by line in testdata/golden; generated
// secrets, new each time, are masked.
func TestGoldenRenders(t *testing.T) {
	for _, name := range products() {
		c := load(t, chartDir(name))
		for setting, values := range settings(t, name) {
			if setting != "default" && !reviewed(t, name, setting) {
				continue
			}
			t.Run(name+"/"+setting, func(t *testing.T) {
				objects, notes, err := render(c, newCluster(), values)
				if err != nil {
					t.Fatal(err)
				}
				var b bytes.Buffer
				for _, o := range objects {
					mask(o)
					raw, err := yaml.Marshal(o.Object)
					if err != nil {
						t.Fatal(err)
					}
					b.WriteString("---\n")
					b.Write(raw)
				}
				b.WriteString("--- # notes\n")
				b.WriteString(notes)
				compare(t, filepath.Join("testdata", "golden", name, setting+".yaml"), b.Bytes())
			})
		}
	}
}

// reviewed are the settings whose file asks for a golden render; the others are
// held against the properties alone.
func reviewed(t *testing.T, chartName, setting string) bool {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "values", chartName, setting+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.HasPrefix(raw, []byte("# golden"))
}

func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	if update() {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what is rendered; look at the difference and, if it is meant, run: go test ./test/charts -update\n%s",
			path, firstDifference(want, got))
	}
}

func firstDifference(want, got []byte) string {
	w, g := bytes.Split(want, []byte("\n")), bytes.Split(got, []byte("\n"))
	for i := range min(len(w), len(g)) {
		if !bytes.Equal(w[i], g[i]) {
			return "- " + string(w[i]) + "\n+ " + string(g[i])
		}
	}
	return "one is the beginning of the other"
}

var generatedRE = regexp.MustCompile(`^([A-Za-z0-9]{32}|osm_[A-Za-z0-9]{43}|\{"keys":.*)$`)

// mask replaces generated values of a Secret.
func mask(o *unstructured.Unstructured) {
	data, ok := o.Object["data"].(map[string]any)
	if o.GetKind() != "Secret" || !ok {
		return
	}
	for key, v := range data {
		text, _ := v.(string)
		raw, err := base64.StdEncoding.DecodeString(text)
		if err == nil && generatedRE.Match(raw) {
			data[key] = "<generated>"
		}
	}
}
