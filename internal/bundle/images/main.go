// Command images builds the container images of all commands for amd64 and arm64,
// without a container runtime, a base image or a registry: static binaries, the
// certificate authorities of this machine, a user who is not root.
//
//	images [--out dist/images] [--version V] [--commit C] [--created TIME] [--ldflags F] [--arch amd64,arm64] [--push REGISTRY[/PATH]] [NAME...]
//
// It writes one OCI archive for each command, OUT/NAME-VERSION.tar, holding
// docker.io/osmoslice/NAME:VERSION for both platforms; with --push it pushes
// REGISTRY/NAME:VERSION instead. The same sources, version and creation time give
// the same digests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "images: "+err.Error())
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("images", flag.ContinueOnError)
	r := release{}
	folder := f.String("out", "dist/images", "folder of the archives")
	push := f.String("push", "", "registry, and possibly a path in it, to push to instead")
	created := f.String("created", "", "time of creation written into the images, RFC 3339 (default: the Unix epoch)")
	f.StringVar(&r.version, "version", "unknown", "tag of the images")
	f.StringVar(&r.commit, "commit", "unknown", "commit the sources are at, for the label")
	f.StringVar(&r.ldflags, "ldflags", "-s -w", "flags for the linker")
	arch := f.String("arch", "amd64,arm64", "architectures, separated by commas")
	if err := f.Parse(args); err != nil {
		return err
	}
	for a := range strings.SplitSeq(*arch, ",") {
		if a != "amd64" && a != "arm64" {
			return fmt.Errorf("--arch %q: amd64 and arm64 are possible", a)
		}
		r.architectures = append(r.architectures, a)
	}
	chosen := products()
	if f.NArg() > 0 {
		chosen = slices.DeleteFunc(chosen, func(p product) bool { return !slices.Contains(f.Args(), p.name) })
		if len(chosen) != f.NArg() {
			return fmt.Errorf("%s: there are %s", strings.Join(f.Args(), " "), strings.Join(names(products()), ", "))
		}
	}
	if *created != "" {
		var err error
		if r.created, err = time.Parse(time.RFC3339, *created); err != nil {
			return fmt.Errorf("--created: %w", err)
		}
	}
	if !tag(r.version) {
		return fmt.Errorf("--version %q: a tag is up to 128 letters, digits, dots, dashes and underscores", r.version)
	}
	work, err := os.MkdirTemp("", "osmoslice-images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	for _, p := range chosen {
		index, err := r.build(ctx, p, work)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if *push != "" {
			err = pushIndex(ctx, *push+"/"+p.name+":"+r.version, index, out)
		} else {
			err = writeIndex(filepath.Join(*folder, p.name+"-"+r.version+".tar"), "docker.io/osmoslice/"+p.name+":"+r.version, index, out)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

func names(all []product) []string {
	var n []string
	for _, p := range all {
		n = append(n, p.name)
	}
	return n
}

func tag(s string) bool {
	ok := func(r rune) bool {
		return r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	return s != "" && len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool { return !ok(r) }) < 0 && s[0] != '.' && s[0] != '-'
}
