// Package supermqtest is a SuperMQ 0.19.1 that answers like the recording of the
// real one, in memory: users, domains, clients, channels, http and mqtt.
//
// # Contract
//
// Statuses and the shape of bodies are those of ../testdata, which a test
// replays; lists, which were not recorded, follow the product's published
// interface. MQTT accepts every connection and ends it at the first publish that
// is not allowed, as the real adapter does.
package supermqtest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/senml"
)

// Options configure a Fake.
type Options struct {
	Password string // of the user admin
	// Wrap stands before every service; nil: nothing.
	Wrap func(http.Handler) http.Handler
}

// Fake is a running one, on free ports of 127.0.0.1.
type Fake struct {
	endpoints map[string]string
	servers   []*http.Server
	broker    *mqtt.Broker
	password  string

	mu      sync.Mutex
	tokens  map[string]bool
	domains map[string]*entity
	clients map[string]*entity
	rooms   map[string]*entity // channels
	links   map[string]bool
	stored  map[string]int // readings by channel
}

type credentials struct {
	Secret string `json:"secret"`
}

type entity struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	Route       string          `json:"route,omitempty"`
	Domain      string          `json:"domain_id,omitempty"`
	Credentials *credentials    `json:"credentials,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	CreatedBy   string          `json:"created_by,omitempty"`
	Created     time.Time       `json:"created_at"`
	Updated     time.Time       `json:"updated_at"`
	Status      string          `json:"status"`
}

// New starts one.
func New(o Options) (*Fake, error) {
	f := &Fake{
		endpoints: map[string]string{}, password: o.Password, tokens: map[string]bool{}, domains: map[string]*entity{},
		clients: map[string]*entity{}, rooms: map[string]*entity{}, links: map[string]bool{}, stored: map[string]int{},
	}
	for name, h := range map[string]http.Handler{
		"users": f.usersAPI(), "domains": f.entities("/domains", "domains", f.domains),
		"clients":  f.entities("/{domain}/clients", "clients", f.clients),
		"channels": f.entities("/{domain}/channels", "channels", f.rooms), "http": f.httpAPI(),
	} {
		if o.Wrap != nil {
			h = o.Wrap(h)
		}
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
		f.servers = append(f.servers, s)
		f.endpoints[name] = "http://" + l.Addr().String()
		go func() {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				_ = l.Close()
			}
		}()
	}
	broker, err := mqtt.NewBroker(mqtt.Options{Address: "127.0.0.1:0", Handler: (*mqttAdapter)(f)})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	f.broker = broker
	f.endpoints["mqtt"] = "tcp://" + broker.Addr().String()
	return f, nil
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

// Counts answers how many clients, channels and connections there are.
func (f *Fake) Counts() (clients, channels, links int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.clients), len(f.rooms), len(f.links)
}

// Stored answers how many readings a channel has taken.
func (f *Fake) Stored(channel string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stored[channel]
}

// ClientOf answers the id of the client with a secret, "" when there is none.
func (f *Fake) ClientOf(secret string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, c := range f.clients {
		if c.Credentials != nil && c.Credentials.Secret == secret {
			return id
		}
	}
	return ""
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body)
	}
}

func refuse(w http.ResponseWriter, status int, text string) {
	answer(w, status, map[string]string{"message": text})
}

func (f *Fake) usersAPI() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("POST /users/tokens/issue", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Username, Password string }
		if json.NewDecoder(r.Body).Decode(&in) != nil || in.Username != "admin" || in.Password != f.password {
			refuse(w, http.StatusUnauthorized, "failed to perform authentication over the entity")
			return
		}
		token := "eyJ" + uuid.NewString()
		f.mu.Lock()
		f.tokens[token] = true
		f.mu.Unlock()
		answer(w, http.StatusCreated, map[string]string{"access_token": token, "refresh_token": "<jwt>"})
	})
	return m
}

// entities is one of the services that keep named things.
func (f *Fake) entities(at, kind string, all map[string]*entity) http.Handler {
	m := http.NewServeMux()
	own := func(pattern string, h http.HandlerFunc) {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			switch {
			case !f.tokens[token]:
				refuse(w, http.StatusUnauthorized, "failed to perform authentication over the entity")
			case kind != "domains" && f.domains[r.PathValue("domain")] == nil:
				refuse(w, http.StatusForbidden, "failed to perform authorization over the entity")
			default:
				h(w, r)
			}
		})
	}
	own("POST "+at, func(w http.ResponseWriter, r *http.Request) { f.add(w, r, kind, all) })
	own("GET "+at, func(w http.ResponseWriter, r *http.Request) {
		list := []*entity{}
		for _, e := range all {
			if e.Domain == r.PathValue("domain") && strings.Contains(e.Name, r.URL.Query().Get("name")) {
				list = append(list, e)
			}
		}
		slices.SortFunc(list, func(a, b *entity) int { return a.Created.Compare(b.Created) })
		answer(w, http.StatusOK, map[string]any{"total": len(list), "offset": 0, "limit": 100, kind: list})
	})
	own("GET "+at+"/{id}", func(w http.ResponseWriter, r *http.Request) {
		if e := all[r.PathValue("id")]; e != nil {
			answer(w, http.StatusOK, e)
			return
		}
		refuse(w, http.StatusNotFound, "entity not found")
	})
	own("DELETE "+at+"/{id}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		if all[id] == nil {
			refuse(w, http.StatusNotFound, "entity not found")
			return
		}
		delete(all, id)
		for k := range f.links {
			if strings.Contains(k, id) {
				delete(f.links, k)
			}
		}
		answer(w, http.StatusNoContent, nil)
	})
	if kind == "channels" {
		own("POST "+at+"/connect", f.connect)
	}
	return m
}

func (f *Fake) add(w http.ResponseWriter, r *http.Request, kind string, all map[string]*entity) {
	e := &entity{}
	if json.NewDecoder(r.Body).Decode(e) != nil {
		refuse(w, http.StatusBadRequest, "malformed entity specification")
		return
	}
	e.ID, e.Created, e.Status, e.Domain = uuid.NewString(), time.Now().UTC(), "enabled", r.PathValue("domain")
	if kind == "domains" {
		e.CreatedBy = uuid.NewString()
		for _, o := range all {
			if o.Route == e.Route {
				refuse(w, http.StatusConflict, "entity already exists")
				return
			}
		}
	} else {
		w.Header().Set("Location", "/"+kind+"/"+e.ID)
	}
	all[e.ID] = e
	answer(w, http.StatusCreated, e)
}

func (f *Fake) connect(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Channels []string `json:"channel_ids"`
		Clients  []string `json:"client_ids"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || len(in.Channels) != 1 || len(in.Clients) != 1 ||
		f.rooms[in.Channels[0]] == nil || f.clients[in.Clients[0]] == nil {
		refuse(w, http.StatusBadRequest, "malformed entity specification")
		return
	}
	at := in.Channels[0] + "/" + in.Clients[0]
	if f.links[at] {
		refuse(w, http.StatusConflict, "entity already exists")
		return
	}
	f.links[at] = true
	answer(w, http.StatusCreated, nil)
}

// take stores what a client may publish; false when it may not.
func (f *Fake) take(topic, client string, payload []byte) bool {
	parts := strings.Split(strings.TrimPrefix(topic, "/"), "/")
	if len(parts) != 4 || parts[0] != "m" || parts[2] != "c" || !f.links[parts[3]+"/"+client] {
		return false
	}
	if pack, err := senml.DecodeJSON(payload, senml.Limits{}); err == nil {
		f.stored[parts[3]] += len(pack)
	}
	return true
}

func (f *Fake) httpAPI() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("POST /m/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Client ")
		client := f.ClientOf(secret)
		f.mu.Lock()
		defer f.mu.Unlock()
		if !f.take(r.URL.Path, client, body) {
			refuse(w, http.StatusUnauthorized, "failed to perform authorization over the entity : failed to perform authentication over the entity : "+
				"entity not found : failed to perform authorization over the entity")
			return
		}
		answer(w, http.StatusAccepted, nil)
	})
	return m
}

// mqttAdapter is what decides about MQTT.
type mqttAdapter Fake

// Authenticate lets everybody in; what is wrong shows at the first publish.
func (a *mqttAdapter) Authenticate(c mqtt.Connect) (string, bool) {
	f := (*Fake)(a)
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.clients[c.Username]; e != nil && e.Credentials != nil && e.Credentials.Secret == string(c.Password) {
		return e.ID, true
	}
	return "nobody", true
}

// Authorize allows publishing, which is decided in Publish, and no reading.
func (a *mqttAdapter) Authorize(_ string, kind mqtt.Access, _ string) bool { return kind == mqtt.Write }

// Publish ends the session of who may not.
func (a *mqttAdapter) Publish(m mqtt.Message, done func(mqtt.Outcome)) {
	f := (*Fake)(a)
	f.mu.Lock()
	ok := f.take(m.Topic, m.Principal, m.Payload)
	f.mu.Unlock()
	if ok {
		done(mqtt.Accept)
	} else {
		done(mqtt.Abort)
	}
}
