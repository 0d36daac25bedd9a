package host

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
)

// BenchmarkApplyUntilReady is what an operation waits for; with
// OSMOSLICE_STEPS=1 it tells how long each step took.
func BenchmarkApplyUntilReady(b *testing.B) {
	f := newFixture(b)
	var at time.Time
	f.o.failpoint = func(point string) {
		if os.Getenv("OSMOSLICE_STEPS") != "" {
			fmt.Println(time.Since(at).Round(10*time.Microsecond), point)
		}
	}
	f.d = New(f.o)
	for i := 0; b.Loop(); i++ {
		d := f.Deployment(fmt.Sprintf("speed%d", i))
		at = time.Now()
		f.apply(b, d)
		f.until(b, d.Ref, "ready", func(st domain.Status) bool { return st.Phase == domain.Ready })
		f.o.failpoint("ready")
		b.StopTimer()
		if err := f.d.Delete(f.ctx(b), d.Ref); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkObserve(b *testing.B) {
	f := newFixture(b)
	d := f.Deployment("observed")
	f.apply(b, d)
	f.ready(b, d)
	for b.Loop() {
		if _, err := f.d.Observe(b.Context(), d.Ref); err != nil {
			b.Fatal(err)
		}
	}
}
