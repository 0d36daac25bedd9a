package simulated

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	"github.com/osmoslice/osmoslice/internal/domain"
)

func benchmarkLifecycle(b *testing.B, dir string) {
	d, err := New(Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	ctx, site := context.Background(), domain.Site{ID: "site", Name: "lab", Connection: json.RawMessage(`{}`)}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		w := domain.Deployment{Ref: domain.Ref{Site: site, Release: fmt.Sprint("r", n), Generation: 1}, Hash: "h"}
		if err := d.Apply(ctx, w); err != nil {
			b.Fatal(err)
		}
		if st, err := d.Observe(ctx, w.Ref); err != nil || st.Phase != domain.Ready {
			b.Fatal(st, err)
		}
		if err := d.Delete(ctx, w.Ref); err != nil {
			b.Fatal(err)
		}
	}
}

// One lifecycle is apply, observe, delete.
func BenchmarkLifecycleInMemory(b *testing.B) { benchmarkLifecycle(b, "") }
func BenchmarkLifecycleInALog(b *testing.B)   { benchmarkLifecycle(b, b.TempDir()) }

// BenchmarkSites reports what ten thousand sites with one function each cost.
func BenchmarkSites(b *testing.B) {
	const sites = 10_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		d, err := New(Options{})
		if err != nil {
			b.Fatal(err)
		}
		for i := range sites {
			site := domain.Site{ID: fmt.Sprint(i), Name: fmt.Sprint("lab", i), Connection: json.RawMessage(`{"latencyMs":{"ready":1}}`)}
			w := domain.Deployment{Ref: domain.Ref{Site: site, Release: "r", Generation: 1}, Hash: "h"}
			if err := d.Apply(context.Background(), w); err != nil {
				b.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/sites, "B/site")
		b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
		runtime.KeepAlive(d)
	}
}
