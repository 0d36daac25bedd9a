package helm

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Chart is a chart's files, read and checked.
type Chart struct {
	Name, Version string
	files         []*loader.BufferedFile
	sum           string
}

// Load reads the chart in a directory of fsys. Its golden files (testdata) are
// no part of it. An absent one is fs.ErrNotExist.
func Load(fsys fs.FS, dir string) (*Chart, error) {
	c := &Chart{}
	h := sha256.New()
	err := fs.WalkDir(fsys, dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "ci") {
			return fs.SkipDir
		}
		if d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		b, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(p, path.Clean(dir)+"/")
		c.files = append(c.files, &loader.BufferedFile{Name: name, Data: b})
		h.Write([]byte(name + "\x00"))
		h.Write(b)
		return nil
	})
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fault.New(fault.Invalid, "chart %s cannot be read", path.Base(dir)).Because(err)
	}
	c.sum = hex.EncodeToString(h.Sum(nil))
	ch, err := c.open()
	if err != nil {
		return nil, err
	}
	c.Name, c.Version = ch.Metadata.Name, ch.Metadata.Version
	return c, nil
}

// open parses the files: Helm changes the chart it renders, so every run has
// one of its own.
func (c *Chart) open() (*chart.Chart, error) {
	ch, err := loader.LoadFiles(c.files)
	if err == nil {
		err = ch.Validate()
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "chart %s is not valid", c.Name).Because(err)
	}
	return ch, nil
}

// Digest names a chart with its values; generation is left out of account.
func (c *Chart) Digest(values map[string]any) string {
	v := map[string]any{}
	for k, x := range values {
		v[k] = x
	}
	if o, ok := v["osmoslice"].(map[string]any); ok {
		n := map[string]any{}
		for k, x := range o {
			if k != "generation" {
				n[k] = x
			}
		}
		v["osmoslice"] = n
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(append([]byte(c.sum), b...))
	return hex.EncodeToString(sum[:20])
}
