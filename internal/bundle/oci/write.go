package oci

import (
	"archive/tar"
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The annotations under which an archive's index keeps a full name: containerd's
// own, and that of the specification.
const (
	nameAnnotation = "io.containerd.image.name"
	refAnnotation  = "org.opencontainers.image.ref.name"
)

// WriteArchive writes the images, by full name, to a file. The same images give
// the same bytes.
func WriteArchive(file string, images map[string]v1.ImageIndex) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err == nil {
			err = os.Rename(f.Name(), file)
		}
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("archive %s: %w", file, err)
		}
	}()
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 1<<20)
	if err := write(b, images); err != nil {
		return err
	}
	return b.Flush()
}

// FullName is a name with its registry, namespace and tag, as container runtimes
// keep it: alpine:3 is docker.io/library/alpine:3.
func FullName(short string) (string, error) {
	ref, err := name.ParseReference(short, name.WithDefaultRegistry("docker.io"))
	if err != nil {
		return "", err
	}
	full := ref.Name()
	if r := ref.Context().Registry.Name(); r == "docker.io" || r == name.DefaultRegistry {
		repository := ref.Context().RepositoryStr()
		if !slices.Contains([]byte(repository), '/') {
			repository = "library/" + repository
		}
		separator := ":"
		if _, ok := ref.(name.Digest); ok {
			separator = "@"
		}
		full = "docker.io/" + repository + separator + ref.Identifier()
	}
	return full, nil
}

func write(to io.Writer, images map[string]v1.ImageIndex) error {
	w := &archiveWriter{tar: tar.NewWriter(to), written: map[v1.Hash]bool{}}
	top := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, short := range slices.Sorted(maps.Keys(images)) {
		full, err := FullName(short)
		if err != nil {
			return err
		}
		d, err := partial.Descriptor(images[short])
		if err != nil {
			return fmt.Errorf("%s: %w", full, err)
		}
		d.Annotations = map[string]string{nameAnnotation: full, refAnnotation: full}
		top.Manifests = append(top.Manifests, *d)
	}
	raw, err := json.Marshal(top)
	if err != nil {
		return err
	}
	if err := w.bytes("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	if err := w.bytes("index.json", raw); err != nil {
		return err
	}
	for _, short := range slices.Sorted(maps.Keys(images)) {
		if err := w.index(images[short]); err != nil {
			return fmt.Errorf("%s: %w", short, err)
		}
	}
	return w.tar.Close()
}

// An archiveWriter puts each blob into the archive once.
type archiveWriter struct {
	tar     *tar.Writer
	written map[v1.Hash]bool
}

func (w *archiveWriter) bytes(path string, b []byte) error {
	if err := w.tar.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(b)), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := w.tar.Write(b)
	return err
}

func (w *archiveWriter) blob(h v1.Hash, b []byte) error {
	if w.written[h] {
		return nil
	}
	w.written[h] = true
	return w.bytes(blobPath(h), b)
}

func (w *archiveWriter) index(i v1.ImageIndex) error {
	manifest, err := i.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range manifest.Manifests {
		switch {
		case d.MediaType.IsImage():
			image, err := i.Image(d.Digest)
			if err != nil {
				return err
			}
			if err := w.image(image); err != nil {
				return err
			}
		case d.MediaType.IsIndex():
			nested, err := i.ImageIndex(d.Digest)
			if err != nil {
				return err
			}
			if err := w.index(nested); err != nil {
				return err
			}
		default:
			return fmt.Errorf("manifest %s is neither image nor index: %s", d.Digest, d.MediaType)
		}
	}
	return w.manifest(i)
}

func (w *archiveWriter) image(image v1.Image) error {
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		if err := w.layer(l); err != nil {
			return err
		}
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	digest, err := image.ConfigName()
	if err != nil {
		return err
	}
	if err := w.blob(digest, config); err != nil {
		return err
	}
	return w.manifest(image)
}

func (w *archiveWriter) manifest(m interface {
	Digest() (v1.Hash, error)
	RawManifest() ([]byte, error)
}) error {
	digest, err := m.Digest()
	if err != nil {
		return err
	}
	raw, err := m.RawManifest()
	if err != nil {
		return err
	}
	return w.blob(digest, raw)
}

func (w *archiveWriter) layer(l v1.Layer) error {
	digest, err := l.Digest()
	if err != nil || w.written[digest] {
		return err
	}
	size, err := l.Size()
	if err != nil {
		return err
	}
	content, err := l.Compressed()
	if err != nil {
		return err
	}
	defer content.Close()
	w.written[digest] = true
	if err := w.tar.WriteHeader(&tar.Header{Name: blobPath(digest), Mode: 0o644, Size: size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	if _, err := io.Copy(w.tar, content); err != nil {
		return fmt.Errorf("layer %s: %w", digest, err)
	}
	return nil
}

func blobPath(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
