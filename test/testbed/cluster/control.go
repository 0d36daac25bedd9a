package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/test/testbed/wan"
)

// serve answers on the control socket until ctx ends.
func (s *supervisor) serve(ctx context.Context) error {
	path, done, err := shortPath(s.dir, "control.sock")
	if err != nil {
		return err
	}
	defer done()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return ctx.Err()
}

func (s *supervisor) handler() http.Handler {
	mux := http.NewServeMux()
	handle(mux, "status", func(_ context.Context, memory bool) (Status, error) {
		status := s.progress.snapshot()
		status.WAN = s.router.State()
		if memory {
			s.addMemory(&status)
		}
		return status, nil
	})
	handle(mux, "partition", func(ctx context.Context, r cutRequest) (struct{}, error) {
		return struct{}{}, s.router.Partition(ctx, r.Cluster, r.From)
	})
	handle(mux, "heal", func(ctx context.Context, r cutRequest) (struct{}, error) {
		return struct{}{}, s.router.Heal(ctx, r.Cluster, r.From)
	})
	handle(mux, "link", func(ctx context.Context, r linkRequest) (struct{}, error) {
		return struct{}{}, s.router.Link(ctx, r.Cluster, r.Quality)
	})
	handle(mux, "images", func(ctx context.Context, r imagesRequest) (struct{}, error) {
		return struct{}{}, s.loadImages(ctx, r)
	})
	return mux
}

func handle[In, Out any](mux *http.ServeMux, name string, f func(context.Context, In) (Out, error)) {
	mux.HandleFunc("POST /"+name, func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out, err := f(r.Context(), in)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		// The client has gone if this fails.
		_ = json.NewEncoder(w).Encode(out)
	})
}

type cutRequest struct{ Cluster, From string }

type linkRequest struct {
	Cluster string
	Quality wan.Quality
}

type imagesRequest struct {
	Files    []string // absolute paths
	Clusters []string // none: all
}

// A Client speaks to the supervisor of a running bed.
type Client struct {
	dir  Dir
	http *http.Client
}

// Dial prepares a client; it fails with ErrNotUp where nothing runs.
func Dial(dir Dir) (*Client, error) {
	if _, err := dir.Running(); err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, done, err := shortPath(dir, "control.sock")
		if err != nil {
			return nil, err
		}
		defer done()
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	return &Client{dir: dir, http: &http.Client{Transport: transport}}, nil
}

// Status is the bed as it is now; memory takes a moment longer.
func (c *Client) Status(ctx context.Context, memory bool) (Status, error) {
	var s Status
	return s, c.call(ctx, "status", memory, &s)
}

// Partition cuts a cluster off from another, or, from empty, from everything.
func (c *Client) Partition(ctx context.Context, name, from string) error {
	return c.call(ctx, "partition", cutRequest{name, from}, nil)
}

// Heal undoes Partition; from empty undoes all of the cluster's.
func (c *Client) Heal(ctx context.Context, name, from string) error {
	return c.call(ctx, "heal", cutRequest{name, from}, nil)
}

// Link gives a cluster's link to the others a quality.
func (c *Client) Link(ctx context.Context, name string, q wan.Quality) error {
	return c.call(ctx, "link", linkRequest{name, q}, nil)
}

// LoadImages imports archives into every node of the clusters, or of all.
func (c *Client) LoadImages(ctx context.Context, files []string, clusters ...string) error {
	absolute := make([]string, len(files))
	for i, f := range files {
		var err error
		if absolute[i], err = filepath.Abs(f); err != nil {
			return err
		}
		if _, err := os.Stat(f); err != nil {
			return err
		}
	}
	work, err := os.MkdirTemp("", "testbed-images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if absolute, err = importable(work, absolute); err != nil {
		return err
	}
	return c.call(ctx, "images", imagesRequest{absolute, clusters}, nil)
}

func (c *Client) call(ctx context.Context, name string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://testbed/"+name, bytes.NewReader(b))
	if err != nil {
		return err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("test bed in %s: %w", c.dir, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
		return errors.New(strings.TrimSpace(string(b)))
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(out)
}

// shortPath names a socket in a folder by way of an open file: the path of a
// socket holds about a hundred bytes, a folder's may be longer.
func shortPath(dir Dir, name string) (path string, done func(), err error) {
	f, err := os.Open(string(dir))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), name), func() { f.Close() }, nil
}
