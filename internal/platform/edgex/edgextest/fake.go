// Package edgextest is an EdgeX Foundry 4.0.2 that answers like the recordings
// of the real one, in memory: keeper, metadata, data, command and device-rest,
// each on its own port, a southbound MQTT broker with device-mqtt behind it, and
// the SenML export service, which delivers to whatever MQTT server the keeper
// names. It is for tests and for trying adapters by hand (go run ./test/fakes).
//
// # Contract
//
// Statuses and the shape of bodies are those of the recordings in ../testdata,
// which a test replays: 207 with the outcome of each item, 409 to what exists or
// is in use, 400 to a device service that metadata does not know yet, 503 "request
// timeout" in plain text while one does not answer. What the recordings do not
// hold (the keeper's answers, writing commands, single profiles) follows the
// product's published interface.
//
// Not here: adminState LOCKED, watchers, intervals, retention; device services do
// not ask devices for readings. Readings are floats, booleans or text.
package edgextest

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/platform"
)

// Options configure a Fake. The zero value listens on free ports of 127.0.0.1
// with both device services registered.
type Options struct {
	Host string // address to listen on; "": 127.0.0.1
	// OwnPorts takes the product's ports (59880 … 59986, 1883) instead of free ones.
	OwnPorts bool
	// Services that are registered from the start; nil: device-mqtt and device-rest.
	Services []string
	// Wrap stands before every service; nil: nothing.
	Wrap func(http.Handler) http.Handler
}

// Fake is a running one.
type Fake struct {
	endpoints map[string]string
	servers   []*http.Server
	broker    *mqtt.Broker
	export    *exporter

	mu       sync.Mutex
	services []string
	silent   map[string]bool
	profiles map[string]*profile
	devices  map[string]*device
	order    []string // names of devices as they were made
	events   []event  // newest last
	keys     map[string]string
	written  []Written
}

// Written is one command that reached a device service.
type Written struct{ Device, Resource, Value string }

// New starts one.
func New(o Options) (*Fake, error) {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Services == nil {
		o.Services = []string{"device-mqtt", "device-rest"}
	}
	f := &Fake{
		endpoints: map[string]string{}, services: o.Services, silent: map[string]bool{},
		profiles: map[string]*profile{}, devices: map[string]*device{}, keys: map[string]string{},
	}
	for k, v := range exportDefaults() {
		f.keys[k] = v
	}
	f.export = newExporter(f.settings)
	if err := f.listen(o); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Fake) listen(o Options) error {
	for _, s := range []struct {
		name string
		port int
		on   http.Handler
	}{
		{"keeper", 59890, f.keeperAPI()}, {"metadata", 59881, f.metadataAPI()}, {"data", 59880, f.dataAPI()},
		{"command", 59882, f.commandAPI()}, {"rest", 59986, f.restAPI()}, {"app", 59703, f.appAPI()},
	} {
		if o.Wrap != nil {
			s.on = o.Wrap(s.on)
		}
		if !o.OwnPorts {
			s.port = 0
		}
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(o.Host, strconv.Itoa(s.port)))
		if err != nil {
			return err
		}
		server := &http.Server{Handler: s.on, ReadHeaderTimeout: 10 * time.Second}
		f.servers = append(f.servers, server)
		f.endpoints[s.name] = "http://" + l.Addr().String()
		go func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				_ = l.Close()
			}
		}()
	}
	port := 0
	if o.OwnPorts {
		port = 1883
	}
	broker, err := mqtt.NewBroker(mqtt.Options{Address: net.JoinHostPort(o.Host, strconv.Itoa(port)), Handler: (*southbound)(f)})
	if err != nil {
		return err
	}
	f.broker = broker
	f.endpoints["mqtt"] = "tcp://" + broker.Addr().String()
	return nil
}

// Close ends everything.
func (f *Fake) Close() error {
	var errs []error
	for _, s := range f.servers {
		errs = append(errs, s.Close())
	}
	if f.broker != nil {
		errs = append(errs, f.broker.Close())
	}
	f.export.close()
	return errors.Join(errs...)
}

// Access answers how to reach it.
func (f *Fake) Access() platform.Access {
	at := map[string]string{}
	for k, v := range f.endpoints {
		at[k] = v
	}
	return platform.Access{Endpoints: at}
}

// Register has metadata know a device service, as it does a while after the
// service has started.
func (f *Fake) Register(service string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.services = append(f.services, service)
}

// Silence stops a device service from answering metadata, or lets it again.
func (f *Fake) Silence(service string, silent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent[service] = silent
}

// Counts answers how many devices, device profiles and events there are.
func (f *Fake) Counts() (devices, profiles, events int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.devices), len(f.profiles), len(f.events)
}

// Attached reports whether the keeper names a server to deliver to, or holds
// the credentials of one.
func (f *Fake) Attached() bool {
	s := f.settings()
	return s.address != "none" || s.password != "none"
}

// Written answers the commands that reached devices.
func (f *Fake) Written() []Written {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Written(nil), f.written...)
}

func newID() string { return uuid.NewString() }

// answer writes JSON with the envelope that all answers have.
func answer(w http.ResponseWriter, status int, fields map[string]any) {
	body := map[string]any{"apiVersion": "v3", "statusCode": status}
	for k, v := range fields {
		body[k] = v
	}
	write(w, status, body)
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"message": message})
}

// common adds what every service answers.
func common(m *http.ServeMux, name string) {
	m.HandleFunc("GET /api/v3/ping", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]any{"apiVersion": "v3", "timestamp": time.Now().UTC().Format(time.UnixDate), "serviceName": name})
	})
	m.HandleFunc("GET /api/v3/version", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]any{"apiVersion": "v3", "version": "4.0.2", "serviceName": name})
	})
}
