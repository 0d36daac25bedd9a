package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestThingsInTheShapeOfMainflux(t *testing.T) {
	h := open(t, nil)
	r := h.want(http.StatusCreated, "POST", "/things", `{"name":"slice1-gw","metadata":{"slice":"slice1"}}`)
	at := r.header.Get("Location")
	if len(r.body) != 0 || !strings.HasPrefix(at, "/things/") {
		t.Fatalf("201 with body %q, Location %q; want none, /things/…", r.body, at)
	}
	var got thing
	h.want(http.StatusOK, "GET", at, nil).into(t, &got)
	if got.Name != "slice1-gw" || "/things/"+got.ID != at || len(got.Key) < minKey || string(got.Metadata) != `{"slice":"slice1"}` {
		t.Errorf("got %+v", got)
	}
	if r := h.want(http.StatusConflict, "POST", "/things", `{"name":"slice1-gw"}`); r.header.Get("Location") != at {
		t.Errorf("conflict points at %q, want %q", r.header.Get("Location"), at)
	}
	h.want(http.StatusOK, "PUT", at, `{"name":"other","metadata":null}`)
	h.want(http.StatusCreated, "POST", "/things", `{"name":"slice1-gw"}`)
	h.want(http.StatusNoContent, "DELETE", at, nil)
	h.want(http.StatusNoContent, "DELETE", at, nil)
	h.want(http.StatusNotFound, "GET", at, nil)
	h.want(http.StatusNotFound, "PUT", at, `{"name":"x"}`)
	h.want(http.StatusNotFound, "PATCH", at+"/key", nil)
}

func TestSearchPutsTheEqualNameFirst(t *testing.T) {
	h := open(t, nil)
	for i := range 30 {
		h.want(http.StatusCreated, "POST", "/channels", fmt.Sprintf(`{"name":"gw-%d"}`, i))
	}
	var list struct {
		Total    int
		Channels []channel
	}
	for i := range 30 {
		name := fmt.Sprintf("gw-%d", i)
		h.want(http.StatusOK, "GET", "/channels?limit=1&name="+name, nil).into(t, &list)
		if len(list.Channels) != 1 || list.Channels[0].Name != name {
			t.Errorf("search for %s: %+v", name, list.Channels)
		}
	}
	h.want(http.StatusOK, "GET", "/channels?name=gw-1&limit=100&offset=5", nil).into(t, &list)
	if list.Total != 11 || len(list.Channels) != 6 {
		t.Errorf("gw-1 from 5: %d of %d", len(list.Channels), list.Total)
	}
}

func TestLinks(t *testing.T) {
	h := open(t, nil)
	c := h.client("gw")
	h.want(http.StatusOK, "PUT", "/channels/"+c.channel+"/things/"+c.id, nil)
	h.want(http.StatusNotFound, "PUT", "/channels/"+c.channel+"/things/nobody", nil)
	h.want(http.StatusNotFound, "PUT", "/channels/nowhere/things/"+c.id, nil)
	var list struct {
		Total  int
		Things []thing
	}
	h.want(http.StatusOK, "GET", "/channels/"+c.channel+"/things", nil).into(t, &list)
	if list.Total != 1 || list.Things[0].ID != c.id {
		t.Errorf("things of the channel: %+v", list)
	}
	h.want(http.StatusNoContent, "DELETE", "/channels/"+c.channel+"/things/"+c.id, nil)
	h.want(http.StatusNoContent, "DELETE", "/channels/"+c.channel+"/things/"+c.id, nil)
	h.publish(c, http.StatusForbidden, `[{"n":"t","v":1}]`)
	h.want(http.StatusOK, "POST", "/connect", map[string][]string{"channel_ids": {c.channel}, "thing_ids": {c.id}})
	h.publish(c, http.StatusAccepted, `[{"n":"t","v":1}]`)
}

func TestDirectorySurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, func(o *Options) { o.Data = dir })
	h := &house{s, t}
	c, gone := h.client("gw"), h.client("gone")
	h.want(http.StatusNoContent, "DELETE", "/things/"+gone.id, nil)
	h.publish(c, http.StatusAccepted, `[{"n":"t","v":1}]`)
	stopServer(t, s)
	h = open(t, func(o *Options) { o.Data = dir })
	if n := h.total(c); n != 1 {
		t.Errorf("%d points after a restart, want 1", n)
	}
	h.publish(c, http.StatusAccepted, `[{"n":"t","v":2}]`)
	h.publish(gone, http.StatusUnauthorized, `[{"n":"t","v":2}]`)
	if n := h.total(c); n != 2 {
		t.Errorf("%d points, want 2", n)
	}
}

func TestBadInputOfTheDirectory(t *testing.T) {
	h := open(t, nil)
	for _, c := range []struct {
		status             int
		method, path, body string
	}{
		{400, "POST", "/things", `{"nam":"x"}`},
		{400, "POST", "/things", `{"name":"x"} {}`},
		{400, "POST", "/things", `{"name":1}`},
		{400, "POST", "/things", ``},
		{422, "POST", "/things", `{"key":"short"}`},
		{422, "POST", "/things", `{"key":"sixteen characters with spaces"}`},
		{422, "POST", "/things", `{"metadata":[1]}`},
		{422, "POST", "/things", `{"name":"` + strings.Repeat("x", maxName+1) + `"}`},
		{413, "POST", "/things", `{"name":"` + strings.Repeat("x", maxBody) + `"}`},
		{400, "GET", "/things?limit=0", ``},
		{400, "GET", "/things?limit=1001", ``},
		{400, "GET", "/things?offset=-1", ``},
		{422, "POST", "/connect", `{"channel_ids":[],"thing_ids":[]}`},
		{405, "DELETE", "/things", ``},
		{404, "GET", "/nothing", ``},
	} {
		if r := h.call(c.method, c.path, "Bearer "+testToken, c.body); r.status != c.status {
			t.Errorf("%s %s %.40s: status %d, want %d: %s", c.method, c.path, c.body, r.status, c.status, r.body)
		}
	}
}

func TestOnlyTheAdministratorAdministers(t *testing.T) {
	h := open(t, nil)
	c := h.client("gw")
	for _, key := range []string{"", "wrong", "Bearer wrong", c.key} {
		want := http.StatusUnauthorized
		if key == c.key {
			want = http.StatusForbidden
		}
		for _, path := range []string{"/things", "/channels", "/things/" + c.id} {
			if r := h.call("GET", path, key, nil); r.status != want {
				t.Errorf("GET %s as %q: status %d, want %d", path, key, r.status, want)
			}
		}
	}
}
