package bundle

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// maxManifest bounds what is read of bundle.json.
const maxManifest = 16 << 20

// Check reads a bundle to its end and answers what is in it, if all of it is as
// it says.
func Check(file string) (*Manifest, error) {
	return read(file, func(string, io.Reader) error { return nil })
}

// Unpack checks a bundle and leaves its files in dir, which must not exist.
func Unpack(file, dir string) (_ *Manifest, err error) {
	if _, err := os.Lstat(dir); err == nil {
		return nil, fault.Field("to", dir, "a folder that does not exist")
	}
	part, err := os.MkdirTemp(filepath.Dir(dir), ".unpack-")
	if err != nil {
		return nil, fault.New(fault.Internal, "no place for %s", dir).Because(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(part)) }()
	inside := filepath.Join(part, "x")
	m, err := read(file, func(path string, r io.Reader) error {
		to := filepath.Join(inside, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		return errors.Join(err, out.Close())
	})
	if err != nil {
		return nil, err
	}
	if err := os.Rename(inside, dir); err != nil {
		return nil, fault.New(fault.Internal, "folder %s cannot be made", dir).Because(err)
	}
	return m, nil
}

// read goes through a bundle; take gets every file but bundle.json, while its
// checksum is made.
func read(file string, take func(path string, r io.Reader) error) (*Manifest, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fault.New(fault.NotFound, "bundle %s", file).Because(err)
	}
	defer f.Close()
	t := tar.NewReader(f)
	m, err := head(file, t)
	if err != nil {
		return nil, err
	}
	expected := map[string]File{}
	for _, one := range m.Files {
		if !filepath.IsLocal(filepath.FromSlash(one.Path)) || strings.Contains(one.Path, `\`) {
			return nil, damaged(file, "names a file outside itself: %q", one.Path)
		}
		expected[one.Path] = one
	}
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, damaged(file, "is cut off or damaged").Because(err)
		}
		want, ok := expected[h.Name]
		if !ok || h.Typeflag != tar.TypeReg {
			return nil, damaged(file, "holds %q, which its list does not name", h.Name)
		}
		delete(expected, h.Name)
		if err := checked(file, want, t, take); err != nil {
			return nil, err
		}
	}
	for path := range expected {
		return nil, damaged(file, "lacks %s", path)
	}
	return m, nil
}

func head(file string, t *tar.Reader) (*Manifest, error) {
	h, err := t.Next()
	if err != nil || h.Name != manifestName {
		return nil, damaged(file, "is no bundle: it does not begin with %s", manifestName)
	}
	m := &Manifest{}
	d := json.NewDecoder(io.LimitReader(t, maxManifest))
	if err := d.Decode(m); err != nil {
		return nil, damaged(file, "is damaged: %s cannot be read", manifestName).Because(err)
	}
	if m.Format != format {
		return nil, damaged(file, "has format %d; this program knows %d", m.Format, format)
	}
	return m, nil
}

func checked(file string, want File, r io.Reader, take func(string, io.Reader) error) error {
	pr, pw := io.Pipe()
	taken := make(chan error, 1)
	go func() {
		err := take(want.Path, pr)
		_, _ = io.Copy(io.Discard, pr)
		taken <- err
	}()
	size, digest, err := sum(io.TeeReader(r, pw))
	_ = pw.Close() // never fails
	if terr := <-taken; terr != nil {
		return fault.New(fault.Internal, "%s of bundle %s cannot be taken", want.Path, file).Because(terr)
	}
	if err != nil {
		return damaged(file, "is cut off in %s", want.Path).Because(err)
	}
	if size != want.Size || digest != want.SHA256 {
		return damaged(file, "is damaged: %s does not match its checksum", want.Path)
	}
	return nil
}

// Push sends the images of an unpacked bundle to a registry, as
// REGISTRY/repository:tag: what imageRegistry of an infrastructure then names.
// Credentials come from the container tools' own configuration.
func Push(ctx context.Context, dir, registry string, insecure bool, say func(format string, args ...any)) error {
	return each(dir, func(full string, e oci.Entry) error {
		_, path, _ := strings.Cut(full, "/")
		var options []name.Option
		if insecure {
			options = append(options, name.Insecure)
		}
		to, err := name.ParseReference(strings.TrimSuffix(registry, "/")+"/"+path, options...)
		if err != nil {
			return fault.Field("registry", registry, "host[:port][/path]").Because(err)
		}
		index, err := e.Index()
		if err != nil {
			return err
		}
		if err := remote.WriteIndex(to, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return fault.New(fault.Unavailable, "image %s cannot be pushed", to).Because(err)
		}
		say("pushed %s", to)
		return nil
	})
}

// each goes through the images of an unpacked bundle.
func each(dir string, do func(full string, e oci.Entry) error) (err error) {
	file := filepath.Join(dir, imagesName)
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return fault.New(fault.NotFound, "the bundle holds no image")
	}
	a, err := oci.OpenArchive(file)
	if err != nil {
		return fault.New(fault.Invalid, "the bundle's images cannot be read").Because(err)
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	for _, e := range a.Entries() {
		full, err := oci.FullName(e.Name)
		if err == nil {
			err = do(full, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Import gives the images of an unpacked bundle to the containerd of this
// machine, where its Kubernetes finds them, by the command ctr.
func Import(ctx context.Context, dir, socket string) error {
	out, err := exec.CommandContext(ctx, "ctr", "--address", socket, "-n", "k8s.io", "images", "import", filepath.Join(dir, imagesName)).CombinedOutput()
	if err != nil {
		return fault.New(fault.Unavailable, "containerd at %s does not take the images: %s", socket, strings.TrimSpace(string(out))).Because(err)
	}
	return nil
}
