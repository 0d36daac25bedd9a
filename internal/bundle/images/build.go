package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
)

// A product is a command that gets an image.
type product struct {
	name        string
	description string
	ports       []string
	module      string // folder of its own module; empty: ours
}

func products() []product {
	return []product{
		{name: "osmosliced", description: "IoT slice orchestration service", ports: []string{"8080/tcp"}},
		{name: "slicectl", description: "command line of the IoT slice orchestration service"},
		{name: "lite-gateway", description: "light IoT gateway: MQTT, HTTP, CoAP", ports: []string{"1883/tcp", "8080/tcp", "5683/udp"}},
		{name: "lite-server", description: "light IoT server: MQTT, SenML store, query API", ports: []string{"1883/tcp", "8080/tcp"}},
		{name: "edgex-senml-export", description: "EdgeX application service: readings as SenML over MQTT", ports: []string{"59703/tcp"}, module: "cmd/edgex-senml-export"},
	}
}

// nonroot is the user all images run as; it owns the folder of state.
const nonroot = 65532

// stateFolder is the images' working folder, writable by that user.
const stateFolder = "/var/lib/osmoslice"

// certificates are where Debian and others keep the authorities they trust.
func certificates() []string {
	return []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}
}

type release struct {
	version, commit, ldflags string
	created                  time.Time
	architectures            []string
}

// build compiles the product for each platform and joins the images.
func (r release) build(ctx context.Context, p product, work string) (v1.ImageIndex, error) {
	var images []v1.Image
	dir, pkg := "", "github.com/osmoslice/osmoslice/cmd/"+p.name
	if p.module != "" {
		root, err := moduleRoot(ctx)
		if err != nil {
			return nil, err
		}
		dir, pkg = filepath.Join(root, p.module), "."
	}
	for _, arch := range r.architectures {
		binary := filepath.Join(work, p.name+"-"+arch)
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", r.ldflags, "-o", binary, pkg)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build for %s: %w: %s", arch, err, out)
		}
		image, err := oci.Build(r.spec(p, arch, binary))
		if err != nil {
			return nil, err
		}
		images = append(images, image)
	}
	return oci.Join(images...)
}

// moduleRoot is the folder of the sources.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

func (r release) spec(p product, arch, binary string) oci.Spec {
	s := oci.Spec{
		Platform: v1.Platform{OS: "linux", Architecture: arch},
		Files: []oci.File{
			{Path: "/usr/local/bin/" + p.name, Source: binary, Mode: 0o755},
			{Path: stateFolder, Dir: true, Mode: 0o750, UID: nonroot, GID: nonroot},
			{Path: "/tmp", Dir: true, Mode: 0o1777},
			{Path: "/etc/passwd", Content: fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\nosmoslice:x:%[1]d:%[1]d::%s:/sbin/nologin\n", nonroot, stateFolder)},
			{Path: "/etc/group", Content: fmt.Appendf(nil, "root:x:0:\nosmoslice:x:%d:\n", nonroot)},
		},
		Entrypoint: []string{"/usr/local/bin/" + p.name},
		User:       fmt.Sprintf("%[1]d:%[1]d", nonroot),
		WorkingDir: stateFolder,
		Ports:      p.ports,
		Created:    r.created,
		Labels: map[string]string{
			"org.opencontainers.image.title":       p.name,
			"org.opencontainers.image.description": p.description,
			"org.opencontainers.image.version":     r.version,
			"org.opencontainers.image.revision":    r.commit,
			"org.opencontainers.image.licenses":    "Apache-2.0",
			"org.opencontainers.image.source":      "https://github.com/osmoslice/osmoslice",
		},
	}
	for _, path := range certificates() {
		if _, err := os.Stat(path); err == nil {
			s.Files = append(s.Files, oci.File{Path: "/etc/ssl/certs/ca-certificates.crt", Source: path})
			break
		}
	}
	return s
}

func writeIndex(file, ref string, index v1.ImageIndex, out io.Writer) error {
	if err := oci.WriteArchive(file, map[string]v1.ImageIndex{ref: index}); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	i, err := os.Stat(file)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s %s %s %d bytes\n", file, ref, digest, i.Size())
	return err
}

// pushIndex pushes with the credentials of docker's configuration, if there are
// any for the registry.
func pushIndex(ctx context.Context, to string, index v1.ImageIndex, out io.Writer) error {
	ref, err := name.ParseReference(to)
	if err != nil {
		return err
	}
	err = remote.WriteIndex(ref, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithTransport(http.DefaultTransport))
	if err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s %s\n", ref, digest)
	return err
}
