package supermq

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/httpcall"
)

const product = "SuperMQ"

// DomainName is the domain that everything is made in; its route as well.
const DomainName = "osmoslice"

const (
	adminUser = "admin" // of a bare password
	pageSize  = 100
)

// Server adapts SuperMQ.
type Server struct {
	client httpcall.Client
	names  httpcall.Names
}

var (
	_ platform.Server = (*Server)(nil)
	_ platform.Linker = (*Server)(nil)
)

// NewServer answers an adapter that uses c, http.DefaultClient when nil.
func NewServer(c *http.Client) *Server {
	return &Server{client: httpcall.Client{HTTP: c, Product: product}}
}

// session is one call's right to administer an instance.
type session struct {
	c      *httpcall.Client
	a      platform.Access
	token  string
	domain string
}

// entity is what domains, clients and channels have in common.
type entity struct {
	ID          string `json:"id,omitempty"`
	Name        string `json:"name"`
	Route       string `json:"route,omitempty"`
	Credentials *struct {
		Secret string `json:"secret"`
	} `json:"credentials,omitempty"`
}

// Health answers nil when the administrator can log in and list clients, which
// takes users, domains, clients, their databases and the policy engine.
func (s *Server) Health(ctx context.Context, a platform.Access) error {
	in, err := s.login(ctx, a)
	if err == nil && in.domain != "" {
		_, err = in.find(ctx, "clients", "health")
	}
	return err
}

// login gets a token and looks for the domain.
func (s *Server) login(ctx context.Context, a platform.Access) (*session, error) {
	user, password, named := strings.Cut(a.Token, ":")
	if !named {
		user, password = adminUser, a.Token
	}
	in := &session{c: &s.client, a: a}
	err := s.client.Patiently(ctx, func(ctx context.Context) error {
		ans, err := s.client.Do(ctx, a, httpcall.Call{Endpoint: "users", Method: http.MethodPost, Path: "/users/tokens/issue",
			Body: map[string]string{"username": user, "password": password}})
		var body struct {
			Token string `json:"access_token"`
		}
		switch {
		case err != nil:
			return err
		case ans.Status >= 500:
			return httpcall.Passing(s.client.Refused(ans.Status, ans.Said()))
		case !ans.OK():
			return fault.New(fault.Unauthenticated, "%s refuses user and password", product)
		case json.Unmarshal(ans.Body, &body) != nil || body.Token == "":
			return fault.New(fault.Unavailable, "%s answered no token", product).Retrying(fault.Backoff)
		}
		in.token = "Bearer " + body.Token
		return nil
	})
	if err != nil {
		return nil, err
	}
	ids, err := in.find(ctx, "domains", DomainName)
	if err == nil && len(ids) > 0 {
		in.domain = ids[0]
	}
	return in, err
}

// withDomain makes the domain when it is missing.
func (s *Server) withDomain(ctx context.Context, in *session) error {
	if in.domain != "" {
		return nil
	}
	release, err := s.names.Take(ctx, "domain/"+DomainName)
	if err != nil {
		return err
	}
	defer release()
	in.domain, err = in.ensure(ctx, "domains", entity{Name: DomainName, Route: DomainName})
	return err
}

// path is where entities of a kind are.
func (in *session) path(kind string) string {
	if kind == "domains" {
		return "/domains"
	}
	return "/" + in.domain + "/" + kind
}

// do sends one request and wants 2xx or one of fine.
func (in *session) do(ctx context.Context, endpoint, method, path string, body any, fine ...int) (ans httpcall.Answer, err error) {
	err = in.c.Patiently(ctx, func(ctx context.Context) error {
		ans, err = in.c.Do(ctx, in.a, httpcall.Call{Endpoint: endpoint, Method: method, Path: path, Body: body, Authorization: in.token})
		if err != nil || ans.OK() || slices.Contains(fine, ans.Status) {
			return err
		}
		f := in.c.Refused(ans.Status, ans.Said())
		if ans.Status == http.StatusUnauthorized || ans.Status >= 500 {
			return httpcall.Passing(f)
		}
		return f
	})
	return ans, err
}

// find answers the ids of all entities of a kind with exactly that name, sorted.
func (in *session) find(ctx context.Context, kind, name string) ([]string, error) {
	var ids []string
	for offset := 0; ; offset += pageSize {
		q := url.Values{"offset": {strconv.Itoa(offset)}, "limit": {strconv.Itoa(pageSize)}, "name": {name}}
		ans, err := in.do(ctx, kind, http.MethodGet, in.path(kind)+"?"+q.Encode(), nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Total    int      `json:"total"`
			Domains  []entity `json:"domains"`
			Clients  []entity `json:"clients"`
			Channels []entity `json:"channels"`
		}
		if err := json.Unmarshal(ans.Body, &page); err != nil {
			return nil, fault.New(fault.Unavailable, "%s answered no list of %s", product, kind).Because(err).Retrying(fault.Backoff)
		}
		got := slices.Concat(page.Domains, page.Clients, page.Channels)
		for _, e := range got {
			if e.Name == name {
				ids = append(ids, e.ID)
			}
		}
		if len(got) == 0 || offset+len(got) >= page.Total {
			slices.Sort(ids)
			return slices.Compact(ids), nil
		}
	}
}

// ensure answers the id of the entity of that name, made if absent.
func (in *session) ensure(ctx context.Context, kind string, e entity) (string, error) {
	ids, err := in.find(ctx, kind, e.Name)
	if err != nil {
		return "", err
	}
	if len(ids) > 0 {
		return ids[0], nil
	}
	ans, err := in.do(ctx, kind, http.MethodPost, in.path(kind), e)
	if err != nil {
		return "", err
	}
	var made entity
	if json.Unmarshal(ans.Body, &made) != nil || made.ID == "" {
		return "", fault.New(fault.Unavailable, "%s made one of %s and answered no id", product, kind).Retrying(fault.Backoff)
	}
	return made.ID, nil
}

// pair makes client and channel, both by the names given, and connects them.
func (s *Server) pair(ctx context.Context, in *session, client, channel string) (clientID, channelID string, err error) {
	if err := s.withDomain(ctx, in); err != nil {
		return "", "", err
	}
	wanted := entity{Name: client}
	wanted.Credentials = &struct {
		Secret string `json:"secret"`
	}{rand.Text()}
	if clientID, err = s.one(ctx, in, "clients", wanted); err != nil {
		return "", "", err
	}
	if channelID, err = s.one(ctx, in, "channels", entity{Name: channel}); err != nil {
		return "", "", err
	}
	body := map[string][]string{"channel_ids": {channelID}, "client_ids": {clientID}, "types": {"publish", "subscribe"}}
	_, err = in.do(ctx, "channels", http.MethodPost, in.path("channels")+"/connect", body, http.StatusConflict)
	return clientID, channelID, err
}

func (s *Server) one(ctx context.Context, in *session, kind string, e entity) (string, error) {
	release, err := s.names.Take(ctx, kind+"/"+e.Name)
	if err != nil {
		return "", err
	}
	defer release()
	return in.ensure(ctx, kind, e)
}

// Connect makes domain, client, channel and connection, each found by name
// before it is made.
func (s *Server) Connect(ctx context.Context, a platform.Access, gateway string) (u platform.Uplink, err error) {
	if gateway == "" {
		return u, fault.Field("gateway", gateway, "a name")
	}
	address, err := httpcall.MQTTAddress(a)
	if err != nil {
		return u, err
	}
	in, err := s.login(ctx, a)
	if err != nil {
		return u, err
	}
	client, channel, err := s.pair(ctx, in, gateway, gateway)
	if err != nil {
		return u, err
	}
	ans, err := in.do(ctx, "clients", http.MethodGet, in.path("clients")+"/"+url.PathEscape(client), nil)
	if err != nil {
		return u, err
	}
	var known entity
	if json.Unmarshal(ans.Body, &known) != nil || known.Credentials == nil || known.Credentials.Secret == "" {
		return u, fault.New(fault.Unavailable, "%s answered a client without its secret", product).Retrying(fault.Backoff)
	}
	return platform.Uplink{
		Protocol: platform.MQTT, Address: address, Topic: "m/" + in.domain + "/c/" + channel,
		ClientID: "osmoslice-" + client, Username: client, Password: known.Credentials.Secret,
	}, nil
}

// Link connects the reader's client to the source's channel.
func (s *Server) Link(ctx context.Context, a platform.Access, reader, source string) (string, error) {
	in, err := s.login(ctx, a)
	if err != nil {
		return "", err
	}
	_, channel, err := s.pair(ctx, in, reader, source)
	return channel, err
}

// Disconnect removes client and channel, and with them their connection. The
// domain stays: it is the instance's.
func (s *Server) Disconnect(ctx context.Context, a platform.Access, gateway string) error {
	in, err := s.login(ctx, a)
	if err != nil || in.domain == "" {
		return err
	}
	for _, kind := range []string{"clients", "channels"} {
		ids, err := in.find(ctx, kind, gateway)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := in.do(ctx, kind, http.MethodDelete, in.path(kind)+"/"+url.PathEscape(id), nil, http.StatusNotFound); err != nil {
				return err
			}
		}
	}
	return nil
}
