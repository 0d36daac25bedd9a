package store

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store/pgtest"
)

// BenchmarkUpdate counts committed transactions, each the insertion of one
// device with its audit record and event, fsync included.
func BenchmarkUpdate(b *testing.B) {
	benchUpdates(b, func(b *testing.B) string { return filepath.Join(b.TempDir(), "b.db") })
}

// BenchmarkUpdatePostgres is BenchmarkUpdate on a PostgreSQL without fsync.
func BenchmarkUpdatePostgres(b *testing.B) {
	server := pgtest.Start(b)
	benchUpdates(b, func(b *testing.B) string { return server.DSN(b) })
}

func benchUpdates(b *testing.B, dsn func(b *testing.B) string) {
	for _, writers := range []int{1, 32} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := openTest(b, dsn(b))
			var next, runs atomic.Int64
			b.ResetTimer()
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						d := &slice.Device{Meta: slice.Meta{Tenant: "t", Name: fmt.Sprint("d", n)}, Slice: "s", Gateway: "g", Protocol: "MQTT", State: slice.Active}
						err := db.Update(b.Context(), func(ctx context.Context, tx operation.Tx) error {
							runs.Add(1)
							return tx.Insert(ctx, d)
						})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			b.ReportMetric(float64(runs.Load())/float64(b.N), "runs/commit")
		})
	}
}
