package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
)

// gather writes each wanted image of the archives in a folder as an archive of its
// own, under its full name, for one platform. It looks at all of them first: what
// is missing is told together, beside what there is, and nothing is written.
func gather(from string, wanted []string, p v1.Platform, out string, log io.Writer) error {
	files, err := archives(from)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "osmoslice-images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	found := map[string]oci.Entry{}
	var others []candidate
	var unread []error
	for _, file := range files {
		a, err := open(file, work)
		if err != nil {
			unread = append(unread, err)
			continue
		}
		defer a.Close()
		for _, e := range a.Entries() {
			full := e.Resolve(file, wanted)
			if _, twice := found[full]; full == "" || twice {
				others = append(others, candidate{file, e})
				continue
			}
			found[full] = e
			fmt.Fprintf(log, "%s: %s\n", filepath.Base(file), full)
		}
	}
	for _, w := range wanted {
		if _, ok := found[w]; ok {
			continue
		}
		if c, ok := another(w, others); ok {
			found[w] = c.Entry
			fmt.Fprintf(log, "WARNING: %s is not there; %s of %s stands in its place\n", w, c.Name, filepath.Base(c.file))
		}
	}
	missing := slices.DeleteFunc(slices.Clone(wanted), func(w string) bool { _, ok := found[w]; return ok })
	if len(missing) > 0 {
		there := []string{"it has nothing else"}
		for _, c := range others {
			there = append(there[:len(there):len(there)], strings.TrimSpace(filepath.Base(c.file)+": "+c.Name+" "+c.Tag))
		}
		if len(others) > 0 {
			there[0] = "beside these it has:"
		}
		return errors.Join(append([]error{fmt.Errorf("%s lacks %d of %d images that the charts name:\n  %s\n%s",
			from, len(missing), len(wanted), strings.Join(missing, "\n  "), strings.Join(there, "\n  "))}, unread...)...)
	}
	for full, e := range found {
		index, err := e.For(p)
		if err != nil {
			return fmt.Errorf("%s: %w", full, err)
		}
		if err := oci.WriteArchive(filepath.Join(out, archiveName(full)), map[string]v1.ImageIndex{full: index}); err != nil {
			return err
		}
	}
	return nil
}

// candidate is an image that is not wanted as it is.
type candidate struct {
	file string
	oci.Entry
}

// another answers the only image of a repository that is wanted in a version that
// is not there: better tried with that than not at all, as long as it is said.
func another(wanted string, all []candidate) (candidate, bool) {
	repository, _, _ := strings.Cut(wanted, ":")
	var found []candidate
	for _, c := range all {
		if its, _, _ := strings.Cut(c.Name, ":"); its == repository {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		return candidate{}, false
	}
	return found[0], true
}

// open opens an archive, a compressed one by a copy in work.
func open(file, work string) (*oci.Archive, error) {
	if !compressed(file) {
		return oci.OpenArchive(file)
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	out, err := os.CreateTemp(work, "archive-")
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(out, z)
	if err := errors.Join(err, out.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return oci.OpenArchive(out.Name())
}

func compressed(file string) bool {
	return strings.HasSuffix(file, ".tar.gz") || strings.HasSuffix(file, ".tgz")
}

// archives are the files of a folder and its folders that may hold images.
func archives(from string) ([]string, error) {
	from, err := filepath.EvalSymlinks(from)
	if err != nil {
		return nil, err
	}
	var all []string
	err = filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && (slices.Contains([]string{".tar", ".oci"}, filepath.Ext(path)) || compressed(path)) {
			all = append(all, path)
		}
		return err
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s: no *.tar, *.tar.gz or *.oci in it", from)
	}
	return all, err
}
