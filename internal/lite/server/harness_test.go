package server

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/mqtt"
)

const testToken = "admin-token-of-the-tests"

// house is a running server and a client of its REST interface.
type house struct {
	*Server
	t *testing.T
}

func startServer(t testing.TB, change func(*Options)) *Server {
	t.Helper()
	o := Options{Data: t.TempDir(), Token: testToken, ListenAPI: "127.0.0.1:0", ListenMQTT: "127.0.0.1:0"}
	if change != nil {
		change(&o)
	}
	s, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stopServer(t testing.TB, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

func open(t *testing.T, change func(*Options)) *house {
	t.Helper()
	s := startServer(t, change)
	t.Cleanup(func() { stopServer(t, s) })
	return &house{s, t}
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
}

// call sends a request as key; body is a string, bytes or marshalled.
func (h *house) call(method, path, key string, body any, header ...string) reply {
	h.t.Helper()
	var raw []byte
	switch b := body.(type) {
	case nil:
	case string:
		raw = []byte(b)
	case []byte:
		raw = b
	default:
		var err error
		if raw, err = json.Marshal(b); err != nil {
			h.t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, "http://"+h.API().String()+path, bytes.NewReader(raw))
	if err != nil {
		h.t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", key)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, text}
}

// want is call with the administrator's token and a status that must come.
func (h *house) want(status int, method, path string, body any) reply {
	h.t.Helper()
	r := h.call(method, path, "Bearer "+testToken, body)
	if r.status != status {
		h.t.Fatalf("%s %s: status %d, want %d: %s", method, path, r.status, status, r.body)
	}
	return r
}

// client is a thing with a channel of its own.
type client struct{ id, key, channel string }

func (h *house) client(name string) client {
	h.t.Helper()
	t := path.Base(h.want(http.StatusCreated, "POST", "/things", map[string]string{"name": name}).header.Get("Location"))
	c := path.Base(h.want(http.StatusCreated, "POST", "/channels", map[string]string{"name": name}).header.Get("Location"))
	h.want(http.StatusOK, "PUT", "/channels/"+c+"/things/"+t, nil)
	var known thing
	h.want(http.StatusOK, "GET", "/things/"+t, nil).into(h.t, &known)
	return client{t, known.Key, c}
}

// publish stores a pack over HTTP and wants a status.
func (h *house) publish(c client, status int, pack any, header ...string) reply {
	h.t.Helper()
	r := h.call("POST", "/channels/"+c.channel+"/messages", c.key, pack, header...)
	if r.status != status {
		h.t.Fatalf("publish: status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

// messages reads a page of a channel.
func (h *house) messages(c client, query string) messagesPage {
	h.t.Helper()
	var p messagesPage
	h.want(http.StatusOK, "GET", "/channels/"+c.channel+"/messages?"+query, nil).into(h.t, &p)
	return p
}

// total is how many points a channel has.
func (h *house) total(c client) int64 {
	h.t.Helper()
	return *h.messages(c, "limit=1").Total
}

// dial connects over MQTT.
func (h *house) dial(c client, onMessage func(string, []byte)) (*mqtt.Client, error) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	m, err := mqtt.Dial(ctx, mqtt.ClientOptions{
		Address: "tcp://" + h.MQTT().String(), ClientID: "client-of-" + c.id, Username: c.id, Password: c.key, OnMessage: onMessage,
	})
	if err == nil {
		h.t.Cleanup(m.Close)
	}
	return m, err
}

func (h *house) mustDial(c client, onMessage func(string, []byte)) *mqtt.Client {
	h.t.Helper()
	m, err := h.dial(c, onMessage)
	if err != nil {
		h.t.Fatal(err)
	}
	return m
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 60 s: %s", what)
		}
	}
}

// gone waits until a connection has ended.
func gone(t *testing.T, m *mqtt.Client) {
	t.Helper()
	select {
	case <-m.Done():
	case <-time.After(time.Minute):
		t.Fatal("the session was not cut")
	}
}

func pack(name string, at time.Time, value float64) string {
	return fmt.Sprintf(`[{"n":%q,"u":"Cel","t":%d.%06d,"v":%g}]`, name, at.Unix(), at.Nanosecond()/1000, value)
}

func nothing(context.Context, *sql.Conn) error { return nil }

// copyDatabase copies the files as they are, between two transactions.
func copyDatabase(t *testing.T, s *Server, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(s.db.path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "server.db"+suffix), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
