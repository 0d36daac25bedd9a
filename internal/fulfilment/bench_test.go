package fulfilment_test

import (
	"fmt"
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
	start := time.Now()
	w.run()
	for _, id := range ids {
		if op := w.ended(id); op.State != operation.Completed {
			b.Fatalf("%s: %+v", op.State, op.RootCause)
		}
	}
	took := time.Since(start)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/ordered.Seconds(), "orders/s")
	b.ReportMetric(float64(b.N)/took.Seconds(), "slices/s")
}
