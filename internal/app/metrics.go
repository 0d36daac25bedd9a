package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/version"
)

// runnerMetrics counts what the runner does. Sites are not labels: there may be
// thousands.
type runnerMetrics struct {
	calls   *prometheus.HistogramVec
	saves   prometheus.Histogram
	failed  prometheus.Counter
	ended   *prometheus.CounterVec
	took    *prometheus.HistogramVec
	holding prometheus.Gauge
}

var _ operation.Metrics = (*runnerMetrics)(nil)

// newRegistry makes the service's registry with the runner's metrics in it.
func newRegistry() (*prometheus.Registry, *runnerMetrics) {
	wide := prometheus.ExponentialBuckets(0.001, 4, 10) // 1 ms … 4 min
	m := &runnerMetrics{
		calls:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "osmoslice_step_call_seconds", Help: "Calls to drivers and platforms, by action and result.", Buckets: wide}, []string{"action", "result"}),
		saves:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "osmoslice_operation_save_seconds", Help: "Transactions that save an operation.", Buckets: wide}),
		failed:  prometheus.NewCounter(prometheus.CounterOpts{Name: "osmoslice_operation_save_failures_total", Help: "Saves that failed: a lost lease, a conflict, a store that does not answer."}),
		ended:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "osmoslice_operations_ended_total", Help: "Operations ended, by type and final state."}, []string{"type", "state"}),
		took:    prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "osmoslice_operation_seconds", Help: "From acceptance to the end, by type.", Buckets: wide}, []string{"type"}),
		holding: prometheus.NewGauge(prometheus.GaugeOpts{Name: "osmoslice_operations_held", Help: "Operations this replica is carrying out."}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "osmoslice_build_info", Help: "1, labelled with the build.", ConstLabels: prometheus.Labels{"version": version.Version}})
	build.Set(1)
	r := prometheus.NewRegistry()
	r.MustRegister(m.calls, m.saves, m.failed, m.ended, m.took, m.holding, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r, m
}

// Called implements operation.Metrics.
func (m *runnerMetrics) Called(action, _, result string, took time.Duration) {
	m.calls.WithLabelValues(action, result).Observe(took.Seconds())
}

// Saved implements operation.Metrics.
func (m *runnerMetrics) Saved(took time.Duration, err error) {
	m.saves.Observe(took.Seconds())
	if err != nil {
		m.failed.Inc()
	}
}

// Ended implements operation.Metrics.
func (m *runnerMetrics) Ended(op *operation.Operation) {
	m.ended.WithLabelValues(string(op.Type), string(op.State)).Inc()
	if op.FinishedAt != nil {
		m.took.WithLabelValues(string(op.Type)).Observe(op.FinishedAt.Sub(op.StartedAt).Seconds())
	}
}

// Holding implements operation.Metrics.
func (m *runnerMetrics) Holding(n int) { m.holding.Set(float64(n)) }
