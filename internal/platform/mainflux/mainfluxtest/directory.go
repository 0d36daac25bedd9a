package mainfluxtest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const wrongCredentials = "missing or invalid credentials provided"

func (f *Fake) usersAPI() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /version", version("users"))
	m.HandleFunc("POST /users", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Email, Password string }
		if json.NewDecoder(r.Body).Decode(&in) != nil || !strings.Contains(in.Email, "@") {
			refuse(w, http.StatusBadRequest, "malformed entity specification")
			return
		}
		if len(in.Password) < 8 {
			refuse(w, http.StatusBadRequest, "password does not meet the requirements")
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if _, taken := f.users[in.Email]; taken {
			refuse(w, http.StatusConflict, "email already taken")
			return
		}
		f.users[in.Email] = in.Password
		w.Header().Set("Location", "/users/"+newID())
		answer(w, http.StatusCreated, nil)
	})
	m.HandleFunc("POST /tokens", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Email, Password string }
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			refuse(w, http.StatusBadRequest, "malformed entity specification")
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if p, known := f.users[in.Email]; !known || p != in.Password {
			refuse(w, http.StatusForbidden, wrongCredentials)
			return
		}
		token, err := f.peers.Issue(in.Email)
		if err != nil {
			refuse(w, http.StatusInternalServerError, err.Error())
			return
		}
		answer(w, http.StatusCreated, map[string]string{"token": token})
	})
	return m
}

func (f *Fake) thingsAPI() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /version", version("things"))
	own := func(pattern string, h func(w http.ResponseWriter, r *http.Request, owner string)) {
		m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			owner, err := f.peers.Owner(r.Header.Get("Authorization"))
			if err != nil {
				refuse(w, http.StatusUnauthorized, wrongCredentials)
				return
			}
			h(w, r, owner)
		})
	}
	own("POST /things", f.makeThing)
	own("POST /channels", f.makeChannel)
	own("GET /things/{id}", func(w http.ResponseWriter, r *http.Request, owner string) {
		if t := f.things[r.PathValue("id")]; t != nil && t.owner == owner {
			answer(w, http.StatusOK, t)
			return
		}
		refuse(w, http.StatusNotFound, "non-existent entity")
	})
	own("GET /channels/{id}", func(w http.ResponseWriter, r *http.Request, owner string) {
		if c := f.channels[r.PathValue("id")]; c != nil && c.owner == owner {
			answer(w, http.StatusOK, c)
			return
		}
		refuse(w, http.StatusNotFound, "non-existent entity")
	})
	own("GET /things", f.listThings)
	own("GET /channels", f.listChannels)
	own("GET /channels/{channel}/things", f.listThings)
	own("GET /things/{thing}/channels", f.listChannels)
	own("PUT /channels/{channel}/things/{thing}", func(w http.ResponseWriter, r *http.Request, owner string) {
		f.connect(w, r.PathValue("channel"), r.PathValue("thing"), owner)
	})
	own("POST /connect", f.connectMany)
	own("DELETE /channels/{channel}/things/{thing}", func(w http.ResponseWriter, r *http.Request, _ string) {
		delete(f.links, linked(r.PathValue("channel"), r.PathValue("thing")))
		w.WriteHeader(http.StatusNoContent)
	})
	own("DELETE /things/{id}", func(w http.ResponseWriter, r *http.Request, _ string) {
		f.unlink(func(_, thing string) bool { return thing == r.PathValue("id") })
		delete(f.things, r.PathValue("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	own("DELETE /channels/{id}", func(w http.ResponseWriter, r *http.Request, _ string) {
		f.unlink(func(channel, _ string) bool { return channel == r.PathValue("id") })
		delete(f.channels, r.PathValue("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	return m
}

func (f *Fake) unlink(which func(channel, thing string) bool) {
	for k := range f.links {
		if c, t, _ := strings.Cut(k, "/"); which(c, t) {
			delete(f.links, k)
		}
	}
}

func (f *Fake) makeThing(w http.ResponseWriter, r *http.Request, owner string) {
	t := &thing{}
	if json.NewDecoder(r.Body).Decode(t) != nil {
		refuse(w, http.StatusBadRequest, "malformed entity specification")
		return
	}
	t.ID, t.owner = newID(), owner
	if t.Key == "" {
		t.Key = newID()
	}
	f.things[t.ID] = t
	f.order = append(f.order, t.ID)
	w.Header().Set("Location", "/things/"+t.ID)
	answer(w, http.StatusCreated, nil)
}

func (f *Fake) makeChannel(w http.ResponseWriter, r *http.Request, owner string) {
	c := &channel{}
	if json.NewDecoder(r.Body).Decode(c) != nil {
		refuse(w, http.StatusBadRequest, "malformed entity specification")
		return
	}
	c.ID, c.owner = newID(), owner
	f.channels[c.ID] = c
	f.order = append(f.order, c.ID)
	w.Header().Set("Location", "/channels/"+c.ID)
	answer(w, http.StatusCreated, nil)
}

func (f *Fake) connect(w http.ResponseWriter, channel, thing, owner string) {
	c, t := f.channels[channel], f.things[thing]
	switch {
	case c == nil || t == nil || c.owner != owner || t.owner != owner:
		refuse(w, http.StatusNotFound, "non-existent entity")
	case f.links[linked(channel, thing)]:
		refuse(w, http.StatusConflict, "entity already exists")
	default:
		f.links[linked(channel, thing)] = true
		answer(w, http.StatusOK, nil)
	}
}

func (f *Fake) connectMany(w http.ResponseWriter, r *http.Request, owner string) {
	var in struct {
		Channels []string `json:"channel_ids"`
		Things   []string `json:"thing_ids"`
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || len(in.Channels) != 1 || len(in.Things) != 1 {
		refuse(w, http.StatusBadRequest, "malformed entity specification")
		return
	}
	f.connect(w, in.Channels[0], in.Things[0], owner)
}

// page answers one page of a list, in the product's envelope.
func page[T any](w http.ResponseWriter, r *http.Request, kind string, all []T) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil {
			return n
		}
		return otherwise
	}
	offset, limit := number("offset", 0), number("limit", 10)
	if limit < 1 || limit > 100 || offset < 0 {
		refuse(w, http.StatusBadRequest, "invalid query parameters")
		return
	}
	from := min(offset, len(all))
	answer(w, http.StatusOK, map[string]any{
		"total": len(all), "offset": offset, "limit": limit, "order": "", "direction": "",
		kind: append([]T{}, all[from:min(from+limit, len(all))]...),
	})
}

func (f *Fake) listThings(w http.ResponseWriter, r *http.Request, owner string) {
	var all []*thing
	for _, id := range f.order {
		t, at := f.things[id], r.PathValue("channel")
		if t != nil && t.owner == owner && strings.Contains(t.Name, r.URL.Query().Get("name")) && (at == "" || f.links[linked(at, id)]) {
			all = append(all, t)
		}
	}
	page(w, r, "things", all)
}

func (f *Fake) listChannels(w http.ResponseWriter, r *http.Request, owner string) {
	var all []*channel
	for _, id := range f.order {
		c, of := f.channels[id], r.PathValue("thing")
		if c != nil && c.owner == owner && strings.Contains(c.Name, r.URL.Query().Get("name")) && (of == "" || f.links[linked(id, of)]) {
			all = append(all, c)
		}
	}
	page(w, r, "channels", slices.Clip(all))
}
