package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
)

// TestWanted: what the charts name is what there are stand-ins for; parts that
// are off and our own images are not asked for.
func TestWanted(t *testing.T) {
	all, err := wanted("edgex", "mainflux")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"docker.io/edgexfoundry/core-metadata:4.0.2", "docker.io/mainflux/things:0.12.1", "docker.io/library/nats:2.9.25-alpine"} {
		if !slices.Contains(all, n) {
			t.Errorf("%s is not wanted: %v", n, all)
		}
	}
	for _, n := range all {
		if strings.Contains(n, "configurable") || strings.Contains(n, "/osmoslice/") {
			t.Errorf("%s is wanted", n)
		}
		repository, _, _ := strings.Cut(strings.TrimPrefix(n, "docker.io/"), ":")
		namespace, _, _ := strings.Cut(repository, "/")
		if recipes()[repository] == nil && recipes()[namespace+"/"] == nil {
			t.Errorf("no stand-in for %s", n)
		}
	}
}

// TestGather: all that is missing is told at once, beside what there is, before
// anything is written; what is there is written under full names.
func TestGather(t *testing.T) {
	image, err := oci.Build(oci.Spec{Platform: machine(), Files: []oci.File{{Path: "/x", Content: []byte("x")}}})
	if err != nil {
		t.Fatal(err)
	}
	index, err := oci.Join(image)
	if err != nil {
		t.Fatal(err)
	}
	from, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	for _, n := range []string{"docker.io/a/one:1", "docker.io/a/other:1"} {
		if err := oci.WriteArchive(filepath.Join(from, "deep", archiveName(n)), map[string]v1.ImageIndex{n: index}); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"docker.io/a/one:1", "docker.io/a/three:1", "docker.io/a/two:1"}
	err = gather(from, names, machine(), out, io.Discard)
	for _, want := range []string{"lacks 2 of 3", "docker.io/a/three:1", "docker.io/a/two:1", "docker.io/a/other:1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written although images are missing")
	}
	if err := gather(from, names[:1], machine(), out, io.Discard); err != nil {
		t.Fatal(err)
	}
	a, err := oci.OpenArchive(filepath.Join(out, "a_one_1.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if !a.Plain() || a.Entries()[0].Name != names[0] {
		t.Errorf("written: %+v", a.Entries())
	}
	var said strings.Builder
	if err := gather(from, []string{"docker.io/a/other:2"}, machine(), t.TempDir(), &said); err != nil || !strings.Contains(said.String(), "WARNING: docker.io/a/other:2 is not there; docker.io/a/other:1") {
		t.Errorf("another version: %v, %s", err, said.String())
	}
	if err := gather(t.TempDir(), names, machine(), out, io.Discard); err == nil {
		t.Error("an empty folder passes")
	}
}
