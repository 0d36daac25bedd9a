package mqtt

import (
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// listener accepts connections for mochi and follows each to its end, which
// mochi's own listeners and hooks do not report in every case.
type listener struct {
	broker *Broker
	inner  net.Listener
	open   atomic.Int64
	ended  atomic.Bool
}

var _ listeners.Listener = (*listener)(nil)

func newListener(b *Broker, inner net.Listener) *listener {
	return &listener{broker: b, inner: inner}
}

func (l *listener) Init(*slog.Logger) error { return nil }
func (l *listener) ID() string              { return "tcp" }
func (l *listener) Address() string         { return l.inner.Addr().String() }
func (l *listener) Protocol() string        { return "tcp" }

// Serve accepts until the listener is closed. A transient accept error (too
// many open files) must not end the broker.
func (l *listener) Serve(establish listeners.EstablishFn) {
	for {
		nc, err := l.inner.Accept()
		if err != nil {
			if l.ended.Load() {
				return
			}
			l.broker.options.Log.Warn("mqtt accept", "error", err)
			time.Sleep(50 * time.Millisecond) //nolint:forbidigo // nothing tells when there are files again
			continue
		}
		if l.open.Load() >= int64(l.broker.options.MaxClients) {
			nc.Close()
			continue
		}
		l.open.Add(1)
		go l.serve(nc, establish)
	}
}

// serve runs one connection to its end.
func (l *listener) serve(nc net.Conn, establish listeners.EstablishFn) {
	defer l.open.Add(-1)
	if l.broker.options.TLS != nil {
		nc = tls.Server(nc, l.broker.options.TLS)
	}
	c := &conn{Conn: nc, broker: l.broker, done: make(chan struct{}), slots: make(chan struct{}, l.broker.options.Window)}
	_ = nc.SetDeadline(time.Now().Add(l.broker.options.ConnectTimeout))
	err := establish(l.ID(), c)
	_ = c.Close()
	l.broker.forget(c)
	l.broker.options.Log.Debug("mqtt connection ended", "principal", c.principal, "remote", nc.RemoteAddr().String(), "error", err)
}

// Close stops accepting and closes the clients. What mochi gives for the latter
// read-locks its clients twice (Clients.GetByListener of v2.7.9) and hangs for
// ever when a client leaves in between.
func (l *listener) Close(listeners.CloseFn) {
	if !l.ended.CompareAndSwap(false, true) {
		return
	}
	l.inner.Close()
	for _, c := range l.broker.server.Clients.GetAll() {
		if c.Net.Listener == l.ID() && !c.Closed() {
			_ = l.broker.server.DisconnectClient(c, packets.ErrServerShuttingDown)
		}
	}
}

// conn is one connection and the broker's state about it.
type conn struct {
	net.Conn
	broker    *Broker
	client    *mochi.Client // set before the connection is registered
	principal string
	session   string // "" until it is registered

	overrun atomic.Bool // too many messages waited: being cut

	once  sync.Once
	done  chan struct{} // closed with the connection
	slots chan struct{} // one per publish that waits for its outcome

	mu      sync.Mutex
	acks    []byte // PUBACKs waiting to be written
	writing bool   // a goroutine is writing acks
	sent    map[uint16]string
}

// Close closes the connection once and wakes who waits for it.
func (c *conn) Close() error {
	var err error
	c.once.Do(func() {
		close(c.done)
		err = c.Conn.Close()
	})
	return err
}

// cut closes the connection, telling an MQTT 5 client why.
func (c *conn) cut(code packets.Code) {
	if c.client != nil {
		if c.client.Properties.ProtocolVersion == 5 {
			_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			_, _ = c.Write([]byte{0xe0, 0x01, code.Code})
		}
		c.client.Stop(code)
	}
	_ = c.Close()
}

// acknowledge queues a PUBACK [MQTT-3.4] and sees that it is written. Several
// acknowledgements that wait together leave in one write.
func (c *conn) acknowledge(packetID uint16, reason byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reason == 0 {
		c.acks = append(c.acks, 0x40, 2, byte(packetID>>8), byte(packetID))
	} else {
		c.acks = append(c.acks, 0x40, 3, byte(packetID>>8), byte(packetID), reason)
	}
	if !c.writing {
		c.writing = true
		go c.writeAcks()
	}
}

// writeAcks writes what is queued and ends when nothing is left. A write of
// whole packets cannot interleave with mochi's: net.Conn serialises writes.
func (c *conn) writeAcks() {
	for {
		c.mu.Lock()
		batch := c.acks
		c.acks = nil
		if len(batch) == 0 {
			c.writing = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		if _, err := c.Write(batch); err != nil {
			_ = c.Close()
		}
	}
}

// track remembers the token of a message sent at QoS 1 until its PUBACK.
func (c *conn) track(packetID uint16, token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent == nil {
		c.sent = map[uint16]string{}
	}
	c.sent[packetID] = token
}

// settle answers and forgets the token of a message that was acknowledged.
func (c *conn) settle(packetID uint16) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	token, ok := c.sent[packetID]
	delete(c.sent, packetID)
	return token, ok
}

// register files c under principal, before its credentials are checked again:
// a revocation that follows the check finds the connection. It answers false
// when the principal has too many sessions.
func (b *Broker) register(c *conn, principal, session string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := b.stored[principal]
	if _, known := ids[session]; !known && len(ids) >= b.options.MaxSessions {
		return false
	}
	c.principal, c.session = principal, session
	if ids == nil {
		b.stored[principal] = map[string]struct{}{}
	}
	b.stored[principal][session] = struct{}{}
	if b.conns[principal] == nil {
		b.conns[principal] = map[*conn]struct{}{}
	}
	b.conns[principal][c] = struct{}{}
	return true
}

// forget removes c when its connection has ended, and its session unless mochi
// keeps it.
func (b *Broker) forget(c *conn) {
	if c.session == "" {
		return // never authenticated
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	set := b.conns[c.principal]
	delete(set, c)
	if len(set) == 0 {
		delete(b.conns, c.principal)
	}
	if _, kept := b.server.Clients.Get(c.session); !kept {
		b.forgetSession(c.principal, c.session)
	}
}

// forgetSession removes a session that mochi does not keep. The lock is held.
func (b *Broker) forgetSession(principal, session string) {
	for c := range b.conns[principal] {
		if c.session == session {
			return // connecting again
		}
	}
	delete(b.stored[principal], session)
	if len(b.stored[principal]) == 0 {
		delete(b.stored, principal)
	}
}
