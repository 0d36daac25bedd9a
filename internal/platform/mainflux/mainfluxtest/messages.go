package mainfluxtest

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/senml"
)

// Message is what a thing sent to a channel.
type Message struct {
	Channel   string `json:"channel"`
	Publisher string `json:"publisher"`
	Protocol  string `json:"protocol"`
	Payload   []byte `json:"payload"`
}

// Reading is one value as the reader answers it.
type Reading struct {
	Channel   string   `json:"channel"`
	Publisher string   `json:"publisher"`
	Protocol  string   `json:"protocol"`
	Name      string   `json:"name"`
	Unit      string   `json:"unit,omitempty"`
	Time      float64  `json:"time"`
	Value     *float64 `json:"value,omitempty"`
	Text      *string  `json:"string_value,omitempty"`
	Bool      *bool    `json:"bool_value,omitempty"`
	Data      *string  `json:"data_value,omitempty"`
}

// Readings is the writer: it makes readings of a message of SenML, and nothing
// of any other, without telling the sender.
func Readings(m Message) []Reading {
	pack, err := senml.DecodeJSON(m.Payload, senml.Limits{})
	if err != nil {
		return nil
	}
	if pack, err = senml.Resolve(pack, time.Now()); err != nil {
		return nil
	}
	var all []Reading
	for _, r := range pack {
		m := Reading{Channel: m.Channel, Publisher: m.Publisher, Protocol: m.Protocol, Name: r.Name, Unit: r.Unit, Time: r.Time}
		switch v := r.Value.Any().(type) {
		case float64:
			m.Value = &v
		case string:
			m.Text = &v
		case bool:
			m.Bool = &v
		case []byte:
			text := base64.RawURLEncoding.EncodeToString(v)
			m.Data = &text
		}
		all = append(all, m)
	}
	return all
}

func (f *Fake) httpAPI() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /version", version("http"))
	m.HandleFunc("POST /channels/{id}/messages", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		f.mu.Lock()
		defer f.mu.Unlock()
		id, denied := f.peers.Access(r.Header.Get("Authorization"), r.PathValue("id"))
		if denied != nil || err != nil || f.peers.Keep(Message{r.PathValue("id"), id, "http", body}) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	return m
}

func (f *Fake) readerAPI() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /version", version("postgres-reader"))
	m.HandleFunc("GET /channels/{id}/messages", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		_, denied := f.peers.Access(r.Header.Get("Authorization"), r.PathValue("id"))
		kept, err := f.peers.Kept(r.PathValue("id"))
		if denied != nil || err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		name := r.URL.Query().Get("name")
		all := slices.DeleteFunc(append([]Reading{}, kept...), func(m Reading) bool { return name != "" && m.Name != name })
		slices.SortStableFunc(all, func(a, b Reading) int {
			switch {
			case a.Time > b.Time:
				return -1
			case a.Time < b.Time:
				return 1
			}
			return 0
		})
		f.messagePage(w, r, name, all)
	})
	return m
}

// messagePage has the reader's envelope, which names the filter.
func (f *Fake) messagePage(w http.ResponseWriter, r *http.Request, name string, all []Reading) {
	var in struct{ Offset, Limit int }
	in.Limit = 10
	for k, to := range map[string]*int{"offset": &in.Offset, "limit": &in.Limit} {
		if v := r.URL.Query().Get(k); v != "" && json.Unmarshal([]byte(v), to) != nil {
			refuse(w, http.StatusBadRequest, "invalid query parameters")
			return
		}
	}
	from := min(max(in.Offset, 0), len(all))
	body := map[string]any{
		"offset": in.Offset, "limit": in.Limit, "format": "messages", "total": len(all),
		"messages": all[from:min(from+max(in.Limit, 0), len(all))],
	}
	if name != "" {
		body["name"] = name
	}
	answer(w, http.StatusOK, body)
}

// mqttAdapter is what decides about MQTT.
type mqttAdapter Fake

// Authenticate lets everybody in; a wrong key shows at the first publish, as the
// real adapter ends such connections without a word. The principal is the key.
func (a *mqttAdapter) Authenticate(c mqtt.Connect) (string, bool) {
	f := (*Fake)(a)
	f.mu.Lock()
	defer f.mu.Unlock()
	if id, err := f.peers.Thing(string(c.Password)); err == nil && id == c.Username {
		return string(c.Password), true
	}
	return "nobody", true
}

func (a *mqttAdapter) Authorize(principal string, kind mqtt.Access, topic string) bool {
	if kind == mqtt.Write {
		return true // decided in Publish, which can end the session
	}
	f := (*Fake)(a)
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.peers.Access(principal, channelOf(topic))
	return err == nil
}

func channelOf(topic string) string {
	parts := strings.Split(topic, "/")
	if len(parts) < 3 || parts[0] != "channels" || parts[2] != "messages" {
		return ""
	}
	return parts[1]
}

func (a *mqttAdapter) Publish(m mqtt.Message, done func(mqtt.Outcome)) {
	f := (*Fake)(a)
	f.mu.Lock()
	at := channelOf(m.Topic)
	id, err := f.peers.Access(m.Principal, at)
	if err == nil {
		err = f.peers.Keep(Message{at, id, "mqtt", m.Payload})
	}
	f.mu.Unlock()
	if err == nil {
		done(mqtt.Relay)
	} else {
		done(mqtt.Abort)
	}
}
