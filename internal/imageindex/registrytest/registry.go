// Package registrytest is a registry of the OCI distribution API for tests: it
// serves manifests and blobs, wants tokens (RFC 6750, the flow that begins with a
// 401) when it is locked, and counts what it is asked.
package registrytest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
)

// Index makes an image for architectures of Linux.
func Index(t testing.TB, archs ...string) v1.ImageIndex {
	t.Helper()
	var images []v1.Image
	for _, a := range archs {
		i, err := oci.Build(oci.Spec{Platform: v1.Platform{OS: "linux", Architecture: a}, Files: []oci.File{{Path: "/x", Content: []byte(a)}}})
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, i)
	}
	all, err := oci.Join(images...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// User and Password are those that a locked registry gives tokens for.
const (
	User     = "puller"
	Password = "s3cret-pull"
)

// Registry is an OCI registry on loopback.
type Registry struct {
	*httptest.Server
	Requests atomic.Int64 // for manifests
	Tokens   atomic.Int64 // asked for

	manifests map[string][]byte // by repository, "/", tag or digest
	types     map[string]string
	blobs     map[string][]byte
	locked    bool
	hang      chan struct{} // not nil: manifests wait for its end
}

// New starts a registry that ends with the test. A locked one wants a token,
// which it gives to User with Password.
func New(t testing.TB, locked bool) *Registry {
	t.Helper()
	r := &Registry{manifests: map[string][]byte{}, types: map[string]string{}, blobs: map[string][]byte{}, locked: locked}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(func() {
		if r.hang != nil {
			close(r.hang)
		}
		r.Close()
	})
	return r
}

// Host is the registry as it stands in an image's name.
func (r *Registry) Host() string { return strings.TrimPrefix(r.URL, "http://") }

func (r *Registry) serve(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path == "/token" {
		r.Tokens.Add(1)
		if u, p, _ := q.BasicAuth(); u != User || p != Password {
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(w, `{"token":"t-%s"}`, q.URL.Query().Get("scope"))
		return
	}
	path := strings.TrimPrefix(q.URL.Path, "/v2/")
	repository, rest, _ := strings.Cut(strings.Replace(strings.Replace(path, "/manifests/", "\x00m/", 1), "/blobs/", "\x00b/", 1), "\x00")
	scope := "repository:" + repository + ":pull"
	if r.locked && (path == "" || q.Header.Get("Authorization") != "Bearer t-"+scope) {
		challenge := fmt.Sprintf(`Bearer realm="%s/token",service="here"`, r.URL)
		if path != "" {
			challenge += `,scope="` + scope + `"`
		}
		w.Header().Set("Www-Authenticate", challenge)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return
	}
	kind, name, _ := strings.Cut(rest, "/")
	switch kind {
	case "m":
		r.Requests.Add(1)
		if r.hang != nil {
			select {
			case <-r.hang:
			case <-q.Context().Done():
			}
		}
		if raw, ok := r.manifests[repository+"/"+name]; ok {
			w.Header().Set("Content-Type", r.types[repository+"/"+name])
			_, _ = w.Write(raw)
			return
		}
	case "b":
		if raw, ok := r.blobs[name]; ok {
			_, _ = w.Write(raw)
			return
		}
	case "":
		return
	}
	http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`, http.StatusNotFound)
}

// Hang makes the registry accept questions and answer none, until the test ends.
func (r *Registry) Hang() { r.hang = make(chan struct{}) }

// Hold puts an image into the registry, as an index or as a single image.
func (r *Registry) Hold(t testing.TB, repository, tag string, i v1.ImageIndex, single bool) {
	t.Helper()
	put := func(at string, raw []byte, mt string) {
		r.manifests[repository+"/"+at], r.types[repository+"/"+at] = raw, mt
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	top, err := i.IndexManifest()
	must(err)
	for _, d := range top.Manifests {
		image, err := i.Image(d.Digest)
		must(err)
		raw, err := image.RawManifest()
		must(err)
		put(d.Digest.String(), raw, string(d.MediaType))
		if single {
			put(tag, raw, string(d.MediaType))
		}
		config, err := image.RawConfigFile()
		must(err)
		m, err := image.Manifest()
		must(err)
		r.blobs[m.Config.Digest.String()] = config
	}
	if !single {
		raw, err := i.RawManifest()
		must(err)
		mt, err := i.MediaType()
		must(err)
		put(tag, raw, string(mt))
	}
}

// PullSecret is a .dockerconfigjson with the credentials for a host, and others.
func PullSecret(host, u, p string) []byte {
	b, _ := json.Marshal(map[string]any{"auths": map[string]any{
		"https://" + host + "/v1/": map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(u + ":" + p))},
		"other.example":            map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("not:this"))},
	}})
	return b
}
