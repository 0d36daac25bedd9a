package gateway

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/osmoslice/osmoslice/internal/lite/queue"
)

// noteUnavailable counts a message that was refused for now. It is not
// durable: when the queue is full there is no room to say so.
func (e *engine) noteUnavailable() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state.totals[refusedUnavailable]++
}

// delivered is how many records the server took: what went into the queue
// without what is still there and what was lost from it.
func delivered(t *tally, st queue.Stats) uint64 {
	n := t[passed] + t[emitted]
	for _, c := range lostAfterQueue {
		n -= t[c]
	}
	return n - uint64(st.Queued)
}

// figures are the counters and the queue at one moment.
func (e *engine) figures() (tally, queue.Stats) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.totals, e.queue.Stats()
}

func (g *Gateway) getHealth(w http.ResponseWriter, _ *http.Request) {
	_, st := g.engine.figures()
	if st.Err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "failing", "reason": st.Err.Error(), "name": g.config.Name})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ok", "name": g.config.Name})
}

// sessions counts the peers that are connected.
func (g *Gateway) sessions() map[string]int {
	out := map[string]int{}
	if broker := g.mqtt.Load(); broker != nil {
		out["mqtt"] = broker.Clients()
	}
	g.coap.mu.Lock()
	out["coap"] = len(g.coap.peers)
	g.coap.mu.Unlock()
	return out
}

func (g *Gateway) getStats(w http.ResponseWriter, _ *http.Request) {
	t, st := g.engine.figures()
	out := map[string]any{
		"name": g.config.Name, "stream": g.config.Name + "." + st.Stream, "devices": g.registry.size(), "sessions": g.sessions(),
		"queued": st.Queued, "queue_bytes": st.Bytes, "delivered": delivered(&t, st), "last_sequence": st.Last,
		"commands": lower(g.registry.commandCounts()), "frozen": g.engine.isFrozen(),
	}
	for c, name := range counterNames {
		if name[1] == "" {
			out[name[0]] = t[c]
			continue
		}
		group, ok := out[name[0]].(map[string]uint64)
		if !ok {
			group = map[string]uint64{}
			out[name[0]] = group
		}
		group[name[1]] = t[c]
	}
	answer(w, http.StatusOK, out)
}

func lower(m map[string]int) map[string]int {
	out := make(map[string]int, len(m))
	for k, v := range m {
		out[strings.ToLower(k)] = v
	}
	return out
}

// metricLabel is the label under which the keys of a group appear.
var metricLabel = map[string]string{"received": "protocol", "filtered": "function", "dropped": "reason", "refused": "reason"}

// getMetrics writes the Prometheus text format (version 0.0.4). The counters
// live in the queue's entries, so a registry of metrics would only copy them.
func (g *Gateway) getMetrics(w http.ResponseWriter, _ *http.Request) {
	t, st := g.engine.figures()
	var b strings.Builder
	seen := ""
	for c, name := range counterNames {
		metric := "lite_gateway_readings_" + name[0] + "_total"
		if name[0] == "refused" {
			metric = "lite_gateway_messages_refused_total"
		}
		if metric != seen {
			fmt.Fprintf(&b, "# TYPE %s counter\n", metric)
		}
		seen = metric
		if name[1] == "" {
			fmt.Fprintf(&b, "%s %d\n", metric, t[c])
		} else {
			fmt.Fprintf(&b, "%s{%s=%q} %d\n", metric, metricLabel[name[0]], name[1], t[c])
		}
	}
	acknowledged := t[passed] + t[filteredRange] + t[filteredDeadband] + t[aggregated]
	gauge := func(name string, v any) {
		fmt.Fprintf(&b, "# TYPE lite_gateway_%s gauge\nlite_gateway_%s %v\n", name, name, v)
	}
	fmt.Fprintf(&b, "# TYPE lite_gateway_readings_acknowledged_total counter\nlite_gateway_readings_acknowledged_total %d\n", acknowledged)
	fmt.Fprintf(&b, "# TYPE lite_gateway_records_delivered_total counter\nlite_gateway_records_delivered_total %d\n", delivered(&t, st))
	fmt.Fprintf(&b, "# TYPE lite_gateway_batches_delivered_total counter\nlite_gateway_batches_delivered_total %d\n", g.uplink.batches.Load())
	gauge("records_queued", st.Queued)
	gauge("queue_bytes", st.Bytes)
	gauge("queue_last_sequence", st.Last)
	gauge("devices", g.registry.size())
	state, _ := g.uplink.status()
	up := 0
	if state == "connected" {
		up = 1
	}
	gauge("uplink_connected", up)
	fmt.Fprint(&b, "# TYPE lite_gateway_sessions gauge\n")
	for protocol, n := range g.sessions() {
		fmt.Fprintf(&b, "lite_gateway_sessions{protocol=%q} %d\n", protocol, n)
	}
	fmt.Fprint(&b, "# TYPE lite_gateway_commands gauge\n")
	for state, n := range lower(g.registry.commandCounts()) {
		fmt.Fprintf(&b, "lite_gateway_commands{state=%q} %d\n", state, n)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(b.String()))
}
