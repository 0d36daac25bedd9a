package mainflux

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/httpcall"
)

// AdminEmail is the user that a token without a user name belongs to.
const AdminEmail = "admin@osmoslice.local"

const product = "Mainflux"

type credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
}

// credentialsOf reads Access.Token; own is true when it names no user.
func credentialsOf(a platform.Access) (c credentials, own bool) {
	if email, password, ok := strings.Cut(a.Token, ":"); ok {
		return credentials{email, password}, false
	}
	return credentials{AdminEmail, a.Token}, true
}

// session is one call's right to administer an instance.
type session struct {
	c     *httpcall.Client
	a     platform.Access
	token string
}

// login gets a token, and makes the user of a bare password where it is
// missing. A user that was named is never made: a mistyped name would find an
// empty product instead of its error.
func (s *Server) login(ctx context.Context, a platform.Access) (*session, error) {
	in := &session{c: &s.client, a: a}
	who, own := credentialsOf(a)
	err := s.client.Patiently(ctx, func(ctx context.Context) error {
		ans, err := s.client.Do(ctx, a, httpcall.Call{Endpoint: "users", Method: http.MethodPost, Path: "/tokens", Body: who})
		if err != nil {
			return err
		}
		if ans.Status == http.StatusForbidden && own {
			if err := s.register(ctx, a, who); err != nil {
				return err
			}
			ans, err = s.client.Do(ctx, a, httpcall.Call{Endpoint: "users", Method: http.MethodPost, Path: "/tokens", Body: who})
			if err != nil {
				return err
			}
		}
		if ans.Status == http.StatusForbidden {
			return wrongPassword()
		}
		if !ans.OK() {
			return in.refused(ans)
		}
		var body struct {
			Token string `json:"token"`
		}
		if json.Unmarshal(ans.Body, &body) != nil || body.Token == "" {
			return httpcall.Passing(fault.New(fault.Unavailable, "%s answered no token", product))
		}
		in.token = body.Token
		return nil
	})
	return in, err
}

// register makes a user; one that is there already has another password.
func (s *Server) register(ctx context.Context, a platform.Access, who credentials) error {
	ans, err := s.client.Do(ctx, a, httpcall.Call{Endpoint: "users", Method: http.MethodPost, Path: "/users", Body: who})
	switch {
	case err != nil:
		return err
	case ans.Status == http.StatusConflict:
		return wrongPassword()
	case ans.Status == http.StatusBadRequest:
		return fault.New(fault.Unauthenticated, "%s takes neither the credentials nor them as a new user's: %s", product, ans.Said())
	case !ans.OK():
		return httpcall.Passing(s.client.Refused(ans.Status, ans.Said()))
	}
	return nil
}

func wrongPassword() error {
	return fault.New(fault.Unauthenticated, "%s refuses user and password", product)
}

// refused classifies an answer to a call with a token that was issued a moment
// ago: 401, "non-existent user" and 5xx are what a restart of auth, users or
// things looks like from outside.
func (in *session) refused(ans httpcall.Answer) error {
	f := in.c.Refused(ans.Status, ans.Said())
	switch {
	case ans.Status == http.StatusUnauthorized, ans.Status >= 500,
		ans.Status == http.StatusBadRequest && strings.Contains(ans.Said(), "non-existent user"):
		return httpcall.Passing(f)
	}
	return f
}

// do sends one request to things and wants 2xx or one of fine.
func (in *session) do(ctx context.Context, method, path string, body any, fine ...int) (ans httpcall.Answer, err error) {
	err = in.c.Patiently(ctx, func(ctx context.Context) error {
		ans, err = in.c.Do(ctx, in.a, httpcall.Call{Endpoint: "things", Method: method, Path: path, Body: body, Authorization: in.token})
		if err != nil || ans.OK() {
			return err
		}
		for _, s := range fine {
			if ans.Status == s {
				return nil
			}
		}
		return in.refused(ans)
	})
	return ans, err
}
