package oci

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// A Spec describes one image of one platform.
type Spec struct {
	Platform   v1.Platform // os and architecture, "linux" and "amd64" for example
	Files      []File
	Entrypoint []string
	Cmd        []string // arguments unless the container gives its own
	Env        []string // KEY=value
	User       string   // uid or uid:gid; empty is root
	WorkingDir string
	Ports      []string          // PORT/tcp or PORT/udp
	Labels     map[string]string // also the manifest's annotations
	Created    time.Time         // to the second; zero is the Unix epoch
}

// A File is one entry of the image's only layer. Parent folders come by
// themselves (0755, root); a File with Dir set makes one with its own mode and
// owner, one with Link a symbolic link.
type File struct {
	Path     string // absolute, in the image
	Source   string // file on this machine; else Content
	Content  []byte
	Dir      bool
	Link     string // what a symbolic link at Path points to
	Mode     int64  // permission bits; 0 is 0644, for a folder 0755
	UID, GID int
}

// Build makes the image.
func Build(s Spec) (v1.Image, error) {
	if s.Platform.OS == "" || s.Platform.Architecture == "" {
		return nil, fmt.Errorf("platform %q: operating system and architecture are needed, as in linux/amd64", s.Platform.String())
	}
	created := s.Created.UTC().Truncate(time.Second)
	if s.Created.IsZero() {
		created = time.Unix(0, 0).UTC()
	}
	packed, err := pack(s.Files, created)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{Layer: layer,
		History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "osmoslice"}})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = s.Platform.OS, s.Platform.Architecture, s.Platform.Variant
	config.Created = v1.Time{Time: created}
	config.Config = v1.Config{Entrypoint: s.Entrypoint, Cmd: s.Cmd, User: s.User, WorkingDir: s.WorkingDir, Labels: s.Labels,
		Env: append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, s.Env...)}
	if len(s.Ports) > 0 {
		config.Config.ExposedPorts = map[string]struct{}{}
		for _, p := range s.Ports {
			config.Config.ExposedPorts[p] = struct{}{}
		}
	}
	image, err = mutate.ConfigFile(image, config)
	if err != nil || len(s.Labels) == 0 {
		return image, err
	}
	return mutate.Annotations(image, s.Labels).(v1.Image), nil
}

// pack writes the layer: sorted by path, parents first, every time the same.
func pack(files []File, modified time.Time) ([]byte, error) {
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	made := map[string]bool{"/": true}
	for _, f := range sorted {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" {
			return nil, fmt.Errorf("path %q in the image: absolute and clean is needed, as in /usr/bin/x", f.Path)
		}
		if made[f.Path] {
			return nil, fmt.Errorf("path %q in the image is given twice", f.Path)
		}
		if err := packParents(w, made, path.Dir(f.Path), modified); err != nil {
			return nil, err
		}
		made[f.Path] = true
		if err := packFile(w, f, modified); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	return buffer.Bytes(), w.Close()
}

func packParents(w *tar.Writer, made map[string]bool, dir string, modified time.Time) error {
	if made[dir] {
		return nil
	}
	if err := packParents(w, made, path.Dir(dir), modified); err != nil {
		return err
	}
	made[dir] = true
	return packFile(w, File{Path: dir, Dir: true}, modified)
}

func packFile(w *tar.Writer, f File, modified time.Time) error {
	h := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Mode: f.Mode, Uid: f.UID, Gid: f.GID, ModTime: modified, Format: tar.FormatPAX}
	if f.Dir {
		if f.Source != "" || len(f.Content) > 0 {
			return errors.New("a folder has no content")
		}
		h.Name, h.Typeflag = h.Name+"/", tar.TypeDir
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		return w.WriteHeader(h)
	}
	if f.Link != "" {
		if f.Source != "" || len(f.Content) > 0 {
			return errors.New("a link has no content")
		}
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.Link, 0o777
		return w.WriteHeader(h)
	}
	content := f.Content
	if f.Source != "" {
		var err error
		if content, err = os.ReadFile(f.Source); err != nil {
			return err
		}
	}
	if h.Mode == 0 {
		h.Mode = 0o644
	}
	h.Typeflag, h.Size = tar.TypeReg, int64(len(content))
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

// Join makes the index over one image per platform.
func Join(images ...v1.Image) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	seen := map[string]bool{}
	for _, image := range images {
		config, err := image.ConfigFile()
		if err != nil {
			return nil, err
		}
		p := v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
		if seen[p.String()] {
			return nil, fmt.Errorf("platform %s is given twice", p)
		}
		seen[p.String()] = true
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &p}})
	}
	return index, nil
}
