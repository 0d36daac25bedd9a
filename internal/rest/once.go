package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

var idempotencyKey = regexp.MustCompile(`^[\x21-\x7e]{1,255}$`)

// kept are the headers that belong to a kept answer.
var kept = []string{"Content-Type", "Location", "Etag", "Link", "Retry-After"}

// once carries a request with an Idempotency-Key out at most once, as far as its
// answer is known: answers below 500 are kept and given again, others leave the
// key free to be tried again.
func (a *api) once(w http.ResponseWriter, r *http.Request, c *call, key string, next http.Handler) {
	if a.deps.Idempotency == nil || !idempotencyKey.MatchString(key) || len(r.Header.Values("Idempotency-Key")) > 1 {
		a.serveError(w, r, fault.New(fault.Malformed, "the Idempotency-Key is not valid").
			With("Idempotency-Key", key, "one value of 1 to 255 printable ASCII characters without spaces"))
		return
	}
	scope := c.actor.Key
	before, err := a.deps.Idempotency.Claim(r.Context(), scope, key, requestHash(r, c.body), a.deps.Patience)
	switch {
	case err != nil:
		a.serveError(w, r, err)
		return
	case before != nil:
		a.replay(w, r, before)
		return
	}
	// The outcome is kept even when the client has gone meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 10*time.Second)
	defer cancel()
	rec := &recorder{ResponseWriter: w}
	defer func() {
		if rec.status == 0 || rec.status >= http.StatusInternalServerError || rec.status == http.StatusTooManyRequests {
			err = a.deps.Idempotency.Drop(ctx, scope, key)
		} else {
			err = a.deps.Idempotency.Finish(ctx, scope, key, rec.answer(c))
		}
		if err != nil {
			a.log.WarnContext(ctx, "an answer could not be kept", "requestId", c.id, "error", err)
		}
		rec.flush()
	}()
	next.ServeHTTP(rec, r)
}

// requestHash tells requests apart: method, path, query, the headers that change
// what is done, and body.
func requestHash(r *http.Request, body []byte) string {
	h := sha256.New()
	for _, s := range []string{r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("If-Match"), r.Header.Get("X-Tenant")} {
		_, _ = io.WriteString(h, strconv.Itoa(len(s))+":"+s) // a hash never fails
	}
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

func (a *api) replay(w http.ResponseWriter, r *http.Request, k *Answer) {
	var headers map[string]string
	if err := json.Unmarshal([]byte(k.Header), &headers); err != nil {
		a.serveError(w, r, err)
		return
	}
	for name, v := range headers {
		w.Header().Set(name, v)
	}
	if len(k.Body) > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(len(k.Body)))
	}
	w.WriteHeader(k.Status)
	_, _ = w.Write(k.Body)
}

// recorder holds an answer back until it is kept: a client that has it can rely
// on hearing it again.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *recorder) flush() {
	if w.status != 0 {
		w.ResponseWriter.WriteHeader(w.status)
		_, _ = w.ResponseWriter.Write(w.body.Bytes())
	}
}

func (w *recorder) answer(c *call) Answer {
	headers := map[string]string{}
	for _, name := range kept {
		if v := w.Header().Get(name); v != "" {
			headers[name] = v
		}
	}
	head, _ := json.Marshal(headers) // strings always marshal
	return Answer{Status: w.status, Header: string(head), Body: w.body.Bytes(), Secret: c.secret}
}
