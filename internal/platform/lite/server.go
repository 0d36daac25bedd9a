package lite

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/httpcall"
)

// Server adapts the light server.
type Server struct{ client client }

var (
	_ platform.Server = (*Server)(nil)
	_ platform.Linker = (*Server)(nil)
	_ platform.Reader = (*Server)(nil)
)

// NewServer answers an adapter that uses c, http.DefaultClient when nil.
func NewServer(c *http.Client) *Server {
	if c == nil {
		c = http.DefaultClient
	}
	return &Server{client{http: c, product: "light server"}}
}

// Health answers nil when the server stores and answers messages.
func (s *Server) Health(ctx context.Context, a platform.Access) error {
	_, err := s.client.do(ctx, a, call{method: http.MethodGet, path: "/healthz"})
	return err
}

// Connect makes client, channel and link, each found by the gateway's name
// before it is made.
func (s *Server) Connect(ctx context.Context, a platform.Access, gateway string) (platform.Uplink, error) {
	if gateway == "" {
		return platform.Uplink{}, fault.Field("gateway", gateway, "a name")
	}
	thing, err := s.ensure(ctx, a, "things", gateway)
	if err != nil {
		return platform.Uplink{}, err
	}
	channel, err := s.ensure(ctx, a, "channels", gateway)
	if err != nil {
		return platform.Uplink{}, err
	}
	link := "/channels/" + url.PathEscape(channel) + "/things/" + url.PathEscape(thing)
	if _, err := s.client.do(ctx, a, call{method: http.MethodPut, path: link}); err != nil {
		return platform.Uplink{}, err
	}
	var known struct {
		Key string `json:"key"`
	}
	if _, err := s.client.do(ctx, a, call{method: http.MethodGet, path: "/things/" + url.PathEscape(thing), into: &known}); err != nil {
		return platform.Uplink{}, err
	}
	return uplinkTo(a, gateway, thing, known.Key, channel)
}

// Link links the reader's client to the source's channel.
func (s *Server) Link(ctx context.Context, a platform.Access, reader, source string) (string, error) {
	thing, err := s.ensure(ctx, a, "things", reader)
	if err != nil {
		return "", err
	}
	channel, err := s.ensure(ctx, a, "channels", source)
	if err != nil {
		return "", err
	}
	link := "/channels/" + url.PathEscape(channel) + "/things/" + url.PathEscape(thing)
	_, err = s.client.do(ctx, a, call{method: http.MethodPut, path: link})
	return channel, err
}

// uplinkTo is where and as whom a gateway delivers.
func uplinkTo(a platform.Access, gateway, thing, key, channel string) (platform.Uplink, error) {
	address := a.Endpoints["uplink"]
	if address == "" {
		address = a.Endpoints["mqtt"]
	}
	if address == "" {
		return platform.Uplink{
			Protocol: platform.HTTP, Address: strings.TrimSuffix(a.Endpoints["api"], "/") + "/channels/" + channel + "/messages",
			ClientID: gateway, Username: thing, Password: key,
		}, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return platform.Uplink{}, fault.Field("endpoints/mqtt", address, "tcp://host:port or ssl://host:port")
	}
	switch u.Scheme {
	case "mqtt":
		u.Scheme = "tcp"
	case "mqtts", "tls":
		u.Scheme = "ssl"
	case "tcp", "ssl":
	default:
		return platform.Uplink{}, fault.Field("endpoints/mqtt", address, "tcp://host:port or ssl://host:port")
	}
	return platform.Uplink{
		Protocol: platform.MQTT, Address: u.Scheme + "://" + u.Host, Topic: "channels/" + channel + "/messages/{seq}",
		ClientID: gateway, Username: thing, Password: key, DownTopic: "channels/" + channel + "/commands",
	}, nil
}

// ensure answers the id of the thing or channel with that name, made if absent.
func (s *Server) ensure(ctx context.Context, a platform.Access, kind, name string) (string, error) {
	id, err := s.find(ctx, a, kind, name)
	if err != nil || id != "" {
		return id, err
	}
	ans, err := s.client.do(ctx, a, call{method: http.MethodPost, path: "/" + kind, body: map[string]string{"name": name}})
	if err != nil && !fault.Is(err, fault.Conflict) {
		return "", err
	}
	// A conflict: somebody was faster, and Location is what they made.
	if parent, id := path.Split(ans.location); parent == "/"+kind+"/" && id != "" {
		return id, nil
	}
	if err == nil {
		err = fault.New(fault.Unavailable, "the light server answered no Location")
	}
	return "", err
}

// find answers the id of the thing or channel with that name, or "".
func (s *Server) find(ctx context.Context, a platform.Access, kind, name string) (string, error) {
	type item struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	var list struct {
		Things   []item `json:"things"`
		Channels []item `json:"channels"`
	}
	// An equal name comes first.
	query := url.Values{"name": {name}, "limit": {"1"}}
	_, err := s.client.do(ctx, a, call{method: http.MethodGet, path: "/" + kind + "?" + query.Encode(), into: &list})
	if err != nil {
		return "", err
	}
	for _, i := range append(list.Things, list.Channels...) {
		if i.Name == name {
			return i.ID, nil
		}
	}
	return "", nil
}

// Disconnect removes the gateway's client, which revokes its key at once, and
// its channel when nothing is stored in it.
func (s *Server) Disconnect(ctx context.Context, a platform.Access, gateway string) error {
	thing, err := s.find(ctx, a, "things", gateway)
	if err != nil {
		return err
	}
	if thing != "" {
		if _, err := s.client.do(ctx, a, call{method: http.MethodDelete, path: "/things/" + url.PathEscape(thing)}); gone(err) != nil {
			return err
		}
	}
	channel, err := s.find(ctx, a, "channels", gateway)
	if err != nil || channel == "" {
		return err
	}
	var stored struct {
		Messages []struct{} `json:"messages"`
	}
	at := "/channels/" + url.PathEscape(channel)
	_, err = s.client.do(ctx, a, call{method: http.MethodGet, path: at + "/messages?limit=1&count=false", into: &stored})
	if err != nil || len(stored.Messages) > 0 {
		return gone(err)
	}
	_, err = s.client.do(ctx, a, call{method: http.MethodDelete, path: at})
	return gone(err)
}

// Read answers what is stored in the channel of that name, for the administrator.
func (s *Server) Read(ctx context.Context, a platform.Access, gateway, name string, limit int) ([]platform.Reading, error) {
	channel, err := s.find(ctx, a, "channels", gateway)
	if err != nil {
		return nil, err
	}
	if channel == "" {
		return nil, fault.Absent("gateway", gateway)
	}
	query := url.Values{"name": {name}, "limit": {strconv.Itoa(limit)}, "count": {"false"}}
	ans, err := s.client.do(ctx, a, call{method: http.MethodGet, path: "/channels/" + url.PathEscape(channel) + "/messages?" + query.Encode()})
	if err != nil {
		return nil, err
	}
	readings, err := httpcall.Messages(ans.raw)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the light server answered something else than its interface says").Because(err)
	}
	return readings, nil
}
