package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/mqtt"
)

// Options configure a Server. Only Data and Token must be set.
type Options struct {
	Data       string // directory of the database, created if absent
	Token      string // administers the server
	ListenAPI  string // host:port of REST, default 127.0.0.1:9080; port 0 picks one
	ListenMQTT string // host:port of MQTT, default 127.0.0.1:1884; port 0 picks one
	TLS        *tls.Config
	Log        *slog.Logger

	Sync       bool          // fsync every commit: survives a power cut
	RetainAge  time.Duration // points older than this are deleted; 0 keeps all
	RetainSize int64         // bytes of points; the oldest beyond it are deleted; 0 keeps all

	MaxMessage int           // bytes of one message, default 1 MiB
	MaxRecords int           // records of one message, default 10,000
	MaxSeries  int           // different names and units in one channel, default 20,000
	MaxPast    time.Duration // a reading may be this old, default 10 years
	MaxFuture  time.Duration // a reading may be this far ahead, default 24 h
	Memory     int           // bytes that messages on their way may take, default 64 MiB

	Now func() time.Time // the clock, default time.Now

	// What tests make small.
	flushAt    int // recent points that begin a flush
	flushStep  int // points that a flush moves in one transaction
	maxWindows int // windows that one query may compute
}

// maxBodies bounds the messages that are read over HTTP at the same time.
const maxBodies = 64

// mqttQueue bounds the messages that wait for one MQTT subscriber.
const mqttQueue = 1024

// minToken is the length of an administrator's token, in characters.
const minToken = 16

func (o *Options) defaults() error {
	o.ListenAPI = cmp.Or(o.ListenAPI, "127.0.0.1:9080")
	o.ListenMQTT = cmp.Or(o.ListenMQTT, "127.0.0.1:1884")
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.MaxMessage = cmp.Or(o.MaxMessage, 1<<20)
	o.MaxRecords = cmp.Or(o.MaxRecords, 10_000)
	o.MaxSeries = cmp.Or(o.MaxSeries, 20_000)
	o.MaxPast = cmp.Or(o.MaxPast, 10*365*24*time.Hour)
	o.MaxFuture = cmp.Or(o.MaxFuture, 24*time.Hour)
	o.Memory = cmp.Or(o.Memory, 64<<20)
	o.flushAt = cmp.Or(o.flushAt, flushPoints)
	o.flushStep = cmp.Or(o.flushStep, stepPoints)
	o.maxWindows = cmp.Or(o.maxWindows, maxWindows)
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case o.Data == "":
		return fault.Field("data", "", "a directory")
	case len(o.Token) < minToken:
		return fault.Field("token", "", fmt.Sprintf("at least %d characters", minToken))
	case o.MaxMessage < 0 || o.MaxRecords < 0 || o.MaxSeries < 0 || o.Memory < 0 || o.RetainSize < 0 || o.RetainAge < 0:
		return fault.Field("limits", "a negative number", "0 (the default) or more")
	}
	return nil
}

// Server is a running light server.
type Server struct {
	options  Options
	log      *slog.Logger
	admin    keyHash
	db       *database
	registry *registry
	writer   *writer
	live     *hub
	intake   *intake
	sweeper  *sweeper
	metrics  *metrics
	broker   *mqtt.Broker
	listener net.Listener
	http     *http.Server
	bodies   chan struct{} // one for each message body being read over HTTP
	failed   chan error
	resends  *resends
}

// Start opens the database, listens and serves until Close.
func Start(ctx context.Context, o Options) (*Server, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	s := &Server{options: o, log: o.Log, admin: hashKey(o.Token), live: newHub(), metrics: newMetrics(o.Log), bodies: make(chan struct{}, maxBodies), failed: make(chan error, 1), resends: newResends()}
	if err := s.open(ctx); err != nil {
		s.abandon()
		return nil, fmt.Errorf("lite server: %w", err)
	}
	// Opening the database leaves garbage that an idle process would keep.
	debug.FreeOSMemory()
	return s, nil
}

func (s *Server) open(ctx context.Context) error {
	var err error
	if s.db, err = openDatabase(ctx, s.options.Data, s.options.Sync); err != nil {
		return err
	}
	if s.registry, err = loadRegistry(ctx, s.db.write); err != nil {
		return err
	}
	if s.writer, err = newWriter(ctx, s.db, s.live, s.metrics, &s.options); err != nil {
		return err
	}
	s.intake = &intake{options: &s.options, writer: s.writer, metrics: s.metrics, memory: newBudget(s.options.Memory), now: s.options.Now}
	s.sweeper = newSweeper(s)
	if s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", s.options.ListenAPI); err != nil {
		return err
	}
	s.broker, err = mqtt.NewBroker(mqtt.Options{
		Address: s.options.ListenMQTT, TLS: s.options.TLS, Handler: sessions{s}, Log: s.log, MaxPacket: s.options.MaxMessage + 4096,
		ClientQueue: mqttQueue, CutSlow: true,
	})
	if err != nil {
		return err
	}
	s.metrics.observe(s)
	s.http = &http.Server{
		Handler: s.routes(), TLSConfig: s.options.TLS, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go s.serve()
	go s.sweeper.run()
	return nil
}

func (s *Server) serve() {
	var err error
	if s.options.TLS != nil {
		err = s.http.ServeTLS(s.listener, "", "")
	} else {
		err = s.http.Serve(s.listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		s.failed <- fmt.Errorf("lite server: %w", err)
	}
}

// Failed tells when the server can serve no longer.
func (s *Server) Failed() <-chan error { return s.failed }

// API is the address of REST.
func (s *Server) API() net.Addr { return s.listener.Addr() }

// MQTT is the address of the broker.
func (s *Server) MQTT() net.Addr { return s.broker.Addr() }

// Close drains: it takes nothing new, ends live streams, lets open requests end
// until ctx does, stores what was taken, and closes the database.
func (s *Server) Close(ctx context.Context) error {
	s.sweeper.close()
	s.live.close()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	// What the broker has handed over is stored and acknowledged before the
	// connections go.
	s.writer.close()
	err = errors.Join(err, s.broker.Close())
	s.resends.close()
	return errors.Join(err, s.db.close())
}

// abandon gives back what a Start that failed had taken.
func (s *Server) abandon() {
	if s.listener != nil {
		s.listener.Close()
	}
	if s.broker != nil {
		_ = s.broker.Close()
	}
	if s.writer != nil {
		s.writer.close()
	}
	if s.db != nil {
		_ = s.db.close()
	}
}

// Health answers nil when the server takes and answers messages.
func (s *Server) Health(ctx context.Context) error {
	var one int
	if err := s.db.read.QueryRowContext(ctx, `SELECT 1`).Scan(&one); err != nil {
		return storeFault(err)
	}
	// An empty change passes through the queue and a commit: it fails when the
	// writer is stuck or the disk takes nothing.
	return s.writer.probe(ctx)
}
