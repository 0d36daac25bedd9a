package server

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/senml"
)

// FuzzPostMessage sends anything to the HTTP ingest: the answer is one of those
// documented, and what was taken can be read back.
func FuzzPostMessage(f *testing.F) {
	s := startServer(f, func(o *Options) { o.MaxMessage, o.MaxSeries = 8<<10, 1<<30 })
	f.Cleanup(func() { stopServer(f, s) })
	gateway, err := s.newThing(f.Context(), thing{Name: "gw"})
	if err != nil {
		f.Fatal(err)
	}
	ch, err := s.newChannel(f.Context(), channel{Name: "gw"})
	if err != nil {
		f.Fatal(err)
	}
	if err := s.connect(f.Context(), ch.ID, gateway.ID); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`[{"n":"t","v":1}]`), senml.MediaTypeJSON, "", "")
	f.Add([]byte(`[{"bn":"d:","bt":1795293834,"bu":"Cel","n":"t","v":21.5},{"n":"h","vs":"x"}]`), "", "room/1", "edge-1.0123456789abcdef.1.2")
	f.Add([]byte{0x81, 0xa2, 0, 0x61, 't', 2, 1}, senml.MediaTypeCBOR, "", "")
	f.Add([]byte(`[{"n":"edge-1:command:c-1","vs":"DELIVERED"}]`), "application/json", "..", "e.0123456789abcdef.1.1")
	routes := s.routes()
	f.Fuzz(func(t *testing.T, body []byte, contentType, subtopic, sequence string) {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.URL.Path = "/channels/" + ch.ID + "/messages"
		if subtopic != "" {
			r.URL.Path += "/" + subtopic
		}
		r.Header.Set("Authorization", gateway.Key)
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("X-Gateway-Sequence", sequence)
		w := httptest.NewRecorder()
		routes.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusAccepted, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
			http.StatusUnprocessableEntity, http.StatusTemporaryRedirect, http.StatusMovedPermanently, http.StatusNotFound, http.StatusMethodNotAllowed:
		default:
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		if w.Code != http.StatusAccepted || subtopic != "" {
			return
		}
		read := httptest.NewRequest(http.MethodGet, "/channels/"+ch.ID+"/messages?limit=1&count=false", nil)
		read.Header.Set("Authorization", gateway.Key)
		w = httptest.NewRecorder()
		routes.ServeHTTP(w, read)
		if w.Code != http.StatusOK {
			t.Fatalf("reading back: status %d: %s", w.Code, w.Body)
		}
	})
}

// FuzzTopic tries topics and filters: none reaches another channel.
func FuzzTopic(f *testing.F) {
	s := &Server{registry: newRegistry()}
	s.registry.putChannel(channel{ID: "mine"})
	s.registry.putChannel(channel{ID: "theirs"})
	s.registry.putThing(thing{ID: "me", Key: "my-key-0123456789"})
	s.registry.link("mine", "me")
	for _, topic := range []string{
		"channels/mine/messages", "channels/mine/messages/e.0123456789abcdef.1.2", "channels/theirs/messages", "channels/+/messages", "channels/#", "#",
		"channels/mine/../theirs/messages", "channels/mine/#", "channels//mine/messages", "$share/x/channels/theirs/#",
	} {
		f.Add(topic, true)
		f.Add(topic, false)
	}
	f.Fuzz(func(t *testing.T, topic string, write bool) {
		access := mqtt.Read
		if write {
			access = mqtt.Write
		}
		if sessions := (sessions{s}); sessions.Authorize("me", access, topic) {
			levels := strings.Split(topic, "/")
			if len(levels) < 3 || levels[0] != "channels" || levels[1] != "mine" {
				t.Fatalf("%q is allowed", topic)
			}
			if write && levels[2] != "messages" {
				t.Fatalf("publishing to %q is allowed", topic)
			}
		}
		if (sessions{s}).Authorize("nobody", access, topic) {
			t.Fatalf("a stranger may use %q", topic)
		}
		if subtopic, b := splitBatch(topic); b.count > 0 && (b.stream == "" || b.first == 0 || b.last() < b.first || len(subtopic) >= len(topic)) {
			t.Fatalf("%q: batch %+v, subtopic %q", topic, b, subtopic)
		}
	})
}
