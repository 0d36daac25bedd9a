package imageindex

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
	"github.com/osmoslice/osmoslice/internal/fault"
)

func reading(full string) (name.Reference, error) {
	ref, err := name.ParseReference(full)
	if err != nil {
		return nil, fault.Field("image", full, "an image reference, as registry/repository:tag").Because(err)
	}
	return ref, nil
}

// ask reads an image's index from its registry, or, where it is a single image,
// what its configuration says.
func (x *Index) ask(ctx context.Context, ref name.Reference, dockerConfig []byte) ([]string, error) {
	auth, err := credentials(dockerConfig, ref.Context().RegistryStr())
	if err != nil {
		return nil, err
	}
	d, err := remote.Get(ref, remote.WithContext(ctx), remote.WithAuth(auth), remote.WithTransport(bounded{x.o.Transport}),
		remote.WithUserAgent("osmoslice"))
	if err != nil {
		return nil, unanswered(ctx, err, ref)
	}
	platforms, err := platforms(d)
	if err != nil {
		return nil, unanswered(ctx, err, ref)
	}
	return architectures(platforms), nil
}

func platforms(d *remote.Descriptor) ([]v1.Platform, error) {
	if d.MediaType.IsIndex() {
		index, err := d.ImageIndex()
		if err != nil {
			return nil, err
		}
		return oci.Platforms(index)
	}
	image, err := d.Image()
	if err != nil {
		return nil, err
	}
	c, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	return []v1.Platform{{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}}, nil
}

// unanswered says what an error of a registry means.
func unanswered(ctx context.Context, err error, ref name.Reference) error {
	host := ref.Context().RegistryStr()
	if late, ok := errors.AsType[net.Error](err); ctx.Err() != nil || ok && late.Timeout() {
		return fault.New(fault.Timeout, "registry %s did not answer in time", host)
	}
	var t *transport.Error
	if errors.As(err, &t) {
		switch t.StatusCode {
		case http.StatusNotFound:
			return fault.New(fault.NotFound, "registry %s has no image %s", host, ref.Name())
		case http.StatusUnauthorized, http.StatusForbidden:
			return fault.New(fault.Forbidden, "registry %s does not show %s with the credentials at hand (%d)", host, ref.Name(), t.StatusCode)
		}
		return fault.New(fault.Unavailable, "registry %s answered %d", host, t.StatusCode)
	}
	return fault.New(fault.Unavailable, "registry %s cannot be asked", host).Because(err)
}

// credentials finds those of a registry in a .dockerconfigjson.
func credentials(dockerConfig []byte, registry string) (authn.Authenticator, error) {
	if len(dockerConfig) == 0 {
		return authn.Anonymous, nil
	}
	var doc struct {
		Auths map[string]authn.AuthConfig `json:"auths"`
	}
	if err := json.Unmarshal(dockerConfig, &doc); err != nil {
		return nil, fault.New(fault.Invalid, `the pull secret is no .dockerconfigjson with "auths"`) // its text is a secret
	}
	for at, c := range doc.Auths {
		if hostOf(at) == hostOf(registry) {
			return authn.FromConfig(c), nil
		}
	}
	return authn.Anonymous, nil
}

// hostOf is the registry that a key of auths is about: keys may be URLs, and the
// Docker Hub has several names.
func hostOf(at string) string {
	at = strings.TrimPrefix(strings.TrimPrefix(at, "https://"), "http://")
	at, _, _ = strings.Cut(at, "/")
	switch at {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return name.DefaultRegistry
	}
	return at
}

// bounded refuses answers longer than any manifest or configuration.
type bounded struct{ next http.RoundTripper }

const longestAnswer = 8 << 20

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	a.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(a.Body, longestAnswer), a.Body}
	return a, nil
}
