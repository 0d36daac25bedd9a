package bundle

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// Source is where charts and images come from.
type Source struct {
	Charts fs.FS
	// Images is a folder of OCI archives; empty: the bundle holds no image and
	// says which ones are missing.
	Images string
	// Architectures that must be there of every image (amd64, arm64); none: all
	// that an image has.
	Architectures []string
}

// Create writes the bundle of a slice to file, which must not exist.
func Create(file, sliceName string, functions []Function, src Source) (_ *Manifest, err error) {
	if len(functions) == 0 {
		return nil, fault.New(fault.Invalid, "slice %s has no function that is a chart", sliceName)
	}
	if _, err := os.Lstat(file); err == nil {
		return nil, fault.Field("output", file, "a file that does not exist")
	}
	work, err := os.MkdirTemp(filepath.Dir(file), ".bundle-")
	if err != nil {
		return nil, fault.New(fault.Internal, "no place for bundle %s", file).Because(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	m := &Manifest{Format: format, Slice: sliceName, Functions: functions, Images: []Image{}}
	if err := m.gatherImages(work, src); err != nil {
		return nil, err
	}
	if err := m.gatherCharts(work, src.Charts); err != nil {
		return nil, err
	}
	whole := filepath.Join(work, "whole")
	if err := m.write(whole, work); err != nil {
		return nil, fault.New(fault.Internal, "bundle %s cannot be written", file).Because(err)
	}
	if err := os.Link(whole, file); err != nil { // fails where another made it meanwhile
		return nil, fault.New(fault.Conflict, "bundle %s cannot be made", file).Because(err)
	}
	return m, nil
}

func (m *Manifest) gatherImages(work string, src Source) (err error) {
	names, err := named(src.Charts, m.Functions)
	if err != nil {
		return err
	}
	if src.Images == "" {
		m.Missing = names
		return nil
	}
	s, err := openShelf(src.Images)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	missing := slices.DeleteFunc(slices.Clone(names), func(n string) bool { _, ok := s.images[n]; return ok })
	if len(missing) > 0 {
		return fault.New(fault.NotFound, "%d images are not in %s: %s", len(missing), src.Images, strings.Join(missing, ", "))
	}
	images := map[string]v1.ImageIndex{}
	for _, n := range names {
		index, i, err := s.take(n, src.Architectures)
		if err != nil {
			return err
		}
		images[n] = index
		m.Images = append(m.Images, i)
	}
	return oci.WriteArchive(filepath.Join(work, imagesName), images)
}

// gatherCharts copies the charts and writes the functions' values.
func (m *Manifest) gatherCharts(work string, charts fs.FS) error {
	done := map[string]bool{}
	for _, f := range m.Functions {
		values, err := json.MarshalIndent(f.Values, "", "  ")
		if err == nil {
			err = put(filepath.Join(work, "values", f.Element+".json"), append(values, '\n'))
		}
		if err == nil && !done[f.Chart] {
			done[f.Chart] = true
			err = fs.WalkDir(charts, f.Chart, func(p string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				raw, err := fs.ReadFile(charts, p)
				if err != nil {
					return err
				}
				return put(filepath.Join(work, "charts", filepath.FromSlash(p)), raw)
			})
		}
		if err != nil {
			return fault.New(fault.Internal, "chart %s of %s cannot be copied", f.Chart, f.Element).Because(err)
		}
	}
	return nil
}

func put(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}

// write makes the tar file of what is in the folder work.
func (m *Manifest) write(file, work string) error {
	for _, top := range []string{"charts", imagesName, "values"} {
		err := filepath.WalkDir(filepath.Join(work, top), func(p string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && d.IsDir() {
				return nil
			}
			if err != nil {
				return err
			}
			f, err := os.Open(p)
			if err != nil {
				return err
			}
			defer f.Close()
			size, digest, err := sum(f)
			rel, _ := filepath.Rel(work, p)
			m.Files = append(m.Files, File{Path: filepath.ToSlash(rel), Size: size, SHA256: digest})
			return err
		})
		if err != nil {
			return err
		}
	}
	head, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	err = entry(w, manifestName, int64(len(head)), bytes.NewReader(head))
	for _, f := range m.Files {
		if err == nil {
			err = copyIn(w, f, filepath.Join(work, filepath.FromSlash(path.Clean(f.Path))))
		}
	}
	return errors.Join(err, w.Close(), out.Sync(), out.Close())
}

func copyIn(w *tar.Writer, f File, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return entry(w, f.Path, f.Size, in)
}

func entry(w *tar.Writer, name string, size int64, content io.Reader) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := io.CopyN(w, content, size)
	return err
}
