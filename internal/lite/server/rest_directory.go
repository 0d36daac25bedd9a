package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/osmoslice/osmoslice/internal/fault"
)

const (
	defaultPage = 10
	maxPage     = 1000
	maxOffset   = 1_000_000
)

// named is what a client sends of a thing or channel.
type named struct {
	Name     string          `json:"name"`
	Key      string          `json:"key"`
	Metadata json.RawMessage `json:"metadata"`
}

// created answers 201 with an empty body and the Location (Mainflux 0.12).
func created(w http.ResponseWriter, location string) error {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusCreated)
	return nil
}

func noContent(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

func (s *Server) postThing(w http.ResponseWriter, r *http.Request) error {
	var in named
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	t, err := s.newThing(r.Context(), thing{Name: in.Name, Key: in.Key, Metadata: in.Metadata})
	if err != nil {
		return err
	}
	return created(w, "/things/"+t.ID)
}

func (s *Server) getThing(w http.ResponseWriter, r *http.Request) error {
	t, err := s.registry.thing(r.PathValue("id"))
	if err == nil {
		writeJSON(w, http.StatusOK, t)
	}
	return err
}

func (s *Server) putThing(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Name     string          `json:"name"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	return s.changeThing(r.Context(), r.PathValue("id"), in.Name, in.Metadata)
}

func (s *Server) deleteThing(w http.ResponseWriter, r *http.Request) error {
	return noContent(w, s.removeThing(r.Context(), r.PathValue("id")))
}

func (s *Server) patchKey(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Key string `json:"key"`
	}
	if r.ContentLength != 0 {
		if err := readJSON(w, r, &in); err != nil {
			return err
		}
	}
	t, err := s.rotateKey(r.Context(), r.PathValue("id"), in.Key)
	if err == nil {
		writeJSON(w, http.StatusOK, t)
	}
	return err
}

func (s *Server) postChannel(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Name     string          `json:"name"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	c, err := s.newChannel(r.Context(), channel{Name: in.Name, Metadata: in.Metadata})
	if err != nil {
		return err
	}
	return created(w, "/channels/"+c.ID)
}

func (s *Server) getChannel(w http.ResponseWriter, r *http.Request) error {
	c, err := s.registry.channel(r.PathValue("id"))
	if err == nil {
		writeJSON(w, http.StatusOK, c)
	}
	return err
}

func (s *Server) putChannel(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Name     string          `json:"name"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	return s.changeChannel(r.Context(), r.PathValue("id"), in.Name, in.Metadata)
}

func (s *Server) deleteChannel(w http.ResponseWriter, r *http.Request) error {
	return noContent(w, s.removeChannel(r.Context(), r.PathValue("id")))
}

func (s *Server) putLink(_ http.ResponseWriter, r *http.Request) error {
	return s.connect(r.Context(), r.PathValue("id"), r.PathValue("thing"))
}

func (s *Server) deleteLink(w http.ResponseWriter, r *http.Request) error {
	return noContent(w, s.disconnect(r.Context(), r.PathValue("id"), r.PathValue("thing")))
}

// maxPairs bounds the links of one POST /connect.
const maxPairs = 1000

func (s *Server) postConnect(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Channels []string `json:"channel_ids"`
		Things   []string `json:"thing_ids"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if n := len(in.Channels) * len(in.Things); n == 0 || n > maxPairs {
		return fault.Field("channel_ids × thing_ids", strconv.Itoa(n)+" links", "1 to "+strconv.Itoa(maxPairs))
	}
	for _, c := range in.Channels {
		for _, t := range in.Things {
			if err := s.connect(r.Context(), c, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) getThings(w http.ResponseWriter, r *http.Request) error {
	f, err := listFilter(r.URL.Query())
	if err == nil {
		writePage(w, "things", s.registry.listThings(f))
	}
	return err
}

func (s *Server) getChannels(w http.ResponseWriter, r *http.Request) error {
	f, err := listFilter(r.URL.Query())
	if err == nil {
		writePage(w, "channels", s.registry.listChannels(f))
	}
	return err
}

func (s *Server) getThingChannels(w http.ResponseWriter, r *http.Request) error {
	f, err := listFilter(r.URL.Query())
	if err != nil {
		return err
	}
	if _, err := s.registry.thing(r.PathValue("id")); err != nil {
		return err
	}
	linked := s.registry.linkedChannels(r.PathValue("id"))
	f.in = func(id string) bool { return linked[id] }
	writePage(w, "channels", s.registry.listChannels(f))
	return nil
}

func (s *Server) getChannelThings(w http.ResponseWriter, r *http.Request) error {
	f, err := listFilter(r.URL.Query())
	if err != nil {
		return err
	}
	if _, err := s.registry.channel(r.PathValue("id")); err != nil {
		return err
	}
	linked := map[string]bool{}
	for _, id := range s.registry.linkedThings(r.PathValue("id")) {
		linked[id] = true
	}
	f.in = func(id string) bool { return linked[id] }
	writePage(w, "things", s.registry.listThings(f))
	return nil
}

// writePage answers a list as Mainflux 0.12 does.
func writePage[T any](w http.ResponseWriter, name string, p page[T]) {
	writeJSON(w, http.StatusOK, map[string]any{"total": p.Total, "offset": p.Offset, "limit": p.Limit, name: p.Items})
}

func listFilter(q url.Values) (filter, error) {
	f := filter{name: q.Get("name")}
	var err error
	if f.offset, err = intParam(q, "offset", 0, 0, maxOffset); err != nil {
		return f, err
	}
	f.limit, err = intParam(q, "limit", defaultPage, 1, maxPage)
	return f, err
}

// intParam reads a whole number of a query string.
func intParam(q url.Values, name string, absent, low, high int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fault.New(fault.Malformed, "the query is not valid").With(name, text, strconv.Itoa(low)+" to "+strconv.Itoa(high))
	}
	return n, nil
}
