package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux/mainfluxtest"
)

// serve puts a fake's API behind the version.
func (h *house) serve(variable, part string, fake *mainfluxtest.Fake) error {
	m := version()
	m.Handle("/", fake.Handler(part))
	return h.listen(variable, m)
}

// told answers a peer's question.
func told(answer func(r *http.Request) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if a := answer(r); a != "" {
			fmt.Fprint(w, a)
			return
		}
		http.Error(w, "missing or invalid credentials provided", http.StatusForbidden)
	}
}

func auth(h *house) error {
	if _, err := h.database("MF_AUTH_DB"); err != nil {
		return err
	}
	secret := h.env["MF_AUTH_SECRET"]
	if secret == "" || secret == known()["MF_AUTH_SECRET"] {
		return errors.New("MF_AUTH_SECRET is the default that everybody knows")
	}
	m := http.NewServeMux()
	m.HandleFunc("GET /issue", told(func(r *http.Request) string { return sign(secret, r.URL.Query().Get("email")) }))
	m.HandleFunc("GET /owner", told(func(r *http.Request) string { return signer(secret, r.URL.Query().Get("token")) }))
	return errors.Join(h.listen("MF_AUTH_GRPC_PORT", m), h.listen("MF_AUTH_HTTP_PORT", version()))
}

func users(h *house) error {
	email, password := h.env["MF_USERS_ADMIN_EMAIL"], h.env["MF_USERS_ADMIN_PASSWORD"]
	if !strings.Contains(email, "@") || len(password) < 8 {
		return errors.New("failed to create the admin user: MF_USERS_ADMIN_EMAIL or MF_USERS_ADMIN_PASSWORD is missing or too short")
	}
	if _, err := os.ReadFile(h.env["MF_EMAIL_TEMPLATE"]); err != nil {
		return fmt.Errorf("failed to configure the e-mail utility: %w", err)
	}
	fake := mainfluxtest.Unserved(mainfluxtest.Options{Peers: &peers{h: h}, AdminEmail: email, AdminPassword: password})
	k, err := h.kept("MF_USERS_DB", fake)
	if err != nil {
		return err
	}
	if err := k.save(h.ctx); err != nil {
		return err
	}
	m := version()
	m.Handle("/", saving(k, fake.Handler("users"), func(context.Context) error { return nil }))
	return h.listen("MF_USERS_HTTP_PORT", m)
}

// saving writes what changed before its answer is worth anything, and tells the
// event store.
func saving(k *kept, next http.Handler, tell func(context.Context) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := k.load(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
		if r.Method != http.MethodGet {
			if err := errors.Join(k.save(r.Context()), tell(r.Context())); err != nil {
				fmt.Fprintln(os.Stderr, "not kept:", err)
			}
		}
	})
}

func things(h *house) error {
	fake := mainfluxtest.Unserved(mainfluxtest.Options{Peers: &peers{h: h}})
	k, err := h.kept("MF_THINGS_DB", fake)
	if err != nil {
		return err
	}
	// A key that was looked up is cached; what cannot be cached is not let in.
	cached := func(key, id string, err error) string {
		if id == "" || err != nil {
			return ""
		}
		if err := redis(h.env["MF_THINGS_CACHE_URL"], "SET", "thing:"+key, id); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return ""
		}
		return id
	}
	inner := http.NewServeMux()
	inner.HandleFunc("GET /thing", told(func(r *http.Request) string {
		key, err := r.URL.Query().Get("key"), k.load(r.Context())
		return cached(key, fake.ThingOf(key), err)
	}))
	inner.HandleFunc("GET /access", told(func(r *http.Request) string {
		if err := k.load(r.Context()); err != nil {
			return ""
		}
		key := r.URL.Query().Get("key")
		id, err := fake.Linked(key, r.URL.Query().Get("channel"))
		return cached(key, id, err)
	}))
	outer := version()
	outer.Handle("/", saving(k, fake.Handler("things"), func(context.Context) error {
		return redis(h.env["MF_THINGS_ES_URL"], "XADD", "mainflux.things", "MAXLEN", "~", "1000", "*", "operation", "change")
	}))
	return errors.Join(h.listen("MF_THINGS_AUTH_GRPC_PORT", inner), h.listen("MF_THINGS_AUTH_HTTP_PORT", version()), h.listen("MF_THINGS_HTTP_PORT", outer))
}

func httpAdapter(h *house) error {
	b, err := h.connect()
	if err != nil {
		return err
	}
	return h.serve("MF_HTTP_ADAPTER_PORT", "http", mainfluxtest.Unserved(mainfluxtest.Options{Peers: &peers{h: h, bus: b}}))
}

// proxy stands before the broker: who connects is told to the event store, and
// what is published goes to the broker behind as well.
type proxy struct {
	mqtt.Handler
	h      *house
	broker *mqtt.Client
}

func (p *proxy) Authenticate(c mqtt.Connect) (string, bool) {
	for _, store := range []string{"MF_MQTT_ADAPTER_ES_URL", "MF_AUTH_CACHE_URL"} {
		if err := redis(p.h.env[store], "XADD", "mainflux.mqtt", "MAXLEN", "~", "1000", "*", "thing_id", c.Username); err != nil {
			fmt.Fprintln(os.Stderr, store, err)
			return "", false
		}
	}
	return p.Handler.Authenticate(c)
}

func (p *proxy) Publish(m mqtt.Message, done func(mqtt.Outcome)) {
	p.Handler.Publish(m, func(o mqtt.Outcome) {
		if o == mqtt.Relay {
			if err := p.broker.Publish(p.h.ctx, m.Topic, 1, m.Payload); err != nil {
				p.h.failed <- fmt.Errorf("broker: %w", err)
				o = mqtt.Abort
			}
		}
		done(o)
	})
}

func mqttAdapter(h *house) error {
	b, err := h.connect()
	if err != nil {
		return err
	}
	target := "tcp://" + net.JoinHostPort(h.env["MF_MQTT_ADAPTER_MQTT_TARGET_HOST"], h.env["MF_MQTT_ADAPTER_MQTT_TARGET_PORT"])
	ctx, cancel := context.WithTimeout(h.ctx, patience)
	defer cancel()
	broker, err := mqtt.Dial(ctx, mqtt.ClientOptions{Address: target, ClientID: "mainflux-standin"})
	if err != nil {
		return fmt.Errorf("failed to create MQTT publisher: %w", err)
	}
	h.ends = append(h.ends, func() error { broker.Close(); return nil })
	fake := mainfluxtest.Unserved(mainfluxtest.Options{Peers: &peers{h: h, bus: b}})
	front, err := mqtt.NewBroker(mqtt.Options{Address: ":" + h.env["MF_MQTT_ADAPTER_MQTT_PORT"], Handler: &proxy{fake.MQTT(), h, broker}})
	if err != nil {
		return err
	}
	h.ends = append(h.ends, front.Close)
	return h.listen("MF_MQTT_ADAPTER_WS_PORT", version())
}

func coapAdapter(h *house) error {
	if _, err := h.connect(); err != nil {
		return err
	}
	c, err := new(net.ListenConfig).ListenPacket(h.ctx, "udp", ":"+h.env["MF_COAP_ADAPTER_PORT"])
	if err != nil {
		return err
	}
	h.ends = append(h.ends, c.Close)
	return h.listen("MF_COAP_ADAPTER_PORT", version())
}

const messages = "CREATE TABLE IF NOT EXISTS standin_messages (id bigserial PRIMARY KEY, channel text NOT NULL, reading jsonb NOT NULL)"

// writes checks what a writer is told to write.
func (h *house) writes(prefix string) error {
	subjects, err := os.ReadFile(h.env[prefix+"_CONFIG_PATH"])
	if err != nil || !strings.Contains(string(subjects), "channels.>") {
		return fmt.Errorf("failed to create writer: no subject channels.> in %s_CONFIG_PATH (%w)", prefix, err)
	}
	if h.env[prefix+"_TRANSFORMER"] != "senml" {
		return fmt.Errorf("%s_TRANSFORMER: not here: other than senml", prefix)
	}
	return nil
}

func writer(h *house) error {
	b, err := h.connect()
	if err != nil {
		return err
	}
	db, err := h.database("MF_POSTGRES_WRITER_DB", messages)
	if err != nil {
		return err
	}
	if err := h.writes("MF_POSTGRES_WRITER"); err != nil {
		return err
	}
	go func() {
		h.failed <- b.subscribe("channels.>", func(m mainfluxtest.Message) error {
			for _, r := range mainfluxtest.Readings(m) {
				raw, err := json.Marshal(r)
				if err == nil {
					_, err = db.ExecContext(h.ctx, "INSERT INTO standin_messages (channel, reading) VALUES ($1, $2)", m.Channel, string(raw))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}()
	return h.listen("MF_POSTGRES_WRITER_PORT", version())
}

func reader(h *house) error {
	db, err := h.database("MF_POSTGRES_READER_DB", messages)
	if err != nil {
		return err
	}
	return h.serve("MF_POSTGRES_READER_PORT", "reader", mainfluxtest.Unserved(mainfluxtest.Options{Peers: &peers{h: h, db: db}}))
}
