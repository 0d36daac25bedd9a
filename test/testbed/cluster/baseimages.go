package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
)

// BaseImages are the archive of the images every node has, made of the two
// programs and kept in cache under their hash.
func BaseImages(cache, probe, coredns string) (string, error) {
	h := sha256.New()
	for _, path := range []string{probe, coredns} {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	archive := filepath.Join(cache, "testbed", "images-"+hex.EncodeToString(h.Sum(nil))[:16], "base.tar")
	if _, err := os.Stat(archive); !errors.Is(err, fs.ErrNotExist) {
		return archive, err
	}
	images := map[string]v1.ImageIndex{}
	for name, s := range map[string]oci.Spec{
		PauseImage: {Files: []oci.File{{Path: "/probe", Source: probe, Mode: 0o755}}, Entrypoint: []string{"/probe", "pause"}, User: "65535:65535"},
		ProbeImage: {Files: []oci.File{{Path: "/probe", Source: probe, Mode: 0o755}}, Entrypoint: []string{"/probe"}, Cmd: []string{"serve"}, User: "65532:65532", Ports: []string{"8080/tcp"}},
		DNSImage:   {Files: []oci.File{{Path: "/coredns", Source: coredns, Mode: 0o755}}, Entrypoint: []string{"/coredns"}},
	} {
		s.Platform = v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
		image, err := oci.Build(s)
		if err != nil {
			return "", err
		}
		if images[name], err = oci.Join(image); err != nil {
			return "", err
		}
	}
	return archive, oci.WriteArchive(archive, images)
}
