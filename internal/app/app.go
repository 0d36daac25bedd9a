package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/osmoslice/osmoslice/internal/config"
	"github.com/osmoslice/osmoslice/internal/event"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/internal/rest"
	"github.com/osmoslice/osmoslice/internal/rest/filter"
	"github.com/osmoslice/osmoslice/internal/secret"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
	"github.com/osmoslice/osmoslice/internal/version"
)

// AdminKeyFile is the file in the data directory that the first start writes
// the system-admin key to.
const AdminKeyFile = "admin.key"

// Options are what a program, not an operator, chooses.
type Options struct {
	Log *slog.Logger // nil: discards
	// Record hears every SQL statement; for benchmarks.
	Record func(sql string, args []any)
}

// App is the service.
type App struct {
	c       config.Config
	log     *slog.Logger
	db      *store.DB
	plugins plugins
	service *fulfilment.Service
	runner  *operation.Runner
	hub     *event.Hub
	hooks   *event.Webhooks
	handler http.Handler
	metrics *prometheus.Registry

	http     *http.Server
	address  net.Addr
	draining chan struct{} // closed: live streams end
	cancel   context.CancelFunc
	loops    sync.WaitGroup
	closers  []func(context.Context) error
}

// New makes the service, ready to Start. c must be Resolved.
func New(ctx context.Context, c config.Config, o Options) (*App, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &App{c: c, log: o.Log}
	if err := a.assemble(ctx, o); err != nil {
		return nil, errors.Join(err, a.close(ctx))
	}
	return a, nil
}

func (a *App) assemble(ctx context.Context, o Options) (err error) {
	if err := makeDataDir(a.c.Data.Dir); err != nil {
		return err
	}
	stopTraces, err := traces(ctx, a.c.Telemetry.OTLPEndpoint)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, stopTraces)
	a.db, err = store.Open(ctx, a.c.Data.DSN, store.Options{Synchronous: a.c.Data.Synchronous, Record: o.Record, Log: a.log})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, func(context.Context) error { return a.db.Close() })
	vault, err := secret.Open(ctx, a.c.Data.KeyFile, a.db)
	if err != nil {
		return err
	}
	if a.plugins, err = newPlugins(a.c, a.log); err != nil {
		return err
	}
	guard, err := callbacks(a.c)
	if err != nil {
		return err
	}
	if err := a.useCases(ctx, vault, guard); err != nil {
		return err
	}
	if err := a.engine(); err != nil {
		return err
	}
	return a.northbound(vault, guard)
}

// useCases makes fulfilment and writes what the first start must write.
func (a *App) useCases(ctx context.Context, vault *secret.Vault, guard *event.Guard) error {
	schemas, err := newConnections(a.plugins.domains)
	if err != nil {
		return err
	}
	ops := a.c.Operations
	a.service, err = fulfilment.New(fulfilment.Config{
		Store: a.db, Secrets: vault, Plugins: a.plugins.domains, Platforms: a.plugins.platforms, Connections: schemas,
		Schemas: &configurations{}, Callbacks: guard,
		Keeping:   fulfilment.Keeping{Reservation: a.c.Placement.Reservation, MaxReservation: a.c.Placement.MaxReservation, Keep: a.c.Placement.Keep},
		Placement: placement.Options{Strategy: a.c.Placement.Strategy, Budget: a.c.Placement.Budget},
		Limits: operation.Limits{
			Attempts: ops.MaxAttempts, StepTimeout: ops.StepTimeout, Total: ops.Deadline, Rollback: ops.RollbackDeadline, Hold: ops.HoldTimeout,
		},
		MaxOpen: a.c.Limits.Backlog, Marker: store.Marker, Log: a.log,
	})
	if err != nil {
		return err
	}
	return a.firstKey(ctx)
}

// firstKey writes the catalogue and, at the first start, the system-admin key.
func (a *App) firstKey(ctx context.Context) error {
	given, err := adminKey(a.c.Data.AdminKey)
	if err != nil {
		return err
	}
	path, written := filepath.Join(a.c.Data.Dir, AdminKeyFile), false
	made, err := a.service.Bootstrap(ctx, given, func(token string) error {
		if err := writeFile(path, token+"\n", 0o600); err != nil {
			return fmt.Errorf("the first system-admin key cannot be written to %s: %w", path, err)
		}
		written = true
		return nil
	})
	switch {
	case err != nil:
		return err
	case made && given != "":
		a.log.Info("first start: the system-admin API key is the one given")
	case made:
		a.log.Info("first start: the system-admin API key is in a file", "file", path)
	case written: // another replica was first
		return os.Remove(path)
	}
	return nil
}

// adminKey reads the key that the operator chose for the first start: replicas
// that start together then agree on it.
func adminKey(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("data.adminkeyfile: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// engine makes the runner of operations.
func (a *App) engine() (err error) {
	fail, err := operation.ParseFailpoints(os.Getenv(operation.FailpointVariable))
	if err != nil {
		return err
	}
	registry, metrics := newRegistry()
	a.metrics = registry
	a.runner, err = operation.NewRunner(operation.RunnerConfig{
		Store: a.db, Executor: a.service, Lease: a.c.Operations.Lease, Workers: a.c.Operations.Workers,
		SiteLimit: func(string) int { return a.c.Operations.SiteConcurrency },
		Drain:     a.c.Listen.DrainTimeout, Retention: a.c.Retention.Operations,
		Log: a.log, Metrics: metrics, Failpoints: fail,
	})
	if err == nil {
		a.service.Notify(a.runner.Poke)
	}
	return err
}

// callbacks makes what bounds where webhooks may go.
func callbacks(c config.Config) (*event.Guard, error) {
	g := &event.Guard{}
	for _, r := range c.Callbacks.Allow {
		p, err := netip.ParsePrefix(r)
		if err != nil {
			return nil, fmt.Errorf("callbacks.allow: %w", err)
		}
		g.Allow = append(g.Allow, p)
	}
	return g, nil
}

// northbound makes the API and what brings events to their readers.
func (a *App) northbound(vault *secret.Vault, guard *event.Guard) error {
	a.hub = event.NewHub(a.db, event.HubOptions{Log: a.log})
	replica := slice.NewID()
	a.hooks = event.NewWebhooks(event.Config{
		Hub: a.hub, Store: a.db, Progress: a.db, Secrets: vault, Guard: guard, Parse: filter.Parse,
		Lead: func(ctx context.Context, ttl time.Duration) (bool, error) {
			return a.db.Lead(ctx, "webhooks", replica, ttl)
		},
		GiveUp: a.c.Callbacks.GiveUp, Log: a.log,
	})
	a.draining = make(chan struct{})
	deps := rest.Deps{
		Idempotency: idempotency{a.db, vault}, Events: events{a.db, a.hub}, Audit: audit{a.db}, Draining: a.draining,
		BodyBytes: a.c.Limits.BodyBytes, RatePerSecond: a.c.Limits.RatePerSecond, RateBurst: a.c.Limits.RateBurst, Log: a.log,
	}.With(a.service)
	if a.plugins.simulated != nil {
		deps.Simulations = &simulations{d: a.plugins.simulated}
	}
	api, err := rest.New(deps)
	if err != nil {
		return err
	}
	a.handler = routes(api, a.ready, a.metrics, a.c.Telemetry.OTLPEndpoint != "")
	return nil
}

func (a *App) ready(ctx context.Context) error { return a.db.Ping(ctx) }

// Handler is the whole HTTP surface.
func (a *App) Handler() http.Handler { return a.handler }

// Start binds the address and starts everything that runs by itself.
func (a *App) Start(ctx context.Context) error {
	l, err := listener(ctx, a.c)
	if err != nil {
		return err
	}
	a.address = l.Addr()
	if exposed(a.address) && a.c.TLS.CertFile == "" {
		a.log.Warn("API keys and secrets cross the network unencrypted: set tls.certfile and tls.keyfile, or listen on a loopback address",
			"address", a.address.String())
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.cancel = cancel
	a.loop("operations", func() { a.report("operations", a.runner.Run(run)) })
	a.loop("reconcile", func() { a.report("reconcile", a.service.Watch(run)) })
	a.loop("sequencer", func() { event.Sequence(run, a.db, a.log) })
	a.loop("events", func() { a.hub.Run(run) })
	a.loop("webhooks", func() { a.hooks.Run(run) })
	a.loop("retention", func() { a.retain(run) })
	a.http = server(a.c, a.handler, a.log)
	a.http.BaseContext = func(net.Listener) context.Context { return run }
	a.loop("http", func() {
		if err := a.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.report("http", err)
		}
	})
	a.log.Info("serving", "address", a.URL(), "version", version.String(), "database", a.db.Dialect())
	if a.c.Listen.PortFile != "" {
		if err := writeFile(a.c.Listen.PortFile, a.address.String()+"\n", 0o644); err != nil {
			return fmt.Errorf("listen.portfile: %w", err)
		}
	}
	return nil
}

// exposed reports whether others than this machine may reach an address.
func exposed(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err != nil || !ap.Addr().Unmap().IsLoopback()
}

func (a *App) loop(name string, f func()) {
	a.loops.Go(func() {
		f()
		a.log.Debug("ended", "loop", name)
	})
}

func (a *App) report(loop string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		a.log.Error("stopped", "loop", loop, "error", err)
	}
}

// URL is where the API is served.
func (a *App) URL() string {
	scheme := "http"
	if a.c.TLS.CertFile != "" {
		scheme = "https"
	}
	return scheme + "://" + a.address.String()
}

// retain deletes what is older than the retention settings say.
func (a *App) retain(ctx context.Context) {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	r := a.c.Retention
	for {
		if n, err := a.db.Retain(ctx, store.Retention{Events: r.Events, Audit: r.Audit, Idempotency: r.Idempotency}); err != nil && ctx.Err() == nil {
			a.log.Warn("retention", "error", err)
		} else if n > 0 {
			a.log.Debug("retention", "deleted", n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Stop drains and closes everything; ctx bounds it.
func (a *App) Stop(ctx context.Context) error {
	var errs []error
	if a.http != nil {
		close(a.draining)
		quick, cancel := context.WithTimeout(ctx, a.c.Listen.DrainTimeout/4)
		errs = append(errs, ignore(a.http.Shutdown(quick), context.DeadlineExceeded))
		cancel()
	}
	if a.cancel != nil {
		a.cancel()
	}
	if a.http != nil {
		errs = append(errs, a.http.Close())
	}
	done := make(chan struct{})
	go func() { a.loops.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		errs = append(errs, errors.New("not everything ended in time; what is open goes on after the next start"))
	}
	return errors.Join(append(errs, a.close(ctx))...)
}

func ignore(err, what error) error {
	if errors.Is(err, what) {
		return nil
	}
	return err
}

func (a *App) close(ctx context.Context) error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i](ctx))
	}
	a.closers = nil
	return errors.Join(errs...)
}

// Run serves until ctx ends, then drains.
func Run(ctx context.Context, c config.Config, log *slog.Logger) error {
	a, err := New(ctx, c, Options{Log: log})
	if err != nil {
		return err
	}
	if err := a.Start(ctx); err != nil {
		return errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
	}
	<-ctx.Done()
	log.Info("draining", "within", c.Listen.DrainTimeout)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Listen.DrainTimeout)
	defer cancel()
	return a.Stop(drain)
}

// makeDataDir makes the data directory for its owner alone.
func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data.dir: %w", err)
	}
	return nil
}
