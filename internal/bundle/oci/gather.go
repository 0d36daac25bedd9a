package oci

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Resolve answers the full name of an image of an archive, whatever tool wrote it.
// The name it carries counts, if it is one of wanted or wanted is empty; one that
// differs from a wanted name by its registry or namespace is that name (registries
// mirror, and podman puts "localhost/" before what has none). One that carries no
// more than a tag is told by its file's name. "" when none of wanted is meant.
func (e Entry) Resolve(file string, wanted []string) string {
	if slices.Contains(wanted, e.Name) || e.Name != "" && len(wanted) == 0 {
		return e.Name
	}
	if len(wanted) == 0 {
		return guess(file, e.Tag)
	}
	var found []string
	for _, w := range wanted {
		repository, tag, _ := strings.Cut(w, ":")
		switch {
		case e.Name != "":
			given, its, _ := strings.Cut(path.Base(e.Name), ":")
			if given == path.Base(repository) && its == tag {
				found = append(found, w)
			}
		case (e.Tag == "" || e.Tag == tag) && told(file, repository, tag):
			found = append(found, w)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// told reports that a file's name is a repository's, or its last part, with or
// without the tag, whatever stands for "/", ":" and the rest.
func told(file, repository, tag string) bool {
	have := squashed(stem(file))
	for _, r := range []string{repository, strings.TrimPrefix(repository, "docker.io/"), strings.TrimPrefix(repository, "docker.io/library/"), path.Base(repository)} {
		if have == squashed(r) || have == squashed(r+tag) {
			return true
		}
	}
	return false
}

func stem(file string) string {
	return strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".gz"), filepath.Ext(strings.TrimSuffix(file, ".gz")))
}

// squashed keeps letters and digits.
func squashed(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

// guess makes a name of a file's where nothing is wanted in particular: its tag
// is cut off, and the first "_" or "%2F" is a "/".
func guess(file, tag string) string {
	n := strings.ToLower(strings.ReplaceAll(stem(file), "%2F", "_"))
	if tag == "" {
		tag = "latest"
	} else if cut, ok := strings.CutSuffix(n, strings.ToLower(tag)); ok {
		n = strings.TrimRight(cut, "-_:@")
	}
	return fullOr(strings.Replace(n, "_", "/", 1) + ":" + tag)
}

// For answers the image of one platform, as an index that holds it alone; an
// archive need not hold the others. A single image that is for another platform
// is refused.
func (e Entry) For(p v1.Platform) (v1.ImageIndex, error) {
	index, err := e.Index()
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var there []string
	for _, d := range manifest.Manifests {
		if d.MediaType.IsIndex() {
			nested := Entry{Name: e.Name, Digest: d.Digest, descriptor: d, archive: e.archive}
			if found, err := nested.For(p); err == nil {
				return found, nil
			}
			continue
		}
		if !d.MediaType.IsImage() {
			continue
		}
		has := d.Platform
		if has == nil || has.Architecture == "" {
			has, err = e.configured(index, d)
			if err != nil {
				return nil, err
			}
		}
		if has.OS != p.OS || has.Architecture != p.Architecture {
			there = append(there, has.String())
			continue
		}
		image, err := index.Image(d.Digest)
		if err != nil {
			return nil, fmt.Errorf("%s for %s: %w", e.Name, p, err)
		}
		return Join(image)
	}
	return nil, fmt.Errorf("%s: nothing for %s in it, only for %s", e.Name, p, strings.Join(there, ", "))
}

func (e Entry) configured(index v1.ImageIndex, d v1.Descriptor) (*v1.Platform, error) {
	image, err := index.Image(d.Digest)
	if err != nil {
		return nil, err
	}
	c, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	return &v1.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}, nil
}

// Plain reports whether container runtimes take the archive as it is and know its
// images by their full names afterwards: a layout of OCI that names each image in
// full and lacks nothing that it lists.
func (a *Archive) Plain() bool {
	if len(a.index.Manifests) == 0 {
		return false
	}
	for _, e := range a.Entries() {
		if e.image != nil || e.Name == "" || e.descriptor.Annotations[nameAnnotation] != e.Name || !a.whole(e.descriptor) {
			return false
		}
	}
	return true
}

// whole reports whether everything below a descriptor is in the archive.
func (a *Archive) whole(d v1.Descriptor) bool {
	if _, ok := a.blobs[blobPath(d.Digest)]; !ok {
		return false
	}
	switch {
	case d.MediaType.IsIndex():
		index, err := a.imageIndex(d.Digest)
		if err != nil {
			return false
		}
		manifest, err := index.IndexManifest()
		return err == nil && !slices.ContainsFunc(manifest.Manifests, func(d v1.Descriptor) bool { return !a.whole(d) })
	case d.MediaType.IsImage():
		image, err := a.image(d.Digest)
		if err != nil {
			return false
		}
		manifest, err := image.Manifest()
		return err == nil && !slices.ContainsFunc(append(manifest.Layers, manifest.Config), func(d v1.Descriptor) bool {
			_, ok := a.blobs[blobPath(d.Digest)]
			return !ok
		})
	}
	return true
}
