package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
	"github.com/osmoslice/osmoslice/internal/fault"
)

var chartFiles = fstest.MapFS{
	"gw/Chart.yaml":            {Data: []byte("apiVersion: v2\nname: gw\nversion: 1.0.0\n")},
	"gw/values.yaml":           {Data: []byte("tag: '1'\n")},
	"gw/templates/_part.tpl":   {Data: []byte(`{{ define "x" }}{{ end }}`)},
	"gw/templates/deploy.yaml": {Data: []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {spec: {initContainers: [{name: i, image: 'busybox:1'}], containers: [{name: c, image: 'acme/gw:{{ .Values.tag }}'}]}}}\n")},
}

func functions() []Function {
	return []Function{{Element: "hall-a", Product: "gw", Chart: "gw", Version: "1.0.0", Values: map[string]any{"tag": "2"}}}
}

// shelfOf makes a folder of archives: every image for amd64 and arm64.
func shelfOf(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, n := range names {
		index := v1.ImageIndex(empty.Index)
		for _, arch := range []string{"amd64", "arm64"} {
			image, err := random.Image(200, 1)
			if err != nil {
				t.Fatal(err)
			}
			index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
		}
		full, err := oci.FullName(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := oci.WriteArchive(filepath.Join(dir, string(rune('a'+i))+".tar"), map[string]v1.ImageIndex{full: index}); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func made(t *testing.T, src Source) (string, *Manifest) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "b.tar")
	m, err := Create(file, "plant", functions(), src)
	if err != nil {
		t.Fatal(err)
	}
	return file, m
}

func TestThereAndBack(t *testing.T) {
	file, m := made(t, Source{Charts: chartFiles, Images: shelfOf(t, "busybox:1", "acme/gw:2", "other:1"), Architectures: []string{"arm64"}})
	if len(m.Images) != 2 || m.Images[0].Name != "docker.io/acme/gw:2" || strings.Join(m.Images[0].Platforms, " ") != "linux/arm64" {
		t.Errorf("images %+v", m.Images)
	}
	dir := filepath.Join(t.TempDir(), "site")
	if _, err := Unpack(file, dir); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"charts/gw/templates/_part.tpl": "define", "charts/gw/Chart.yaml": "name: gw", "values/hall-a.json": `"tag": "2"`} {
		raw, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil || !strings.Contains(string(raw), want) {
			t.Errorf("%s: %s, %v", path, raw, err)
		}
	}

	srv := httptest.NewServer(registry.New())
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	if err := Push(context.Background(), dir, host+"/mirror", true, func(string, ...any) {}); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host+"/mirror/acme/gw:2", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	if im, err := index.IndexManifest(); err != nil || len(im.Manifests) != 1 || im.Manifests[0].Platform.Architecture != "arm64" {
		t.Errorf("at the registry: %+v, %v", im, err)
	}
}

func TestSameInputSameBytes(t *testing.T) {
	src := Source{Charts: chartFiles, Images: shelfOf(t, "busybox:1", "acme/gw:2")}
	a, _ := made(t, src)
	b, _ := made(t, src)
	x, _ := os.ReadFile(a)
	y, _ := os.ReadFile(b)
	if !bytes.Equal(x, y) {
		t.Error("two bundles of the same differ")
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	_, m := made(t, Source{Charts: chartFiles})
	if strings.Join(m.Missing, " ") != "docker.io/acme/gw:2 docker.io/library/busybox:1" {
		t.Errorf("missing %v", m.Missing)
	}
	file := filepath.Join(t.TempDir(), "b.tar")
	for what, make := range map[string]func() error{
		"docker.io/library/busybox:1": func() error {
			_, err := Create(file, "s", functions(), Source{Charts: chartFiles, Images: shelfOf(t, "acme/gw:2")})
			return err
		},
		"arch": func() error {
			_, err := Create(file, "s", functions(), Source{Charts: chartFiles, Images: shelfOf(t, "acme/gw:2", "busybox:1"), Architectures: []string{"arm"}})
			return err
		},
		"version": func() error {
			f := functions()
			f[0].Version = "9.9.9"
			_, err := Create(file, "s", f, Source{Charts: chartFiles})
			return err
		},
		"OCI archives": func() error {
			_, err := Create(file, "s", functions(), Source{Charts: chartFiles, Images: t.TempDir()})
			return err
		},
		"no function": func() error { _, err := Create(file, "s", nil, Source{Charts: chartFiles}); return err },
	} {
		if err := make(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); len(left) > 0 {
			t.Errorf("%s: left over %v", what, left)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s: a bundle was made", what)
		}
	}
}

// Damage anywhere is found, and nothing is left of what was unpacked.
func TestDamageIsFound(t *testing.T) {
	file, _ := made(t, Source{Charts: chartFiles, Images: shelfOf(t, "busybox:1", "acme/gw:2")})
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.tar")
	try := func(what string, content []byte) {
		t.Helper()
		if err := os.WriteFile(bad, content, 0o600); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "site")
		if _, err := Unpack(bad, dir); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) > 0 {
			t.Errorf("%s: left over %v", what, left)
		}
	}
	for _, at := range contentOffsets(t, good) {
		changed := bytes.Clone(good)
		changed[at] ^= 1
		try("a changed byte", changed)
	}
	try("cut off", good[:len(good)/2])
	try("cut off in the list", good[:600])
	try("no bundle", []byte("hello"))
	try("a file more", withMore(t, good))
	if _, err := Unpack(file, t.TempDir()); !fault.Is(err, fault.Invalid) {
		t.Errorf("into a folder that exists: %v", err)
	}
}

// contentOffsets are places in the middle of every file's content but the list's.
func contentOffsets(t *testing.T, raw []byte) (at []int64) {
	t.Helper()
	r := bytes.NewReader(raw)
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return at
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != manifestName && h.Size > 0 {
			at = append(at, r.Size()-int64(r.Len())+h.Size/2)
		}
	}
}

// withMore is the bundle with a file that its list does not name.
func withMore(t *testing.T, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	tr := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := entry(w, h.Name, h.Size, tr); err != nil {
			t.Fatal(err)
		}
	}
	if err := entry(w, "../evil", 1, strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
