// Package mainfluxtest is a Mainflux 0.12.1 that answers like the recordings of
// the real one, in memory: users, things, http, reader and mqtt, each on its own
// port. It is for tests and for trying adapters by hand (go run ./test/fakes).
//
// # Contract
//
// Statuses, headers and the shape of bodies are those of the recordings in
// ../testdata, which a test replays: ids only in Location with an empty body,
// 409 to a second link, 503 to a message with a wrong key, 500 to a reader with
// one, 204 to the removal of what is not there. MQTT accepts every connection
// and ends it at the first publish that is not allowed, which is how the real
// adapter looks from outside, for a session whose link was removed as well.
//
// Not here: CoAP, groups, shared things, tokens that expire. Readings stay when
// their channel goes, as in the product's database.
package mainfluxtest

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

// Options configure a Fake. The zero value listens on free ports of 127.0.0.1.
type Options struct {
	Host string // address to listen on; "": 127.0.0.1
	// OwnPorts takes the product's ports (8180, 8182, 8185, 9204, 1883) instead
	// of free ones.
	OwnPorts bool
	// AdminEmail and AdminPassword are the user there is from the start, as the
	// product makes it from its environment; none when empty.
	AdminEmail, AdminPassword string
	// Wrap stands before every service; nil: nothing.
	Wrap func(http.Handler) http.Handler
	// Peers are the services that run elsewhere; nil: all of it is here.
	Peers Peers
}

// Peers answer for the services of an instance that is spread over processes.
type Peers interface {
	// Issue makes a token for a user; Owner answers whose a token is.
	Issue(email string) (token string, err error)
	Owner(token string) (email string, err error)
	// Thing answers the thing with a key; Access does if it is linked to the
	// channel as well.
	Thing(key string) (id string, err error)
	Access(key, channel string) (id string, err error)
	// Keep takes a message; Kept answers a channel's readings, as the reader
	// words them.
	Keep(m Message) error
	Kept(channel string) ([]Reading, error)
}

// Fake is a running one.
type Fake struct {
	endpoints map[string]string
	broker    *mqtt.Broker
	servers   []*http.Server
	peers     Peers

	mu       sync.Mutex
	users    map[string]string // e-mail to password
	tokens   map[string]string // token to e-mail
	things   map[string]*thing
	channels map[string]*channel
	order    []string // ids in the order they were made
	links    map[string]bool
	messages []Reading
}

type thing struct {
	ID       string          `json:"id"`
	Name     string          `json:"name,omitempty"`
	Key      string          `json:"key"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
	owner    string
}

type channel struct {
	ID       string          `json:"id"`
	Name     string          `json:"name,omitempty"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
	owner    string
}

// Unserved makes one that listens nowhere: Handler and MQTT give its services.
func Unserved(o Options) *Fake {
	f := &Fake{
		endpoints: map[string]string{}, users: map[string]string{}, tokens: map[string]string{},
		things: map[string]*thing{}, channels: map[string]*channel{}, links: map[string]bool{}, peers: o.Peers,
	}
	if o.AdminEmail != "" {
		f.users[o.AdminEmail] = o.AdminPassword
	}
	if f.peers == nil {
		f.peers = (*alone)(f)
	}
	return f
}

// Handler answers the HTTP side of users, things, http or reader.
func (f *Fake) Handler(service string) http.Handler {
	return map[string]func() http.Handler{
		"users": f.usersAPI, "things": f.thingsAPI, "http": f.httpAPI, "reader": f.readerAPI,
	}[service]()
}

// MQTT is what decides about MQTT.
func (f *Fake) MQTT() mqtt.Handler { return (*mqttAdapter)(f) }

// New starts one.
func New(o Options) (*Fake, error) {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	f := Unserved(o)
	for _, s := range []struct {
		name string
		port int
		on   http.Handler
	}{{name: "users", port: 8180}, {name: "things", port: 8182}, {name: "http", port: 8185}, {name: "reader", port: 9204}} {
		s.on = f.Handler(s.name)
		if o.Wrap != nil {
			s.on = o.Wrap(s.on)
		}
		if !o.OwnPorts {
			s.port = 0
		}
		if err := f.serve(s.name, net.JoinHostPort(o.Host, strconv.Itoa(s.port)), s.on); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	port := 0
	if o.OwnPorts {
		port = 1883
	}
	broker, err := mqtt.NewBroker(mqtt.Options{Address: net.JoinHostPort(o.Host, strconv.Itoa(port)), Handler: f.MQTT()})
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	f.broker = broker
	f.endpoints["mqtt"] = "tcp://" + broker.Addr().String()
	return f, nil
}

func (f *Fake) serve(name, address string, h http.Handler) error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	f.servers = append(f.servers, s)
	f.endpoints[name] = "http://" + l.Addr().String()
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			_ = l.Close()
		}
	}()
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
	return errors.Join(errs...)
}

// Access answers how to reach it, administered by token.
func (f *Fake) Access(token string) platform.Access {
	at := map[string]string{}
	for k, v := range f.endpoints {
		at[k] = v
	}
	return platform.Access{Endpoints: at, Token: token}
}

// Counts answers how many things, channels and links there are.
func (f *Fake) Counts() (things, channels, links int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.things), len(f.channels), len(f.links)
}

// ThingOf answers the id of the thing with a key, "" when there is none.
func (f *Fake) ThingOf(key string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, t := range f.things {
		if t.Key == key {
			return id
		}
	}
	return ""
}

// Stored answers how many readings a channel has taken.
func (f *Fake) Stored(channel string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, m := range f.messages {
		if m.Channel == channel {
			n++
		}
	}
	return n
}

func newID() string { return uuid.NewString() }

func linked(channel, thing string) string { return channel + "/" + thing }

// answer writes a status and, unless body is nil, JSON.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

func refuse(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"error": text})
}

func version(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"service": name, "version": "0.12.1"})
	}
}
