// Command mainflux is a stand-in for one service of Mainflux 0.12: the chart is
// tried with it where the real images cannot be had. It is no Mainflux.
//
// # Contract
//
// Its API answers as the real one was recorded (package mainfluxtest). Around it
// it is strict where the real one is: what it is told comes from the same
// environment variables with the same defaults, and one that Mainflux does not
// know ends it with 1, as do a missing PostgreSQL, NATS or MQTT broker, a missing
// template or subjects file, and a missing administrator. It keeps users,
// things and messages in its own database of PostgreSQL, writes through Redis
// where Mainflux does, and passes messages by NATS from the adapters to the
// writer. Between themselves the services speak HTTP at the ports and URLs of
// gRPC, in words of their own. CoAP answers its health alone.
//
// Which service it is, is compiled in (-X main.service=things).
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// service is set by the linker: auth, users, things, http, mqtt, coap,
// postgres-writer, postgres-reader or influxdb-writer.
var service = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "stand-in for mainflux %s: %v\n", service, err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	serve := map[string]func(*house) error{
		"auth": auth, "users": users, "things": things, "http": httpAdapter, "mqtt": mqttAdapter, "coap": coapAdapter,
		"postgres-writer": writer, "postgres-reader": reader, "influxdb-writer": influxWriter,
	}[service]
	if serve == nil {
		return fmt.Errorf("there is none of %q", service)
	}
	env, err := environment(os.Environ())
	if err != nil {
		return err
	}
	h := &house{ctx: ctx, env: env, failed: make(chan error, 8)}
	defer h.close()
	if err := serve(h); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "STAND-IN for mainflux", service, "is ready")
	select {
	case <-ctx.Done():
		return nil
	case err := <-h.failed:
		return err
	}
}

// house is what a service stands on.
type house struct {
	ctx    context.Context
	env    map[string]string
	failed chan error // what ends the service later
	ends   []func() error
}

func (h *house) close() {
	for _, end := range h.ends {
		_ = end()
	}
}

// listen serves HTTP on the port that a variable names.
func (h *house) listen(variable string, handler http.Handler) error {
	l, err := new(net.ListenConfig).Listen(h.ctx, "tcp", ":"+h.env[variable])
	if err != nil {
		return fmt.Errorf("%s: %w", variable, err)
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	h.ends = append(h.ends, s.Close)
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			h.failed <- err
		}
	}()
	return nil
}

// version answers what all services are probed with.
func version() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"service":%q,"version":"0.12.1"}`, service)
	})
	return m
}
