package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	piondtls "github.com/pion/dtls/v3"
	"github.com/plgd-dev/go-coap/v3/dtls"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/mux"
	"github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/net/blockwise"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
	"github.com/plgd-dev/go-coap/v3/udp/client"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// Bounds of CoAP.
const (
	maxCoAPPeers = 16_384
	coapIdle     = 10 * time.Minute // a peer that says nothing for so long is forgotten
)

// coapServer serves devices that speak CoAP (RFC 7252), with Observe (RFC
// 7641) and block-wise transfers (RFC 7959).
type coapServer struct {
	g      *Gateway
	stops  []func()
	blocks *blocks

	mu        sync.Mutex
	peers     map[*client.Conn]string // device of a DTLS peer, "" when plain or not yet known
	observers map[string]map[*observer]struct{}
}

// observer is a device that observes its commands.
type observer struct {
	conn  mux.Conn
	token message.Token
	stop  chan struct{}
	once  sync.Once
}

func (o *observer) end() { o.once.Do(func() { close(o.stop) }) }

// listenCoAP opens the listeners that are configured.
func (g *Gateway) listenCoAP() error {
	g.coap = &coapServer{g: g, blocks: newBlocks(g.config.MaxPayload), peers: map[*client.Conn]string{}, observers: map[string]map[*observer]struct{}{}}
	if g.config.ListenCoAP != "" {
		listener, err := net.NewListenUDP("udp", g.config.ListenCoAP)
		if err != nil {
			return fmt.Errorf("listen on %s for coap: %w", g.config.ListenCoAP, err)
		}
		g.ports["coap"] = listener.LocalAddr().String()
		server := udp.NewServer(
			options.WithMux(mux.HandlerFunc(g.coap.serve)),
			options.WithOnNewConn(g.coap.joined),
			options.WithBlockwise(false, blockwise.SZX1024, 0), // blocks does it
			options.WithInactivityMonitor(coapIdle, func(cc *client.Conn) { _ = cc.Close() }),
			options.WithErrors(g.coap.failed),
		)
		go func() { g.coap.ended("coap", server.Serve(listener)) }()
		g.coap.stops = append(g.coap.stops, func() { server.Stop(); _ = listener.Close() })
	}
	if g.config.ListenCoAPS != "" {
		return g.listenCoAPS()
	}
	return nil
}

func (g *Gateway) listenCoAPS() error {
	listener, err := net.NewDTLSListener("udp", g.config.ListenCoAPS, &piondtls.Config{ //nolint:staticcheck // go-coap takes no other
		PSK:             g.coap.key,
		PSKIdentityHint: []byte(g.config.Name),
		CipherSuites: []piondtls.CipherSuiteID{
			piondtls.TLS_PSK_WITH_AES_128_CCM_8, piondtls.TLS_PSK_WITH_AES_128_GCM_SHA256,
			piondtls.TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256,
		},
	})
	if err != nil {
		return fmt.Errorf("listen on %s for coaps: %w", g.config.ListenCoAPS, err)
	}
	g.ports["coaps"] = listener.Addr().String()
	server := dtls.NewServer(
		options.WithMux(mux.HandlerFunc(g.coap.serve)),
		options.WithOnNewConn(g.coap.joined),
		options.WithBlockwise(false, blockwise.SZX1024, 0),
		options.WithInactivityMonitor(coapIdle, func(cc *client.Conn) { _ = cc.Close() }),
		options.WithErrors(g.coap.failed),
	)
	go func() { g.coap.ended("coaps", server.Serve(listener)) }()
	g.coap.stops = append(g.coap.stops, func() { server.Stop(); _ = listener.Close() })
	return nil
}

var errUnknownIdentity = errors.New("unknown PSK identity")

// key answers the secret of the device a DTLS client says to be.
func (s *coapServer) key(identity []byte) ([]byte, error) {
	d := s.g.registry.lookup(string(identity))
	if d == nil || d.Protocol != protocolCoAP {
		return nil, errUnknownIdentity
	}
	return []byte(d.Secret), nil
}

func (s *coapServer) ended(name string, err error) {
	select {
	case <-s.g.stop:
	default:
		s.g.log.Error("coap server ended", "listener", name, "error", err)
	}
}

func (s *coapServer) failed(err error) { s.g.log.Debug("coap", "error", err) }

// joined files a new peer; beyond the bound it is closed at once.
func (s *coapServer) joined(cc *client.Conn) {
	s.mu.Lock()
	full := len(s.peers) >= maxCoAPPeers
	if !full {
		s.peers[cc] = ""
	}
	s.mu.Unlock()
	cc.AddOnClose(func() {
		s.mu.Lock()
		delete(s.peers, cc)
		s.mu.Unlock()
		s.blocks.forget(cc)
	})
	if full {
		_ = cc.Close()
	}
}

// serve answers one request.
func (s *coapServer) serve(w mux.ResponseWriter, r *mux.Message) {
	path, err := r.Path()
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if err != nil || len(parts) < 2 || len(parts) > 3 || parts[0] != "ingest" {
		s.reply(w, codes.NotFound, nil)
		return
	}
	d := s.device(w, r, parts[1])
	if d == nil {
		s.reply(w, codes.Unauthorized, nil)
		return
	}
	resource := ""
	if len(parts) == 3 {
		resource = parts[2]
	}
	switch {
	case resource == "commands" && r.Code() == codes.GET:
		s.commands(w, r, d)
	case resource == "commands":
		s.reply(w, codes.MethodNotAllowed, nil)
	case r.Code() == codes.POST || r.Code() == codes.PUT:
		s.ingest(w, r, d, resource)
	default:
		s.reply(w, codes.MethodNotAllowed, nil)
	}
}

// device is the device that a request comes from, when it is the one named in
// the path: by the identity of its DTLS session, or by ?auth= on plain CoAP.
func (s *coapServer) device(w mux.ResponseWriter, r *mux.Message, name string) *device {
	if session, ok := w.Conn().NetConn().(*piondtls.Conn); ok {
		state, ok := session.ConnectionState()
		d := s.g.registry.lookup(name)
		if !ok || string(state.IdentityHint) != name || d == nil || d.Protocol != protocolCoAP {
			return nil
		}
		if !s.bind(w.Conn(), name) {
			return nil
		}
		return d
	}
	secret := ""
	queries, _ := r.Queries()
	for _, q := range queries {
		if v, ok := strings.CutPrefix(q, "auth="); ok {
			secret = v
		}
	}
	return s.g.registry.authenticate(name, secret, protocolCoAP)
}

// bind remembers whose session a peer is, so that cut finds it.
func (s *coapServer) bind(conn mux.Conn, name string) bool {
	cc, ok := conn.(*client.Conn)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.peers[cc]; !ok {
		return false // closed, or being closed
	}
	s.peers[cc] = name
	return true
}

// cut ends the sessions and observations of a device.
func (s *coapServer) cut(name string) {
	s.mu.Lock()
	var conns []*client.Conn
	for cc, device := range s.peers {
		if device == name {
			conns = append(conns, cc)
			continue
		}
		if session, ok := cc.NetConn().(*piondtls.Conn); ok && device == "" {
			if state, ok := session.ConnectionState(); ok && string(state.IdentityHint) == name {
				conns = append(conns, cc)
			}
		}
	}
	for o := range s.observers[name] {
		o.end()
	}
	s.mu.Unlock()
	for _, cc := range conns {
		_ = cc.Close()
	}
}

func (s *coapServer) close() {
	if s == nil {
		return
	}
	for _, stop := range s.stops {
		stop()
	}
}

func (s *coapServer) reply(w mux.ResponseWriter, code codes.Code, cause error) {
	var body *bytes.Reader
	if cause != nil {
		body = bytes.NewReader([]byte(cause.Error())) // diagnostic payload (RFC 7252 §5.5.2)
	}
	var err error
	if body == nil {
		err = w.SetResponse(code, message.TextPlain, nil)
	} else {
		err = w.SetResponse(code, message.TextPlain, body)
	}
	if err != nil {
		s.failed(err)
	}
}

// mediaTypes are the content formats taken (RFC 7252 §12.3, RFC 8428 §12.3).
var mediaTypes = map[message.MediaType]string{
	message.TextPlain: "text/plain", message.AppOctets: "application/octet-stream", message.AppJSON: "application/json",
	message.AppSenmlJSON: senml.MediaTypeJSON, message.AppSenmlCbor: senml.MediaTypeCBOR,
}

// ingest takes one message.
func (s *coapServer) ingest(w mux.ResponseWriter, r *mux.Message, d *device, resource string) {
	defer echoBlock(w, r)
	mediaType := ""
	if cf, err := r.ContentFormat(); err == nil {
		var ok bool
		if mediaType, ok = mediaTypes[cf]; !ok {
			s.g.engine.count(tally{refusedMediaType: 1})
			s.reply(w, codes.UnsupportedMediaType, errMediaType)
			return
		}
	}
	if resource == "senml" {
		resource = ""
	}
	f, err := formatOf(mediaType, resource)
	if err != nil {
		s.reply(w, codes.UnsupportedMediaType, err)
		return
	}
	payload, more := s.body(w, r, d.Name+"/"+resource)
	if more {
		return
	}
	recs, before, err := s.g.normalise(d, resource, f, payload)
	if err != nil {
		s.g.engine.count(tally{refusedMalformed: 1})
		s.reply(w, codes.BadRequest, err)
		return
	}
	receipt, err := s.g.take(d, protocolCoAP, recs, &before)
	switch {
	case errors.Is(err, errGone):
		s.reply(w, codes.Unauthorized, nil)
	case err != nil:
		s.g.engine.noteUnavailable()
		s.reply(w, codes.ServiceUnavailable, err)
		w.Message().SetOptionUint32(message.MaxAge, 1)
	case receipt.Accepted+receipt.Filtered+receipt.Aggregated == 0:
		s.reply(w, codes.BadRequest, errors.New("no reading was taken"))
	default:
		s.reply(w, codes.Changed, nil)
	}
}

// commands answers what waits for the device; with Observe it goes on telling.
func (s *coapServer) commands(w mux.ResponseWriter, r *mux.Message, d *device) {
	queries, _ := r.Queries()
	for _, q := range queries {
		if ids, ok := strings.CutPrefix(q, "ack="); ok {
			for _, id := range strings.SplitN(ids, ",", 1000) {
				s.g.finish(d.Name, id, stateDelivered, "")
			}
		}
	}
	observe, err := r.Observe()
	body := downloads(fitting(s.g.registry.pending(d.Name)))
	switch {
	case err == nil && observe == 0:
		body = []byte("[]") // what waits follows as a confirmable notification
		s.observe(w.Conn(), r.Token(), d.Name)
	case err == nil:
		s.forget(w.Conn(), r.Token(), d.Name)
	}
	if err := w.SetResponse(codes.Content, message.AppJSON, bytes.NewReader(body)); err != nil {
		s.failed(err)
	}
	if err == nil && observe == 0 {
		w.Message().SetObserve(1)
	}
}

// observe begins to notify a device; an earlier observation of the same
// connection ends.
func (s *coapServer) observe(conn mux.Conn, token message.Token, name string) {
	o := &observer{conn: conn, token: bytes.Clone(token), stop: make(chan struct{})}
	s.mu.Lock()
	if s.observers[name] == nil {
		s.observers[name] = map[*observer]struct{}{}
	}
	for other := range s.observers[name] {
		if other.conn == conn || len(s.observers[name]) >= 4 {
			other.end()
			delete(s.observers[name], other)
		}
	}
	s.observers[name][o] = struct{}{}
	s.mu.Unlock()
	go s.notify(o, name)
}

// forget ends an observation (RFC 7641 §3.6).
func (s *coapServer) forget(conn mux.Conn, token message.Token, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for o := range s.observers[name] {
		if o.conn == conn && bytes.Equal(o.token, token) {
			o.end()
		}
	}
}

// notify sends the commands of a device to its observer until that ends. A
// notification is confirmable; its acknowledgement delivers the commands.
func (s *coapServer) notify(o *observer, name string) {
	defer func() {
		s.mu.Lock()
		delete(s.observers[name], o)
		if len(s.observers[name]) == 0 {
			delete(s.observers, name)
		}
		s.mu.Unlock()
	}()
	for sequence := uint32(2); ; sequence++ {
		next := s.g.poll.on(name)
		select {
		case <-o.stop: // cut and woken at once
			return
		default:
		}
		if pending := fitting(s.g.registry.pending(name)); len(pending) > 0 {
			if err := s.send(o, sequence, downloads(pending)); err != nil {
				return // the device observes again
			}
			for _, c := range pending {
				s.g.finish(name, c.ID, stateDelivered, "")
			}
			continue // there may be more than fitted
		}
		select {
		case <-next:
		case <-o.stop:
			return
		case <-o.conn.Context().Done():
			return
		case <-s.g.poll.closed:
			return
		}
	}
}

// send sends one notification and waits for its acknowledgement.
func (s *coapServer) send(o *observer, sequence uint32, body []byte) error {
	m := o.conn.AcquireMessage(o.conn.Context())
	defer o.conn.ReleaseMessage(m)
	m.SetCode(codes.Content)
	m.SetToken(o.token)
	m.SetObserve(sequence & 0xffffff)
	m.SetContentFormat(message.AppJSON)
	m.SetBody(bytes.NewReader(body))
	m.SetType(message.Confirmable)
	return o.conn.WriteMessage(m)
}
