package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/osmoslice/osmoslice/internal/supervise"
)

// writeFiles makes the function's directories, removes the files of the wish
// before and writes those of this one. The root keeps it inside, whatever links
// the function may have made.
func writeFiles(unit string, files map[string][]byte, old []string) error {
	for _, dir := range []string{"work", "tmp"} {
		if err := os.MkdirAll(filepath.Join(unit, dir), 0o700); err != nil {
			return supervise.IOFault(err, "cannot make the function's directory")
		}
	}
	root, err := os.OpenRoot(filepath.Join(unit, "work"))
	if err != nil {
		return supervise.IOFault(err, "cannot open the function's directory")
	}
	defer root.Close()
	for _, name := range old {
		if _, still := files[name]; !still {
			if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return supervise.IOFault(err, "cannot remove file "+name)
			}
		}
	}
	for _, name := range sortedKeys(files) {
		if dir := filepath.Dir(name); dir != "." {
			err = root.MkdirAll(dir, 0o700)
		}
		if err == nil {
			_ = root.Remove(name) // its mode may be wider, or it may be a link; WriteFile tells
			err = root.WriteFile(name, files[name], 0o600)
		}
		if err != nil {
			return supervise.IOFault(err, "cannot write file "+name)
		}
	}
	return nil
}

// unitFiles are the executable, the files and their directories.
func unitFiles(dir string, files []string) []string {
	paths := []string{filepath.Join(dir, "exe"), filepath.Join(dir, "work")}
	for _, name := range files {
		path := filepath.Join(dir, "work", name)
		paths = append(paths, path, filepath.Dir(path))
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// syncAll begins to bring all paths to the disk, side by side so that one
// commit of the file system's journal serves many; wait waits for it.
func syncAll(paths ...string) (wait func() error) {
	errs := make(chan error, len(paths))
	for _, path := range paths {
		go func() { errs <- supervise.Sync(path) }()
	}
	return func() error {
		var err error
		for range paths {
			if e := <-errs; err == nil {
				err = e
			}
		}
		if err != nil {
			return supervise.IOFault(err, "cannot bring the function's files to the disk")
		}
		return nil
	}
}
