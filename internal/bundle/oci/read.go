package oci

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// An Archive is an opened OCI archive. Close it after its images were used.
type Archive struct {
	file  *os.File
	blobs map[string]span // by path in the archive
	index v1.IndexManifest
	// Of an archive of "docker save": what it holds, and its entries when there is
	// no layout of OCI beside it.
	docker        tarball.Manifest
	dockerEntried []Entry
}

type span struct{ offset, size int64 }

// An Entry is one image of an archive.
type Entry struct {
	Name       string // full name; empty when the archive says none, or no more than a tag
	Tag        string // the tag, when it says that alone
	Digest     v1.Hash
	descriptor v1.Descriptor
	archive    *Archive
	image      v1.Image // of an archive without a layout of OCI
}

// OpenArchive reads what an archive holds: a layout of OCI, or what "docker save"
// writes.
func OpenArchive(file string) (*Archive, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	a := &Archive{file: f, blobs: map[string]span{}}
	if err := a.scan(); err != nil {
		f.Close()
		return nil, fmt.Errorf("archive %s: %w", file, err)
	}
	return a, nil
}

// Close ends the use of the archive and of all images read from it.
func (a *Archive) Close() error { return a.file.Close() }

// Entries are the archive's images, by name.
func (a *Archive) Entries() []Entry {
	var all []Entry
	for _, d := range a.index.Manifests {
		n := d.Annotations[nameAnnotation]
		if n == "" && !tagOnly(d.Annotations[refAnnotation]) {
			n = d.Annotations[refAnnotation]
		}
		all = append(all, Entry{Name: fullOr(n), Tag: tagOf(d.Annotations[refAnnotation]), Digest: d.Digest, descriptor: d, archive: a})
	}
	all = append(all, a.dockerEntried...)
	slices.SortStableFunc(all, func(x, y Entry) int { return bytes.Compare([]byte(x.Name), []byte(y.Name)) })
	return all
}

// Index is the image as an index over its platforms, also where the archive
// keeps a single image.
func (e Entry) Index() (v1.ImageIndex, error) {
	if e.image != nil {
		return Join(e.image)
	}
	if e.descriptor.MediaType.IsIndex() {
		return e.archive.imageIndex(e.Digest)
	}
	image, err := e.archive.image(e.Digest)
	if err != nil {
		return nil, err
	}
	return Join(image)
}

// Platforms are those the image can run on. An index that says none for an image
// (and single images never do) leaves it to the image's own configuration.
func (e Entry) Platforms() ([]v1.Platform, error) {
	index, err := e.Index()
	if err != nil {
		return nil, err
	}
	return Platforms(index)
}

// Platforms are those an index has an image for; attestations are none.
func Platforms(index v1.ImageIndex) ([]v1.Platform, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var all []v1.Platform
	for _, d := range manifest.Manifests {
		if !d.MediaType.IsImage() {
			continue
		}
		if d.Platform != nil && d.Platform.Architecture != "" {
			if d.Platform.Architecture != "unknown" {
				all = append(all, *d.Platform)
			}
			continue
		}
		image, err := index.Image(d.Digest)
		if err != nil {
			return nil, err
		}
		c, err := image.ConfigFile()
		if err != nil {
			return nil, err
		}
		all = append(all, v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant})
	}
	return all, nil
}

// scan notes where each blob lies.
func (a *Archive) scan() error {
	r := tar.NewReader(a.file)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("not a tar file: %w", err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		offset, err := a.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		a.blobs[path.Clean(h.Name)] = span{offset, h.Size}
	}
	var err error
	if a.docker, err = a.dockerImages(); err != nil {
		return err
	}
	if _, ok := a.blobs["index.json"]; !ok && a.docker != nil {
		a.dockerEntried, err = a.dockerEntries()
		return err
	}
	raw, err := a.read("index.json")
	if err != nil {
		return fmt.Errorf("neither an OCI image layout nor an archive of docker save: %w", err)
	}
	if err := json.Unmarshal(raw, &a.index); err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	a.nameless()
	return nil
}

func (a *Archive) open(name string) (*io.SectionReader, error) {
	s, ok := a.blobs[name]
	if !ok {
		return nil, fmt.Errorf("%s is not in it", name)
	}
	return io.NewSectionReader(a.file, s.offset, s.size), nil
}

func (a *Archive) read(name string) ([]byte, error) {
	r, err := a.open(name)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// verified reads a blob and refuses one that is not what its digest says.
func (a *Archive) verified(h v1.Hash) ([]byte, error) {
	b, err := a.read(blobPath(h))
	if err != nil {
		return nil, err
	}
	got, _, err := v1.SHA256(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if got != h {
		return nil, fmt.Errorf("blob %s holds %s", h, got)
	}
	return b, nil
}

func (a *Archive) image(h v1.Hash) (v1.Image, error) {
	raw, err := a.verified(h)
	if err != nil {
		return nil, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", h, err)
	}
	return partial.CompressedToImage(&archivedImage{archive: a, raw: raw, manifest: manifest})
}

func (a *Archive) imageIndex(h v1.Hash) (v1.ImageIndex, error) {
	raw, err := a.verified(h)
	if err != nil {
		return nil, err
	}
	manifest, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", h, err)
	}
	return &archivedIndex{archive: a, raw: raw, manifest: manifest, hash: h}, nil
}

// An archivedIndex reads an image of it when it is asked for: an archive need
// not hold every platform its index lists.
type archivedIndex struct {
	archive  *Archive
	raw      []byte
	manifest *v1.IndexManifest
	hash     v1.Hash
}

func (i *archivedIndex) RawManifest() ([]byte, error)              { return i.raw, nil }
func (i *archivedIndex) IndexManifest() (*v1.IndexManifest, error) { return i.manifest, nil }
func (i *archivedIndex) Digest() (v1.Hash, error)                  { return i.hash, nil }
func (i *archivedIndex) Size() (int64, error)                      { return int64(len(i.raw)), nil }

func (i *archivedIndex) MediaType() (types.MediaType, error) {
	if i.manifest.MediaType == "" {
		return types.OCIImageIndex, nil
	}
	return i.manifest.MediaType, nil
}

func (i *archivedIndex) Image(h v1.Hash) (v1.Image, error)           { return i.archive.image(h) }
func (i *archivedIndex) ImageIndex(h v1.Hash) (v1.ImageIndex, error) { return i.archive.imageIndex(h) }

// An archivedImage is what partial needs to make an image of blobs.
type archivedImage struct {
	archive  *Archive
	raw      []byte
	manifest *v1.Manifest
}

func (i *archivedImage) RawManifest() ([]byte, error) { return i.raw, nil }

func (i *archivedImage) MediaType() (types.MediaType, error) {
	if i.manifest.MediaType == "" {
		return types.OCIManifestSchema1, nil
	}
	return i.manifest.MediaType, nil
}

func (i *archivedImage) RawConfigFile() ([]byte, error) {
	return i.archive.verified(i.manifest.Config.Digest)
}

func (i *archivedImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	for _, d := range i.manifest.Layers {
		if d.Digest == h {
			return &archivedLayer{archive: i.archive, descriptor: d}, nil
		}
	}
	return nil, fmt.Errorf("layer %s is not the image's", h)
}

type archivedLayer struct {
	archive    *Archive
	descriptor v1.Descriptor
}

func (l *archivedLayer) Digest() (v1.Hash, error)            { return l.descriptor.Digest, nil }
func (l *archivedLayer) Size() (int64, error)                { return l.descriptor.Size, nil }
func (l *archivedLayer) MediaType() (types.MediaType, error) { return l.descriptor.MediaType, nil }

func (l *archivedLayer) Compressed() (io.ReadCloser, error) {
	r, err := l.archive.open(blobPath(l.descriptor.Digest))
	if err != nil {
		return nil, err
	}
	return verify(r, l.descriptor), nil
}
