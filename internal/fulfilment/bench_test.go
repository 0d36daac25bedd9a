package fulfilment_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
)

// BenchmarkSlices brings up slices of a gateway and a server at a simulated
// site without latency, through the whole of order, plan, steps and records.
func BenchmarkSlices(b *testing.B) {
	w := newWorld(b)
	w.tenancy("site-a")
	ids := make([]string, 0, b.N)
	b.ResetTimer()
	for n := range b.N {
		o := w.order(fmt.Sprintf("slice-%d", n))
		o.Devices = nil
		res, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, res.Operation.ID)
	}
	ordered := b.Elapsed()
	start, before := time.Now(), processor(b)
	w.run()
	for open := 1; open > 0; time.Sleep(20 * time.Millisecond) {
		err := w.db.Read(w.ctx, func(ctx context.Context, tx operation.Tx) (err error) {
			open, err = tx.Open(ctx)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	took, used := time.Since(start), processor(b)-before
	for _, id := range ids {
		if op := w.ended(id); op.State != operation.Completed {
			b.Fatalf("%s: %+v", op.State, op.RootCause)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/ordered.Seconds(), "orders/s")
	b.ReportMetric(float64(b.N)/took.Seconds(), "slices/s")
	b.ReportMetric(used.Seconds()*1000/float64(b.N), "cpu-ms/slice")
}

// processor is the processor time this process has used.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
