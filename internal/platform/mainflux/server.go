package mainflux

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/httpcall"
)

// Server adapts Mainflux.
type Server struct {
	client httpcall.Client
	names  httpcall.Names
}

var (
	_ platform.Server = (*Server)(nil)
	_ platform.Linker = (*Server)(nil)
	_ platform.Reader = (*Server)(nil)
)

// NewServer answers an adapter that uses c, http.DefaultClient when nil.
func NewServer(c *http.Client) *Server {
	return &Server{client: httpcall.Client{HTTP: c, Product: product}}
}

// Health answers nil when every service with an endpoint answers and the
// administrator can log in, which takes users, auth and their database.
func (s *Server) Health(ctx context.Context, a platform.Access) error {
	for _, endpoint := range []string{"users", "things", "http", "reader"} {
		if a.Endpoints[endpoint] == "" && endpoint != "users" && endpoint != "things" {
			continue
		}
		ans, err := s.client.Do(ctx, a, httpcall.Call{Endpoint: endpoint, Method: http.MethodGet, Path: "/version"})
		if err != nil {
			return err
		}
		if !ans.OK() {
			return fault.New(fault.Unavailable, "%s's %s answered %d to /version", product, endpoint, ans.Status).Retrying(fault.Backoff)
		}
	}
	_, err := s.login(ctx, a)
	return err
}

// Connect makes thing, channel and link, each found by the gateway's name before
// it is made.
func (s *Server) Connect(ctx context.Context, a platform.Access, gateway string) (platform.Uplink, error) {
	var u platform.Uplink
	if gateway == "" {
		return u, fault.Field("gateway", gateway, "a name")
	}
	address, err := httpcall.MQTTAddress(a)
	if err != nil {
		return u, err
	}
	release, err := s.names.Take(ctx, gateway)
	if err != nil {
		return u, err
	}
	defer release()
	in, err := s.login(ctx, a)
	if err != nil {
		return u, err
	}
	thing, err := in.ensure(ctx, things, gateway)
	if err != nil {
		return u, err
	}
	channel, err := in.ensure(ctx, channels, gateway)
	if err != nil {
		return u, err
	}
	if err := in.link(ctx, channel, thing); err != nil {
		return u, err
	}
	key, err := in.key(ctx, thing)
	if err != nil {
		return u, err
	}
	return platform.Uplink{
		Protocol: platform.MQTT, Address: address, Topic: "channels/" + channel + "/messages",
		ClientID: "osmoslice-" + thing, Username: thing, Password: key,
	}, nil
}

// Link lets the reader's thing use the source's channel.
func (s *Server) Link(ctx context.Context, a platform.Access, reader, source string) (string, error) {
	in, err := s.login(ctx, a)
	if err != nil {
		return "", err
	}
	thing, err := s.ensure(ctx, in, things, reader)
	if err != nil {
		return "", err
	}
	channel, err := s.ensure(ctx, in, channels, source)
	if err != nil {
		return "", err
	}
	return channel, in.link(ctx, channel, thing)
}

func (s *Server) ensure(ctx context.Context, in *session, kind, name string) (string, error) {
	release, err := s.names.Take(ctx, name)
	if err != nil {
		return "", err
	}
	defer release()
	return in.ensure(ctx, kind, name)
}

// Disconnect removes link, thing and channel. Every call of it starts by
// searching, so one that was interrupted is ended by the next.
func (s *Server) Disconnect(ctx context.Context, a platform.Access, gateway string) error {
	release, err := s.names.Take(ctx, gateway)
	if err != nil {
		return err
	}
	defer release()
	in, err := s.login(ctx, a)
	if err != nil {
		return err
	}
	clients, err := in.find(ctx, things, gateway)
	if err != nil {
		return err
	}
	own, err := in.find(ctx, channels, gateway)
	if err != nil {
		return err
	}
	for _, thing := range clients {
		for _, channel := range own {
			if err := in.remove(ctx, linkPath(channel, thing)); err != nil {
				return err
			}
		}
		if err := in.remove(ctx, "/"+things+"/"+url.PathEscape(thing)); err != nil {
			return err
		}
	}
	for _, channel := range own {
		if err := in.remove(ctx, "/"+channels+"/"+url.PathEscape(channel)); err != nil {
			return err
		}
	}
	return nil
}

// Read asks the reader, with the gateway's own key, as it wants.
func (s *Server) Read(ctx context.Context, a platform.Access, gateway, name string, limit int) ([]platform.Reading, error) {
	in, err := s.login(ctx, a)
	if err != nil {
		return nil, err
	}
	clients, err := in.find(ctx, things, gateway)
	if err != nil {
		return nil, err
	}
	own, err := in.find(ctx, channels, gateway)
	if err != nil {
		return nil, err
	}
	if len(clients) == 0 || len(own) == 0 {
		return nil, fault.Absent("gateway", gateway)
	}
	key, err := in.key(ctx, clients[0])
	if err != nil {
		return nil, err
	}
	var out []platform.Reading
	err = s.client.Patiently(ctx, func(ctx context.Context) error {
		out, err = s.messages(ctx, a, own[0], key, name, limit)
		return err
	})
	return out, err
}

func (s *Server) messages(ctx context.Context, a platform.Access, channel, key, name string, limit int) ([]platform.Reading, error) {
	q := url.Values{"offset": {"0"}, "limit": {strconv.Itoa(limit)}, "name": {name}}
	ans, err := s.client.Do(ctx, a, httpcall.Call{
		Endpoint: "reader", Method: http.MethodGet, Path: "/channels/" + url.PathEscape(channel) + "/messages?" + q.Encode(), Authorization: key,
	})
	if err != nil {
		return nil, err
	}
	if !ans.OK() { // 500 as well: the key was asked for a moment ago
		return nil, httpcall.Passing(s.client.Refused(ans.Status, ans.Said()))
	}
	out, err := httpcall.Messages(ans.Body)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "%s's reader answered no list of messages", product).Because(err).Retrying(fault.Backoff)
	}
	return out, nil
}
