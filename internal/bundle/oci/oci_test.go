package oci

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func spec(arch, content string) Spec {
	return Spec{
		Platform: v1.Platform{OS: "linux", Architecture: arch}, Created: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Files: []File{
			{Path: "/usr/bin/x", Content: []byte(content), Mode: 0o755},
			{Path: "/etc/passwd", Content: []byte("x:x:1:1::/:/x\n")},
			{Path: "/var/lib/x", Dir: true, Mode: 0o750, UID: 1, GID: 2},
		},
		Entrypoint: []string{"/usr/bin/x"}, User: "1:2", WorkingDir: "/var/lib/x", Ports: []string{"80/tcp"},
		Labels: map[string]string{"org.opencontainers.image.title": "x"},
	}
}

func index(t *testing.T, specs ...Spec) v1.ImageIndex {
	t.Helper()
	var images []v1.Image
	for _, s := range specs {
		image, err := Build(s)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, image)
	}
	i, err := Join(images...)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestImageHoldsWhatItsSpecSays(t *testing.T) {
	image, err := Build(spec("arm64", "program"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.Architecture != "arm64" || c.OS != "linux" || c.Config.User != "1:2" || c.Config.WorkingDir != "/var/lib/x" ||
		c.Config.Entrypoint[0] != "/usr/bin/x" || c.Created.Format(time.RFC3339Nano) != "2026-01-02T03:04:05Z" {
		t.Errorf("config %+v", c)
	}
	var got []string
	for r := tar.NewReader(mutate.Extract(image)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r)
		got = append(got, strings.TrimSpace(strings.Join([]string{h.Name, os.FileMode(h.Mode).String(), string(b)}, " ")))
		if h.Name == "var/lib/x" && (h.Uid != 1 || h.Gid != 2) {
			t.Errorf("owner of %s: %d:%d, want 1:2", h.Name, h.Uid, h.Gid)
		}
	}
	want := []string{"etc -rwxr-xr-x", "etc/passwd -rw-r--r-- x:x:1:1::/:/x", "usr -rwxr-xr-x", "usr/bin -rwxr-xr-x",
		"usr/bin/x -rwxr-xr-x program", "var -rwxr-xr-x", "var/lib -rwxr-xr-x", "var/lib/x -rwxr-x---"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, change := range map[string]func(*Spec){
		"platform":    func(s *Spec) { s.Platform = v1.Platform{} },
		"relative":    func(s *Spec) { s.Files[0].Path = "usr/bin/x" },
		"twice":       func(s *Spec) { s.Files = append(s.Files, s.Files[1]) },
		"not a file":  func(s *Spec) { s.Files[0] = File{Path: "/x", Source: "/does/not/exist"} },
		"full folder": func(s *Spec) { s.Files[2].Content = []byte("x") },
	} {
		s := spec("amd64", "")
		change(&s)
		if _, err := Build(s); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	a, err := Build(spec("amd64", "a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Join(a, a); err == nil || !strings.Contains(err.Error(), "linux/amd64 is given twice") {
		t.Errorf("one platform twice: %v", err)
	}
}

// The same specs give the same bytes; reading gives back what was written.
func TestArchiveIsReproducibleAndReadBack(t *testing.T) {
	folder := t.TempDir()
	sum := func(name string) [32]byte {
		images := map[string]v1.ImageIndex{
			"docker.io/osmoslice/x:1": index(t, spec("amd64", "for amd64"), spec("arm64", "for arm64")),
			"alpine:3":                index(t, spec("amd64", "for amd64")), // shares its blobs with the other
		}
		if err := WriteArchive(filepath.Join(folder, name), images); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return sha256.Sum256(b)
	}
	if sum("a.tar") != sum("b.tar") {
		t.Error("the same images give different archives")
	}
	a, err := OpenArchive(filepath.Join(folder, "a.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	entries := a.Entries()
	if len(entries) != 2 || entries[0].Name != "docker.io/library/alpine:3" || entries[1].Name != "docker.io/osmoslice/x:1" {
		t.Fatalf("entries %+v", entries)
	}
	read, err := entries[1].Index()
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(read); err != nil {
		t.Error(err)
	}
	platforms, err := entries[1].Platforms()
	if err != nil || len(platforms) != 2 || platforms[0].String() != "linux/amd64" || platforms[1].String() != "linux/arm64" {
		t.Errorf("platforms %v, %v", platforms, err)
	}
	// What is read can be written again, to the same bytes.
	again := map[string]v1.ImageIndex{}
	for _, e := range entries {
		if again[e.Name], err = e.Index(); err != nil {
			t.Fatal(err)
		}
	}
	if err := WriteArchive(filepath.Join(folder, "c.tar"), again); err != nil {
		t.Fatal(err)
	}
	first, _ := os.ReadFile(filepath.Join(folder, "a.tar"))
	second, _ := os.ReadFile(filepath.Join(folder, "c.tar"))
	if !bytes.Equal(first, second) {
		t.Error("an archive read and written again differs")
	}
}

// A blob that was changed is refused, and nothing is left of the copy.
func TestDamageIsFound(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "x.tar")
	i := index(t, spec("amd64", "program"))
	if err := WriteArchive(file, map[string]v1.ImageIndex{"x:1": i}); err != nil {
		t.Fatal(err)
	}
	manifest, err := i.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	image, err := i.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	a, err := OpenArchive(file)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0xff}, a.blobs[blobPath(digest)].offset+20); err != nil {
		t.Fatal(err)
	}
	damaged, err := a.Entries()[0].Index()
	if err != nil {
		t.Fatal(err)
	}
	err = WriteArchive(filepath.Join(folder, "copy.tar"), map[string]v1.ImageIndex{"x:1": damaged})
	if err == nil || !strings.Contains(err.Error(), digest.String()) {
		t.Errorf("got %v, want the blob %s refused", err, digest)
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestFullName(t *testing.T) {
	for short, want := range map[string]string{
		"alpine": "docker.io/library/alpine:latest", "alpine:3": "docker.io/library/alpine:3",
		"edgexfoundry/core-metadata:4.0.2": "docker.io/edgexfoundry/core-metadata:4.0.2",
		"docker.io/osmoslice/x:1":          "docker.io/osmoslice/x:1", "registry.example:5000/a/b:2": "registry.example:5000/a/b:2",
	} {
		if got, err := FullName(short); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", short, got, err, want)
		}
	}
	if _, err := FullName("Not A Name"); err == nil {
		t.Error("accepted")
	}
}

func TestOpenRefusesWhatIsNoArchive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(file, []byte("something else"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenArchive(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names the file", err)
	}
}
