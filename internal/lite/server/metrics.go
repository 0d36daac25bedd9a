package server

import (
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// metrics are the server's own numbers, on a registry of their own.
type metrics struct {
	registry *prometheus.Registry
	log      *slog.Logger

	received   *prometheus.CounterVec // messages by protocol
	refused    *prometheus.CounterVec // messages by protocol and reason
	stored     prometheus.Counter     // points
	duplicates prometheus.Counter     // messages that had been stored before
	expired    prometheus.Counter     // points deleted by retention
	commands   prometheus.Counter     // downlink messages
	failures   prometheus.Counter     // groups that could not be stored
	group      prometheus.Histogram   // requests per group
	commit     prometheus.Histogram   // seconds per group
}

func newMetrics(log *slog.Logger) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "lite_server", Name: name, Help: help})
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "lite_server", Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry:   prometheus.NewRegistry(),
		log:        log,
		received:   vector("messages_received_total", "Messages that arrived, by protocol.", "protocol"),
		refused:    vector("messages_refused_total", "Messages that were not stored, by protocol and reason.", "protocol", "reason"),
		stored:     counter("points_stored_total", "Points on disk."),
		duplicates: counter("messages_duplicate_total", "Messages acknowledged again because they had been stored before."),
		expired:    counter("points_expired_total", "Points deleted by retention or with their channel."),
		commands:   counter("commands_total", "Messages published down to gateways."),
		failures:   counter("commit_failures_total", "Groups that could not be stored."),
		group: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "lite_server", Name: "group_requests", Help: "Requests per commit.", Buckets: prometheus.ExponentialBuckets(1, 4, 7),
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "lite_server", Name: "commit_seconds", Help: "Duration of a commit.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 13),
		}),
	}
	m.registry.MustRegister(m.received, m.refused, m.stored, m.duplicates, m.expired, m.commands, m.failures, m.group, m.commit,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe adds the gauges that are read from s when they are asked for.
func (m *metrics) observe(s *Server) {
	gauge := func(name, help string, read func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "lite_server", Name: name, Help: help}, read))
	}
	gauge("things", "Things.", func() float64 { n, _, _ := s.registry.counts(); return float64(n) })
	gauge("channels", "Channels.", func() float64 { _, n, _ := s.registry.counts(); return float64(n) })
	gauge("links", "Links of things to channels.", func() float64 { _, _, n := s.registry.counts(); return float64(n) })
	gauge("series", "Series of points.", func() float64 { return float64(s.writer.series.size()) })
	gauge("live_readers", "Open live streams.", func() float64 { return float64(s.live.size()) })
	gauge("mqtt_clients", "MQTT connections.", func() float64 { return float64(s.broker.Clients()) })
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: "lite_server", Name: "mqtt_dropped_total", Help: "Messages that slow MQTT subscribers did not get.",
	}, func() float64 { return float64(s.broker.Dropped()) }))
	gauge("queue_requests", "Requests that wait for the writer.", func() float64 { return float64(len(s.writer.queue)) })
	gauge("database_bytes", "Size of the database file.", func() float64 {
		info, err := os.Stat(s.db.path)
		if err != nil {
			return -1
		}
		return float64(info.Size())
	})
}

func (m *metrics) committed(took time.Duration, points, requests int) {
	m.stored.Add(float64(points))
	m.group.Observe(float64(requests))
	m.commit.Observe(took.Seconds())
}

func (m *metrics) commitFailed(err *fault.Error) {
	m.failures.Inc()
	m.log.Error("group not stored", "error", err)
}
