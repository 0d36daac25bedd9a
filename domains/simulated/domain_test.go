package simulated

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/domains/domaintest"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// script makes one function fail to start once, and refuses another.
const script = `{
	"seed": 7,
	"nodes": [{"name": "edge", "count": 3, "cpuMilli": 4000, "memoryMiB": 4096}],
	"latencyMs": %s,
	"failures": [
		{"call": "ready", "release": "*broken*", "times": 1, "detail": "no such image"},
		{"call": "apply", "release": "*impossible*", "kind": "invalid", "retry": "never"}
	]
}`

// fixture is a simulated site for domaintest.
type fixture struct {
	o    Options
	d    *Driver
	site domain.Site
}

func newFixture(t *testing.T, o Options, latency string) *fixture {
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{o: o, d: d, site: domain.Site{
		ID: slice.NewID(), Name: "lab", Connection: json.RawMessage(fmt.Sprintf(script, latency)),
	}}
}

func (f *fixture) Driver() domain.Driver { return f.d }

func (f *fixture) Deployment(name string) domain.Deployment {
	return domain.Deployment{
		Ref:     domain.Ref{Site: f.site, Slice: "s1", Element: "e-" + name, Release: "r-" + name, Generation: 1},
		Product: "lite-gateway", Ports: []slice.Port{{Name: "api", Protocol: "tcp"}, {Name: "mqtt", Protocol: "tcp"}},
		Resources: domain.Resources{CPU: 100, Memory: 64}, Hash: "h-" + name,
	}
}

func (f *fixture) Change(d domain.Deployment) domain.Deployment {
	d.Env = map[string]string{"LEVEL": "debug"}
	d.Hash += "-changed"
	return d
}

func (f *fixture) Break(d domain.Deployment) (domain.Deployment, string) {
	d.Hash += "-broken"
	return d, "no such image"
}

func (f *fixture) Impossible(d domain.Deployment) domain.Deployment { return d }

func (f *fixture) Disturb(t testing.TB, ref domain.Ref) {
	if err := f.d.Crash(context.Background(), f.site.ID, ref.Release); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) Incarnation(t testing.TB, ref domain.Ref) string {
	for _, h := range f.holdings(t) {
		if h.Release == ref.Release {
			return fmt.Sprintf("%d+%d", h.Incarnation, h.Restarts)
		}
	}
	return ""
}

func (f *fixture) holdings(t testing.TB) []Holding {
	list, err := f.d.Holdings(context.Background(), f.site.ID)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (f *fixture) Cut(t testing.TB) (restore func()) {
	s, err := ParseScript(f.site.Connection)
	if err != nil {
		t.Fatal(err)
	}
	s.Loss = Partitioned
	set := func(s *Script) {
		if err := f.d.Script(context.Background(), f.site.ID, s); err != nil {
			t.Fatal(err)
		}
	}
	set(s)
	return func() { set(nil) }
}

func (f *fixture) Leftovers(t testing.TB) []string {
	var left []string
	for _, h := range f.holdings(t) {
		left = append(left, h.Release)
	}
	return left
}

func (f *fixture) Patience() time.Duration { return 10 * time.Second }

// durable is a fixture whose world survives the service.
type durable struct{ *fixture }

func (f durable) Reopen(t testing.TB) domain.Driver {
	d, err := New(f.o)
	if err != nil {
		t.Fatal(err)
	}
	f.d = d
	return d
}

func TestContractInMemory(t *testing.T) {
	domaintest.Exercise(t, func(t *testing.T) domaintest.Fixture { return newFixture(t, Options{}, `{}`) })
}

func TestContractInALog(t *testing.T) {
	domaintest.Exercise(t, func(t *testing.T) domaintest.Fixture {
		return durable{newFixture(t, Options{Dir: t.TempDir()}, `{}`)}
	})
}

func TestContractWithLatency(t *testing.T) {
	domaintest.Exercise(t, func(t *testing.T) domaintest.Fixture {
		return durable{newFixture(t, Options{Dir: t.TempDir()},
			`{"apply": 1, "ready": 10, "delete": 1, "observe": 0.2, "jitter": 0.5}`)}
	})
}
