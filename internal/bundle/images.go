package bundle

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"sigs.k8s.io/yaml"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube/helm"
)

// named answers the full names of the images that the functions' charts name,
// in order, each once.
func named(charts fs.FS, functions []Function) ([]string, error) {
	found := map[string]bool{}
	for _, f := range functions {
		c, err := helm.Load(charts, f.Chart)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fault.Absent("chart", f.Chart)
		}
		if err != nil {
			return nil, err
		}
		if f.Version != "" && c.Version != f.Version {
			return nil, fault.New(fault.NotFound, "chart %s is not there in the version of %s", f.Chart, f.Element).With("version", f.Version, c.Version)
		}
		text, err := c.Render("bundle", "bundle", f.Values)
		if err != nil {
			return nil, err
		}
		for doc := range strings.SplitSeq("\n"+text, "\n---") {
			var v any
			if err := yaml.Unmarshal([]byte(doc), &v); err != nil {
				return nil, fault.New(fault.Internal, "chart %s renders no YAML", f.Chart).Because(err)
			}
			if err := containers(v, found); err != nil {
				return nil, err
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// containers collects the images of all containers below v.
func containers(v any, into map[string]bool) error {
	switch v := v.(type) {
	case map[string]any:
		for key, below := range v {
			list, ok := below.([]any)
			if ok && (key == "containers" || key == "initContainers") {
				for _, c := range list {
					m, _ := c.(map[string]any)
					image, _ := m["image"].(string)
					full, err := oci.FullName(image)
					if err != nil {
						return fault.Field("image", image, "an image reference").Because(err)
					}
					into[full] = true
				}
			}
			if err := containers(below, into); err != nil {
				return err
			}
		}
	case []any:
		for _, below := range v {
			if err := containers(below, into); err != nil {
				return err
			}
		}
	}
	return nil
}

// shelf is a folder of OCI archives.
type shelf struct {
	open   []*oci.Archive
	images map[string]oci.Entry
}

func openShelf(dir string) (*shelf, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil || len(files) == 0 {
		return nil, fault.Field("images", dir, "a folder with OCI archives (*.tar)")
	}
	s := &shelf{images: map[string]oci.Entry{}}
	for _, f := range files {
		a, err := oci.OpenArchive(f)
		if err != nil {
			return nil, errors.Join(fault.New(fault.Invalid, "%s is no OCI archive", f).Because(err), s.Close())
		}
		s.open = append(s.open, a)
		for _, e := range a.Entries() {
			if full, err := oci.FullName(e.Name); err == nil {
				s.images[full] = e
			}
		}
	}
	return s, nil
}

// Close ends the use of all its images.
func (s *shelf) Close() error {
	var errs []error
	for _, a := range s.open {
		errs = append(errs, a.Close())
	}
	return errors.Join(errs...)
}

// take answers an image for the wanted architectures, all of its own for none.
func (s *shelf) take(name string, architectures []string) (v1.ImageIndex, Image, error) {
	index, err := s.images[name].Index()
	if err != nil {
		return nil, Image{}, fault.New(fault.Invalid, "image %s", name).Because(err)
	}
	there, err := oci.Platforms(index)
	if err != nil {
		return nil, Image{}, fault.New(fault.Invalid, "image %s", name).Because(err)
	}
	i := Image{Name: name}
	var have []string
	for _, p := range there {
		have = append(have, p.Architecture)
		if len(architectures) == 0 || slices.Contains(architectures, p.Architecture) {
			i.Platforms = append(i.Platforms, p.OS+"/"+p.Architecture)
		}
	}
	for _, a := range architectures {
		if !slices.Contains(have, a) {
			return nil, i, fault.New(fault.NotFound, "image %s is not there for %s", name, a).With("arch", a, strings.Join(have, ", "))
		}
	}
	if len(i.Platforms) == len(there) {
		return index, i, nil
	}
	return mutate.RemoveManifests(index, func(d v1.Descriptor) bool {
		return d.Platform == nil || !slices.Contains(architectures, d.Platform.Architecture)
	}), i, nil
}
