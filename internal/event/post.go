package event

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Notification is what is posted: the event, and for whom.
type Notification struct {
	ID           string    `json:"id"` // the position: the same in every attempt
	Subscription string    `json:"subscriptionId"`
	TimeStamp    time.Time `json:"timeStamp"`
	slice.Event
}

// post delivers to one subscription, with its authentication.
type post struct {
	guard   *Guard
	secrets Secrets
	timeout time.Duration
	sub     slice.Subscription
	client  *http.Client
	tokens  oauth2.TokenSource
	basic   []byte
}

// Secrets resolves references.
type Secrets interface {
	Value(ctx context.Context, tenant, ref string) ([]byte, error)
}

// ready builds the client from the newest secret; it is undone when a receiver
// refuses it, so that a changed secret is tried.
func (p *post) ready(ctx context.Context) error {
	if p.client != nil {
		return nil
	}
	auth := p.sub.Auth
	if auth == nil {
		p.client = p.guard.client(p.timeout, nil)
		return nil
	}
	value, err := p.secrets.Value(ctx, p.sub.Tenant, auth.SecretRef)
	if err != nil {
		return fmt.Errorf("the secret of the subscription: %w", err)
	}
	var certificates []tls.Certificate
	if slices.Contains(auth.AuthType, "TLS_CERT") {
		pair, err := tls.X509KeyPair(value, value)
		clear(value)
		if err != nil {
			return fault.New(fault.Invalid, "the secret of the subscription holds no PEM certificate and key")
		}
		certificates = []tls.Certificate{pair}
	}
	client := p.guard.client(p.timeout, certificates)
	switch {
	case slices.Contains(auth.AuthType, "OAUTH2_CLIENT_CREDENTIALS"):
		config := clientcredentials.Config{ClientID: auth.ClientID, ClientSecret: string(value), TokenURL: auth.TokenEndpoint}
		p.tokens = config.TokenSource(context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, client))
	case slices.Contains(auth.AuthType, "BASIC"):
		p.basic = value
	}
	p.client = client
	return nil
}

func (p *post) forget() {
	if p.client != nil {
		p.client.CloseIdleConnections()
	}
	clear(p.basic)
	p.client, p.tokens, p.basic = nil, nil, nil
}

// errGone: the receiver says that it wants no more.
var errGone = errors.New("the receiver answered 410 Gone")

// send posts one event. The error's words are for a person and hold nothing of
// what the receiver or the token endpoint answered.
func (p *post) send(ctx context.Context, e slice.Event) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	body, err := json.Marshal(Notification{
		ID: strconv.FormatInt(e.Position, 10), Subscription: p.sub.ID, TimeStamp: e.Time, Event: e,
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.sub.CallbackURI, bytes.NewReader(body))
	if err != nil {
		return errors.New("the callbackUri is no URL")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "osmoslice")
	switch {
	case p.tokens != nil:
		token, err := p.tokens.Token()
		if err != nil {
			p.forget()
			return tokenTrouble(err)
		}
		token.SetAuthHeader(req)
	case p.basic != nil:
		req.SetBasicAuth(p.sub.Auth.UserName, string(p.basic))
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return dialTrouble(err)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return nil
	case resp.StatusCode == http.StatusGone:
		return errGone
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		p.forget()
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fmt.Errorf("the receiver answered %d: redirects are not followed", resp.StatusCode)
	}
	return fmt.Errorf("the receiver answered %d", resp.StatusCode)
}

// tokenTrouble keeps the status only: the answer's body may repeat what was
// sent.
func tokenTrouble(err error) error {
	var r *oauth2.RetrieveError
	if errors.As(err, &r) && r.Response != nil {
		return fmt.Errorf("the token endpoint answered %d", r.Response.StatusCode)
	}
	return fmt.Errorf("the token endpoint gives no token: %w", dialTrouble(err))
}

// dialTrouble says in few words why nobody answered.
func dialTrouble(err error) error {
	var f *fault.Error
	var dns *net.DNSError
	var ne net.Error
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &dns):
		return fmt.Errorf("the host %s cannot be resolved", dns.Name)
	case errors.As(err, &cert):
		return fmt.Errorf("the receiver's certificate is not trusted: %w", cert.Err)
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &ne) && ne.Timeout():
		return errors.New("no answer in time")
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	return errors.New("the exchange with the receiver failed")
}
