package server

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/senml"
)

func drawPoints(t *rapid.T) []seriesPoint {
	points := make([]seriesPoint, rapid.IntRange(0, 20).Draw(t, "n"))
	for i := range points {
		p := &points[i]
		p.series = rapid.Int64Min(0).Draw(t, "series")
		p.at = position{rapid.Int64().Draw(t, "time"), rapid.Int64().Draw(t, "id")}
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 1:
			p.value = senml.Float(rapid.Float64().Filter(func(f float64) bool { return f == f }).Draw(t, "v"))
		case 2:
			p.value = senml.String(rapid.String().Draw(t, "vs"))
		case 3:
			p.value = senml.Bool(rapid.Bool().Draw(t, "vb"))
		case 4:
			p.value = senml.Bytes(rapid.SliceOf(rapid.Byte()).Draw(t, "vd"))
		}
		if p.hasSum = rapid.Bool().Draw(t, "hasSum"); p.hasSum {
			p.sum = rapid.Float64Range(-1e9, 1e9).Draw(t, "sum")
		}
		p.ut = rapid.Float64Range(0, 1e6).Draw(t, "ut")
	}
	return points
}

func TestJournalRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawPoints(t)
		row := appendJournal(nil, want)
		got, err := readJournal(row)
		if err != nil || !slices.Equal(got, want) && len(want) > 0 {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
		}
		if len(row) > 0 {
			if cut, err := readJournal(row[:len(row)-1]); err == nil && len(cut) >= len(want) {
				t.Fatal("a row that was cut was read whole")
			}
		}
	})
}

func FuzzReadJournal(f *testing.F) {
	f.Add(appendJournal(nil, []seriesPoint{
		{1, point{at: position{1, 2}, value: senml.Float(1)}}, {2, point{at: position{1, 3}, value: senml.String("x"), sum: 1, hasSum: true, ut: 2}},
		{3, point{at: position{1, 4}, value: senml.Bool(true)}}, {3, point{at: position{1, 5}, value: senml.Bytes([]byte{1})}},
	}))
	f.Fuzz(func(t *testing.T, row []byte) {
		points, err := readJournal(row)
		if err == nil && len(points) > len(row) {
			t.Fatalf("%d points out of %d bytes", len(points), len(row))
		}
	})
}

// TestReadersSeeEveryPointOnce reads all the time while points arrive and move
// from the journal to the tree: what was acknowledged is there once, always.
func TestReadersSeeEveryPointOnce(t *testing.T) {
	h := open(t, func(o *Options) { o.flushAt = 20 })
	c := h.client("gw")
	const messages = 400 / scale
	var mu sync.Mutex
	acked := 0
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				least := acked
				mu.Unlock()
				seen := map[string]bool{}
				for after := ""; ; {
					p := h.messages(c, "limit=1000&count=false"+after)
					for _, m := range p.Messages {
						if seen[m.Name] {
							t.Errorf("%s is there twice", m.Name)
						}
						seen[m.Name] = true
					}
					if p.Next == "" {
						break
					}
					after = "&after=" + p.Next
				}
				for i := range least {
					if !seen[fmt.Sprintf("n%d", i)] {
						t.Errorf("n%d was acknowledged and is not there", i)
						return
					}
				}
				var windows aggregatedPage
				h.want(http.StatusOK, "GET", "/channels/"+c.channel+"/messages?aggregate=count&limit=1000", nil).into(t, &windows)
				if windows.Total < least {
					t.Errorf("%d series counted, want %d or more", windows.Total, least)
				}
				for _, w := range windows.Messages {
					if w.Count != 1 {
						t.Errorf("%s is counted %d times", w.Name, w.Count)
					}
				}
			}
		})
	}
	for i := range messages {
		h.publish(c, http.StatusAccepted, fmt.Sprintf(`[{"n":"n%d","v":1,"t":%d}]`, i, begin.Unix()+int64(i*7%messages)))
		mu.Lock()
		acked = i + 1
		mu.Unlock()
	}
	close(stop)
	wg.Wait()
	if n := h.total(c); n != messages {
		t.Errorf("%d points, want %d", n, messages)
	}
}

// TestBrokenFlushIsRepeated stops a flush halfway, as a kill would, and starts
// again: nothing is lost or there twice.
func TestBrokenFlushIsRepeated(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, func(o *Options) { o.Data, o.flushStep = dir, 100 })
	h := &house{s, t}
	c := h.client("gw")
	fill(h, c, "a", begin, 150, time.Second)
	fill(h, c, "b", begin, 150, time.Second)
	// One step on the writer's goroutine, then the same file is opened anew as
	// if the process had gone.
	err := s.writer.do(t.Context(), change{applied: func() {
		s.writer.flush.waiting = append(s.writer.flush.waiting, make(chan error, 1))
		s.writer.beginFlush()
		if err := s.writer.step(); err != nil {
			t.Error(err)
		}
		s.writer.endFlush(nil)
		copyDatabase(t, s, dir+"-copy")
	}, apply: nothing})
	if err != nil {
		t.Fatal(err)
	}
	stopServer(t, s)
	h = open(t, func(o *Options) { o.Data = dir + "-copy" })
	if count, _ := h.writer.recent.size(); count != 0 {
		t.Errorf("%d recent points after the start", count)
	}
	for _, name := range []string{"a", "b"} {
		if n := *h.messages(c, "limit=1&name="+name).Total; n != 150 {
			t.Errorf("%s: %d points, want 150", name, n)
		}
	}
}
