package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

func TestLiveStreamTellsWhatIsStored(t *testing.T) {
	h := open(t, nil)
	c := h.client("gw")
	h.publish(c, http.StatusAccepted, `[{"n":"before","v":1}]`)
	live := h.live(c.channel, "Bearer "+testToken)
	defer live.Close()
	m := h.mustDial(c, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range 20 {
		at := begin.Add(time.Duration(i) * time.Second)
		if i%2 == 0 {
			h.publish(c, http.StatusAccepted, pack("t", at, float64(i)))
		} else if err := m.Publish(ctx, "channels/"+c.channel+"/messages/sub", 1, []byte(pack("t", at, float64(i)))); err != nil {
			t.Fatal(err)
		}
		p, err := senml.DecodeJSON([]byte(readEvent(t, live)), senml.Limits{})
		if err != nil || len(p) != 1 || p[0].Value != senml.Float(float64(i)) || p[0].Time != senml.Seconds(at) {
			t.Fatalf("event %d: %+v, %v", i, p, err)
		}
	}
	if n := h.total(c); n != 21 {
		t.Errorf("%d points, want 21", n)
	}
}

// A reader that does not read is cut off; the writer does not wait for it.
func TestSlowReaderIsCut(t *testing.T) {
	h := open(t, nil)
	c := h.client("gw")
	slow := h.Server.live.subscribe(c.channel, "")
	for i := range subscriberQueue + 10 {
		h.publish(c, http.StatusAccepted, fmt.Sprintf(`[{"n":"t","v":%d}]`, i))
	}
	n := 0
	for range slow.events {
		n++
	}
	if n != subscriberQueue {
		t.Errorf("%d events before the cut, want %d", n, subscriberQueue)
	}
	h.Server.live.unsubscribe(slow)
	if h.Server.live.size() != 0 {
		t.Error("the reader that was cut is still counted")
	}
}

func TestCommandsGoDownAndStatesComeBack(t *testing.T) {
	h := open(t, nil)
	c := h.client("gw")
	heard := make(chan string, 16)
	m := h.mustDial(c, func(topic string, payload []byte) { heard <- topic + " " + string(payload) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := m.Subscribe(ctx, commandTopic(c.channel), 1); err != nil {
		t.Fatal(err)
	}
	path := "/channels/" + c.channel + "/commands"
	var sent command
	h.want(http.StatusAccepted, "POST", path, `{"id":"c-1","device":"sensor-1","resource":"led","value":true,"ttl":"60s"}`).into(t, &sent)
	if sent.ID != "c-1" || sent.State != "PENDING" {
		t.Errorf("answer %+v", sent)
	}
	topic, payload, _ := strings.Cut(<-heard, " ")
	var got command
	if err := json.Unmarshal([]byte(payload), &got); err != nil || topic != commandTopic(c.channel) {
		t.Fatalf("%s %s: %v", topic, payload, err)
	}
	if got.ID != "c-1" || got.Device != "sensor-1" || got.Resource != "led" || string(got.Value) != "true" || got.TTL != "60s" || got.State != "" {
		t.Errorf("the gateway got %+v", got)
	}
	h.publish(c, http.StatusAccepted, `[{"n":"edge-1:command:c-1","t":-3600,"vs":"DELIVERED"}]`)
	// A clock that is behind, and a state that comes late, change nothing.
	h.publish(c, http.StatusAccepted, fmt.Sprintf(`[{"n":"edge-1:command:c-1","t":%d,"vs":"PENDING"}]`, time.Now().Unix()+60))
	var state command
	h.want(http.StatusOK, "GET", path+"/c-1", nil).into(t, &state)
	if state.State != "DELIVERED" {
		t.Errorf("state %q, want DELIVERED", state.State)
	}
	h.want(http.StatusAccepted, "POST", path, `{"id":"c-1","device":"sensor-1","resource":"led","value":true}`).into(t, &state)
	if state.State != "DELIVERED" {
		t.Errorf("sent again: state %q, want DELIVERED", state.State)
	}
	h.want(http.StatusAccepted, "POST", path, `{"device":"sensor-1","resource":"led","data":"AQID"}`).into(t, &sent)
	// The subscription may have brought c-1 a second time: at least once.
	next := <-heard
	for strings.Contains(next, `"c-1"`) {
		next = <-heard
	}
	if sent.ID == "" || !strings.Contains(next, sent.ID) || !strings.Contains(next, `"data":"AQID"`) {
		t.Errorf("without an id: answered %q, heard %s", sent.ID, next)
	}
	h.want(http.StatusNotFound, "GET", path+"/c-9", nil)
	if n := h.total(c); n != 0 {
		t.Errorf("states of commands became %d points", n)
	}
	if h.writer.series.size() != 0 {
		t.Error("states of commands became series")
	}
}

// A command waits for a gateway that is away, and expires when none comes.
func TestCommandsWaitForTheGateway(t *testing.T) {
	var ahead atomic.Int64
	h := open(t, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) } })
	c := h.client("gw")
	path := "/channels/" + c.channel + "/commands"
	for _, id := range []string{"c-1", "c-2", "c-3"} {
		h.want(http.StatusAccepted, "POST", path, `{"id":"`+id+`","device":"d","resource":"r","value":1}`)
	}
	h.publish(c, http.StatusAccepted, `[{"n":"edge-1:command:c-2","vs":"DELIVERED"}]`)
	heard := make(chan string, 16)
	m := h.mustDial(c, func(_ string, payload []byte) { heard <- string(payload) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := m.Subscribe(ctx, commandTopic(c.channel), 1); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"c-1", "c-3"} {
		if got := <-heard; !strings.Contains(got, `"`+id+`"`) {
			t.Errorf("heard %s, want %s", got, id)
		}
	}
	ahead.Store(int64(time.Hour))
	for id, want := range map[string]string{"c-1": "EXPIRED", "c-2": "DELIVERED"} {
		var state command
		h.want(http.StatusOK, "GET", path+"/"+id, nil).into(t, &state)
		if state.State != want {
			t.Errorf("%s: state %s, want %s", id, state.State, want)
		}
	}
}

func TestBadCommands(t *testing.T) {
	h := open(t, nil)
	c := h.client("gw")
	for body, want := range map[string]int{
		`{"resource":"led","value":1}`:                         422,
		`{"device":"d","value":1}`:                             422,
		`{"device":"d","resource":"r"}`:                        422,
		`{"device":"d","resource":"r","value":1,"data":"AA"}`:  422,
		`{"device":"d","resource":"r","value":{}}`:             422,
		`{"device":"d","resource":"r","value":null}`:           422,
		`{"device":"d","resource":"r","value":1,"id":"a b"}`:   422,
		`{"device":"d/#","resource":"r","value":1}`:            422,
		`{"device":"d","resource":"r","value":1,"extra":true}`: 400,
		`{"device":"d","resource":"r","value":1,"ttl":"1ms"}`:  422,
		`{"device":"d","resource":"r","value":1,"ttl":"x"}`:    422,
		`[]`: 400,
	} {
		if r := h.call("POST", "/channels/"+c.channel+"/commands", c.key, body); r.status != want {
			t.Errorf("%s: status %d, want %d: %s", body, r.status, want, r.body)
		}
	}
}

func TestMetricsAndHealth(t *testing.T) {
	h := open(t, nil)
	c := h.client("gw")
	h.publish(c, http.StatusAccepted, `[{"n":"a","v":1},{"n":"b","v":1}]`)
	h.publish(c, http.StatusBadRequest, `x`)
	text := string(h.call("GET", "/metrics", "", nil).body)
	for _, want := range []string{
		`lite_server_messages_received_total{protocol="http"} 2`, `lite_server_messages_refused_total{protocol="http",reason="format"} 1`,
		"lite_server_points_stored_total 2", "lite_server_things 1", "lite_server_channels 1", "lite_server_links 1", "lite_server_series 2",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(text, c.key) {
		t.Error("metrics tell a key")
	}
	if r := h.call("GET", "/healthz", "", nil); r.status != http.StatusOK || string(r.body) != `{"status":"ok"}` {
		t.Errorf("health: %d %s", r.status, r.body)
	}
}
