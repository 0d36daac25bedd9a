package server

import (
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/senml"
)

// postMessage stores a message and answers 202 once it is on disk.
func (s *Server) postMessage(w http.ResponseWriter, r *http.Request) error {
	id, c, err := s.channelFor(r)
	if err != nil {
		return err
	}
	if c.admin {
		return fault.New(fault.Forbidden, "messages are published with the key of a thing")
	}
	decode, err := decoderFor(r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	m := message{channel: id, publisher: c.thing, protocol: "http", subtopic: r.PathValue("subtopic")}
	if name := r.Header.Get("X-Gateway-Sequence"); name != "" {
		var ok bool
		if m.batch, ok = parseBatch(name); !ok {
			return fault.New(fault.Malformed, "the sequence is not valid").With("X-Gateway-Sequence", name, "<gateway>.<epoch>.<first>.<count>")
		}
	}
	select {
	case s.bodies <- struct{}{}:
		defer func() { <-s.bodies }()
	default:
		return fault.New(fault.Unavailable, "too many messages at once").Retrying(fault.Backoff)
	}
	payload, err := readBody(w, r, s.options.MaxMessage)
	if err != nil {
		return err
	}
	outcome := make(chan error, 1)
	s.intake.take(m, payload, decode, func(err error) { outcome <- err })
	if err := <-outcome; err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// decoderFor picks the decoder by Content-Type; an absent one, and those that
// clients send by default, leave it to the first byte.
func decoderFor(contentType string) (decoder, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if contentType == "" || err == nil && (media == "application/octet-stream" || media == "application/x-www-form-urlencoded") {
		return senml.Decode, nil
	}
	switch {
	case err == nil && (media == senml.MediaTypeJSON || media == "application/json"):
		return senml.DecodeJSON, nil
	case err == nil && (media == senml.MediaTypeCBOR || media == "application/cbor"):
		return senml.DecodeCBOR, nil
	}
	return nil, fault.New(fault.UnsupportedMedia, "the media type is not known").With("Content-Type", contentType, senml.MediaTypeJSON+" or "+senml.MediaTypeCBOR)
}

// getMessages answers stored points, newest first, or aggregates of them.
func (s *Server) getMessages(w http.ResponseWriter, r *http.Request) error {
	id, _, err := s.channelFor(r)
	if err != nil {
		return err
	}
	q, err := parseQuery(id, r.URL.Query())
	if err != nil {
		return err
	}
	var answer any
	if q.aggregate != "" {
		answer, err = s.aggregate(r.Context(), q)
	} else {
		answer, err = s.messages(r.Context(), q)
	}
	if err == nil {
		writeJSON(w, http.StatusOK, answer)
	}
	return err
}

// keepAlive is how often a silent stream shows that it lives.
const keepAlive = 15 * time.Second

// getStream sends every message of a channel as it is stored (Server-Sent
// Events): data is a resolved SenML pack, id the number of its last point. It
// begins with the event "position": every point up to that number is stored and
// not going to come.
func (s *Server) getStream(w http.ResponseWriter, r *http.Request) error {
	id, c, err := s.channelFor(r)
	if err != nil {
		return err
	}
	sub := s.live.subscribe(id, c.thing)
	defer s.live.unsubscribe(sub)
	// A revocation that came before subscribe did not find this reader.
	if _, _, err := s.channelFor(r); err != nil {
		return err
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	subtopic, filtered := r.URL.Query().Get("subtopic"), r.URL.Query().Has("subtopic")
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	frame := fmt.Appendf(nil, "event: position\nid: %[1]d\ndata: %[1]d\n\n", sub.start)
	for {
		_ = control.SetWriteDeadline(time.Now().Add(keepAlive))
		if _, err := w.Write(frame); err != nil {
			return nil // the reader is gone
		}
		if err := control.Flush(); err != nil {
			return nil
		}
		frame = frame[:0]
		for len(frame) == 0 {
			select {
			case event, ok := <-sub.events:
				if !ok {
					return nil
				}
				if !filtered || event.subtopic == subtopic {
					frame = fmt.Appendf(frame, "id: %d\ndata: %s\n\n", event.number, event.json)
				}
			case <-ticker.C:
				frame = append(frame, ": live\n\n"...)
			case <-r.Context().Done():
				return nil
			}
		}
	}
}

// postCommand publishes a command to the gateways of a channel.
func (s *Server) postCommand(w http.ResponseWriter, r *http.Request) error {
	id, _, err := s.channelFor(r)
	if err != nil {
		return err
	}
	var c command
	if err := readJSON(w, r, &c); err != nil {
		return err
	}
	if c, err = s.send(r.Context(), id, c); err != nil {
		return err
	}
	w.Header().Set("Location", "/channels/"+id+"/commands/"+c.ID)
	writeJSON(w, http.StatusAccepted, c)
	return nil
}

func (s *Server) getCommand(w http.ResponseWriter, r *http.Request) error {
	id, _, err := s.channelFor(r)
	if err != nil {
		return err
	}
	c, err := s.commandByID(r.Context(), id, r.PathValue("command"))
	if err == nil {
		writeJSON(w, http.StatusOK, map[string]string{"id": c.ID, "state": c.State})
	}
	return err
}
