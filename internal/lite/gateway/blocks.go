package gateway

import (
	"errors"
	"sync"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/mux"
	"github.com/plgd-dev/go-coap/v3/net/blockwise"
	"github.com/plgd-dev/go-coap/v3/udp/client"
)

// Bounds of block-wise transfers and of what is sent to a device in one
// datagram.
const (
	blockTimeout    = 30 * time.Second // RFC 7959 §2.5 leaves it to the server
	maxTransfers    = 4                // of one peer
	maxBlocksHeld   = 64               // largest payloads, of all peers together
	maxCoAPCommand  = 512
	maxNotification = 1024
	requestTag      = message.OptionID(292) // RFC 9175 §3
)

// blocks reassembles block-wise requests (RFC 7959 §2.5). The library does so
// by token, but a client may use a new token for every block (libcoap does),
// and then the library takes the last block for the whole. A transfer is one
// peer's, to one resource, with one Request-Tag.
type blocks struct {
	limit int

	mu        sync.Mutex
	transfers map[*client.Conn]map[string]*transfer
	held      int // bytes of all transfers
}

type transfer struct {
	data  []byte
	until time.Time
}

func newBlocks(limit int) *blocks {
	return &blocks{limit: limit, transfers: map[*client.Conn]map[string]*transfer{}}
}

var (
	errBlocksTooLarge   = errors.New("payload: given more than the largest one allowed")
	errBlocksIncomplete = errors.New("block: given one that does not follow the one before, allowed: all blocks in order")
	errBlocksBusy       = errors.New("too many block-wise transfers")
)

// put adds one block and answers the whole payload after the last one.
func (b *blocks) put(cc *client.Conn, key string, offset int64, data []byte, last bool, now time.Time) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(cc, now)
	t := b.transfers[cc][key]
	if offset == 0 {
		b.remove(cc, key)
		if len(b.transfers[cc]) >= maxTransfers || b.held >= maxBlocksHeld*b.limit {
			return nil, errBlocksBusy
		}
		t = &transfer{}
		if b.transfers[cc] == nil {
			b.transfers[cc] = map[string]*transfer{}
		}
		b.transfers[cc][key] = t
	}
	if t == nil || int64(len(t.data)) != offset {
		b.remove(cc, key)
		return nil, errBlocksIncomplete
	}
	if len(t.data)+len(data) > b.limit {
		b.remove(cc, key)
		return nil, errBlocksTooLarge
	}
	t.data, t.until = append(t.data, data...), now.Add(blockTimeout)
	b.held += len(data)
	if !last {
		return nil, nil
	}
	whole := t.data
	b.remove(cc, key)
	return whole, nil
}

// remove forgets one transfer. The lock is held.
func (b *blocks) remove(cc *client.Conn, key string) {
	if t := b.transfers[cc][key]; t != nil {
		b.held -= len(t.data)
		delete(b.transfers[cc], key)
	}
	if len(b.transfers[cc]) == 0 {
		delete(b.transfers, cc)
	}
}

// expire forgets what a peer began and did not go on with; when much is held,
// what all peers left. The lock is held.
func (b *blocks) expire(cc *client.Conn, now time.Time) {
	for key, t := range b.transfers[cc] {
		if now.After(t.until) {
			b.remove(cc, key)
		}
	}
	if b.held < maxBlocksHeld*b.limit/2 {
		return
	}
	for peer, transfers := range b.transfers {
		for key, t := range transfers {
			if now.After(t.until) {
				b.remove(peer, key)
			}
		}
	}
}

// forget drops the transfers of a peer that is gone.
func (b *blocks) forget(cc *client.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.transfers[cc] {
		b.remove(cc, key)
	}
}

// body is the payload of a request; answered is true when there is none yet
// because more blocks follow, or never because the transfer failed.
func (s *coapServer) body(w mux.ResponseWriter, r *mux.Message, target string) (payload []byte, answered bool) {
	payload, err := r.ReadBody()
	if err != nil {
		s.reply(w, codes.BadRequest, nil)
		return nil, true
	}
	option, err := r.GetOptionUint32(message.Block1)
	cc, ok := w.Conn().(*client.Conn)
	if err != nil || !ok {
		if len(payload) > s.g.config.MaxPayload {
			s.tooLarge(w)
			return nil, true
		}
		return payload, false
	}
	szx, number, more, err := blockwise.DecodeBlockOption(option)
	if err != nil || more && int64(len(payload)) != szx.Size() {
		s.reply(w, codes.BadOption, err)
		return nil, true
	}
	if size, err := r.GetOptionUint32(message.Size1); err == nil && int64(size) > int64(s.g.config.MaxPayload) {
		s.tooLarge(w)
		return nil, true
	}
	tag, _ := r.GetOptionBytes(requestTag)
	whole, err := s.blocks.put(cc, target+"\x00"+string(tag), number*szx.Size(), payload, !more, time.Now())
	switch {
	case errors.Is(err, errBlocksTooLarge):
		s.tooLarge(w)
	case errors.Is(err, errBlocksIncomplete):
		s.reply(w, codes.RequestEntityIncomplete, err)
	case err != nil:
		s.reply(w, codes.ServiceUnavailable, err)
	case more:
		s.reply(w, codes.Continue, nil)
	default:
		return whole, false
	}
	return nil, true
}

// echoBlock repeats the block option of the request, as every answer to one has
// it (RFC 7959 §2.3).
func echoBlock(w mux.ResponseWriter, r *mux.Message) {
	if option, err := r.GetOptionUint32(message.Block1); err == nil {
		w.Message().SetOptionUint32(message.Block1, option)
	}
}

// tooLarge refuses a payload and says what would be taken (RFC 7959 §2.9.3).
func (s *coapServer) tooLarge(w mux.ResponseWriter) {
	s.g.engine.count(tally{refusedTooLarge: 1})
	s.reply(w, codes.RequestEntityTooLarge, nil)
	w.Message().SetOptionUint32(message.Size1, uint32(s.g.config.MaxPayload))
}

// fitting are the first commands whose list fits into one datagram.
func fitting(commands []Command) []Command {
	for n := range commands {
		if n > 0 && len(downloads(commands[:n+1])) > maxNotification {
			return commands[:n]
		}
	}
	return commands
}
