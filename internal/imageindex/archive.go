package imageindex

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// folder is what the archives of a directory hold, read again when it changes.
type folder struct {
	dir string

	mu   sync.Mutex
	seen string // of every archive: name, size, time
	held map[string]held
	bad  error // of what could not be read
}

// held is one image of an archive.
type held struct {
	file  string
	archs []string
}

// find answers an image's architectures and the archive that holds it; no file:
// none does, and err is why that is not certain.
func (f *folder) find(full string) (archs []string, file string, err error) {
	if f.dir == "" {
		return nil, "", nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refresh(); err != nil {
		return nil, "", err
	}
	if h, ok := f.held[full]; ok {
		return h.archs, h.file, nil
	}
	return nil, "", f.bad
}

// refresh reads the folder if it is not as it was. The caller holds mu.
func (f *folder) refresh() error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return fault.New(fault.Unavailable, "the folder of image archives cannot be read").Because(err)
	}
	var names []string
	var mark strings.Builder
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".tar" && ext != ".oci" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(f.dir, e.Name()))
		if err != nil || !info.Mode().IsRegular() {
			continue // gone meanwhile, or none
		}
		names = append(names, e.Name())
		fmt.Fprintf(&mark, "%s\x00%d\x00%d\x00", e.Name(), info.Size(), info.ModTime().UnixNano())
	}
	if mark.String() == f.seen && f.held != nil {
		return nil
	}
	f.seen, f.held, f.bad = mark.String(), map[string]held{}, nil
	for _, n := range names {
		if err := f.read(n); err != nil {
			f.bad = fault.New(fault.Unavailable, "archive %s cannot be read", n).Because(err)
		}
	}
	return nil
}

// read adds an archive's images. One that several archives hold runs where any
// of them says: a folder may have a file per architecture.
func (f *folder) read(name string) error {
	a, err := oci.OpenArchive(filepath.Join(f.dir, name))
	if err != nil {
		return err
	}
	defer func() { _ = a.Close() }() // it was only read
	for _, e := range a.Entries() {
		full, err := oci.FullName(e.Name)
		if err != nil {
			continue // without a name nobody asks for it
		}
		platforms, err := e.Platforms()
		if err != nil {
			return fmt.Errorf("image %s: %w", full, err)
		}
		if repository, ok := withoutTag(full); ok {
			byDigest := repository + "@" + e.Digest.String()
			f.held[byDigest] = held{name, architectures(platforms)}
		}
		h, also := f.held[full]
		h.archs = append(h.archs, architectures(platforms)...)
		slices.Sort(h.archs)
		h.archs = slices.Compact(h.archs)
		if also {
			h.file += ", "
		}
		h.file += name
		f.held[full] = h
	}
	return nil
}

// withoutTag is a full name's repository; ok is false for one without a tag.
func withoutTag(full string) (repository string, ok bool) {
	at := strings.LastIndexByte(full, ':')
	if at < 0 || strings.Contains(full[at:], "/") || strings.Contains(full, "@") {
		return full, false
	}
	return full[:at], true
}
