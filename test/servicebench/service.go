package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/osmoslice/osmoslice/internal/app"
	"github.com/osmoslice/osmoslice/internal/config"
)

// service is the whole service in this process, on a SQLite file.
type service struct {
	*app.App
	dir, key string
	tape     *recorder
	client   *http.Client
}

// start runs a service on a data directory; an empty one is set up.
func start(ctx context.Context, dir string) (*service, error) {
	c := config.Default()
	c.Data.Dir = dir
	c.Listen.Address = "127.0.0.1:0"
	c.Listen.DrainTimeout = 10 * time.Second
	c.Limits.RatePerSecond = 0
	c.Limits.Backlog = 1 << 20
	c.Simulated.Dir = "-"
	c.Host.Enabled = false
	c, err := c.Resolved()
	if err != nil {
		return nil, err
	}
	s := &service{dir: dir, tape: &recorder{}, client: httpClient()}
	if s.App, err = app.New(ctx, c, app.Options{Record: s.tape.record}); err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(dir, app.AdminKeyFile))
	s.key = strings.TrimSpace(string(key))
	return s, err
}

func (s *service) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s.client.CloseIdleConnections()
	return s.Stop(ctx)
}

func (s *service) file() string { return filepath.Join(s.dir, "osmoslice.db") }

func httpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{Proxy: nil, MaxIdleConnsPerHost: 64, DialContext: (&net.Dialer{}).DialContext}}
}

// call sends one request below the API's base path and answers its body.
func (s *service) call(ctx context.Context, method, path string, body any, want int) ([]byte, error) {
	return s.callAt(ctx, s.URL(), method, path, body, want)
}

func (s *service) callAt(ctx context.Context, base, method, path string, body any, want int) ([]byte, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(b)
	}
	return send(ctx, s.client, method, base+"/iotslice/v1"+path, s.key, r, want)
}

func send(ctx context.Context, c *http.Client, method, url, key string, body io.Reader, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		return nil, fmt.Errorf("%s %s: %d, want %d: %.400s", method, url, resp.StatusCode, want, b)
	}
	return b, nil
}

// id is the id in an answer.
func id(b []byte) string {
	var o struct{ ID string }
	_ = json.Unmarshal(b, &o) // an empty id fails the next call with words
	return o.ID
}

type object map[string]any

// prepare makes a tenant and simulated sites of unlimited size.
func (s *service) prepare(ctx context.Context, sites int) (tenant string, err error) {
	b, err := s.call(ctx, "POST", "/tenants", object{"name": "bench"}, http.StatusCreated)
	if err != nil {
		return "", err
	}
	tenant = id(b)
	for i := range sites {
		if _, err := s.call(ctx, "POST", "/infrastructures", site(tenant, i, nil), http.StatusCreated); err != nil {
			return "", err
		}
	}
	return tenant, nil
}

func site(tenant string, i int, connection object) object {
	if connection == nil {
		connection = object{}
	}
	return object{"name": fmt.Sprintf("site-%03d", i), "tenantId": tenant, "kind": "CLOUD", "plugin": "simulated", "connection": connection, "concurrency": 1000}
}

// order is a slice of one gateway and one server.
func order(tenant, name string, instantiate bool) object {
	return object{
		"name": name, "tenantId": tenant, "instantiate": instantiate,
		"iotServers":  []object{{"name": "core", "product": "lite-server"}},
		"iotGateways": []object{{"name": "edge", "product": "lite-gateway", "iotServer": "core"}},
	}
}

// load calls f n times from c clients and answers how long each call took,
// sorted, and the whole.
func load(ctx context.Context, n, c int, f func(ctx context.Context, i int) error) (each []time.Duration, all time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	each = make([]time.Duration, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	from := time.Now()
	for range c {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				t := time.Now()
				if err := f(ctx, i); err != nil {
					cancel(err)
					return
				}
				each[i] = time.Since(t)
			}
		})
	}
	wg.Wait()
	all = time.Since(from)
	slices.Sort(each)
	return each, all, context.Cause(ctx)
}

// busy is the processor time of this process so far. It says what something costs
// where the machine has other things to do, too.
func busy() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func rate(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func quantile(v []time.Duration, q float64) time.Duration {
	return v[min(len(v)-1, int(q*float64(len(v))))]
}
