package queue_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/lite/queue"
)

// sum is an owner whose state is the sum of the numbers in the metas, and a
// ballast that makes snapshots larger.
type sum struct {
	total   uint64
	ballast int
}

func (s *sum) Restore(snapshot []byte) error {
	s.total = 0
	if snapshot != nil {
		s.total = binary.LittleEndian.Uint64(snapshot)
	}
	return nil
}

func (s *sum) Apply(meta []byte) error {
	s.total += binary.LittleEndian.Uint64(meta)
	return nil
}

func (s *sum) Snapshot(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, s.total)
	return append(dst, make([]byte, s.ballast)...)
}

func open(t rapid.TB, o queue.Options, s *sum) *queue.Queue {
	t.Helper()
	q, err := queue.Open(o, s)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func appendNumber(q *queue.Queue, s *sum, records int, payload string, add uint64, done func(error)) error {
	s.total += add
	err := q.Append(queue.Entry{Records: records, Meta: binary.LittleEndian.AppendUint64(nil, add), Payload: []byte(payload)}, done)
	if err != nil {
		s.total -= add
	}
	return err
}

// copyDir is what a crash leaves: the files as they are now.
func copyDir(t rapid.TB, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever is appended, acknowledged, killed and reopened: every record that
// was confirmed is read exactly once after the acknowledged ones, in order,
// and the owner's state is what it was.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "queue")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { os.RemoveAll(dir) }()
		policy := rapid.SampledFrom([]queue.Policy{queue.SyncNone, queue.SyncInterval, queue.SyncAlways}).Draw(t, "policy")
		o := queue.Options{Dir: dir, Sync: policy, SyncInterval: time.Millisecond, SegmentBytes: 300}
		s := &sum{ballast: rapid.IntRange(0, 200).Draw(t, "ballast")}
		q := open(t, o, s)
		defer func() { _ = q.Close() }()
		var want []string // records not acknowledged, in order
		next, total := 1, uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				n := rapid.IntRange(0, 3).Draw(t, "records")
				var parts []string
				for range n {
					parts = append(parts, fmt.Sprintf("record-%d", next))
					next++
				}
				add := uint64(rapid.IntRange(0, 100).Draw(t, "add"))
				done := make(chan error, 1)
				if err := appendNumber(q, s, n, strings.Join(parts, ","), add, func(err error) { done <- err }); err != nil {
					t.Fatal(err)
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				want, total = append(want, parts...), total+add
			},
			"acknowledge": func(t *rapid.T) {
				r := q.NewReader(',')
				defer r.Close()
				b, err := r.TryNext(rapid.IntRange(1, 5).Draw(t, "max"), 1000)
				if err != nil {
					t.Fatal(err)
				}
				if b.Count == 0 {
					return
				}
				if got := string(b.Payload); got != strings.Join(want[:b.Count], ",") {
					t.Fatalf("batch %q, want %q", got, want[:b.Count])
				}
				if err := q.Ack(b.Last()); err != nil {
					t.Fatal(err)
				}
				want = want[b.Count:]
			},
			"kill": func(t *rapid.T) {
				after, err := os.MkdirTemp("", "queue")
				if err != nil {
					t.Fatal(err)
				}
				copyDir(t, dir, after)
				_ = q.Close()
				os.RemoveAll(dir)
				tearTail(t, after, rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "torn"))
				dir, o.Dir = after, after
				s = &sum{ballast: s.ballast}
				q = open(t, o, s)
			},
			"": func(t *rapid.T) {
				if s.total != total {
					t.Fatalf("owner's state %d, want %d", s.total, total)
				}
				if got := q.Stats().Queued; got != len(want) {
					t.Fatalf("queued %d, want %d", got, len(want))
				}
				if got := readAll(t, q); !slices.Equal(got, want) {
					t.Fatalf("read %v, want %v", got, want)
				}
			},
		})
	})
}

// tearTail appends what an interrupted write could have left.
func tearTail(t *rapid.T, dir string, torn []byte) {
	names, _ := filepath.Glob(filepath.Join(dir, "*.seg"))
	slices.Sort(names)
	file, err := os.OpenFile(names[len(names)-1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(torn); err != nil {
		t.Fatal(err)
	}
}

func readAll(t rapid.TB, q *queue.Queue) []string {
	t.Helper()
	r := q.NewReader(',')
	defer r.Close()
	var got []string
	for {
		b, err := r.TryNext(7, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if b.Count == 0 {
			return got
		}
		got = append(got, strings.Split(string(b.Payload), ",")...)
		if b.Lost != 0 {
			t.Fatalf("lost %d before %d", b.Lost, b.First)
		}
	}
}

// A new segment whose snapshot was being written when the process died is
// ignored: nothing in it was confirmed.
func TestTornSnapshot(t *testing.T) {
	o := queue.Options{Dir: t.TempDir()}
	s := &sum{}
	q := open(t, o, s)
	done := make(chan error, 1)
	if err := appendNumber(q, s, 1, "a", 5, func(err error) { done <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	_ = q.Close()
	if err := os.WriteFile(filepath.Join(o.Dir, "000000000002.seg"), []byte{1, 2, 3}, 0o600); err != nil {
		t.Fatal(err)
	}
	s = &sum{}
	q = open(t, o, s)
	defer q.Close()
	if got := readAll(t, q); !slices.Equal(got, []string{"a"}) || s.total != 5 {
		t.Fatalf("read %v with state %d", got, s.total)
	}
}

func fill(t *testing.T, q *queue.Queue, s *sum) (n int, dropped int) {
	t.Helper()
	payload := strings.Repeat("x", 1000)
	for n < 5000 {
		d, err := q.Room(1100)
		dropped += d
		if errors.Is(err, queue.ErrFull) {
			if err := q.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := q.Room(1100); errors.Is(err, queue.ErrFull) {
				return n, dropped
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := appendNumber(q, s, 1, payload, 1, func(error) {}); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n, dropped
}

func TestFullBlocksUntilAcknowledged(t *testing.T) {
	o := queue.Options{Dir: t.TempDir(), MaxBytes: 512 << 10}
	s := &sum{}
	q := open(t, o, s)
	defer q.Close()
	n, _ := fill(t, q, s)
	if n < 300 || n > 520 {
		t.Fatalf("%d entries of 1 kB fit into 512 KiB", n)
	}
	if err := q.Ack(uint64(n)); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Room(1100); err != nil {
		t.Fatalf("no room after everything was acknowledged: %v", err)
	}
}

func TestDropOldestCountsAndSurvives(t *testing.T) {
	o := queue.Options{Dir: t.TempDir(), MaxBytes: 512 << 10, DropOldest: true}
	s := &sum{}
	q := open(t, o, s)
	n, dropped := fill(t, q, s)
	if n != 5000 || dropped == 0 {
		t.Fatalf("appended %d, dropped %d", n, dropped)
	}
	for range 2 {
		if err := q.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(readAll(t, q)); got != n-dropped {
			t.Fatalf("read %d of %d with %d dropped", got, n, dropped)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if size := dirBytes(t, o.Dir); size > o.MaxBytes+(64<<10) {
			t.Fatalf("%d bytes on disk, bound %d", size, o.MaxBytes)
		}
		s = &sum{}
		q = open(t, o, s)
		defer q.Close()
		if s.total != uint64(n) {
			t.Fatalf("state %d after reopening, want %d", s.total, n)
		}
	}
}

func dirBytes(t *testing.T, dir string) (size int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

// A power cut may lose entries that were not synced although their records
// were delivered: their numbers are not given again.
func TestNumbersAreNotReusedAfterLoss(t *testing.T) {
	o := queue.Options{Dir: t.TempDir(), Sync: queue.SyncNone}
	s := &sum{}
	q := open(t, o, s)
	for range 10 {
		if err := appendNumber(q, s, 1, "a", 1, func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := q.Ack(10); err != nil {
		t.Fatal(err)
	}
	_ = q.Close()
	path := filepath.Join(o.Dir, "000000000001.seg")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	s = &sum{}
	q = open(t, o, s)
	defer q.Close()
	if err := appendNumber(q, s, 1, "b", 1, func(error) {}); err != nil {
		t.Fatal(err)
	}
	r := q.NewReader(',')
	defer r.Close()
	b, err := r.Next(t.Context(), 10, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if b.First <= 10 || string(b.Payload) != "b" || b.Lost != 0 || q.Stats().Queued != 1 {
		t.Fatalf("batch %+v, queued %d", b, q.Stats().Queued)
	}
}

// Entries appended concurrently with a reader arrive complete and in order.
func TestReaderFollowsWriter(t *testing.T) {
	o := queue.Options{Dir: t.TempDir(), SegmentBytes: 4096}
	s := &sum{}
	q := open(t, o, s)
	defer q.Close()
	const total = 20000
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := range total {
			for {
				if _, err := q.Room(100); err == nil {
					break
				}
				_ = q.Flush(context.Background())
			}
			if err := appendNumber(q, s, 1, fmt.Sprint(i), 1, func(error) {}); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	r := q.NewReader(',')
	defer r.Close()
	for i := 0; i < total; {
		b, err := r.Next(t.Context(), 100, 10000)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range strings.Split(string(b.Payload), ",") {
			if p != fmt.Sprint(i) {
				t.Fatalf("record %s, want %d", p, i)
			}
			i++
		}
		if err := q.Ack(b.Last()); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if st := q.Stats(); st.Queued != 0 || st.Segments > 2 {
		t.Fatalf("left over: %+v", st)
	}
}

// Whatever a segment file contains, Open neither panics nor invents records.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	s := &sum{}
	q := open(f, queue.Options{Dir: dir}, s)
	for i := range 3 {
		_ = appendNumber(q, s, 1, fmt.Sprint("p", i), 1, func(error) {})
	}
	_ = q.Close()
	seed, err := os.ReadFile(filepath.Join(dir, "000000000001.seg"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0x03, 0, 0, 0, 0, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "000000000001.seg"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		q, err := queue.Open(queue.Options{Dir: dir, Sync: queue.SyncNone}, lenient{})
		if err != nil {
			return
		}
		defer q.Close()
		r := q.NewReader(',')
		defer r.Close()
		for range 100 {
			b, err := r.TryNext(10, 1000)
			if err != nil || b.Count == 0 {
				return
			}
		}
	})
}

type lenient struct{}

func (lenient) Restore([]byte) error       { return nil }
func (lenient) Apply([]byte) error         { return nil }
func (lenient) Snapshot(dst []byte) []byte { return dst }

// After a failed write nothing is confirmed any more; opened anew, the queue
// holds what was confirmed before.
func TestFailedWriteConfirmsNothing(t *testing.T) {
	o := queue.Options{Dir: t.TempDir(), Sync: queue.SyncNone}
	s := &sum{}
	q := open(t, o, s)
	result := make(chan error, 2)
	if err := appendNumber(q, s, 1, "a", 1, func(err error) { result <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	q.BreakFile()
	if err := appendNumber(q, s, 1, "b", 1, func(err error) { result <- err }); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err == nil {
		t.Fatal("an entry was confirmed that could not be written")
	}
	if err := appendNumber(q, s, 1, "c", 1, func(error) {}); err == nil || q.Stats().Err == nil {
		t.Fatalf("the queue goes on after a failed write: %v", err)
	}
	_ = q.Close()
	s = &sum{}
	q = open(t, o, s)
	defer q.Close()
	if got := readAll(t, q); !slices.Equal(got, []string{"a"}) || s.total != 1 {
		t.Fatalf("read %v with state %d", got, s.total)
	}
}
