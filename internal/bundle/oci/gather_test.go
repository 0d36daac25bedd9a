package oci

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const metadataName = "docker.io/edgexfoundry/core-metadata:4.0.2"

var wantedNames = []string{metadataName, "docker.io/edgexfoundry/device-mqtt:4.0.1", "docker.io/library/postgres:16.3-alpine3.20",
	"docker.io/mainflux/mqtt:0.12.1"}

func image(t *testing.T, arch string) v1.Image {
	t.Helper()
	i, err := Build(Spec{Platform: v1.Platform{OS: "linux", Architecture: arch}, Files: []File{{Path: "/for", Content: []byte(arch)}}, Entrypoint: []string{"/for"}})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// layout writes an archive whose index names its image as annotations say,
// without the blobs that drop names, and with further files.
func layout(t *testing.T, file string, index v1.ImageIndex, annotations map[string]string, drop func(path string) bool, more map[string][]byte) {
	t.Helper()
	whole := filepath.Join(t.TempDir(), "whole.tar")
	if err := WriteArchive(whole, map[string]v1.ImageIndex{"x/y:1": index}); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(whole)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	put := func(path string, content []byte) {
		if err := w.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for r := tar.NewReader(in); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "index.json" {
			var top v1.IndexManifest
			if err := json.Unmarshal(content, &top); err != nil {
				t.Fatal(err)
			}
			top.Manifests[0].Annotations = annotations
			if content, err = json.Marshal(top); err != nil {
				t.Fatal(err)
			}
		}
		if drop == nil || !drop(h.Name) {
			put(h.Name, content)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(more)) {
		put(path, more[path])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// docker writes what "docker save" did before it kept a layout of OCI.
func docker(t *testing.T, file string, images map[string]v1.Image) {
	t.Helper()
	refs := map[name.Reference]v1.Image{}
	for n, i := range images {
		tag, err := name.NewTag(n)
		if err != nil {
			t.Fatal(err)
		}
		refs[tag] = i
	}
	if err := tarball.MultiRefWriteToFile(file, refs); err != nil {
		t.Fatal(err)
	}
}

// TestEveryFormOfArchive: what the tools of others write is found under the full
// name, for one platform, and is an archive of ours afterwards.
func TestEveryFormOfArchive(t *testing.T) {
	one, err := Join(image(t, "amd64"))
	if err != nil {
		t.Fatal(err)
	}
	both, err := Join(image(t, "amd64"), image(t, "arm64"))
	if err != nil {
		t.Fatal(err)
	}
	arm, err := image(t, "arm64").Digest()
	if err != nil {
		t.Fatal(err)
	}
	noArm := func(path string) bool { return path == "blobs/sha256/"+arm.Hex }
	forms := []struct {
		form, file string
		write      func(file string)
	}{
		{"full name", "any.tar", func(f string) { layout(t, f, one, map[string]string{refAnnotation: metadataName}, nil, nil) }},
		{"podman save --format oci-archive", "any.tar", func(f string) {
			layout(t, f, one, map[string]string{refAnnotation: "localhost/core-metadata:4.0.2"}, nil, nil)
		}},
		{"short name", "any.tar", func(f string) {
			layout(t, f, one, map[string]string{refAnnotation: "edgexfoundry/core-metadata:4.0.2"}, nil, nil)
		}},
		{"skopeo, tag alone", "edgexfoundry_core-metadata_4.0.2.tar", func(f string) { layout(t, f, one, map[string]string{refAnnotation: "4.0.2"}, nil, nil) }},
		{"skopeo, tag alone, file by its last part", "core-metadata.oci", func(f string) { layout(t, f, one, map[string]string{refAnnotation: "4.0.2"}, nil, nil) }},
		{"no name at all", "edgexfoundry-core-metadata-4.0.2.tar", func(f string) { layout(t, f, one, nil, nil, nil) }},
		{"docker save 25 and ctr export: name and tag", "any.tar", func(f string) {
			layout(t, f, one, map[string]string{nameAnnotation: metadataName, refAnnotation: "4.0.2"}, nil, nil)
		}},
		{"docker save 25, names beside the layout", "any.tar", func(f string) {
			layout(t, f, one, nil, nil, map[string][]byte{"manifest.json": []byte(`[{"Config":"x","RepoTags":["edgexfoundry/core-metadata:4.0.2"],"Layers":[]}]`)})
		}},
		{"docker save", "any.tar", func(f string) {
			docker(t, f, map[string]v1.Image{"edgexfoundry/core-metadata:4.0.2": image(t, "amd64")})
		}},
		{"docker save of two", "any.tar", func(f string) {
			docker(t, f, map[string]v1.Image{"edgexfoundry/core-metadata:4.0.2": image(t, "amd64"), "other:1": image(t, "arm64")})
		}},
		{"two platforms", "any.tar", func(f string) { layout(t, f, both, map[string]string{refAnnotation: metadataName}, nil, nil) }},
		{"two platforms listed, one there", "any.tar", func(f string) { layout(t, f, both, map[string]string{nameAnnotation: metadataName}, noArm, nil) }},
		{"another registry", "any.tar", func(f string) {
			layout(t, f, one, map[string]string{nameAnnotation: "mirror.example:5000/core/core-metadata:4.0.2"}, nil, nil)
		}},
	}
	for _, c := range forms {
		t.Run(c.form, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), c.file)
			c.write(file)
			a, err := OpenArchive(file)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			found := 0
			for _, e := range a.Entries() {
				if e.Resolve(file, wantedNames) != metadataName {
					continue
				}
				found++
				checkNormal(t, e)
			}
			if found != 1 {
				t.Errorf("%d images are %s in %+v", found, metadataName, a.Entries())
			}
		})
	}
}

// checkNormal writes the image anew and reads that.
func checkNormal(t *testing.T, e Entry) {
	t.Helper()
	index, err := e.For(v1.Platform{OS: "linux", Architecture: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again.tar")
	if err := WriteArchive(again, map[string]v1.ImageIndex{metadataName: index}); err != nil {
		t.Fatal(err)
	}
	a, err := OpenArchive(again)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	platforms, err := a.Entries()[0].Platforms()
	if err != nil || len(platforms) != 1 || platforms[0].Architecture != "amd64" || !a.Plain() || a.Entries()[0].Name != metadataName {
		t.Errorf("written anew: %+v for %v, plain: %v (%v)", a.Entries(), platforms, a.Plain(), err)
	}
	images, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	i, err := index.Image(images.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := i.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(layers, err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	all, err := io.ReadAll(content)
	if err != nil || !bytes.Contains(all, []byte("amd64")) {
		t.Errorf("the layer is not the platform's (%v)", err)
	}
}

// TestWhatIsNotMeant: images of other names, other tags and ambiguous ones are
// not taken for a wanted one, and a machine gets none for another.
func TestWhatIsNotMeant(t *testing.T) {
	for _, c := range []struct {
		file string
		e    Entry
	}{
		{"any.tar", Entry{Name: "docker.io/edgexfoundry/core-metadata:4.0.1"}},
		{"any.tar", Entry{Name: "docker.io/library/metadata:4.0.2"}},
		{"mqtt.tar", Entry{Tag: "4.0.1"}},
		{"device-mqtt.tar", Entry{Tag: "0.12.1"}},
		{"images.tar", Entry{}},
	} {
		if got := c.e.Resolve(c.file, wantedNames); got != "" {
			t.Errorf("%s with %+v is taken for %s", c.file, c.e, got)
		}
	}
	index, err := Join(image(t, "arm64"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "arm.tar")
	layout(t, file, index, map[string]string{refAnnotation: metadataName}, nil, nil)
	a, err := OpenArchive(file)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Entries()[0].For(v1.Platform{OS: "linux", Architecture: "amd64"}); err == nil || !strings.Contains(err.Error(), "only for linux/arm64") {
		t.Errorf("an image for arm64 alone: %v", err)
	}
}

// TestGuess: without anything wanted, the file's name has to do.
func TestGuess(t *testing.T) {
	for file, want := range map[string]string{
		"edgexfoundry_core-metadata_4.0.2.tar": metadataName,
		"postgres-4.0.2.tar":                   "docker.io/library/postgres:4.0.2",
		"mainflux%2Fauth.oci":                  "docker.io/mainflux/auth:4.0.2",
	} {
		if got := (Entry{Tag: "4.0.2"}).Resolve(file, nil); got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
	}
}
