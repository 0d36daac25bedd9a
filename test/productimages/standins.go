package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
)

// nested is the folder of the stand-ins' own module, below the root of ours.
const nested = "test/standin/programs"

// a recipe says what an image's stand-in is made of. Work is a folder for what is
// compiled on the way.
type recipe func(ctx context.Context, b *builder, name, tag string) (oci.Spec, error)

// recipes are by repository, a whole namespace's by its name and "/".
func recipes() map[string]recipe {
	return map[string]recipe{
		"edgexfoundry/": edgexImage, "mainflux/": mainfluxImage, "library/postgres": postgresImage,
		"library/eclipse-mosquitto": mosquittoImage, "library/nats": natsImage, "library/redis": redisImage, "library/influxdb": influxdbImage,
	}
}

// builder compiles and collects.
type builder struct{ root, work string }

// buildStandins writes an archive for each of the names.
func buildStandins(ctx context.Context, names []string, out string) error {
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	work, err := os.MkdirTemp("", "osmoslice-standin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b := &builder{root: filepath.Dir(strings.TrimSpace(string(gomod))), work: work}
	for _, full := range names {
		repository, tag, _ := strings.Cut(strings.TrimPrefix(full, "docker.io/"), ":")
		r := recipes()[repository]
		if r == nil {
			namespace, _, _ := strings.Cut(repository, "/")
			r = recipes()[namespace+"/"]
		}
		if r == nil {
			return fmt.Errorf("%s: there is no stand-in for it", full)
		}
		spec, err := r(ctx, b, filepath.Base(repository), tag)
		if err != nil {
			return fmt.Errorf("%s: %w", full, err)
		}
		spec.Platform = machine()
		spec.Labels = map[string]string{"org.opencontainers.image.title": "STAND-IN for " + full}
		image, err := oci.Build(spec)
		if err != nil {
			return fmt.Errorf("%s: %w", full, err)
		}
		index, err := oci.Join(image)
		if err != nil {
			return fmt.Errorf("%s: %w", full, err)
		}
		if err := oci.WriteArchive(filepath.Join(out, archiveName(full)), map[string]v1.ImageIndex{full: index}); err != nil {
			return err
		}
		fmt.Println("stand-in for", full)
	}
	return nil
}

// archiveName is a file's name for an image's.
func archiveName(full string) string {
	return strings.NewReplacer("/", "_", ":", "_").Replace(strings.TrimPrefix(full, "docker.io/")) + ".tar"
}

// compile builds a static program in a folder of a module and answers its file.
func (b *builder) compile(ctx context.Context, dir, pkg, service, version string) (string, error) {
	file := filepath.Join(b.work, strings.NewReplacer("/", "_").Replace(pkg+"-"+service))
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", file,
		"-ldflags", "-s -w -X main.service="+service+" -X main.version="+version, pkg)
	cmd.Dir = filepath.Join(b.root, dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return file, nil
}

// edgexImage: alpine has a shell and wget; the programs and /res are at the root,
// no user is set.
func edgexImage(ctx context.Context, b *builder, name, tag string) (oci.Spec, error) {
	program, err := b.compile(ctx, nested, "./edgex", name, tag)
	if err != nil {
		return oci.Spec{}, err
	}
	s, err := alpine()
	if err != nil {
		return s, err
	}
	s.Files = append(s.Files,
		oci.File{Path: "/" + name, Source: program, Mode: 0o755},
		oci.File{Path: "/res/configuration.yaml", Source: filepath.Join(b.root, nested, "edgex/res", name+".yaml")})
	s.Entrypoint, s.Cmd = []string{"/" + name}, []string{"-cp=keeper.http://edgex-core-keeper:59890", "--registry"}
	switch name {
	case "core-keeper":
		s.Cmd = nil
	case "core-common-config-bootstrapper":
		// The image's command is the program's whole command line.
		s.Files = append(s.Files, oci.File{Path: "/usr/local/bin/entrypoint.sh", Mode: 0o755, Content: []byte("#!/bin/sh\nset -e\n\"$@\" && exec tail -f /dev/null\n")})
		s.Entrypoint, s.Cmd = []string{"entrypoint.sh"}, []string{"/" + name, "-cp=keeper.http://edgex-core-keeper:59890"}
	}
	return s, nil
}

// mainfluxImage: nothing but /exe.
func mainfluxImage(ctx context.Context, b *builder, name, tag string) (oci.Spec, error) {
	program, err := b.compile(ctx, "", "./test/standin/mainflux", name, tag)
	return oci.Spec{Files: []oci.File{{Path: "/exe", Source: program, Mode: 0o755}}, Entrypoint: []string{"/exe"}}, err
}

func natsImage(ctx context.Context, b *builder, _, _ string) (oci.Spec, error) {
	program, err := b.compile(ctx, nested, "github.com/nats-io/nats-server/v2", "", "")
	if err != nil {
		return oci.Spec{}, err
	}
	s, err := alpine()
	s.Files = append(s.Files, oci.File{Path: "/usr/local/bin/nats-server", Source: program, Mode: 0o755})
	return entered(s, "nats-server"), err
}
