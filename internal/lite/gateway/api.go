package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Bounds of the REST API.
const (
	maxBody     = 16 << 20
	maxBatch    = 10_000
	maxPageSize = 1000
)

// apiHandler serves the REST API.
func (g *Gateway) apiHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", g.getHealth)
	mux.HandleFunc("GET /metrics", g.getMetrics)
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET /stats":             g.getStats,
		"PUT /devices":           g.putDevices,
		"GET /devices":           g.listDevices,
		"POST /devices/delete":   g.deleteDevices,
		"GET /devices/{name}":    g.getDevice,
		"PUT /devices/{name}":    g.putDevice,
		"DELETE /devices/{name}": g.deleteDevice,
		"GET /uplink":            g.getUplink,
		"PUT /uplink":            g.putUplink,
		"DELETE /uplink":         g.deleteUplink,
		"POST /commands":         g.postCommand,
		"GET /commands/{id}":     g.getCommand,
		"GET /state":             g.getState,
		"PUT /state":             g.putState,
		"PUT /freeze":            g.putFreeze,
		"DELETE /freeze":         g.deleteFreeze,
	} {
		mux.HandleFunc(pattern, g.asAdmin(handler))
	}
	return mux
}

// asAdmin lets requests with the admin token pass.
func (g *Gateway) asAdmin(next http.HandlerFunc) http.HandlerFunc {
	want := sha256.Sum256([]byte(g.config.Token))
	return func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="gateway"`)
			answerError(w, http.StatusUnauthorized, errors.New("authorization: given wrong or no token, allowed: Bearer <admin token>"))
			return
		}
		next(w, r)
	}
}

// readBody reads a JSON body into v, or answers why not.
func readBody(w http.ResponseWriter, r *http.Request, v any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(v)
	if err == nil {
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			answerError(w, http.StatusBadRequest, bad("body", "more than one JSON value", "one"))
			return false
		}
		return true
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		answerError(w, http.StatusRequestEntityTooLarge, bad("body", "a larger one", fmt.Sprintf("at most %d bytes", maxBody)))
		return false
	}
	answerError(w, http.StatusBadRequest, fmt.Errorf("body: %w", err))
	return false
}

// fail answers an error of the gateway itself.
func (g *Gateway) fail(w http.ResponseWriter, err error) {
	g.log.Error("request failed", "error", err)
	answerError(w, http.StatusInternalServerError, err)
}

// putAll upserts devices and cuts the sessions of those whose credentials or
// protocol changed.
func (g *Gateway) putAll(devices []Device) ([]outcome, error) {
	results, updates, err := g.registry.put(devices)
	if err != nil {
		return nil, err
	}
	for _, u := range updates {
		if u.old == nil {
			continue
		}
		g.engine.retire(u.old, u.now)
		if u.old.Secret != u.now.Secret || u.old.Protocol != u.now.Protocol {
			g.cut(u.old)
		}
	}
	return results, nil
}

// cut ends the sessions of a device.
func (g *Gateway) cut(d *device) {
	switch broker := g.mqtt.Load(); d.Protocol {
	case protocolMQTT:
		if broker != nil {
			broker.Disconnect(d.Name)
		}
	case protocolCoAP:
		g.coap.cut(d.Name)
	}
	g.poll.wake(d.Name)
}

// removeAll removes devices; their sessions are over when it returns.
func (g *Gateway) removeAll(names []string) ([]outcome, error) {
	results, gone, err := g.registry.remove(names)
	if err != nil {
		return nil, err
	}
	for _, d := range gone {
		g.engine.retire(d, nil)
		g.cut(d)
		for _, c := range g.registry.pending(d.Name) {
			g.finish(d.Name, c.ID, stateFailed, "the device was removed")
		}
	}
	return results, nil
}

func (g *Gateway) putDevices(w http.ResponseWriter, r *http.Request) {
	var devices []Device
	if !readBody(w, r, &devices) {
		return
	}
	if len(devices) > maxBatch {
		answerError(w, http.StatusRequestEntityTooLarge, bad("body", len(devices), fmt.Sprintf("at most %d devices", maxBatch)))
		return
	}
	results, err := g.putAll(devices)
	if err != nil {
		g.fail(w, err)
		return
	}
	answer(w, http.StatusOK, results)
}

func (g *Gateway) listDevices(w http.ResponseWriter, r *http.Request) {
	limit := 100
	if s := r.URL.Query().Get("limit"); s != "" {
		var err error
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > maxPageSize {
			answerError(w, http.StatusBadRequest, bad("limit", s, fmt.Sprintf("1 to %d", maxPageSize)))
			return
		}
	}
	page, next := g.registry.list(r.URL.Query().Get("after"), limit)
	answer(w, http.StatusOK, map[string]any{"devices": page, "next": next})
}

func (g *Gateway) deleteDevices(w http.ResponseWriter, r *http.Request) {
	var names []string
	if !readBody(w, r, &names) {
		return
	}
	if len(names) > maxBatch {
		answerError(w, http.StatusRequestEntityTooLarge, bad("body", len(names), fmt.Sprintf("at most %d names", maxBatch)))
		return
	}
	results, err := g.removeAll(names)
	if err != nil {
		g.fail(w, err)
		return
	}
	answer(w, http.StatusOK, results)
}

func (g *Gateway) getDevice(w http.ResponseWriter, r *http.Request) {
	d := g.registry.lookup(r.PathValue("name"))
	if d == nil {
		answerError(w, http.StatusNotFound, bad("name", r.PathValue("name"), "a registered device"))
		return
	}
	answer(w, http.StatusOK, d.shown())
}

func (g *Gateway) putDevice(w http.ResponseWriter, r *http.Request) {
	var d Device
	if !readBody(w, r, &d) {
		return
	}
	name := r.PathValue("name")
	if d.Name == "" {
		d.Name = name
	}
	if d.Name != name {
		answerError(w, http.StatusBadRequest, bad("name", d.Name, "the name in the path"))
		return
	}
	results, err := g.putAll([]Device{d})
	switch {
	case err != nil:
		g.fail(w, err)
	case results[0].Error != "":
		answerError(w, results[0].Status, errors.New(results[0].Error))
	default:
		answer(w, results[0].Status, g.registry.lookup(name).shown())
	}
}

func (g *Gateway) deleteDevice(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	results, err := g.removeAll([]string{name})
	switch {
	case err != nil:
		g.fail(w, err)
	case results[0].Status == http.StatusNotFound:
		answerError(w, http.StatusNotFound, bad("name", name, "a registered device"))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// shownUplink is the uplink as the API answers it.
func (g *Gateway) shownUplink(u Uplink) Uplink {
	u.Password = ""
	u.State, u.Error = g.uplink.status()
	return u
}

func (g *Gateway) getUplink(w http.ResponseWriter, _ *http.Request) {
	u := g.registry.getUplink()
	if u == nil {
		answerError(w, http.StatusNotFound, errors.New("uplink: none is set"))
		return
	}
	answer(w, http.StatusOK, g.shownUplink(*u))
}

func (g *Gateway) putUplink(w http.ResponseWriter, r *http.Request) {
	var u Uplink
	if !readBody(w, r, &u) {
		return
	}
	if err := u.validate(); err != nil {
		answerError(w, http.StatusBadRequest, err)
		return
	}
	if old := g.registry.getUplink(); old == nil || *old != u {
		if err := g.registry.setUplink(&u); err != nil {
			g.fail(w, err)
			return
		}
		g.uplink.set(&u)
	}
	answer(w, http.StatusOK, g.shownUplink(u))
}

func (g *Gateway) deleteUplink(w http.ResponseWriter, _ *http.Request) {
	if err := g.registry.setUplink(nil); err != nil {
		g.fail(w, err)
		return
	}
	g.uplink.set(nil)
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gateway) postCommand(w http.ResponseWriter, r *http.Request) {
	var c Command
	if !readBody(w, r, &c) {
		return
	}
	out, known, err := g.command(c)
	var wrong *invalid
	switch {
	case errors.Is(err, errCommandConflict):
		answerError(w, http.StatusConflict, err)
	case errors.Is(err, errTooManyCommands):
		w.Header().Set("Retry-After", "10")
		answerError(w, http.StatusServiceUnavailable, err)
	case errors.As(err, &wrong):
		answerError(w, http.StatusBadRequest, err)
	case err != nil:
		g.fail(w, err)
	case known:
		answer(w, http.StatusOK, out)
	default:
		answer(w, http.StatusAccepted, out)
	}
}

func (g *Gateway) getCommand(w http.ResponseWriter, r *http.Request) {
	c, ok := g.registry.command(r.PathValue("id"))
	if !ok {
		answerError(w, http.StatusNotFound, bad("id", r.PathValue("id"), "a known command"))
		return
	}
	answer(w, http.StatusOK, c)
}

func (g *Gateway) putFreeze(w http.ResponseWriter, _ *http.Request) {
	g.engine.setFrozen(true)
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gateway) deleteFreeze(w http.ResponseWriter, _ *http.Request) {
	g.engine.setFrozen(false)
	w.WriteHeader(http.StatusNoContent)
}
