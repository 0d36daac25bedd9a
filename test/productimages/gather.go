package main

import (
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
	found, others := map[string]oci.Entry{}, []string{}
	var unread []error
	for _, file := range files {
		a, err := oci.OpenArchive(file)
		if err != nil {
			unread = append(unread, err)
			continue
		}
		defer a.Close()
		for _, e := range a.Entries() {
			full := e.Resolve(file, wanted)
			if _, twice := found[full]; full == "" || twice {
				others = append(others, strings.TrimSpace(filepath.Base(file)+": "+e.Name+" "+e.Tag))
				continue
			}
			found[full] = e
			fmt.Fprintf(log, "%s: %s\n", filepath.Base(file), full)
		}
	}
	missing := slices.DeleteFunc(slices.Clone(wanted), func(w string) bool { _, ok := found[w]; return ok })
	if len(missing) > 0 {
		return errors.Join(append([]error{fmt.Errorf("%s lacks %d of %d images that the charts name:\n  %s\nbeside these it has: %s",
			from, len(missing), len(wanted), strings.Join(missing, "\n  "), strings.Join(append(others, "nothing else")[:max(1, len(others))], ", "))}, unread...)...)
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

// archives are the files of a folder and its folders that may hold images.
func archives(from string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(from, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && slices.Contains([]string{".tar", ".oci"}, filepath.Ext(path)) {
			all = append(all, path)
		}
		return err
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s: no *.tar or *.oci in it", from)
	}
	return all, err
}
