package imageindex

import (
	"context"
	"crypto/sha256"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// Options configure an Index; zero fields take the defaults.
type Options struct {
	// Dir is a folder of OCI archives (*.tar, *.oci); empty: none.
	Dir string
	// Timeout bounds one question to a registry, redirects and tokens included; 4 s.
	Timeout time.Duration
	// Keep is how long an answer is remembered; 10 min. A failure is for 30 s.
	Keep time.Duration
	// Transport carries the requests to registries; nil: one without a proxy.
	Transport http.RoundTripper
	Clock     func() time.Time
}

const (
	failureKept = 30 * time.Second
	mostKept    = 4096
)

// Index answers what images run on. It is safe for concurrent use.
type Index struct {
	o       Options
	archive folder

	mu    sync.Mutex
	known map[key]*answer
}

// key names a question; credentials may change what a registry tells.
type key struct {
	image string
	creds [sha256.Size]byte
}

// answer is a registry's, or one that is awaited.
type answer struct {
	done  chan struct{}
	archs []string
	err   error
	until time.Time
}

// New makes an Index. Nothing is read or asked yet.
func New(o Options) *Index {
	if o.Timeout <= 0 {
		o.Timeout = 4 * time.Second
	}
	if o.Keep <= 0 {
		o.Keep = 10 * time.Minute
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: o.Timeout}).DialContext,
			TLSHandshakeTimeout: o.Timeout, ResponseHeaderTimeout: o.Timeout,
			MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
		}
	}
	return &Index{o: o, archive: folder{dir: o.Dir}, known: map[key]*answer{}}
}

// FullName is a reference with registry, namespace and tag, as container
// runtimes keep it: alpine:3 is docker.io/library/alpine:3.
func (x *Index) FullName(reference string) (string, error) {
	full, err := oci.FullName(reference)
	if err != nil {
		return "", fault.Field("image", reference, "an image reference, as registry/repository:tag").Because(err)
	}
	return full, nil
}

// Architectures answers, as sorted GOARCH words, every architecture for which a
// Linux image is there under a reference, and who says so, for people. dockerConfig
// is a .dockerconfigjson with the credentials for a registry, nil: none.
func (x *Index) Architectures(ctx context.Context, reference string, dockerConfig []byte, askRegistry bool) (archs []string, from string, err error) {
	full, err := x.FullName(reference)
	if err != nil {
		return nil, "", err
	}
	archs, file, unread := x.archive.find(full)
	if file != "" {
		return told(full, archs, "archive "+file)
	}
	if !askRegistry {
		if unread == nil {
			unread = fault.New(fault.Unavailable, "no archive at hand holds it, and its registry is not to be asked")
		}
		return nil, "", unread
	}
	ref, err := reading(full)
	if err != nil {
		return nil, "", err
	}
	archs, err = x.remembered(ctx, key{full, sha256.Sum256(dockerConfig)}, func(ctx context.Context) ([]string, error) {
		return x.ask(ctx, ref, dockerConfig)
	})
	if err != nil {
		return nil, "", err
	}
	return told(full, archs, "registry "+ref.Context().RegistryStr())
}

// told takes an answer, unless it names nothing: an image's configuration may
// leave its architecture out, and then it is not known.
func told(full string, archs []string, from string) ([]string, string, error) {
	if len(archs) == 0 {
		return nil, "", fault.New(fault.Unavailable, "%s names no Linux architecture for %s", from, full)
	}
	return archs, from, nil
}

// remembered answers from memory, waits for who asks already, or asks.
func (x *Index) remembered(ctx context.Context, k key, ask func(context.Context) ([]string, error)) ([]string, error) {
	x.mu.Lock()
	a := x.known[k]
	if a != nil && !a.until.IsZero() && !x.o.Clock().Before(a.until) {
		a = nil
	}
	if a == nil {
		if len(x.known) >= mostKept {
			x.known = map[key]*answer{}
		}
		a = &answer{done: make(chan struct{})}
		x.known[k] = a
		// Who asks first may go before the answer comes: others wait for it, too.
		go x.fetch(context.WithoutCancel(ctx), a, ask)
	}
	x.mu.Unlock()
	select {
	case <-a.done:
		return a.archs, a.err
	case <-ctx.Done():
		return nil, fault.Of(ctx.Err())
	}
}

func (x *Index) fetch(ctx context.Context, a *answer, ask func(context.Context) ([]string, error)) {
	ctx, cancel := context.WithTimeout(ctx, x.o.Timeout)
	defer cancel()
	archs, err := ask(ctx)
	x.mu.Lock()
	defer x.mu.Unlock()
	a.archs, a.err, a.until = archs, err, x.o.Clock().Add(x.o.Keep)
	if err != nil {
		a.until = x.o.Clock().Add(failureKept)
	}
	close(a.done)
}

// architectures are those of the Linux images among platforms, each once.
func architectures(all []v1.Platform) []string {
	out := []string{}
	for _, p := range all {
		if (p.OS == "" || p.OS == "linux") && p.Architecture != "" {
			out = append(out, p.Architecture)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
