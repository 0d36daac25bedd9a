package server

import (
	"sync"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// subscriberQueue bounds the messages that wait for one live reader.
const subscriberQueue = 256

// hub hands stored messages to live readers. A reader that falls behind by
// subscriberQueue messages is cut off rather than slowing the writer: it learns
// so from its closed channel and reads what it missed by query.
type hub struct {
	mu          sync.RWMutex
	subscribers map[string]map[*subscriber]struct{} // by channel id
	position    int64                               // the arrival number up to which all is announced
	closed      bool
}

// subscriber is one live reader of one channel.
type subscriber struct {
	channel string
	thing   string // the reader, empty for the administrator
	events  chan liveEvent
	start   int64 // every event has a larger number; all up to it is stored
}

// liveEvent is one stored message. JSON is encoded once for all readers.
type liveEvent struct {
	number   int64 // arrival number of its last point
	subtopic string
	json     []byte
}

func newHub() *hub { return &hub{subscribers: map[string]map[*subscriber]struct{}{}} }

// subscribe adds a reader; its events end when the hub cuts it.
func (h *hub) subscribe(channel, thing string) *subscriber {
	s := &subscriber{channel: channel, thing: thing, events: make(chan liveEvent, subscriberQueue)}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.start = h.position
	if h.closed {
		close(s.events)
		return s
	}
	if h.subscribers[channel] == nil {
		h.subscribers[channel] = map[*subscriber]struct{}{}
	}
	h.subscribers[channel][s] = struct{}{}
	return s
}

// unsubscribe removes a reader and ends its events; twice does no harm.
func (h *hub) unsubscribe(s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut(s)
}

// cut ends s; the caller holds the lock.
func (h *hub) cut(s *subscriber) {
	readers := h.subscribers[s.channel]
	if _, ok := readers[s]; !ok {
		return
	}
	delete(readers, s)
	if len(readers) == 0 {
		delete(h.subscribers, s.channel)
	}
	close(s.events)
}

// revoke cuts the readers that must not read any more: those of a thing, of a
// channel, or of the thing on the channel; an empty string matches all.
func (h *hub) revoke(channel, thing string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, readers := range h.subscribers {
		if channel != "" && channel != id {
			continue
		}
		for s := range readers {
			if thing == "" || s.thing == thing {
				h.cut(s)
			}
		}
	}
}

// publish hands m to the readers of its channel; only the writer calls it.
func (h *hub) publish(m *message) {
	if len(m.pack) == 0 {
		return // a duplicate
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.position = m.arrival
	readers := h.subscribers[m.channel]
	if len(readers) == 0 {
		return
	}
	json, err := senml.EncodeJSON(m.pack)
	if err != nil {
		return // cannot be: the pack was decoded and resolved
	}
	event := liveEvent{number: m.arrival, subtopic: m.subtopic, json: json}
	for s := range readers {
		select {
		case s.events <- event:
		default:
			h.cut(s)
		}
	}
}

// size is the number of live readers.
func (h *hub) size() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	n := 0
	for _, readers := range h.subscribers {
		n += len(readers)
	}
	return n
}

// close cuts every reader and refuses new ones.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, readers := range h.subscribers {
		for s := range readers {
			h.cut(s)
		}
	}
}
