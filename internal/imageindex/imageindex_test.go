package imageindex_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/osmoslice/osmoslice/internal/bundle/oci"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/imageindex"
	"github.com/osmoslice/osmoslice/internal/imageindex/registrytest"
)

func archive(t *testing.T, dir, file string, images map[string]v1.ImageIndex) {
	t.Helper()
	if err := oci.WriteArchive(filepath.Join(dir, file), images); err != nil {
		t.Fatal(err)
	}
}

func TestArchivesSayWhatImagesRunOn(t *testing.T) {
	dir := t.TempDir()
	archive(t, dir, "both.tar", map[string]v1.ImageIndex{"acme/both:1": registrytest.Index(t, "arm64", "amd64")})
	archive(t, dir, "pi.oci", map[string]v1.ImageIndex{"registry.example/acme/pi:2": registrytest.Index(t, "arm64")})
	archive(t, dir, "split-a.tar", map[string]v1.ImageIndex{"acme/split:1": registrytest.Index(t, "amd64")})
	archive(t, dir, "split-b.tar", map[string]v1.ImageIndex{"acme/split:1": registrytest.Index(t, "arm64")})
	if err := os.WriteFile(filepath.Join(dir, "note.txt"), []byte("not an archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	x := imageindex.New(imageindex.Options{Dir: dir})
	digest, err := registrytest.Index(t, "arm64").Digest()
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"docker.io/acme/both:1": "[amd64 arm64] archive both.tar", "acme/both:1": "[amd64 arm64] archive both.tar",
		"registry.example/acme/pi:2":                    "[arm64] archive pi.oci",
		"registry.example/acme/pi@" + digest.String():   "[arm64] archive pi.oci",
		"registry.example/acme/pi:2@" + digest.String(): "[arm64] archive pi.oci",
		"acme/split:1": "[amd64 arm64] archive split-a.tar, split-b.tar",
	} {
		archs, from, err := x.Architectures(t.Context(), ref, nil, false)
		if got := fmt.Sprint(archs, " ", from); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", ref, got, err, want)
		}
	}
	if _, _, err := x.Architectures(t.Context(), "acme/absent:1", nil, false); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an image of no archive: %v", err)
	}
	// A folder is followed: what comes is seen, what goes is forgotten, what is
	// broken is said.
	archive(t, dir, "late.tar", map[string]v1.ImageIndex{"acme/late:1": registrytest.Index(t, "arm")})
	if archs, _, err := x.Architectures(t.Context(), "acme/late:1", nil, false); err != nil || fmt.Sprint(archs) != "[arm]" {
		t.Errorf("a new archive: %v, %v", archs, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "late.tar"), bytes.Repeat([]byte("x"), 1024), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.Architectures(t.Context(), "acme/late:1", nil, false); err == nil || !strings.Contains(err.Error(), "late.tar") {
		t.Errorf("a broken archive: %v, want it named", err)
	}
	// What an image leaves out is not known, rather than nothing.
	archive(t, dir, "mute.tar", map[string]v1.ImageIndex{"acme/mute:1": mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: empty.Image})})
	if archs, _, err := x.Architectures(t.Context(), "acme/mute:1", nil, false); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "mute.tar") {
		t.Errorf("an image that names no architecture: %v, %v", archs, err)
	}
	if _, _, err := x.Architectures(t.Context(), "Not A Name", nil, false); !fault.Is(err, fault.Invalid) {
		t.Errorf("no name: %v", err)
	}
}

func TestRegistriesAreAskedWithTheirCredentials(t *testing.T) {
	r := registrytest.New(t, true)
	r.Hold(t, "acme/both", "1", registrytest.Index(t, "arm64", "amd64"), false)
	r.Hold(t, "acme/pi", "1", registrytest.Index(t, "arm64"), true)
	x := imageindex.New(imageindex.Options{})
	right := registrytest.PullSecret(r.Host(), registrytest.User, registrytest.Password)
	for repository, want := range map[string]string{"acme/both": "[amd64 arm64]", "acme/pi": "[arm64]"} {
		archs, from, err := x.Architectures(t.Context(), r.Host()+"/"+repository+":1", right, true)
		if err != nil || fmt.Sprint(archs) != want || from != "registry "+r.Host() {
			t.Errorf("%s: %v from %s, %v", repository, archs, from, err)
		}
	}
	if r.Tokens.Load() == 0 {
		t.Error("no token was asked for")
	}
	ask := func(ref string, secret []byte) error {
		_, _, err := x.Architectures(t.Context(), r.Host()+"/"+ref, secret, true)
		if err != nil && strings.Contains(err.Error(), registrytest.Password) {
			t.Errorf("the error tells the password: %v", err)
		}
		return err
	}
	for what, c := range map[string]struct {
		err  error
		kind fault.Kind
	}{
		"wrong password":    {ask("acme/pi:1", registrytest.PullSecret(r.Host(), registrytest.User, "wrong")), fault.Forbidden},
		"no credentials":    {ask("acme/pi:1", nil), fault.Forbidden},
		"another's":         {ask("acme/pi:1", registrytest.PullSecret("elsewhere.example", registrytest.User, registrytest.Password)), fault.Forbidden},
		"no such image":     {ask("acme/none:1", right), fault.NotFound},
		"not a pull secret": {ask("acme/pi:1", []byte(registrytest.Password)), fault.Invalid},
		"not to be asked": {func() error {
			_, _, err := x.Architectures(t.Context(), r.Host()+"/acme/pi:9", right, false)
			return err
		}(), fault.Unavailable},
		"nobody at that place": {func() error {
			_, _, err := x.Architectures(t.Context(), "127.0.0.1:1/acme/pi:9", right, true)
			return err
		}(), fault.Unavailable},
	} {
		if !fault.Is(c.err, c.kind) {
			t.Errorf("%s: %v (%v), want %v", what, c.err, fault.Of(c.err).Kind, c.kind)
		}
	}
}

func TestArchivesComeBeforeRegistries(t *testing.T) {
	r := registrytest.New(t, false)
	r.Hold(t, "acme/x", "1", registrytest.Index(t, "amd64"), false)
	dir := t.TempDir()
	archive(t, dir, "x.tar", map[string]v1.ImageIndex{r.Host() + "/acme/x:1": registrytest.Index(t, "arm64")})
	archs, from, err := imageindex.New(imageindex.Options{Dir: dir}).Architectures(t.Context(), r.Host()+"/acme/x:1", nil, true)
	if err != nil || fmt.Sprint(archs, from) != "[arm64]archive x.tar" || r.Requests.Load() != 0 {
		t.Errorf("%v from %s, %v, %d requests", archs, from, err, r.Requests.Load())
	}
}

// Answers are remembered and shared; failures are for a shorter time.
func TestAnswersAreRemembered(t *testing.T) {
	r := registrytest.New(t, false)
	r.Hold(t, "acme/x", "1", registrytest.Index(t, "arm64", "amd64"), false)
	var mu sync.Mutex
	now := time.Now()
	x := imageindex.New(imageindex.Options{Keep: time.Hour, Clock: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	later := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	ask := func(ref string) (err error) {
		_, _, err = x.Architectures(t.Context(), r.Host()+"/"+ref, nil, true)
		return err
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := ask("acme/x:1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := r.Requests.Load(); n != 1 {
		t.Errorf("%d requests for 20 questions", n)
	}
	later(59 * time.Minute)
	if err := ask("acme/x:1"); err != nil || r.Requests.Load() != 1 {
		t.Errorf("%v, %d requests", err, r.Requests.Load())
	}
	later(2 * time.Minute)
	if err := ask("acme/x:1"); err != nil || r.Requests.Load() != 2 {
		t.Errorf("after its time: %v, %d requests", err, r.Requests.Load())
	}
	_, _ = ask("acme/none:1"), ask("acme/none:1")
	if n := r.Requests.Load(); n != 3 {
		t.Errorf("%d requests, a failure is not remembered", n)
	}
	later(time.Minute)
	if err := ask("acme/none:1"); !fault.Is(err, fault.NotFound) || r.Requests.Load() != 4 {
		t.Errorf("a failure is remembered for too long: %v, %d requests", err, r.Requests.Load())
	}
}

// A registry that does not answer costs its time, and one that asks leaves when
// its own is over.
func TestSilentRegistryIsGivenUp(t *testing.T) {
	r := registrytest.New(t, false)
	r.Hang()
	x := imageindex.New(imageindex.Options{Timeout: 300 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := x.Architectures(ctx, r.Host()+"/acme/x:1", nil, true); !fault.Is(err, fault.Timeout) {
		t.Errorf("who asks shortly: %v", err)
	}
	began := time.Now()
	if _, _, err := x.Architectures(t.Context(), r.Host()+"/acme/x:1", nil, true); !fault.Is(err, fault.Timeout) {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}
