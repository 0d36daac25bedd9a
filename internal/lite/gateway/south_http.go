package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// recordList is the normalised readings of one message.
type recordList = []senml.Record

// normalise reads a device's message by the gateway's clock and limits.
func (g *Gateway) normalise(d *device, resource string, f format, payload []byte) (recordList, tally, error) {
	return normalise(d, resource, f, payload, time.Now(), g.config.MaxPast, g.config.MaxFuture)
}

// take makes the readings of one message durable and waits for it. A device
// that was replaced meanwhile is judged by its new description.
func (g *Gateway) take(d *device, protocol string, recs recordList, before *tally) (receipt, error) {
	type result struct {
		receipt receipt
		err     error
	}
	ch := make(chan result, 1)
	done := func(r receipt, err error) { ch <- result{r, err} }
	err := g.engine.accept(d, protocol, recs, before, done)
	if errors.Is(err, errGone) {
		if d = g.registry.lookup(d.Name); d == nil {
			return receipt{}, errGone
		}
		err = g.engine.accept(d, protocol, recs, before, done)
	}
	if err != nil {
		return receipt{}, err
	}
	r := <-ch
	if r.err != nil {
		return r.receipt, errStorage
	}
	return r.receipt, nil
}

// ingestHandler serves devices that speak HTTP.
func (g *Gateway) ingestHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ingest/{device}", g.withDevice(g.ingest))
	mux.HandleFunc("POST /ingest/{device}/{resource}", g.withDevice(g.ingest))
	mux.HandleFunc("GET /ingest/{device}/commands", g.withDevice(g.fetchCommands))
	mux.HandleFunc("DELETE /ingest/{device}/commands/{id}", g.withDevice(g.ackCommand))
	return mux
}

// withDevice lets a request pass that carries the secret of the device in its
// path.
func (g *Gateway) withDevice(next func(http.ResponseWriter, *http.Request, *device)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		d := g.registry.authenticate(r.PathValue("device"), secret, protocolHTTP)
		if d == nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="devices"`)
			answerError(w, http.StatusUnauthorized, errors.New("authorization: given wrong or no credentials, allowed: the secret of the device"))
			return
		}
		next(w, r, d)
	}
}

// ingest takes one message.
func (g *Gateway) ingest(w http.ResponseWriter, r *http.Request, d *device) {
	resource := r.PathValue("resource")
	if resource == "senml" {
		resource = ""
	}
	f, err := formatOf(r.Header.Get("Content-Type"), resource)
	if err != nil {
		g.engine.count(tally{refusedMediaType: 1})
		answerError(w, http.StatusUnsupportedMediaType, err)
		return
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(g.config.MaxPayload)))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			g.engine.count(tally{refusedTooLarge: 1})
			answerError(w, http.StatusRequestEntityTooLarge, bad("payload", "a larger one", "at most the configured size"))
		}
		return // else the connection broke
	}
	recs, before, err := g.normalise(d, resource, f, payload)
	if err != nil {
		g.refuse(w, err)
		return
	}
	receipt, err := g.take(d, protocolHTTP, recs, &before)
	switch {
	case errors.Is(err, errGone):
		answerError(w, http.StatusUnauthorized, errGone)
	case err != nil:
		g.engine.noteUnavailable()
		w.Header().Set("Retry-After", "1")
		answerError(w, http.StatusServiceUnavailable, err)
	case receipt.Accepted+receipt.Filtered+receipt.Aggregated == 0:
		answer(w, http.StatusUnprocessableEntity, receipt)
	default:
		answer(w, http.StatusAccepted, receipt)
	}
}

// refuse answers a payload that cannot be read.
func (g *Gateway) refuse(w http.ResponseWriter, err error) {
	var e *senml.Error
	if errors.As(err, &e) && e.TooBig {
		g.engine.count(tally{refusedTooLarge: 1})
		answerError(w, http.StatusRequestEntityTooLarge, err)
		return
	}
	g.engine.count(tally{refusedMalformed: 1})
	answerError(w, http.StatusBadRequest, err)
}

// fetchCommands is the long poll of a device for its commands.
func (g *Gateway) fetchCommands(w http.ResponseWriter, r *http.Request, d *device) {
	wait := 30 * time.Second
	if s := r.URL.Query().Get("wait"); s != "" {
		v, err := time.ParseDuration(s)
		if err != nil || v < 0 || v > time.Minute {
			answerError(w, http.StatusBadRequest, bad("wait", s, "0s to 60s"))
			return
		}
		wait = v
	}
	if ack := r.URL.Query().Get("ack"); ack != "" {
		for _, id := range strings.SplitN(ack, ",", 1000) {
			g.finish(d.Name, id, stateDelivered, "")
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	for {
		next := g.poll.on(d.Name)
		if g.registry.lookup(d.Name) == nil {
			answerError(w, http.StatusUnauthorized, errGone)
			return
		}
		if pending := g.registry.pending(d.Name); len(pending) > 0 {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(downloads(pending))
			return
		}
		select {
		case <-next:
		case <-g.poll.closed:
			w.WriteHeader(http.StatusNoContent)
			return
		case <-ctx.Done():
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
}

// ackCommand ends one command the device has got.
func (g *Gateway) ackCommand(w http.ResponseWriter, r *http.Request, d *device) {
	g.finish(d.Name, r.PathValue("id"), stateDelivered, "")
	w.WriteHeader(http.StatusNoContent)
}

// answer writes a JSON answer.
func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// answerError writes an error as the API documents it.
func answerError(w http.ResponseWriter, status int, err error) {
	answer(w, status, map[string]string{"error": err.Error()})
}
