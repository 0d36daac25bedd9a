package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
)

// importable answers archives that a node's containerd imports under full names:
// those that are so already, and copies below dir of those of other tools, which
// keep short names, tags alone or none, or lists of platforms that are not there.
func importable(dir string, files []string) ([]string, error) {
	all := make([]string, 0, len(files))
	for i, file := range files {
		to := filepath.Join(dir, fmt.Sprintf("%03d-%s", i, filepath.Base(file)))
		plain, err := copied(file, to)
		if err != nil {
			return nil, err
		}
		if plain {
			to = file
		}
		all = append(all, to)
	}
	return all, nil
}

func copied(file, to string) (plain bool, err error) {
	a, err := oci.OpenArchive(file)
	if err != nil {
		return false, err
	}
	defer a.Close()
	if a.Plain() {
		return true, nil
	}
	images := map[string]v1.ImageIndex{}
	for _, e := range a.Entries() {
		full := e.Resolve(file, nil)
		if images[full], err = e.For(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}); err != nil {
			return false, fmt.Errorf("%s: %w", file, err)
		}
		fmt.Fprintf(os.Stderr, "%s: image %s\n", filepath.Base(file), full)
	}
	return false, oci.WriteArchive(to, images)
}
