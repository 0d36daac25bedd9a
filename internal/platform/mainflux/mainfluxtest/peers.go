package mainfluxtest

import (
	"encoding/json"
	"errors"
)

// alone is the Peers of a Fake that is all in one. Whoever calls holds the lock.
type alone Fake

var errDenied = errors.New(wrongCredentials)

func (a *alone) Issue(email string) (string, error) {
	token := "eyJ" + newID()
	a.tokens[token] = email
	return token, nil
}

func (a *alone) Owner(token string) (string, error) {
	if email, ok := a.tokens[token]; ok {
		return email, nil
	}
	return "", errDenied
}

func (a *alone) Thing(key string) (string, error) {
	for id, t := range a.things {
		if t.Key == key && key != "" {
			return id, nil
		}
	}
	return "", errDenied
}

func (a *alone) Access(key, channel string) (string, error) {
	id, err := a.Thing(key)
	if err == nil && !a.links[linked(channel, id)] {
		err = errDenied
	}
	return id, err
}

func (a *alone) Keep(m Message) error {
	a.messages = append(a.messages, Readings(m)...)
	return nil
}

func (a *alone) Kept(channel string) ([]Reading, error) {
	var all []Reading
	for _, m := range a.messages {
		if m.Channel == channel {
			all = append(all, m)
		}
	}
	return all, nil
}

// Linked answers the thing with a key if it is linked to the channel.
func (f *Fake) Linked(key, channel string) (id string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return (*alone)(f).Access(key, channel)
}

// state is what users and things hold.
type state struct {
	Users    map[string]string
	Things   map[string]*thing
	Channels map[string]*channel
	Owners   map[string]string // of things and channels, by id
	Links    map[string]bool
	Order    []string
}

// State answers what users and things hold, for Restore.
func (f *Fake) State() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := state{f.users, f.things, f.channels, map[string]string{}, f.links, f.order}
	for id, t := range f.things {
		s.Owners[id] = t.owner
	}
	for id, c := range f.channels {
		s.Owners[id] = c.owner
	}
	return json.Marshal(s)
}

// Restore replaces what users and things hold by what State answered.
func (f *Fake) Restore(raw []byte) error {
	var s state
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range s.Things {
		t.owner = s.Owners[t.ID]
	}
	for _, c := range s.Channels {
		c.owner = s.Owners[c.ID]
	}
	f.users, f.things, f.channels, f.links = s.Users, s.Things, s.Channels, s.Links
	f.order = s.Order
	return nil
}
