package gateway

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/queue"
	"github.com/osmoslice/osmoslice/internal/mqtt"
)

// Config configures [New]. Zero values of limits mean their defaults.
type Config struct {
	Name  string
	Data  string // directory
	Token string // of the REST API, at least 16 bytes

	ListenAPI   string
	ListenMQTT  string // "" for off, as for those below
	ListenHTTP  string
	ListenCoAP  string // plain
	ListenCoAPS string // DTLS-PSK
	DeviceTLS   *tls.Config
	UplinkTLS   *tls.Config

	Queue        queue.Options // Dir and Log are set by New
	BatchRecords int
	BatchBytes   int
	MaxPayload   int
	MaxDevices   int
	MaxPast      time.Duration
	MaxFuture    time.Duration
	NamePrefix   string
	Log          *slog.Logger
}

func (c *Config) defaults() error {
	c.Name = cmp.Or(c.Name, "gateway")
	c.BatchRecords = cmp.Or(c.BatchRecords, 1000)
	c.BatchBytes = cmp.Or(c.BatchBytes, 128<<10)
	c.MaxPayload = cmp.Or(c.MaxPayload, 256<<10)
	c.MaxDevices = cmp.Or(c.MaxDevices, 20_000)
	c.MaxPast = cmp.Or(c.MaxPast, 366*24*time.Hour)
	c.MaxFuture = cmp.Or(c.MaxFuture, 24*time.Hour)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if err := checkName("name", c.Name, 64); err != nil {
		return err
	}
	if c.NamePrefix != "" {
		if err := checkName("name-prefix", c.NamePrefix, 64); err != nil {
			return err
		}
	}
	if len(c.Token) < 16 {
		return bad("token", fmt.Sprintf("%d bytes", len(c.Token)), "at least 16 bytes")
	}
	if c.MaxPayload < 64 || c.MaxPayload > 16<<20 {
		return bad("max-payload", c.MaxPayload, "64 to 16777216 bytes")
	}
	if c.Data == "" {
		return bad("data", "nothing", "a directory")
	}
	return nil
}

// Gateway is a running gateway.
type Gateway struct {
	config   Config
	registry *registry
	engine   *engine
	uplink   *uplinker
	log      *slog.Logger
	poll     *wakers // devices waiting for commands
	flights  *flights

	api  *http.Server
	http *http.Server
	mqtt atomic.Pointer[mqtt.Broker] // its clients are served while it is being set
	coap *coapServer

	ports  map[string]string
	stop   chan struct{}
	ticker sync.WaitGroup
	lock   *os.File
}

// New opens the state in c.Data, listens and delivers until Close.
func New(c Config) (*Gateway, error) {
	if err := c.defaults(); err != nil {
		return nil, err
	}
	g := &Gateway{config: c, log: c.Log, poll: newWakers(), flights: newFlights(), ports: map[string]string{}, stop: make(chan struct{})}
	if err := g.open(); err != nil {
		return nil, errors.Join(err, g.release())
	}
	if err := g.listen(); err != nil {
		_ = g.Close(context.Background())
		return nil, err
	}
	g.uplink.set(g.registry.getUplink())
	g.ticker.Add(1)
	go g.tick()
	return g, nil
}

// open locks the data directory and restores registry, queue and state.
func (g *Gateway) open() error {
	if err := os.MkdirAll(g.config.Data, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	var err error
	if g.lock, err = lockDir(g.config.Data); err != nil {
		return err
	}
	if err := finishImport(g.config.Data); err != nil {
		return err
	}
	if g.registry, err = openRegistry(filepath.Join(g.config.Data, registryName), g.config.MaxDevices, g.log); err != nil {
		return err
	}
	o := g.config.Queue
	o.Dir, o.Log = filepath.Join(g.config.Data, queueName), g.log
	if g.engine, err = openEngine(o, g.config.NamePrefix, g.log); err != nil {
		return err
	}
	g.uplink = &uplinker{
		engine: g.engine, name: g.config.Name, records: g.config.BatchRecords, bytes: g.config.BatchBytes,
		tls: g.config.UplinkTLS, log: g.log, onDown: g.down,
	}
	return nil
}

// listen opens every listener that is configured, the REST API last: what it
// changes reaches all others.
func (g *Gateway) listen() error {
	if g.config.ListenMQTT != "" {
		broker, err := mqtt.NewBroker(mqtt.Options{
			Address: g.config.ListenMQTT, TLS: g.config.DeviceTLS, Handler: &southMQTT{g}, Log: g.log,
			MaxPacket: g.config.MaxPayload + 1024, MaxClients: g.config.MaxDevices + 1024, SessionExpiry: 5 * time.Minute,
		})
		if err != nil {
			return err
		}
		g.mqtt.Store(broker)
		g.ports["mqtt"] = broker.Addr().String()
	}
	if err := g.listenCoAP(); err != nil {
		return err
	}
	var err error
	if g.config.ListenHTTP != "" {
		if g.http, err = g.serveHTTP("http", g.config.ListenHTTP, g.ingestHandler(), g.config.DeviceTLS); err != nil {
			return err
		}
	}
	g.api, err = g.serveHTTP("api", g.config.ListenAPI, g.apiHandler(), nil)
	return err
}

// serveHTTP serves handler on address.
func (g *Gateway) serveHTTP(name, address string, handler http.Handler, tlsConfig *tls.Config) (*http.Server, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s for %s: %w", address, name, err)
	}
	g.ports[name] = listener.Addr().String()
	if tlsConfig != nil {
		listener = tls.NewListener(listener, tlsConfig)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			g.log.Error("http server ended", "listener", name, "error", err)
		}
	}()
	return server, nil
}

// Ports are the addresses that are listened on: "api", "mqtt", "http", "coap",
// "coaps".
func (g *Gateway) Ports() map[string]string { return g.ports }

// Close stops accepting, lets requests end until ctx does, writes what was
// accepted and closes the state.
func (g *Gateway) Close(ctx context.Context) error {
	close(g.stop)
	g.ticker.Wait()
	g.poll.close()
	if broker := g.mqtt.Load(); broker != nil {
		_ = broker.Close()
	}
	g.coap.close()
	for _, server := range []*http.Server{g.http, g.api} {
		if server != nil && server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	}
	g.uplink.set(nil)
	return g.release()
}

// release closes the state.
func (g *Gateway) release() error {
	var errs []error
	if g.engine != nil {
		q, _ := g.engine.current()
		errs = append(errs, q.Close())
	}
	if g.registry != nil && g.registry.journal != nil {
		errs = append(errs, g.registry.close())
	}
	if g.lock != nil {
		_ = g.lock.Close()
	}
	return errors.Join(errs...)
}

// tick does what time demands: closes windows, expires and repeats commands,
// opens a queue that failed anew.
func (g *Gateway) tick() {
	defer g.ticker.Done()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for n := 1; ; n++ {
		select {
		case <-ticker.C:
		case <-g.stop:
			return
		}
		g.engine.closeWindows(g.registry.lookup)
		if n%5 == 0 {
			g.engine.heal()
			g.expireCommands()
		}
		if n%25 == 0 {
			for _, name := range g.registry.devicesWithPending() {
				g.push(name)
			}
		}
	}
}

// QueueOptions are the queue's options as a command line gives them.
func QueueOptions(maxBytes int64, sync string, interval time.Duration, dropOldest bool) queue.Options {
	return queue.Options{MaxBytes: maxBytes, Sync: queue.Policy(sync), SyncInterval: interval, DropOldest: dropOldest}
}
