package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
)

// alpine is what the images built on Alpine have: busybox under its names, a
// passwd, a /tmp. No user is set: who starts them has to.
func alpine() (oci.Spec, error) {
	s := oci.Spec{WorkingDir: "/", Files: []oci.File{
		{Path: "/tmp", Dir: true, Mode: 0o1777},
		{Path: "/etc/passwd", Content: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n")},
		{Path: "/etc/group", Content: []byte("root:x:0:\n")},
	}}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return s, fmt.Errorf("%w (Debian package busybox-static)", err)
	}
	s.Files = append(s.Files, oci.File{Path: "/bin/busybox", Source: busybox, Mode: 0o755})
	for _, applet := range []string{"sh", "cat", "chmod", "cp", "date", "echo", "grep", "kill", "ls", "mkdir", "mv", "ps", "rm", "sed", "sleep"} {
		s.Files = append(s.Files, oci.File{Path: "/bin/" + applet, Link: "/bin/busybox"})
	}
	for _, applet := range []string{"env", "id", "nc", "tail", "timeout", "wget"} {
		s.Files = append(s.Files, oci.File{Path: "/usr/bin/" + applet, Link: "/bin/busybox"})
	}
	return s, nil
}

// entered gives the image the entrypoint that official images have: it starts
// program with what arguments begin with "-", else what they are.
func entered(s oci.Spec, program string) oci.Spec {
	s.Files = append(s.Files, oci.File{Path: "/usr/local/bin/docker-entrypoint.sh", Mode: 0o755,
		Content: fmt.Appendf(nil, "#!/bin/sh\nset -e\ncase \"$1\" in -*) set -- %s \"$@\" ;; esac\nexec \"$@\"\n", program)})
	s.Entrypoint, s.Cmd = []string{"docker-entrypoint.sh"}, []string{program}
	return s
}

// libraryRE finds the files in what ldd prints.
var libraryRE = regexp.MustCompile(`(?m)(/[^ ]+) \(0x`)

// programs adds files of this machine under their own paths, and the libraries
// that they name.
func programs(ctx context.Context, s *oci.Spec, paths ...string) error {
	var libraries []string
	for _, p := range paths {
		out, err := exec.CommandContext(ctx, "ldd", p).Output()
		if err != nil {
			return fmt.Errorf("ldd %s: %w", p, err)
		}
		for _, m := range libraryRE.FindAllStringSubmatch(string(out), -1) {
			libraries = append(libraries, m[1])
		}
	}
	slices.Sort(libraries)
	for _, l := range append(slices.Compact(libraries), paths...) {
		if slices.ContainsFunc(s.Files, func(f oci.File) bool { return f.Path == l }) {
			continue
		}
		real, err := filepath.EvalSymlinks(l)
		if err != nil {
			return err
		}
		s.Files = append(s.Files, oci.File{Path: l, Source: real, Mode: 0o755})
	}
	return nil
}

// folder adds a folder of this machine, but for what skip says.
func folder(s *oci.Spec, dir string, skip func(path string) bool) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case skip(path) && e.IsDir():
			return filepath.SkipDir
		case e.IsDir() || skip(path):
			return nil
		}
		i, err := os.Stat(path)
		if err != nil || !i.Mode().IsRegular() {
			return err
		}
		s.Files = append(s.Files, oci.File{Path: path, Source: path, Mode: int64(i.Mode().Perm())})
		return nil
	})
}

// postgresImage is Debian's PostgreSQL where Alpine's image has it: on the path
// through /usr/local/bin, user 70. Its own entrypoint is not there.
func postgresImage(ctx context.Context, _ *builder, _, _ string) (oci.Spec, error) {
	s, err := alpine()
	if err != nil {
		return s, err
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return s, errors.New("PostgreSQL is missing (Debian package postgresql)")
	}
	bin := filepath.Dir(found[len(found)-1])
	home, version := filepath.Dir(bin), filepath.Base(filepath.Dir(bin))
	unused := func(p string) bool {
		return strings.Contains(p, "bitcode") || strings.Contains(p, "llvmjit") || strings.Contains(p, "pgxs") || strings.HasSuffix(p, "/man")
	}
	if err := errors.Join(folder(&s, filepath.Join(home, "lib"), unused), folder(&s, "/usr/share/postgresql/"+version, unused)); err != nil {
		return s, err
	}
	var need []string
	for _, p := range []string{"postgres", "initdb", "pg_isready", "psql"} {
		need = append(need, filepath.Join(bin, p))
		s.Files = append(s.Files, oci.File{Path: "/usr/local/bin/" + p, Link: filepath.Join(bin, p)})
	}
	for _, l := range []string{"pgcrypto.so", "uuid-ossp.so", "ltree.so", "plpgsql.so", "dict_snowball.so"} {
		need = append(need, filepath.Join(home, "lib", l))
	}
	s.Files = append(s.Files, oci.File{Path: "/usr/local/bin/docker-entrypoint.sh", Mode: 0o755,
		Content: []byte("#!/bin/sh\necho 'stand-in: start PostgreSQL by a command of your own' >&2\nexit 1\n")})
	s.Entrypoint, s.Cmd = []string{"docker-entrypoint.sh"}, []string{"postgres"}
	// Its entrypoint is written for bash, so the image has one.
	bash, err := filepath.EvalSymlinks("/bin/bash")
	if err != nil {
		return s, err
	}
	return s, programs(ctx, &s, append(need, bash)...)
}

func mosquittoImage(ctx context.Context, _ *builder, _, _ string) (oci.Spec, error) {
	s, err := alpine()
	if err != nil {
		return s, err
	}
	if err := programs(ctx, &s, "/usr/sbin/mosquitto"); err != nil {
		return s, err
	}
	return entered(s, "/usr/sbin/mosquitto"), nil
}

func redisImage(ctx context.Context, _ *builder, _, _ string) (oci.Spec, error) {
	s, err := alpine()
	if err != nil {
		return s, err
	}
	server, err := exec.LookPath("redis-server")
	if err != nil {
		return s, fmt.Errorf("%w (Debian package redis-server)", err)
	}
	if err := programs(ctx, &s, server); err != nil {
		return s, err
	}
	s.Files = append(s.Files, oci.File{Path: "/usr/local/bin/redis-server", Link: server})
	return entered(s, "redis-server"), nil
}

// influxdbImage is InfluxDB 1.6 of Debian in the place of 1.8.
func influxdbImage(ctx context.Context, _ *builder, _, _ string) (oci.Spec, error) {
	s, err := alpine()
	if err != nil {
		return s, err
	}
	for _, p := range []string{"influxd", "influx"} {
		file, err := exec.LookPath(p)
		if err != nil {
			return s, fmt.Errorf("%w (Debian packages influxdb and influxdb-client)", err)
		}
		if err := programs(ctx, &s, file); err != nil {
			return s, err
		}
	}
	return entered(s, "influxd"), nil
}
