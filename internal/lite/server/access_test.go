package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/mqtt"
)

func TestCredentialForms(t *testing.T) {
	h := open(t, nil)
	c := h.client("gw")
	r, err := http.NewRequest(http.MethodPost, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(c.id, c.key)
	basic := r.Header.Get("Authorization")
	r.SetBasicAuth(c.id, "wrong")
	for header, want := range map[string]int{
		c.key: 202, "Thing " + c.key: 202, "Bearer " + c.key: 202, "thing " + c.key: 202, basic: 202,
		"": 401, "wrong": 401, "Thing wrong": 401, "Bearer": 401, r.Header.Get("Authorization"): 401,
		"Bearer " + testToken: 403, c.id: 401,
	} {
		got := h.call("POST", "/channels/"+c.channel+"/messages", header, `[{"n":"t","v":1}]`)
		if got.status != want {
			t.Errorf("%q: status %d, want %d: %s", header, got.status, want, got.body)
		}
	}
}

// No client reaches another's channel, by any way in.
func TestChannelsAreApart(t *testing.T) {
	h := open(t, nil)
	a, b := h.client("a"), h.client("b")
	for _, r := range []reply{
		h.call("POST", "/channels/"+b.channel+"/messages", a.key, `[{"n":"t","v":1}]`),
		h.call("GET", "/channels/"+b.channel+"/messages", a.key, nil),
		h.call("GET", "/channels/"+b.channel+"/stream", a.key, nil),
		h.call("POST", "/channels/"+b.channel+"/commands", a.key, `{"device":"d","resource":"r","value":1}`),
		h.call("GET", "/channels/"+b.channel+"/commands/c", a.key, nil),
		h.call("GET", "/channels/no-such-channel/messages", a.key, nil),
	} {
		if r.status != http.StatusForbidden {
			t.Errorf("status %d, want 403: %s", r.status, r.body)
		}
	}
	heard := make(chan string, 16)
	m := h.mustDial(a, func(topic string, _ []byte) { heard <- topic })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, filter := range []string{
		"channels/" + b.channel + "/messages", "channels/" + b.channel + "/#", "channels/+/messages", "channels/#", "#", "+/" + b.channel + "/messages",
		"$share/g/channels/" + b.channel + "/messages", "channels//messages", "$SYS/#", "channels/" + a.channel,
	} {
		if err := m.Subscribe(ctx, filter, 1); !errors.Is(err, mqtt.ErrRefused) {
			t.Errorf("subscribe to %s: %v, want refused", filter, err)
		}
	}
	if err := m.Subscribe(ctx, "channels/"+a.channel+"/#", 1); err != nil {
		t.Error(err)
	}
	h.publish(b, http.StatusAccepted, `[{"n":"t","v":1}]`)
	if err := m.Publish(ctx, "channels/"+a.channel+"/messages", 1, []byte(`[{"n":"t","v":1}]`)); err != nil {
		t.Fatal(err)
	}
	if topic := <-heard; topic != "channels/"+a.channel+"/messages" {
		t.Errorf("heard %s", topic)
	}
	for _, topic := range []string{"channels/" + b.channel + "/messages", "channels/" + a.channel + "/commands"} {
		m := h.mustDial(a, nil)
		if err := m.Publish(ctx, topic, 1, []byte(`[{"n":"t","v":1}]`)); err == nil {
			t.Errorf("published to %s", topic)
		}
		gone(t, m)
	}
	if n := h.total(b); n != 1 {
		t.Errorf("%d points in the other channel, want its own 1", n)
	}
	stranger := a
	stranger.key = b.key
	if _, err := h.dial(stranger, nil); !errors.Is(err, mqtt.ErrRefused) {
		t.Errorf("another's key: %v, want refused", err)
	}
}

// Each way to take rights away ends MQTT and live sessions at once.
func TestRevocationCuts(t *testing.T) {
	for name, revoke := range map[string]func(*house, client){
		"rotate": func(h *house, c client) { h.want(http.StatusOK, "PATCH", "/things/"+c.id+"/key", nil) },
		"delete": func(h *house, c client) { h.want(http.StatusNoContent, "DELETE", "/things/"+c.id, nil) },
		"unlink": func(h *house, c client) {
			h.want(http.StatusNoContent, "DELETE", "/channels/"+c.channel+"/things/"+c.id, nil)
		},
		"drop channel": func(h *house, c client) { h.want(http.StatusNoContent, "DELETE", "/channels/"+c.channel, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, nil)
			c, bystander := h.client("gw"), h.client("other")
			m, live := h.mustDial(c, nil), h.live(c.channel, c.key)
			otherM, otherLive := h.mustDial(bystander, nil), h.live(bystander.channel, bystander.key)
			defer otherLive.Close()
			defer live.Close()
			revoke(h, c)
			gone(t, m)
			if _, err := io.Copy(io.Discard, live); err != nil {
				t.Errorf("live stream: %v", err)
			}
			if r := h.call("POST", "/channels/"+c.channel+"/messages", c.key, `[{"n":"t","v":1}]`); r.status != 401 && r.status != 403 {
				t.Errorf("publish after: status %d", r.status)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if m, err := h.dial(c, nil); err == nil {
				if m.Publish(ctx, "channels/"+c.channel+"/messages", 1, []byte(`[{"n":"t","v":1}]`)) == nil {
					t.Error("published over MQTT after")
				}
			}
			if err := otherM.Publish(ctx, "channels/"+bystander.channel+"/messages", 1, []byte(`[{"n":"t","v":1}]`)); err != nil {
				t.Errorf("a bystander was cut: %v", err)
			}
			if data := readEvent(t, otherLive); !strings.Contains(data, `"n":"t"`) {
				t.Errorf("bystander's stream: %q", data)
			}
		})
	}
}

// live opens a live stream and reads its first event.
func (h *house) live(channel, key string) *liveReader {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+h.API().String()+"/channels/"+channel+"/stream", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", key)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		h.t.Fatalf("stream: %d %s", response.StatusCode, response.Header.Get("Content-Type"))
	}
	l := &liveReader{Reader: bufio.NewReader(response.Body), Closer: response.Body}
	readEvent(h.t, l)
	return l
}

type liveReader struct {
	*bufio.Reader
	io.Closer
}

// readEvent answers the data of the next event.
func readEvent(t *testing.T, l *liveReader) string {
	t.Helper()
	for {
		line, err := l.ReadString('\n')
		if err != nil {
			t.Fatalf("stream: %v", err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			return strings.TrimSpace(data)
		}
	}
}
