package event

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"

	"pgregory.net/rapid"
)

// A reader that is cut off anywhere and resumes by position misses nothing and
// hears nothing twice, however small the hub's memory is, and whether the
// source fails now and then.
func TestResumeMissesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLog()
		keep := rapid.IntRange(1, 40).Draw(t, "keep")
		h := NewHub(l, HubOptions{Keep: keep, Buffer: rapid.IntRange(1, 8).Draw(t, "buffer"), Poll: time.Millisecond})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() { h.Run(ctx) })
		total := rapid.IntRange(1, 200).Draw(t, "events")
		early := rapid.IntRange(0, total).Draw(t, "before")
		for i := range early {
			l.emit(event(tenantOf(i), i))
		}
		wg.Go(func() {
			for i := early; i < total; i++ {
				l.emit(event(tenantOf(i), i))
			}
		})
		var want, got []int64
		for i := range total {
			if tenantOf(i) == "a" {
				want = append(want, int64(i)+1)
			}
		}
		position := int64(0)
		for len(got) < len(want) {
			cut := rapid.IntRange(1, 30).Draw(t, "read")
			rctx, leave := context.WithCancel(ctx)
			s, err := h.Subscribe(rctx, position, Scope{Tenants: []string{"a"}})
			if err != nil {
				t.Fatal(err)
			}
			for range min(cut, len(want)-len(got)) {
				e := <-s.C
				got = append(got, e.Position)
				position = e.Position
			}
			leave()
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("event %d: position %d, want %d", i, got[i], want[i])
			}
		}
	})
}

func tenantOf(i int) string { return [...]string{"a", "b", "a", "c"}[i%4] }

func TestGone(t *testing.T) {
	l := newLog()
	for i := range 20 {
		l.emit(event("a", i))
	}
	l.remove(11)
	h := live(t, l, HubOptions{})
	for _, after := range []int64{0, 9, 21} {
		_, err := h.Subscribe(t.Context(), after, Scope{})
		if !fault.Is(err, fault.Gone) || strings.Contains(err.Error(), "has not happened here") != (after > 20) {
			t.Errorf("after %d: %v, want Gone", after, err)
		}
	}
	s, err := h.Subscribe(t.Context(), 10, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	if e := <-s.C; e.Position != 11 {
		t.Fatalf("position %d", e.Position)
	}
}

func TestFromNow(t *testing.T) {
	l := newLog()
	l.emit(event("a", 1))
	h := live(t, l, HubOptions{})
	s, err := h.Subscribe(t.Context(), -1, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	l.emit(event("a", 2))
	if e := <-s.C; e.Position != 2 {
		t.Fatalf("position %d, want 2", e.Position)
	}
}

// A reader that does not read is dropped, does not hold up others, and can
// resume where it says.
func TestSlowReader(t *testing.T) {
	l := newLog()
	h := live(t, l, HubOptions{Buffer: 2, Patience: 10 * time.Millisecond, Keep: 4})
	slow, err := h.Subscribe(t.Context(), 0, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	fast, err := h.Subscribe(t.Context(), 0, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		l.emit(event("a", i))
		if e := <-fast.C; e.Position != int64(i)+1 {
			t.Fatalf("the other reader hears %d, want %d", e.Position, i+1)
		}
	}
	until(t, "the slow reader is dropped", func() bool { return slow.Err() != nil })
	if !fault.Is(slow.Err(), fault.Unavailable) || !strings.Contains(slow.Err().Error(), "too slow") {
		t.Fatal(slow.Err())
	}
	var last int64
	for e := range slow.C {
		last = e.Position
	}
	if last != slow.Position() {
		t.Fatalf("read up to %d, resumable at %d", last, slow.Position())
	}
	again, err := h.Subscribe(t.Context(), last, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	if e := <-again.C; e.Position != last+1 {
		t.Fatalf("resumes with %d, want %d", e.Position, last+1)
	}
}

func TestSourceFails(t *testing.T) {
	l := newLog()
	l.fail = 3
	h := live(t, l, HubOptions{Poll: time.Millisecond})
	s, err := h.Subscribe(t.Context(), 0, Scope{})
	if err != nil {
		t.Fatal(err)
	}
	l.emit(event("a", 1))
	select {
	case e, ok := <-s.C:
		if !ok && !fault.Is(s.Err(), fault.Unavailable) || ok && e.Position != 1 {
			t.Fatal(e, s.Err())
		}
	case <-time.After(time.Minute):
		t.Fatal("nothing is heard after the source is back")
	}
}

func TestMatch(t *testing.T) {
	e := slice.Event{Position: 12, Tenant: "a", Kind: slice.KindIoTDevice, Resource: "id1", Name: "pump-1", Type: "IoTDeviceCreationNotification", State: "ACTIVE"}
	for _, c := range []struct {
		op, attr string
		values   []string
		want     bool
	}{
		{"eq", "resourceKind", []string{"iotDevices"}, true},
		{"neq", "resourceKind", []string{"iotDevices"}, false},
		{"in", "state", []string{"FAILED", "ACTIVE"}, true},
		{"nin", "state", []string{"FAILED", "ACTIVE"}, false},
		{"cont", "resourceName", []string{"ump"}, true},
		{"ncont", "resourceName", []string{"ump"}, false},
		{"gt", "position", []string{"9"}, true}, // as numbers: as texts it would be smaller
		{"gte", "position", []string{"12"}, true},
		{"lt", "position", []string{"12"}, false},
		{"lte", "position", []string{"12"}, true},
	} {
		s := Scope{Filter: []operation.Condition{{Op: c.op, Attr: c.attr, Values: c.values}}}
		if err := CheckFilter(s.Filter); err != nil {
			t.Error(err)
		}
		if got := s.Match(&e); got != c.want {
			t.Errorf("%s %s %v: %v", c.op, c.attr, c.values, got)
		}
	}
	for _, bad := range []operation.Condition{{Op: "eq", Attr: "secret", Values: []string{"x"}}, {Op: "like", Attr: "state", Values: []string{"x"}}, {Op: "eq", Attr: "state"}} {
		if err := CheckFilter([]operation.Condition{bad}); !fault.Is(err, fault.Malformed) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func BenchmarkFanOut(b *testing.B) {
	l := newLog()
	h := live(b, l, HubOptions{})
	const readers = 100
	var wg sync.WaitGroup
	for range readers {
		s, err := h.Subscribe(b.Context(), 0, Scope{Tenants: []string{"a"}})
		if err != nil {
			b.Fatal(err)
		}
		wg.Go(func() {
			for range b.N {
				<-s.C
			}
		})
	}
	b.ResetTimer()
	for i := range b.N {
		l.emit(event("a", i))
	}
	wg.Wait()
	b.ReportMetric(float64(b.N*readers)/b.Elapsed().Seconds(), "events/s")
}
