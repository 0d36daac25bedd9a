package mqtt

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Connect is what a client said about itself when it connected.
type Connect struct {
	ClientID string
	Username string
	Password []byte
	Remote   string // network address of the peer
	Version  byte   // 3, 4 (3.1.1) or 5
}

// Access is a kind of topic access.
type Access int

// The kinds of access that a [Handler] is asked about.
const (
	Write Access = iota // publish to a topic name
	Read                // subscribe with a topic filter, or be delivered a topic name
)

// Message is one publish by a client. Payload belongs to the receiver.
type Message struct {
	Principal string
	ClientID  string
	Topic     string
	Payload   []byte
	QoS       byte
	Retain    bool
	Version   byte // protocol version of the sender
}

// Outcome is a handler's decision about a message.
type Outcome int

// The outcomes of a publish.
const (
	Accept Outcome = iota // acknowledge; nobody is told
	Relay                 // acknowledge, then deliver to subscribers
	Refuse                // acknowledge negatively (MQTT 5) or plainly (3.1.1); final
	Abort                 // do not acknowledge and close the connection
)

// Handler decides what clients may do. Its methods are called concurrently.
type Handler interface {
	// Authenticate answers the principal behind c; ok is false when the
	// credentials are wrong.
	Authenticate(c Connect) (principal string, ok bool)
	// Authorize answers whether principal may access topic now. For Read,
	// topic is the filter of a subscription (without a $share prefix) or the
	// name of a topic about to be delivered.
	Authorize(principal string, a Access, topic string) bool
	// Publish takes m over and calls done exactly once, at any time, in the
	// order of the messages of a connection.
	Publish(m Message, done func(Outcome))
}

// DeliveryHandler is an optional ability of a [Handler]: to learn that a
// message given to [Broker.Publish] with a token reached a client (its PUBACK
// at QoS 1, its write at QoS 0).
type DeliveryHandler interface {
	Delivered(principal, token string)
}

// SubscribeHandler is an optional ability of a [Handler]: to learn that a
// client subscribed, after the subscription took effect.
type SubscribeHandler interface {
	Subscribed(principal, filter string)
}

// Options configure a [Broker]. The zero value of every field but Address and
// Handler has a sensible meaning.
type Options struct {
	Address     string // host:port; port 0 picks one
	TLS         *tls.Config
	Handler     Handler
	Log         *slog.Logger
	MaxPacket   int // bytes, default 256 KiB
	MaxClients  int // connections, default 16384
	Window      int // unacknowledged publishes per connection, default 256
	ClientQueue int // messages waiting for one subscriber, default 64
	// CutSlow ends the session of a subscriber at QoS 1 or 2 for which more
	// than ClientQueue messages wait, so that it learns it lost some. Without
	// it the broker drops what is too much, which only Dropped tells: right
	// where every message is sent again until it is acknowledged.
	CutSlow        bool
	SessionExpiry  time.Duration // how long a session outlives its connection, default 1 h
	MaxSessions    int           // sessions of one principal, stored ones included, default 64
	Retain         bool          // keep retained messages (in memory)
	ConnectTimeout time.Duration // from accept to CONNECT, default 10 s
}

func (o *Options) defaults() {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.MaxPacket = cmp.Or(o.MaxPacket, 256<<10)
	o.MaxClients = cmp.Or(o.MaxClients, 16384)
	o.Window = cmp.Or(o.Window, 256)
	o.ClientQueue = cmp.Or(o.ClientQueue, 64)
	o.MaxSessions = cmp.Or(o.MaxSessions, 64)
	o.SessionExpiry = cmp.Or(o.SessionExpiry, time.Hour)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 10*time.Second)
}

// Broker is a running MQTT broker.
type Broker struct {
	options  Options
	server   *mochi.Server
	inline   *mochi.Client
	hook     *hook
	listener *listener

	dropped atomic.Int64 // for subscribers whose session was ended

	mu     sync.Mutex
	conns  map[string]map[*conn]struct{}  // connections by principal
	stored map[string]map[string]struct{} // session ids by principal
	closed sync.Once
}

// NewBroker listens on o.Address and serves until Close.
func NewBroker(o Options) (*Broker, error) {
	o.defaults()
	if o.Handler == nil {
		return nil, errors.New("mqtt: broker options: Handler is missing")
	}
	b := &Broker{options: o, conns: map[string]map[*conn]struct{}{}, stored: map[string]map[string]struct{}{}}
	capabilities := mochi.NewDefaultServerCapabilities()
	capabilities.MaximumClients = int64(o.MaxClients)
	capabilities.MaximumPacketSize = uint32(o.MaxPacket)
	capabilities.MaximumClientWritesPending = int32(o.ClientQueue)
	capabilities.MaximumSessionExpiryInterval = uint32(o.SessionExpiry / time.Second)
	capabilities.ReceiveMaximum = uint16(min(o.Window, 65535))
	capabilities.MaximumInflight = uint16(min(max(o.ClientQueue, 64), 65535))
	capabilities.MinimumProtocolVersion = 4
	// A publish by alias carries no topic when mochi checks access; without
	// aliases every publish names its topic.
	capabilities.TopicAliasMaximum = 0
	if !o.Retain {
		capabilities.RetainAvailable = 0
	}
	b.server = mochi.New(&mochi.Options{
		Capabilities: capabilities,
		// mochi logs whole packets: payloads must not reach a log.
		Logger:                 slog.New(slog.DiscardHandler),
		SysTopicResendInterval: 24 * 3600,
		InlineClient:           true,
	})
	b.inline, _ = b.server.Clients.Get(mochi.InlineClientId)
	b.hook = newHook(b)
	if err := b.server.AddHook(b.hook, nil); err != nil {
		return nil, fmt.Errorf("mqtt: broker: %w", err)
	}
	inner, err := new(net.ListenConfig).Listen(context.Background(), "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("mqtt: listen on %s: %w", o.Address, err)
	}
	b.listener = newListener(b, inner)
	if err := b.server.AddListener(b.listener); err != nil {
		inner.Close()
		return nil, fmt.Errorf("mqtt: broker: %w", err)
	}
	if err := b.server.Serve(); err != nil {
		inner.Close()
		return nil, fmt.Errorf("mqtt: broker: %w", err)
	}
	return b, nil
}

// Addr is the address the broker listens on.
func (b *Broker) Addr() net.Addr { return b.listener.inner.Addr() }

// Clients is the number of connections at present.
func (b *Broker) Clients() int { return int(b.listener.open.Load()) }

// Dropped is the number of messages that subscribers did not get because too
// many waited for them already.
func (b *Broker) Dropped() int64 {
	return atomic.LoadInt64(&b.server.Info.MessagesDropped) + atomic.LoadInt64(&b.server.Info.InflightDropped) + b.dropped.Load()
}

// Publish delivers a message of the broker's own to all subscribers, without
// asking the handler's Publish. token, when not empty, names the message in
// [DeliveryHandler] and travels as MQTT 5 user property "id".
func (b *Broker) Publish(topic string, payload []byte, qos byte, token string) error {
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos},
		TopicName:   topic,
		Payload:     payload,
		PacketID:    uint16(qos),
	}
	if token != "" {
		pk.Properties.User = []packets.UserProperty{{Key: tokenProperty, Val: token}}
	}
	return b.inject(pk)
}

// inject runs pk through the broker as its own message.
func (b *Broker) inject(pk packets.Packet) error {
	if err := b.server.InjectPacket(b.inline, pk); err != nil {
		return fmt.Errorf("mqtt: publish to %s: %w", pk.TopicName, err)
	}
	return nil
}

// Disconnect closes every connection of principal and forgets its sessions.
// The caller has revoked the principal before, so that it cannot come back.
func (b *Broker) Disconnect(principal string) {
	b.mu.Lock()
	conns := slices.Collect(maps.Keys(b.conns[principal]))
	ids := slices.Collect(maps.Keys(b.stored[principal]))
	delete(b.stored, principal)
	b.mu.Unlock()
	for _, c := range conns {
		c.cut(packets.ErrNotAuthorized)
	}
	for _, id := range ids {
		if cl, ok := b.server.Clients.Get(id); ok {
			cl.Stop(packets.ErrNotAuthorized)
			b.forgetClient(cl)
		}
	}
}

// forgetClient forgets what mochi keeps for a session.
func (b *Broker) forgetClient(cl *mochi.Client) {
	cl.ClearInflights()
	b.server.UnsubscribeClient(cl)
	b.server.Clients.Delete(cl.ID)
}

// Close disconnects every client and stops listening.
func (b *Broker) Close() error {
	var err error
	b.closed.Do(func() { err = b.server.Close() })
	if err != nil {
		return fmt.Errorf("mqtt: close: %w", err)
	}
	return nil
}

// sessionID is the broker's key of a session: the principal's length makes the
// pair unambiguous whatever the names contain.
func sessionID(principal, clientID string) string {
	return fmt.Sprintf("%d:%s/%s", len(principal), principal, clientID)
}
