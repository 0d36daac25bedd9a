package server

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// thing is a client: a gateway or an application.
type thing struct {
	ID       string          `json:"id"`
	Name     string          `json:"name,omitempty"`
	Key      string          `json:"key"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// channel is what things publish to and read from.
type channel struct {
	ID       string          `json:"id"`
	Name     string          `json:"name,omitempty"`
	Metadata json.RawMessage `json:"metadata,omitempty"`
}

// keyHash indexes keys by digest, so that finding one takes the same time
// whatever a guess has in common with it.
type keyHash [sha256.Size]byte

func hashKey(key string) keyHash { return sha256.Sum256([]byte(key)) }

// registry is who may do what, in memory; the database holds the same. Changes
// are made by a use case after their transaction committed, so what is visible
// here is on disk.
type registry struct {
	mu       sync.RWMutex
	things   map[string]thing
	channels map[string]channel
	keys     map[keyHash]string             // thing id by key
	links    map[string]map[string]struct{} // thing ids by channel id
	names    map[string]string              // "t/"+name and "c/"+name to id
}

func newRegistry() *registry {
	return &registry{
		things: map[string]thing{}, channels: map[string]channel{}, keys: map[keyHash]string{},
		links: map[string]map[string]struct{}{}, names: map[string]string{},
	}
}

// byKey answers the thing whose key it is.
func (r *registry) byKey(key string) (string, bool) {
	hash := hashKey(key)
	r.mu.RLock()
	defer r.mu.RUnlock()
	id, ok := r.keys[hash]
	return id, ok
}

// isKey reports whether key is the key of thing id at this moment.
func (r *registry) isKey(id, key string) bool {
	owner, ok := r.byKey(key)
	return ok && owner == id
}

// linked reports whether thing may use channel at this moment.
func (r *registry) linked(channel, thing string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.links[channel][thing]
	return ok
}

func (r *registry) thing(id string) (thing, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t, ok := r.things[id]
	if !ok {
		return t, fault.Absent("thing", id)
	}
	return t, nil
}

func (r *registry) channel(id string) (channel, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	c, ok := r.channels[id]
	if !ok {
		return c, fault.Absent("channel", id)
	}
	return c, nil
}

// named answers the id of the thing ("t/") or channel ("c/") with that name.
func (r *registry) named(kind, name string) (string, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	id, ok := r.names[kind+name]
	return id, ok
}

// page is a part of a list, in the order of ids.
type page[T any] struct {
	Total, Offset, Limit int
	Items                []T
}

// filter selects from a list: names that contain name; in,
// when not nil, holds the ids to choose from.
type filter struct {
	name          string
	in            func(id string) bool
	offset, limit int
}

func (r *registry) listThings(f filter) page[thing] {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return pageOf(r.things, f, func(t thing) (string, string) { return t.ID, t.Name })
}

func (r *registry) listChannels(f filter) page[channel] {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return pageOf(r.channels, f, func(c channel) (string, string) { return c.ID, c.Name })
}

func pageOf[T any](all map[string]T, f filter, key func(T) (id, name string)) page[T] {
	var found []T
	for id, item := range all {
		if _, name := key(item); f.in != nil && !f.in(id) || f.name != "" && !strings.Contains(name, f.name) {
			continue
		}
		found = append(found, item)
	}
	// An exact name comes first: who searches for "gw-1" must not page past
	// gw-10 to gw-19.
	slices.SortFunc(found, func(a, b T) int {
		idA, nameA := key(a)
		idB, nameB := key(b)
		return cmp.Or(exactFirst(nameA, nameB, f.name), cmp.Compare(idA, idB))
	})
	p := page[T]{Total: len(found), Offset: f.offset, Limit: f.limit, Items: []T{}}
	if f.offset < len(found) {
		p.Items = found[f.offset:min(len(found), f.offset+f.limit)]
	}
	return p
}

func exactFirst(a, b, name string) int {
	switch {
	case name == "" || (a == name) == (b == name):
		return 0
	case a == name:
		return -1
	}
	return 1
}

// linkedThings answers the ids of the things of a channel.
func (r *registry) linkedThings(channel string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.links[channel]))
}

// linkedChannels answers the ids of the channels of a thing.
func (r *registry) linkedChannels(thing string) map[string]bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	found := map[string]bool{}
	for channel, things := range r.links {
		if _, ok := things[thing]; ok {
			found[channel] = true
		}
	}
	return found
}

func (r *registry) putThing(t thing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.things[t.ID]; ok {
		delete(r.keys, hashKey(old.Key))
		delete(r.names, "t/"+old.Name)
	}
	r.things[t.ID] = t
	r.keys[hashKey(t.Key)] = t.ID
	if t.Name != "" {
		r.names["t/"+t.Name] = t.ID
	}
}

func (r *registry) dropThing(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.things[id]
	delete(r.keys, hashKey(old.Key))
	delete(r.names, "t/"+old.Name)
	delete(r.things, id)
	for _, things := range r.links {
		delete(things, id)
	}
}

func (r *registry) putChannel(c channel) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.channels[c.ID]; ok {
		delete(r.names, "c/"+old.Name)
	}
	r.channels[c.ID] = c
	if c.Name != "" {
		r.names["c/"+c.Name] = c.ID
	}
}

func (r *registry) dropChannel(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.names, "c/"+r.channels[id].Name)
	delete(r.channels, id)
	delete(r.links, id)
}

func (r *registry) link(channel, thing string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.links[channel] == nil {
		r.links[channel] = map[string]struct{}{}
	}
	r.links[channel][thing] = struct{}{}
}

func (r *registry) unlink(channel, thing string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.links[channel], thing)
}

// counts are the numbers of things, channels and links.
func (r *registry) counts() (things, channels, links int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, l := range r.links {
		links += len(l)
	}
	return len(r.things), len(r.channels), links
}
