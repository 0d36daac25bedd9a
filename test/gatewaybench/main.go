// Command gatewaybench measures the light gateway beside a bare MQTT broker.
//
// In one run, by turns, the same messages are sent by the same clients to
//
//   - a bare mochi broker that relays them to one subscriber (the yardstick),
//   - lite-gateway: ingest, normalise, disk queue, uplink, stored by
//     lite-server and seen by one subscriber of its channel.
//
// Both are processes of their own. A message counts when the subscriber has
// it. Reported are rates, their ratio, latencies from the device's send to the
// subscriber, and memory. The exit status is 1 when the ratio at QoS 1 is below
// --min-ratio.
//
//	gatewaybench --gateway bin/lite-gateway --server bin/lite-server
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type flags struct {
	gateway, server string
	messages        int
	rounds          int
	devices         string
	window          int
	fsync           string
	minRatio        float64
	slow            time.Duration
	role            string
	listen          string
}

func main() {
	var f flags
	flag.StringVar(&f.gateway, "gateway", "bin/lite-gateway", "binary of lite-gateway")
	flag.StringVar(&f.server, "server", "bin/lite-server", "binary of lite-server")
	flag.IntVar(&f.messages, "messages", 60_000, "messages of one measurement")
	flag.IntVar(&f.rounds, "rounds", 3, "measurements of each kind; the median counts")
	flag.StringVar(&f.devices, "devices", "10,100,1000,10000", "numbers of connected MQTT devices; the first two rates decide")
	flag.IntVar(&f.window, "window", 32, "unacknowledged messages in all a device may have (at least 1 each)")
	flag.StringVar(&f.fsync, "fsync", "interval", "the gateway's --fsync")
	flag.Float64Var(&f.minRatio, "min-ratio", 0.4, "smallest acceptable ratio to the bare broker")
	flag.DurationVar(&f.slow, "paced", 4*time.Second, "length of the measurement of latency at 200 messages/s")
	flag.StringVar(&f.role, "role", "", "internal: broker")
	flag.StringVar(&f.listen, "listen", "127.0.0.1:0", "internal: address of the broker")
	flag.Parse()
	if f.role == "broker" {
		serveBroker(f.listen)
		return
	}
	// A reader of the output that goes away must not leave children behind.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, f)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gatewaybench:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run measures everything and prints a table; false when the ratio is too low.
func run(ctx context.Context, f flags) (bool, error) {
	dir, err := os.MkdirTemp("", "gatewaybench")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	h, err := startHouse(ctx, f, dir)
	if err != nil {
		return false, err
	}
	defer h.stop()
	fmt.Printf("idle: gateway %.1f MB, server %.1f MB, bare broker %.1f MB resident\n", h.gateway.rss(), h.server.rss(), h.broker.rss())
	fmt.Printf("%d messages per measurement, median of %d rounds, gateway --fsync %s\n\n", f.messages, f.rounds, f.fsync)
	fmt.Println("MQTT QoS 1      bare broker             gateway to stored       ratio   latency p50 / p99 ms (broker; gateway)   gateway RSS, server RSS MB")
	worst := 0.0
	for i, n := range numbers(f.devices) {
		ratio, err := h.compare(ctx, f, n)
		if err != nil {
			return false, err
		}
		if i == 0 || i < 2 && ratio < worst {
			worst = ratio
		}
	}
	if err := h.paced(ctx, f); err != nil {
		return false, err
	}
	if err := h.others(ctx, f); err != nil {
		return false, err
	}
	fmt.Printf("\npeak: gateway %.1f MB, server %.1f MB resident\n", h.gateway.peak(), h.server.peak())
	verdict := "ok"
	if worst < f.minRatio {
		verdict = "TOO LOW"
	}
	fmt.Printf("ratio at QoS 1: %.2f (at least %.2f): %s\n", worst, f.minRatio, verdict)
	return worst >= f.minRatio, nil
}

// compare measures both sides by turns with n devices.
func (h *house) compare(ctx context.Context, f flags, n int) (float64, error) {
	if err := h.provision(n); err != nil {
		return 0, err
	}
	window := max(1, f.window*10/n)
	messages := max(f.messages, 4*n) / n * n
	var bare, ours []result
	for range f.rounds {
		r, err := measure(ctx, load{address: h.brokerAddr, devices: n, messages: messages, window: window, lossy: true}, h.bareSink())
		if err != nil {
			return 0, fmt.Errorf("bare broker, %d devices: %w", n, err)
		}
		bare = append(bare, r)
		if r, err = measure(ctx, load{address: h.gatewayPorts["mqtt"], devices: n, messages: messages, window: window}, h.storedSink()); err != nil {
			return 0, fmt.Errorf("gateway, %d devices: %w", n, err)
		}
		ours = append(ours, r)
	}
	b, o := median(bare), median(ours)
	ratio := o.rate() / b.rate()
	fmt.Printf("%6d devices  %9.0f messages/s  %9.0f messages/s     %.2f   %.1f / %.1f; %.1f / %.1f   %.1f, %.1f\n",
		n, b.rate(), o.rate(), ratio, b.ms(0.5), b.ms(0.99), o.ms(0.5), o.ms(0.99), h.gateway.rss(), h.server.rss())
	if b.lost > 0 {
		fmt.Printf("%16s the bare broker dropped %d of %d messages\n", "", b.lost, messages)
	}
	return ratio, nil
}

// paced measures latency at a rate that both sides can easily bear.
func (h *house) paced(ctx context.Context, f flags) error {
	const rate = 200
	n := int(f.slow.Seconds() * rate)
	l := load{devices: 10, messages: n / 10 * 10, window: 32, rate: rate}
	l.address, l.lossy = h.brokerAddr, true
	b, err := measure(ctx, l, h.bareSink())
	if err != nil {
		return err
	}
	l.address, l.lossy = h.gatewayPorts["mqtt"], false
	o, err := measure(ctx, l, h.storedSink())
	if err != nil {
		return err
	}
	fmt.Printf("\nat %d messages/s: latency p50 / p99: bare broker %.1f / %.1f ms, gateway to stored %.1f / %.1f ms\n", rate, b.ms(0.5), b.ms(0.99), o.ms(0.5), o.ms(0.99))
	return nil
}

func numbers(s string) []int {
	var out []int
	for _, part := range strings.Split(s, ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(part)); err == nil && n > 0 {
			out = append(out, n)
		}
	}
	return out
}

// result is one measurement.
type result struct {
	messages  int
	lost      int
	elapsed   time.Duration
	latencies []time.Duration // sorted
}

func (r result) rate() float64 { return float64(r.messages) / r.elapsed.Seconds() }

func (r result) ms(quantile float64) float64 {
	if len(r.latencies) == 0 {
		return 0
	}
	return float64(r.latencies[int(quantile*float64(len(r.latencies)-1))]) / float64(time.Millisecond)
}

// median is the measurement with the median rate.
func median(rs []result) result {
	slices.SortFunc(rs, func(a, b result) int { return int(a.elapsed - b.elapsed) })
	return rs[len(rs)/2]
}

func sorted(r result) result {
	slices.Sort(r.latencies)
	return r
}
