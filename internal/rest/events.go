package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-openapi/runtime"
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/events"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// heartbeat is how often a silent stream says that it lives.
const heartbeat = 15 * time.Second

// eventStream is the media type of Server-Sent Events (WHATWG HTML §9.2).
const eventStream = "text/event-stream"

// events assigns the reading of events, as pages or as a stream.
func (a *api) events(o *operations.OsmosliceAPI) {
	o.EventsListEventsHandler = events.ListEventsHandlerFunc(func(p events.ListEventsParams, _ any) middleware.Responder {
		q, err := a.query(p.HTTPRequest, "", p.Limit)
		if err != nil {
			return a.fail(p.HTTPRequest, err)
		}
		if q.Tenants == nil {
			q.Tenants = tenantsOf(p.HTTPRequest)
		}
		after := int64(-1)
		if p.After != nil {
			after = *p.After
		}
		if p.LastEventID != nil && *p.LastEventID != "" {
			if after, err = strconv.ParseInt(*p.LastEventID, 10, 64); err != nil || after < 0 {
				return a.fail(p.HTTPRequest, fault.New(fault.Malformed, "Last-Event-ID is not valid").
					With("Last-Event-ID", *p.LastEventID, "the id of an event: a whole number from 0"))
			}
		}
		return middleware.ResponderFunc(func(w http.ResponseWriter, producer runtime.Producer) {
			if strings.Contains(p.HTTPRequest.Header.Get("Accept"), eventStream) {
				w.Header().Set("Content-Type", eventStream)
				a.stream(w, p.HTTPRequest, after, q)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			a.eventPage(p.HTTPRequest, after, q).WriteResponse(w, producer)
		})
	})
}

func (a *api) eventPage(r *http.Request, after int64, q operation.Query) middleware.Responder {
	found, next, err := a.deps.Events.Page(r.Context(), after, q.Limit, q.Tenants, q.Filter)
	if err != nil {
		return a.fail(r, err)
	}
	n := page(a, r, found, "", selector{})
	whole, ok := n.(answer)
	if !ok || next == 0 {
		return n
	}
	v := r.URL.Query()
	v.Set("after", strconv.FormatInt(next, 10))
	whole.link = "<" + r.URL.Path + "?" + v.Encode() + `>; rel="next"`
	return whole
}

// stream writes events as they come, until the reader leaves, is too slow, or
// the service drains.
func (a *api) stream(w http.ResponseWriter, r *http.Request, after int64, q operation.Query) {
	c, ended, err := a.deps.Events.Subscribe(r.Context(), after, q.Tenants, q.Filter)
	if err != nil {
		a.serveError(w, r, err)
		return
	}
	s := sse{w: w, rc: http.NewResponseController(w)}
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusOK)
	s.comment("connected")
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for s.err == nil {
		select {
		case e, ok := <-c:
			if !ok {
				if err := ended(); err != nil {
					s.problem(r, err)
				}
				return
			}
			s.event(e)
			if len(c) == 0 {
				s.flush()
			}
		case <-beat.C:
			s.comment("alive")
		case <-a.deps.Draining:
			s.comment("draining")
			return
		case <-r.Context().Done():
			return
		}
	}
}

// sse writes messages; the first error ends it.
type sse struct {
	w   http.ResponseWriter
	rc  *http.ResponseController
	buf bytes.Buffer
	err error
}

func (s *sse) event(e slice.Event) {
	doc, err := json.Marshal(e)
	if err != nil {
		s.err = err
		return
	}
	s.buf.WriteString("id: " + strconv.FormatInt(e.Position, 10) + "\nevent: " + e.Type + "\ndata: ")
	s.buf.Write(doc)
	s.buf.WriteString("\n\n")
	if s.buf.Len() > 32<<10 {
		s.flush()
	}
}

func (s *sse) comment(text string) {
	s.buf.WriteString(": " + text + "\n\n")
	s.flush()
}

// problem tells why a stream ends that could have gone on.
func (s *sse) problem(r *http.Request, err error) {
	status, f := classify(err)
	doc, _ := json.Marshal(problem{ // strings and numbers always marshal
		Type: "urn:osmoslice:problem:" + f.Kind.String(), Title: http.StatusText(status), Status: status,
		Detail: strings.ReplaceAll(f.Detail, "\n", " "), Request: callOf(r).id,
	})
	s.buf.WriteString("event: problem\ndata: ")
	s.buf.Write(doc)
	s.buf.WriteString("\n\n")
	s.flush()
}

func (s *sse) flush() {
	if s.err != nil {
		return
	}
	// A reader that takes nothing for this long is gone; servers without
	// deadlines (tests) do without.
	_ = s.rc.SetWriteDeadline(time.Now().Add(30 * time.Second))
	if _, s.err = s.w.Write(s.buf.Bytes()); s.err == nil {
		s.err = s.rc.Flush()
	}
	s.buf.Reset()
}
