package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"github.com/osmoslice/osmoslice/internal/config"
)

// listener binds the API's address and, with TLS files, wraps it.
func listener(ctx context.Context, c config.Config) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", c.Listen.Address)
	if err != nil {
		return nil, fmt.Errorf("listen.address %s: %w", c.Listen.Address, err)
	}
	if c.TLS.CertFile == "" {
		return l, nil
	}
	cert, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tls.certfile %s, tls.keyfile %s: %w", c.TLS.CertFile, c.TLS.KeyFile, err), l.Close())
	}
	return tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
	}), nil
}

// routes mounts the API beside the service's own probes.
func routes(api http.Handler, ready func(context.Context) error, metrics prometheus.Gatherer, traces bool) http.Handler {
	if traces {
		api = otelhttp.NewHandler(api, "api")
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := ready(ctx); err != nil {
			plain(w, http.StatusServiceUnavailable, "not ready: "+err.Error()+"\n")
			return
		}
		plain(w, http.StatusOK, "ready\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the prober has gone: nobody to tell
}

// server is the http.Server with the configured limits. Streams (events) have
// no write timeout; slow readers of them are the hub's affair.
func server(c config.Config, h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: c.Listen.ReadTimeout, ReadTimeout: c.Listen.ReadTimeout,
		IdleTimeout: c.Listen.IdleTimeout, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// writeFile replaces path by text, whole or not at all.
func writeFile(path, text string, mode os.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if err = errors.Join(tmp.Chmod(mode), write(tmp, text), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func write(f *os.File, text string) error {
	_, err := f.WriteString(text)
	return err
}
