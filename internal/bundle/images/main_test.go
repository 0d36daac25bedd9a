package main

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
)

// slicectl stands for all products here: it is the smallest and starts nothing.
const flags = "-s -w -X github.com/osmoslice/osmoslice/internal/version.Version=9.8.7"

// The image for each platform runs on it: natively, or by emulation.
func TestArchiveHoldsProgramsThatRun(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a command for two platforms")
	}
	folder := t.TempDir()
	if err := run(t.Context(), []string{"--out", folder, "--version", "9.8.7", "--ldflags", flags, "slicectl"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	a, err := oci.OpenArchive(filepath.Join(folder, "slicectl-9.8.7.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	entries := a.Entries()
	if len(entries) != 1 || entries[0].Name != "docker.io/osmoslice/slicectl:9.8.7" {
		t.Fatalf("entries %+v, want only docker.io/osmoslice/slicectl:9.8.7", entries)
	}
	index, err := entries[0].Index()
	if err != nil {
		t.Fatal(err)
	}
	for arch, emulator := range map[string]string{"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"} {
		t.Run(arch, func(t *testing.T) {
			image := platform(t, index, arch)
			config, err := image.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if config.Config.User != "65532:65532" {
				t.Errorf("user %q, want 65532:65532", config.Config.User)
			}
			program := extract(t, image, "usr/local/bin/slicectl")
			if got := runProgram(t, arch, emulator, program, "version"); !strings.Contains(got, "9.8.7") {
				t.Errorf("slicectl version of the %s image: %q, want 9.8.7 in it", arch, got)
			}
		})
	}
}

// A registry takes both platforms, and what it serves is what was built.
func TestPush(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a command for two platforms")
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--push", host + "/osmoslice", "--version", "9.8.7", "--ldflags", flags, "slicectl"}, &out); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/osmoslice/slicectl:9.8.7")
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), digest.String()) {
		t.Errorf("printed %q, the registry serves %s", out.String(), digest)
	}
	platforms, err := oci.Platforms(index)
	if err != nil {
		t.Fatal(err)
	}
	if len(platforms) != 2 || platforms[0].String() != "linux/amd64" || platforms[1].String() != "linux/arm64" {
		t.Errorf("platforms %v, want linux/amd64 and linux/arm64", platforms)
	}
}

func TestRefusesWhatItCannotName(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--version a/b", `--version "a/b"`},
		{"nonsense", "there are osmosliced, slicectl, lite-gateway, lite-server"},
		{"--created yesterday", "--created"},
	} {
		err := run(t.Context(), strings.Fields(c.args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("images %s: got %v, want an error with %q", c.args, err, c.want)
		}
	}
}

func platform(t *testing.T, index v1.ImageIndex, arch string) v1.Image {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range manifest.Manifests {
		if d.Platform != nil && d.Platform.Architecture == arch {
			image, err := index.Image(d.Digest)
			if err != nil {
				t.Fatal(err)
			}
			return image
		}
	}
	t.Fatalf("no image for %s", arch)
	return nil
}

func extract(t *testing.T, image v1.Image, path string) string {
	t.Helper()
	all := mutate.Extract(image)
	defer all.Close()
	for r := tar.NewReader(all); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatalf("%s is not in the image: %v", path, err)
		}
		if h.Name != path {
			continue
		}
		file := filepath.Join(t.TempDir(), filepath.Base(path))
		f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o755)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(f, r); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return file
	}
}

// runProgram runs a program of an architecture: on this machine if it is its
// own, else by user mode emulation.
func runProgram(t *testing.T, arch, emulator, program string, args ...string) string {
	t.Helper()
	command := append([]string{program}, args...)
	if arch != runtime.GOARCH {
		if _, err := exec.LookPath(emulator); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("CI=true and %s is missing: Debian package qemu-user-static", emulator)
			}
			t.Skipf("%s is missing: Debian package qemu-user-static", emulator)
		}
		command = append([]string{emulator}, command...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(command, " "), err, out)
	}
	return string(out)
}
