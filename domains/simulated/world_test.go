package simulated

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Unix(1_800_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// world is one driver with one site and a clock of the test's.
type world struct {
	t    testing.TB
	d    *Driver
	c    *clock
	site domain.Site
}

func newWorld(t testing.TB, dir, connection string) *world {
	c := newClock()
	d, err := New(Options{Dir: dir, Clock: c.now, After: func(time.Duration) <-chan time.Time {
		done := make(chan time.Time, 1)
		done <- c.now()
		return done
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, d: d, c: c, site: domain.Site{ID: "site-1", Name: "lab", Connection: json.RawMessage(connection)}}
}

func (w *world) wish(release string, cpu int64) domain.Deployment {
	return domain.Deployment{
		Ref:  domain.Ref{Site: w.site, Slice: "s", Element: "e", Release: release, Generation: 1},
		Hash: "h", Resources: domain.Resources{CPU: cpu},
	}
}

func (w *world) phase(release string) string {
	w.t.Helper()
	st, err := w.d.Observe(context.Background(), w.wish(release, 0).Ref)
	if err != nil {
		return fault.Of(err).Kind.String()
	}
	return string(st.Phase)
}

func (w *world) want(release, phase string) {
	w.t.Helper()
	if got := w.phase(release); got != phase {
		w.t.Errorf("%s is %s, want %s", release, got, phase)
	}
}

func (w *world) apply(release string, cpu int64) error {
	return w.d.Apply(context.Background(), w.wish(release, cpu))
}

func TestTimePassesByTheClock(t *testing.T) {
	w := newWorld(t, "", `{"latencyMs": {"ready": 1000, "gone": 500}}`)
	if err := w.apply("a", 1); err != nil {
		t.Fatal(err)
	}
	w.want("a", "STARTING")
	w.c.add(999 * time.Millisecond)
	w.want("a", "STARTING")
	w.c.add(time.Millisecond)
	w.want("a", "READY")
	if err := w.d.Delete(context.Background(), w.wish("a", 0).Ref); err != nil {
		t.Fatal(err)
	}
	w.want("a", "DEGRADED")
	w.c.add(500 * time.Millisecond)
	w.want("a", "ABSENT")
}

func TestWithoutRoomAFunctionWaits(t *testing.T) {
	w := newWorld(t, "", `{"nodes": [{"name": "n", "cpuMilli": 1000}]}`)
	for _, r := range []string{"a", "b"} {
		if err := w.apply(r, 600); err != nil {
			t.Fatal(err)
		}
	}
	w.want("a", "READY")
	w.want("b", "PENDING")
	st, err := w.d.Observe(context.Background(), w.wish("b", 0).Ref)
	if err != nil || !strings.Contains(st.Cause, "600 milli-cores") {
		t.Errorf("cause %q, %v", st.Cause, err)
	}
	if err := w.d.Delete(context.Background(), w.wish("a", 0).Ref); err != nil {
		t.Fatal(err)
	}
	w.want("b", "READY")
}

func TestLosses(t *testing.T) {
	w := newWorld(t, "", `{"nodes": [{"name": "n", "count": 2}],
		"outages": [{"fromMs": 1000, "toMs": 2000, "loss": "partitioned"}, {"fromMs": 3000, "node": "n-1"}]}`)
	if err := w.apply("a", 1); err != nil {
		t.Fatal(err)
	}
	for _, phase := range []string{"READY", "unavailable", "READY", "DEGRADED", "DEGRADED"} {
		w.want("a", phase)
		w.c.add(time.Second)
	}
	nodes, err := w.d.Nodes(context.Background(), w.site)
	if err != nil || len(nodes) != 2 || !nodes[0].Unavailable || nodes[1].Unavailable {
		t.Errorf("nodes %+v, %v", nodes, err)
	}
	again := w.wish("a", 1)
	again.Hash, again.Generation = "h2", 2
	if err := w.d.Apply(context.Background(), again); err != nil {
		t.Fatal(err)
	}
	w.want("a", "READY") // moved to the node that is left
}

func TestADeadSiteRestartsItsFunctions(t *testing.T) {
	w := newWorld(t, "", `{}`)
	ctx := context.Background()
	if err := w.apply("a", 1); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Script{{Loss: Dead}, nil} {
		if err := w.d.Script(ctx, w.site.ID, s); err != nil {
			t.Fatal(err)
		}
		w.phase("a")
		if got, err := w.d.InForce(ctx, w.site.ID); err != nil || s != nil && got.Loss != s.Loss || s == nil && got.Loss != "" {
			t.Errorf("in force: %+v, %v", got, err)
		}
	}
	st, err := w.d.Observe(ctx, w.wish("a", 0).Ref)
	if err != nil || st.Phase != domain.Ready || st.Restarts != 1 {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestFailuresAreScripted(t *testing.T) {
	w := newWorld(t, "", `{"failures": [
		{"call": "apply", "release": "late", "times": 1, "late": true, "kind": "timeout"},
		{"call": "apply", "release": "third", "after": 2, "kind": "forbidden"},
		{"call": "observe", "release": "hang", "hang": true}]}`)
	if err := w.apply("late", 1); !fault.Is(err, fault.Timeout) || fault.Of(err).Retry != fault.Backoff {
		t.Errorf("late: %v", err)
	}
	w.want("late", "READY")
	for i, ok := range []bool{true, true, false, false} {
		if err := w.apply("third", 1); (err == nil) != ok || !ok && fault.Of(err).Retry != fault.Never {
			t.Errorf("call %d: %v", i+1, err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := w.d.Observe(ctx, w.wish("hang", 0).Ref); !fault.Is(err, fault.Timeout) {
		t.Errorf("hang: %v", err)
	}
}

// The same calls in the same order see the same failures, in any process and
// whatever the site's id.
func TestDrawsAreDeterministic(t *testing.T) {
	play := func(id string, seed int) (out string) {
		w := newWorld(t, "", fmt.Sprintf(`{"seed": %d, "failures": [{"call": "apply", "probability": 0.5}]}`, seed))
		w.site.ID = id
		for i := range 64 {
			if w.apply(fmt.Sprint("r", i), 1) != nil {
				out += "x"
			} else {
				out += "."
			}
		}
		return out
	}
	a, b, c := play("one", 1), play("two", 1), play("one", 2)
	if a != b || a == c {
		t.Errorf("seed 1: %s and %s; seed 2: %s", a, b, c)
	}
	if n := strings.Count(a, "x"); n < 16 || n > 48 {
		t.Errorf("%d of 64 fail with probability 0.5", n)
	}
}

func TestScriptFileIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scripts.json")
	d, err := New(Options{ScriptFile: path})
	if err != nil {
		t.Fatal(err)
	}
	site := domain.Site{ID: "x", Name: "lab"}
	for i, want := range []int{1, 5, 9} {
		if i > 0 {
			if err := os.WriteFile(path, fmt.Appendf(nil, `{"lab": {"nodes": [{"name": "n%0*d", "count": %d}]}}`, i, i, want), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if nodes, err := d.Nodes(context.Background(), site); err != nil || len(nodes) != want {
			t.Errorf("%d nodes, %v, want %d", len(nodes), err, want)
		}
	}
}

func TestConnectionDataIsNamedWhenWrong(t *testing.T) {
	for data, field := range map[string]string{
		`{"nodez": 1}`:                                         "connection/nodez",
		`{"nodes": [{"name": ""}]}`:                            "connection/nodes/0/name",
		`{"nodes": [{"name":"a"},{"name":"a"}]}`:               "connection/nodes/1/name",
		`{"failures": [{"call": "dance"}]}`:                    "connection/failures/0/call",
		`{"latencyMs": {"ready": -1}}`:                         "connection/latencyMs/ready",
		`{"latencyMs": {"ready": "fast"}}`:                     "connection/latencyMs/ready",
		`{"loss": "lost"}`:                                     "connection/loss",
		`{"outages": [{"fromMs": 5, "toMs": 4, "node": "n"}]}`: "connection/outages/0/toMs",
		`[]`: "connection",
	} {
		_, err := ParseScript(json.RawMessage(data))
		if !fault.Is(err, fault.Invalid) || fault.Of(err).Params[0].Field != field {
			t.Errorf("%s: %v, want %s", data, err, field)
		}
	}
}

// A changed connection takes effect at the next call, as an API's patch would
// have it.
func TestConnectionDataMayChange(t *testing.T) {
	w := newWorld(t, t.TempDir(), `{}`)
	if err := w.apply("a", 1); err != nil {
		t.Fatal(err)
	}
	w.site.Connection = json.RawMessage(`{ "loss" : "partitioned" }`)
	w.want("a", "unavailable")
	w.site.Connection = json.RawMessage(`{}`)
	w.want("a", "READY")
}

// What a world holds is what its log says, at every point of any history, also
// when the log was compacted and two drivers took turns.
func TestTheLogIsTheWorld(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		const connection = `{"latencyMs": {"ready": 5, "gone": 5, "jitter": 1}, "nodes": [{"name": "n", "count": 2, "cpuMilli": 1000}]}`
		a, b := newWorld(t, dir, connection), newWorld(t, dir, connection)
		b.c = a.c
		b.d.o.Clock = a.c.now
		both := []*world{a, b}
		ctx := context.Background()
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			w := rapid.SampledFrom(both).Draw(rt, "driver")
			d := w.wish(fmt.Sprint("r", rapid.IntRange(0, 3).Draw(rt, "release")), 400)
			d.Generation = rapid.Int64Range(1, 4).Draw(rt, "generation")
			d.Hash = fmt.Sprint("h", rapid.IntRange(0, 1).Draw(rt, "hash"))
			access := access(d.Ref)
			switch rapid.IntRange(0, 7).Draw(rt, "what") {
			case 0, 1:
				_ = w.d.Apply(ctx, d)
			case 2:
				_ = w.d.Delete(ctx, d.Ref)
			case 3:
				_, _ = w.d.Platform().Connect(ctx, access, "gw")
			case 4:
				_ = w.d.Platform().Disconnect(ctx, access, "gw")
			case 5:
				_, _ = w.d.Platform().Provision(ctx, access, devices("d1", "d2"))
			case 6:
				w.c.add(3 * time.Millisecond)
			case 7:
				w.d.site(w.site.ID).log.limit = 1 // compact soon
			}
		}
		fresh := newWorld(t, dir, connection)
		fresh.d.o.Clock = a.c.now
		want := holdings(rt, a)
		for _, w := range []*world{b, fresh} {
			if got := holdings(rt, w); !reflect.DeepEqual(got, want) {
				rt.Fatalf("holds %+v, want %+v", got, want)
			}
		}
	})
}

func holdings(t interface{ Fatal(...any) }, w *world) []Holding {
	list, err := w.d.Holdings(context.Background(), w.site.ID)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A process killed at any moment loses nothing that was answered.
func TestKilledProcessLosesNothing(t *testing.T) {
	if dir := os.Getenv("SIMULATED_KILL_DIR"); dir != "" {
		keepApplying(t, dir)
		return
	}
	dir := t.TempDir()
	answered := map[string]bool{}
	for range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcessLosesNothing$")
		cmd.Env = append(os.Environ(), "SIMULATED_KILL_DIR="+dir, fmt.Sprint("SIMULATED_KILL_FROM=", len(answered)))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 700 && lines.Scan(); n++ {
			if r, ok := strings.CutPrefix(lines.Text(), "applied "); ok {
				answered[r] = true
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	w := newWorld(t, dir, `{}`)
	held := map[string]bool{}
	for _, h := range holdings(t, w) {
		held[h.Release] = true
	}
	if len(answered) < 1000 {
		t.Fatalf("only %d answers before the kills", len(answered))
	}
	for r := range answered {
		if !held[r] {
			t.Errorf("%s was answered and is lost", r)
		}
	}
}

func keepApplying(t *testing.T, dir string) {
	w := newWorld(t, dir, `{}`)
	for i := 0; ; i++ {
		release := fmt.Sprint("r-", os.Getenv("SIMULATED_KILL_FROM"), "-", i)
		if err := w.apply(release, 1); err != nil {
			t.Fatal(err)
		}
		fmt.Println("applied " + release)
	}
}

func TestATornLineIsDropped(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, `{}`)
	if err := w.apply("a", 1); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "site-1.jsonl")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(raw, `{"op":"apply","rec`...), 0o600); err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, dir, `{}`)
	if err := w.apply("b", 1); err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, dir, `{}`)
	w.want("a", "READY")
	w.want("b", "READY")
}

func TestDevicesSecretsAreNotKept(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, dir, `{}`)
	d := w.wish("gw", 1)
	d.Env = map[string]string{"TOKEN": "hunter2"}
	d.Files = map[string][]byte{"key": []byte("hunter2")}
	if err := w.d.Apply(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	exercisePlatform(t, w, d.Ref)
	raw, err := os.ReadFile(filepath.Join(dir, "site-1.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "hunter2") {
		t.Errorf("a secret is in the log: %s", raw)
	}
}
