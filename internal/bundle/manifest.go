package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"io"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Function is one function of a slice: the chart it is made of, and values.
type Function struct {
	Element string         `json:"element"`
	Product string         `json:"product"`
	Chart   string         `json:"chart"`
	Version string         `json:"version"`
	Values  map[string]any `json:"-"`
}

// Image is one image and the platforms that are carried of it.
type Image struct {
	Name      string   `json:"name"`
	Platforms []string `json:"platforms"`
}

// File is one file of the bundle; Size is in bytes, SHA256 in hex.
type File struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Manifest is what a bundle says of itself.
type Manifest struct {
	Format    int        `json:"format"` // 1
	Slice     string     `json:"slice"`
	Functions []Function `json:"functions"`
	Images    []Image    `json:"images"`
	// Missing are images that the charts name and the bundle does not hold.
	Missing []string `json:"missing,omitempty"`
	Files   []File   `json:"files"`
}

const (
	manifestName = "bundle.json"
	imagesName   = "images.tar"
	format       = 1
)

// sum reads all of r.
func sum(r io.Reader) (size int64, digest string, err error) {
	h := sha256.New()
	size, err = io.Copy(h, r)
	return size, hex.EncodeToString(h.Sum(nil)), err
}

func damaged(file, why string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "bundle "+file+" "+why, args...)
}
