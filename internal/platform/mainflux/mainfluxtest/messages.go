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

// message is one reading as the reader answers it.
type message struct {
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

// holder answers the thing that has a key and a link to the channel.
func (f *Fake) holder(key, channel string) *thing {
	for _, t := range f.things {
		if t.Key == key && key != "" && f.links[linked(channel, t.ID)] {
			return t
		}
	}
	return nil
}

// store is the writer: it drops what is no SenML, without telling the sender.
func (f *Fake) store(channel, publisher, protocol string, payload []byte) {
	pack, err := senml.DecodeJSON(payload, senml.Limits{})
	if err != nil {
		return
	}
	if pack, err = senml.Resolve(pack, time.Now()); err != nil {
		return
	}
	for _, r := range pack {
		m := message{Channel: channel, Publisher: publisher, Protocol: protocol, Name: r.Name, Unit: r.Unit, Time: r.Time}
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
		f.messages = append(f.messages, m)
	}
}

func (f *Fake) httpAPI() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /version", version("http"))
	m.HandleFunc("POST /channels/{id}/messages", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		f.mu.Lock()
		defer f.mu.Unlock()
		t := f.holder(r.Header.Get("Authorization"), r.PathValue("id"))
		if t == nil || err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		f.store(r.PathValue("id"), t.ID, "http", body)
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
		if f.holder(r.Header.Get("Authorization"), r.PathValue("id")) == nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		name := r.URL.Query().Get("name")
		all := []message{}
		for _, m := range f.messages {
			if m.Channel == r.PathValue("id") && (name == "" || m.Name == name) {
				all = append(all, m)
			}
		}
		slices.SortStableFunc(all, func(a, b message) int {
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
func (f *Fake) messagePage(w http.ResponseWriter, r *http.Request, name string, all []message) {
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
// real adapter ends such connections without a word.
func (a *mqttAdapter) Authenticate(c mqtt.Connect) (string, bool) {
	f := (*Fake)(a)
	f.mu.Lock()
	defer f.mu.Unlock()
	if t := f.things[c.Username]; t != nil && t.Key == string(c.Password) {
		return t.ID, true
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
	return f.links[linked(channelOf(topic), principal)]
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
	ok := at != "" && f.links[linked(at, m.Principal)]
	if ok {
		f.store(at, m.Principal, "mqtt", m.Payload)
	}
	f.mu.Unlock()
	if ok {
		done(mqtt.Relay)
	} else {
		done(mqtt.Abort)
	}
}
