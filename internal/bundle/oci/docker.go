package oci

import (
	"encoding/json"
	"fmt"
	"path"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// dockerManifest is the file that "docker save" describes its images in.
const dockerManifest = "manifest.json"

// dockerImages are what an archive of "docker save" says it holds, nil when it is
// none.
func (a *Archive) dockerImages() (tarball.Manifest, error) {
	if _, ok := a.blobs[dockerManifest]; !ok {
		return nil, nil
	}
	raw, err := a.read(dockerManifest)
	if err != nil {
		return nil, err
	}
	var m tarball.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", dockerManifest, err)
	}
	return m, nil
}

// nameless gives the only image of a layout the names that a manifest of docker
// beside it has.
func (a *Archive) nameless() {
	if len(a.index.Manifests) != 1 || len(a.docker) != 1 || len(a.docker[0].RepoTags) == 0 {
		return
	}
	d := &a.index.Manifests[0]
	if d.Annotations[nameAnnotation] != "" || !tagOnly(d.Annotations[refAnnotation]) {
		return
	}
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations[nameAnnotation] = a.docker[0].RepoTags[0]
}

// dockerEntries are the images of an archive that has no layout of OCI.
func (a *Archive) dockerEntries() ([]Entry, error) {
	var all []Entry
	for i, d := range a.docker {
		image, err := a.dockerImage(i)
		if err != nil {
			return nil, err
		}
		digest, err := image.Digest()
		if err != nil {
			return nil, err
		}
		tags := d.RepoTags
		if len(tags) == 0 {
			tags = []string{""}
		}
		for _, t := range tags {
			all = append(all, Entry{Name: fullOr(t), Digest: digest, archive: a, image: image,
				descriptor: v1.Descriptor{Digest: digest, MediaType: types.DockerManifestSchema2}})
		}
	}
	return all, nil
}

// dockerImage reads one image of the list; where there are several, the library
// finds it by its tag.
func (a *Archive) dockerImage(i int) (v1.Image, error) {
	var tag *name.Tag
	if len(a.docker) > 1 {
		if len(a.docker[i].RepoTags) == 0 {
			return nil, fmt.Errorf("%s: image %s is one of several and has no name", dockerManifest, a.docker[i].Config)
		}
		t, err := name.NewTag(a.docker[i].RepoTags[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dockerManifest, err)
		}
		tag = &t
	}
	return tarball.ImageFromPath(a.file.Name(), tag)
}

func fullOr(short string) string {
	if full, err := FullName(short); short != "" && err == nil {
		return full
	}
	return short
}

// tagOnly reports a name that names no repository: none at all, or a tag, as
// "skopeo copy … oci-archive:FILE:TAG" leaves it.
func tagOnly(n string) bool {
	if n == "" {
		return true
	}
	_, err := name.NewTag("x:"+n, name.WithDefaultTag(""))
	return err == nil && path.Base(n) == n
}

// tagOf is a name that is a tag alone.
func tagOf(n string) string {
	if tagOnly(n) {
		return n
	}
	return ""
}
