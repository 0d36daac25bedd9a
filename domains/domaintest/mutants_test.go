package domaintest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// TestEveryMutantIsCaught runs the suite on a driver in memory that is right,
// and on one for each way of being wrong, in a process each.
func TestEveryMutantIsCaught(t *testing.T) {
	for mutant, caught := range map[string]string{
		"none":                    "",
		"ignores generations":     "an_older_generation_is_refused",
		"forgets at delete":       "an_older_generation_is_refused_after_delete",
		"forgets what never was":  "an_older_generation_is_refused_after_delete",
		"restarts on apply":       "apply_is_idempotent",
		"keeps the old wish":      "a_new_wish_replaces_the_old",
		"keeps the generation":    "apply_is_idempotent",
		"delete does nothing":     "create,_observe,_delete",
		"delete wants something":  "deleting_what_is_absent",
		"one endpoint for all":    "side_by_side",
		"moves endpoints":         "a_new_wish_replaces_the_old",
		"no endpoint":             "create,_observe,_delete",
		"no evidence":             "neighbours",
		"never ready":             "create,_observe,_delete",
		"leaves something behind": "create,_observe,_delete",
		"cancelled is for ever":   "a_cancelled_context",
		"cut off is absent":       "the_site_is_cut_off",
		"forgets at restart":      "the_service_restarts",
		"lists the dead":          "list",
		"accepts the impossible":  "impossible",
		"broken is ready":         "never_ready",
		"does not heal":           "the_function_crashes",
	} {
		t.Run(mutant, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestMemory$", "-test.v")
			cmd.Env = append(os.Environ(), "DOMAINTEST_MUTANT="+mutant)
			out, err := cmd.CombinedOutput()
			if caught == "" {
				if err != nil {
					t.Errorf("the right driver is refused:\n%s", out)
				}
				return
			}
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestMemory/"+caught+" ") {
				t.Errorf("not caught by %q: %v\n%s", caught, err, out)
			}
		})
	}
}

func TestMemory(t *testing.T) {
	mutant := os.Getenv("DOMAINTEST_MUTANT")
	if mutant == "" {
		mutant = "none"
	}
	Exercise(t, func(*testing.T) Fixture { return newMemory(mutant) })
}

// memory is a driver in memory; mutant names what it does wrong.
type memory struct {
	mutant  string
	mu      sync.Mutex
	fence   map[string]int64
	there   map[string]domain.Deployment
	started map[string]int // incarnations
	crashes map[string]int
	cut     bool
	left    []string
}

func newMemory(mutant string) *memory {
	return &memory{mutant: mutant, fence: map[string]int64{}, there: map[string]domain.Deployment{}, started: map[string]int{}, crashes: map[string]int{}}
}

func (m *memory) enter(ctx context.Context, ref domain.Ref) error {
	switch {
	case ctx.Err() != nil && m.mutant == "cancelled is for ever":
		return fault.New(fault.Internal, "cancelled")
	case ctx.Err() != nil:
		return fault.Of(ctx.Err())
	case m.cut && m.mutant != "cut off is absent":
		return fault.New(fault.Unavailable, "cut off").Retrying(fault.Backoff)
	case ref.Generation < m.fence[ref.Release] && m.mutant != "ignores generations":
		return fault.New(fault.Conflict, "older")
	}
	return nil
}

func (m *memory) Apply(ctx context.Context, d domain.Deployment) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.enter(ctx, d.Ref); err != nil {
		return err
	}
	if d.Product == "impossible" && m.mutant != "accepts the impossible" {
		return fault.New(fault.Invalid, "impossible")
	}
	m.fence[d.Release] = d.Generation
	was, there := m.there[d.Release]
	if there && m.mutant == "keeps the old wish" {
		d = was
	}
	if there && was.Hash == d.Hash && m.mutant == "keeps the generation" {
		d.Generation = was.Generation
	}
	if !there || was.Hash != d.Hash || m.mutant == "restarts on apply" {
		m.started[d.Release]++
	}
	m.there[d.Release] = d
	return nil
}

func (m *memory) Delete(ctx context.Context, ref domain.Ref) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.enter(ctx, ref); err != nil {
		return err
	}
	_, there := m.there[ref.Release]
	switch {
	case !there && m.mutant == "delete wants something":
		return fault.Absent("deployment", ref.Release)
	case m.mutant == "delete does nothing":
		return nil
	case m.mutant == "leaves something behind":
		m.left = append(m.left, ref.Release)
	}
	if there || m.mutant != "forgets what never was" {
		m.fence[ref.Release] = ref.Generation
	}
	if m.mutant == "forgets at delete" {
		delete(m.fence, ref.Release)
	}
	if m.mutant != "lists the dead" {
		delete(m.there, ref.Release)
	} else if d := m.there[ref.Release]; d.Hash != "" {
		d.Hash = ""
		m.there[ref.Release] = d
	}
	return nil
}

func (m *memory) Observe(ctx context.Context, ref domain.Ref) (domain.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ref.Generation = 1 << 60 // observing is not fenced
	if err := m.enter(ctx, ref); err != nil {
		return domain.Status{}, err
	}
	d, there := m.there[ref.Release]
	st := domain.Status{Phase: domain.Absent, ObservedAt: time.Now()}
	if !there || m.cut || d.Hash == "" {
		return st, nil
	}
	st.Phase, st.Hash, st.Generation, st.Node = domain.Ready, d.Hash, d.Generation, "node"
	st.Restarts, st.Evidence = m.crashes[d.Release], []string{"in memory"}
	st.Endpoints = map[string]string{"p": "tcp://" + d.Release}
	switch m.mutant {
	case "one endpoint for all":
		st.Endpoints["p"] = "tcp://same"
	case "moves endpoints":
		st.Endpoints["p"] += d.Hash
	case "no endpoint":
		st.Endpoints = nil
	case "no evidence":
		st.Evidence = nil
	case "never ready":
		st.Phase = domain.Starting
	case "does not heal":
		st.Restarts = 0
	}
	if d.Product == "broken" && m.mutant != "broken is ready" {
		st.Phase, st.Cause = domain.Failed, "it is broken"
	}
	return st, nil
}

func (m *memory) List(context.Context, domain.Site) ([]domain.Ref, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var refs []domain.Ref
	for d := range maps.Values(m.there) {
		refs = append(refs, d.Ref)
	}
	return refs, nil
}

func (m *memory) Driver() domain.Driver { return m }

func (m *memory) Deployment(name string) domain.Deployment {
	return domain.Deployment{Ref: domain.Ref{Site: domain.Site{ID: "site"}, Slice: "s", Element: name, Release: "uid-" + name, Generation: 1},
		Ports: []slice.Port{{Name: "p"}}, Hash: "hash of " + name}
}

func (m *memory) Change(d domain.Deployment) domain.Deployment {
	d.Hash += " changed"
	return d
}

func (m *memory) Break(d domain.Deployment) (domain.Deployment, string) {
	d.Product, d.Hash = "broken", d.Hash+" broken"
	return d, "broken"
}

func (m *memory) Impossible(d domain.Deployment) domain.Deployment {
	d.Product = "impossible"
	return d
}

func (m *memory) Disturb(_ testing.TB, ref domain.Ref) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashes[ref.Release]++
	m.started[ref.Release]++
}

func (m *memory) Reopen(testing.TB) domain.Driver {
	if m.mutant == "forgets at restart" {
		m.fence = map[string]int64{}
	}
	return m
}

func (m *memory) Incarnation(_ testing.TB, ref domain.Ref) string {
	return fmt.Sprint(m.started[ref.Release])
}

func (m *memory) Cut(testing.TB) func() {
	m.cut = true
	return func() { m.cut = false }
}

func (m *memory) Leftovers(testing.TB) []string { return m.left }

func (m *memory) Patience() time.Duration { return 300 * time.Millisecond }
