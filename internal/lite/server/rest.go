package server

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// maxBody bounds the body of a request that is not a message.
const maxBody = 64 << 10

// handler answers a request or fails with a fault.
type handler func(w http.ResponseWriter, r *http.Request) error

// routes is the REST interface.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	open := func(pattern string, h handler) { mux.Handle(pattern, s.answering(h)) }
	admin := func(pattern string, h handler) {
		open(pattern, func(w http.ResponseWriter, r *http.Request) error {
			if c, err := s.caller(r); err != nil {
				return err
			} else if !c.admin {
				return fault.New(fault.Forbidden, "this needs the administrator's token")
			}
			return h(w, r)
		})
	}
	open("GET /healthz", s.getHealth)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	admin("POST /things", s.postThing)
	admin("GET /things", s.getThings)
	admin("GET /things/{id}", s.getThing)
	admin("PUT /things/{id}", s.putThing)
	admin("DELETE /things/{id}", s.deleteThing)
	admin("PATCH /things/{id}/key", s.patchKey)
	admin("GET /things/{id}/channels", s.getThingChannels)
	admin("POST /channels", s.postChannel)
	admin("GET /channels", s.getChannels)
	admin("GET /channels/{id}", s.getChannel)
	admin("PUT /channels/{id}", s.putChannel)
	admin("DELETE /channels/{id}", s.deleteChannel)
	admin("GET /channels/{id}/things", s.getChannelThings)
	admin("PUT /channels/{id}/things/{thing}", s.putLink)
	admin("DELETE /channels/{id}/things/{thing}", s.deleteLink)
	admin("POST /connect", s.postConnect)
	open("POST /channels/{id}/messages", s.postMessage)
	open("POST /channels/{id}/messages/{subtopic...}", s.postMessage)
	open("GET /channels/{id}/messages", s.getMessages)
	open("GET /channels/{id}/stream", s.getStream)
	open("POST /channels/{id}/commands", s.postCommand)
	open("GET /channels/{id}/commands/{command}", s.getCommand)
	return mux
}

// answering turns a handler's fault into an answer.
func (s *Server) answering(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		f := fault.Of(err)
		if f.Kind == fault.Internal {
			s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		switch f.Kind {
		case fault.Unauthenticated:
			w.Header().Set("WWW-Authenticate", "Bearer")
		case fault.Unavailable, fault.TooMany:
			w.Header().Set("Retry-After", "1")
		}
		if f.Instance != "" {
			w.Header().Set("Location", f.Instance)
		}
		writeJSON(w, f.Kind.Status(), map[string]string{"error": f.Error()})
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, `{"error":"the answer cannot be written"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// caller is who asks: the administrator or a thing.
type caller struct {
	admin bool
	thing string
}

var errUnauthenticated = fault.New(fault.Unauthenticated, "missing or wrong credentials")

// caller reads the Authorization header: a key or token as it is (Mainflux
// 0.12), behind "Thing" or "Bearer", or Basic with a thing's id and key.
func (s *Server) caller(r *http.Request) (caller, error) {
	if id, key, ok := r.BasicAuth(); ok {
		if !s.registry.isKey(id, key) {
			return caller{}, errUnauthenticated
		}
		return caller{thing: id}, nil
	}
	secret := r.Header.Get("Authorization")
	if scheme, rest, ok := strings.Cut(secret, " "); ok && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "Thing")) {
		secret = strings.TrimSpace(rest)
	}
	if secret == "" {
		return caller{}, errUnauthenticated
	}
	hash := hashKey(secret)
	if subtle.ConstantTimeCompare(hash[:], s.admin[:]) == 1 {
		return caller{admin: true}, nil
	}
	id, ok := s.registry.byKey(secret)
	if !ok {
		return caller{}, errUnauthenticated
	}
	return caller{thing: id}, nil
}

// channelFor answers the channel of the path if the caller may use it. To a
// thing, a channel that is absent and one it is not linked to look the same.
func (s *Server) channelFor(r *http.Request) (string, caller, error) {
	c, err := s.caller(r)
	if err != nil {
		return "", c, err
	}
	id := r.PathValue("id")
	if !c.admin && !s.registry.linked(id, c.thing) {
		return "", c, fault.New(fault.Forbidden, "the thing is not connected to channel %q", id)
	}
	if _, err := s.registry.channel(id); err != nil {
		return "", c, err
	}
	return id, c, nil
}

// readBody reads at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		return nil, tooLarge(r.ContentLength, limit)
	}
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, int64(limit)))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, tooLarge(int64(limit)+1, limit)
	}
	if err != nil {
		return nil, fault.New(fault.Malformed, "the body did not arrive").Because(err)
	}
	return b.Bytes(), nil
}

func tooLarge(n int64, limit int) error {
	return fault.New(fault.TooLarge, "the body is too large").With("body", strconv.FormatInt(n, 10)+" bytes or more", fmt.Sprintf("at most %d bytes", limit))
}

// readJSON reads one JSON value and refuses fields nobody knows.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := readBody(w, r, maxBody)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fault.New(fault.Malformed, "the body is not the JSON expected here").Because(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Malformed, "the body goes on behind its JSON value")
	}
	return nil
}

func (s *Server) getHealth(w http.ResponseWriter, r *http.Request) error {
	if err := s.Health(r.Context()); err != nil {
		return fault.New(fault.Unavailable, "the server does not store messages").Because(err)
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	return nil
}
