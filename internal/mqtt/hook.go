package mqtt

import (
	"strings"
	"sync/atomic"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// tokenProperty is the MQTT 5 user property that carries a message's token.
const tokenProperty = "id"

// hook joins mochi to a Handler.
type hook struct {
	mochi.HookBase
	broker     *Broker
	handler    Handler
	deliveries DeliveryHandler  // nil when the handler does not care
	subscribes SubscribeHandler // nil when the handler does not care
}

func newHook(b *Broker) *hook {
	h := &hook{broker: b, handler: b.options.Handler}
	h.deliveries, _ = b.options.Handler.(DeliveryHandler)
	h.subscribes, _ = b.options.Handler.(SubscribeHandler)
	return h
}

// ID names the hook to mochi.
func (h *hook) ID() string { return "handler" }

// Provides tells mochi which events to raise.
func (h *hook) Provides(event byte) bool {
	switch event {
	case mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublish, mochi.OnWill, mochi.OnClientExpired:
		return true
	case mochi.OnQosPublish, mochi.OnPacketRead, mochi.OnPacketSent:
		return h.deliveries != nil
	case mochi.OnSubscribed:
		return h.subscribes != nil
	case mochi.OnPublishDropped:
		return h.broker.options.CutSlow
	}
	return false
}

// connOf is the connection of cl; nil for the broker's own client.
func connOf(cl *mochi.Client) *conn {
	c, _ := cl.Net.Conn.(*conn)
	return c
}

// OnConnectAuthenticate names the principal and binds the session to it.
func (h *hook) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	c := connOf(cl)
	if c == nil {
		return false
	}
	c.client = cl
	connect := Connect{
		ClientID: cl.ID,
		Username: string(pk.Connect.Username),
		Password: pk.Connect.Password,
		Remote:   cl.Net.Remote,
		Version:  pk.ProtocolVersion,
	}
	principal, ok := h.handler.Authenticate(connect)
	if !ok {
		return false
	}
	// Registered first and checked again: a revocation between the two
	// finds either the connection or changed credentials.
	session := sessionID(principal, cl.ID)
	if !h.broker.register(c, principal, session) {
		return false
	}
	if again, ok := h.handler.Authenticate(connect); !ok || again != principal {
		return false
	}
	if pk.Connect.WillFlag && !h.mayWrite(principal, pk.Connect.WillTopic) {
		return false
	}
	cl.ID = session
	return true
}

// OnClientExpired forgets a session whose connection ended long ago.
func (h *hook) OnClientExpired(cl *mochi.Client) {
	if c := connOf(cl); c != nil && c.session != "" {
		h.broker.mu.Lock()
		defer h.broker.mu.Unlock()
		h.broker.forgetSession(c.principal, c.session)
	}
}

// mayWrite refuses what no principal may publish to before asking.
func (h *hook) mayWrite(principal, topic string) bool {
	return topic != "" && mochi.IsValidFilter(topic, true) && h.handler.Authorize(principal, Write, topic)
}

// OnACLCheck asks the handler; a shared subscription is judged by its filter.
func (h *hook) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	c := connOf(cl)
	if c == nil {
		return cl.Net.Inline
	}
	if write {
		return h.mayWrite(c.principal, topic)
	}
	// mochi would drop what exceeds the messages in flight and tell nobody.
	if h.broker.options.CutSlow && cl.State.Inflight.Len() >= int(h.broker.server.Options.Capabilities.MaximumInflight) {
		h.broker.dropped.Add(1)
		h.overrun(cl, c)
		return false
	}
	if rest, ok := cutShare(topic); ok {
		topic = rest
	}
	return topic != "" && h.handler.Authorize(c.principal, Read, topic)
}

// cutShare removes the $share/<group>/ prefix of MQTT 5 §4.8.2; mochi matches
// it regardless of case.
func cutShare(filter string) (string, bool) {
	const prefix = "$share/"
	if len(filter) < len(prefix) || !strings.EqualFold(filter[:len(prefix)], prefix) {
		return filter, false
	}
	_, rest, ok := strings.Cut(filter[len(prefix):], "/")
	return rest, ok
}

// OnPublish hands a message to the handler. mochi would acknowledge when this
// returns; at QoS 0 and 1 it is told to drop the packet, and the
// acknowledgement is written when the outcome is known, so that the reader can
// go on with the next packet. At QoS 2 the reader waits and mochi does its
// handshake.
func (h *hook) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	c := connOf(cl)
	if c == nil {
		return pk, nil
	}
	select {
	case c.slots <- struct{}{}:
	case <-c.done:
		return pk, packets.ErrRejectPacket
	}
	if pk.FixedHeader.Qos == 2 {
		return h.publishWait(c, pk)
	}
	p := newPending(h, c, &pk)
	h.handler.Publish(h.message(c, &pk), p.conclude)
	return pk, packets.ErrRejectPacket
}

// pending is a publish that waits for its outcome: what of its packet is still
// needed, because a whole packet is large.
type pending struct {
	hook       *hook
	conn       *conn
	topic      string
	payload    []byte
	properties *packets.Properties // nil when there are none to pass on
	packetID   uint16
	qos        byte
	retain     bool
	called     atomic.Bool
}

func newPending(h *hook, c *conn, pk *packets.Packet) *pending {
	p := &pending{hook: h, conn: c, topic: pk.TopicName, payload: pk.Payload, packetID: pk.PacketID, qos: pk.FixedHeader.Qos, retain: pk.FixedHeader.Retain}
	if pk.ProtocolVersion == 5 {
		properties := pk.Properties
		p.properties = &properties
	}
	return p
}

// message is pk as a handler sees it.
func (h *hook) message(c *conn, pk *packets.Packet) Message {
	return Message{
		Principal: c.principal,
		ClientID:  c.client.ID[len(sessionID(c.principal, "")):],
		Topic:     pk.TopicName,
		Payload:   pk.Payload,
		QoS:       pk.FixedHeader.Qos,
		Retain:    pk.FixedHeader.Retain,
		Version:   c.client.Properties.ProtocolVersion,
	}
}

// conclude acts on the outcome of a publish at QoS 0 or 1.
func (p *pending) conclude(o Outcome) {
	if p.called.Swap(true) {
		panic("mqtt: outcome of a publish given twice")
	}
	defer func() { <-p.conn.slots }()
	if o == Abort {
		p.conn.cut(packets.ErrServerBusy)
		return
	}
	if p.qos == 1 {
		var reason byte
		if o == Refuse && p.conn.client.Properties.ProtocolVersion == 5 {
			reason = packets.ErrPayloadFormatInvalid.Code
		}
		p.conn.acknowledge(p.packetID, reason)
	}
	if o == Relay {
		p.relay()
	}
}

// relay delivers a client's message to the subscribers.
func (p *pending) relay() {
	out := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: p.qos, Retain: p.retain},
		TopicName:   p.topic,
		Payload:     p.payload,
		PacketID:    uint16(p.qos),
	}
	if p.properties != nil {
		out.Properties = *p.properties
	}
	if err := p.hook.broker.inject(out); err != nil {
		p.hook.broker.options.Log.Warn("mqtt relay", "error", err)
	}
}

// publishWait waits for the outcome of a publish at QoS 2.
func (h *hook) publishWait(c *conn, pk packets.Packet) (packets.Packet, error) {
	defer func() { <-c.slots }()
	outcome := make(chan Outcome, 1)
	h.handler.Publish(h.message(c, &pk), func(o Outcome) { outcome <- o })
	select {
	case o := <-outcome:
		switch o {
		case Relay:
			return pk, nil
		case Abort:
			c.cut(packets.ErrServerBusy)
			return pk, packets.ErrRejectPacket
		default:
			return pk, packets.CodeSuccessIgnore
		}
	case <-c.done:
		return pk, packets.ErrRejectPacket
	}
}

// OnWill passes a will through the handler. mochi publishes wills past every
// check, so the will it gets back has a topic nobody can subscribe to.
func (h *hook) OnWill(cl *mochi.Client, will mochi.Will) (mochi.Will, error) {
	if c := connOf(cl); c != nil && h.mayWrite(c.principal, will.TopicName) {
		pk := packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: will.Qos, Retain: will.Retain},
			TopicName:   will.TopicName,
			Payload:     will.Payload,
		}
		p := newPending(h, c, &pk)
		h.handler.Publish(h.message(c, &pk), func(o Outcome) {
			if o == Relay {
				p.relay()
			}
		})
	}
	return mochi.Will{TopicName: mochi.SysPrefix + "/will"}, nil
}

// OnPublishDropped ends a session that was promised what was dropped for it.
func (h *hook) OnPublishDropped(cl *mochi.Client, _ packets.Packet) {
	c := connOf(cl)
	if c == nil {
		return
	}
	for _, sub := range cl.State.Subscriptions.GetAll() {
		if sub.Qos > 0 {
			h.overrun(cl, c)
			return
		}
	}
}

// overrun ends the session of a subscriber that does not keep up: when it
// connects again it is told that there is none, and knows that it lost
// something. It does not wait for the connection, which takes nothing any more.
func (h *hook) overrun(cl *mochi.Client, c *conn) {
	if !c.overrun.CompareAndSwap(false, true) {
		return
	}
	// Forgotten before it can connect again, unless it has done so.
	if now, ok := h.broker.server.Clients.Get(cl.ID); ok && now == cl {
		h.broker.forgetClient(cl)
	}
	h.broker.options.Log.Warn("mqtt subscriber too slow, its session was ended", "principal", c.principal)
	go c.cut(packets.ErrQuotaExceeded)
}

// OnQosPublish learns the packet id that a message of ours got.
func (h *hook) OnQosPublish(cl *mochi.Client, pk packets.Packet, _ int64, _ int) {
	if c := connOf(cl); c != nil && pk.FixedHeader.Type == packets.Publish {
		if token := tokenOf(pk); token != "" {
			c.track(pk.PacketID, token)
		}
	}
}

// OnPacketRead sees every PUBACK. mochi's own bookkeeping cannot be used: it
// loses an outgoing message when the client publishes with the same packet id.
func (h *hook) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Type == packets.Puback || pk.FixedHeader.Type == packets.Pubcomp {
		if c := connOf(cl); c != nil {
			if token, ok := c.settle(pk.PacketID); ok && pk.ReasonCode < packets.ErrUnspecifiedError.Code {
				h.deliveries.Delivered(c.principal, token)
			}
		}
	}
	return pk, nil
}

// OnPacketSent counts a QoS 0 message as delivered once it is written.
func (h *hook) OnPacketSent(cl *mochi.Client, pk packets.Packet, _ []byte) {
	if pk.FixedHeader.Type == packets.Publish && pk.FixedHeader.Qos == 0 {
		if token := tokenOf(pk); token != "" {
			if c := connOf(cl); c != nil {
				h.deliveries.Delivered(c.principal, token)
			}
		}
	}
}

// OnSubscribed reports the filters that were granted.
func (h *hook) OnSubscribed(cl *mochi.Client, pk packets.Packet, reasons []byte) {
	c := connOf(cl)
	if c == nil {
		return
	}
	for i, sub := range pk.Filters {
		if i < len(reasons) && reasons[i] <= packets.CodeGrantedQos2.Code {
			h.subscribes.Subscribed(c.principal, sub.Filter)
		}
	}
}

// tokenOf is the token of a message given to Broker.Publish. A client's own
// user property of that name cannot be mistaken for one: relay drops none, but
// tokens are only looked up by those who issued them.
func tokenOf(pk packets.Packet) string {
	for _, p := range pk.Properties.User {
		if p.Key == tokenProperty {
			return p.Val
		}
	}
	return ""
}
