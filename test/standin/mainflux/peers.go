package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/platform/mainflux/mainfluxtest"
)

// peers asks the other services, where the variables say that they are.
type peers struct {
	h  *house
	db *sql.DB // the reader's

	mu  sync.Mutex
	bus *bus // the adapters'; nil: a new connection is due
}

// ask calls a peer; anything but 200 is a denial.
func (p *peers) ask(variable, timeout, path string, query url.Values) (string, error) {
	limit, err := time.ParseDuration(p.h.env[timeout])
	if err != nil {
		return "", fmt.Errorf("%s: %w", timeout, err)
	}
	client := &http.Client{Timeout: limit}
	request, err := http.NewRequestWithContext(p.h.ctx, http.MethodGet, "http://"+p.h.env[variable]+path+"?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(body)))
	}
	return string(body), err
}

func (p *peers) auth(path string, query url.Values) (string, error) {
	return p.ask("MF_AUTH_GRPC_URL", "MF_AUTH_GRPC_TIMEOUT", path, query)
}

func (p *peers) things(path string, query url.Values) (string, error) {
	return p.ask("MF_THINGS_AUTH_GRPC_URL", "MF_THINGS_AUTH_GRPC_TIMEOUT", path, query)
}

func (p *peers) Issue(email string) (string, error) {
	return p.auth("/issue", url.Values{"email": {email}})
}

func (p *peers) Owner(token string) (string, error) {
	return p.auth("/owner", url.Values{"token": {token}})
}

func (p *peers) Thing(key string) (string, error) {
	return p.things("/thing", url.Values{"key": {key}})
}

func (p *peers) Access(key, channel string) (string, error) {
	return p.things("/access", url.Values{"key": {key}, "channel": {channel}})
}

// Keep hands the message to the writer.
func (p *peers) Keep(m mainfluxtest.Message) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bus == nil {
		if p.bus, err = p.h.connect(); err != nil {
			return err
		}
	}
	if err = p.bus.publish(m); err != nil {
		p.bus = nil
	}
	return err
}

func (p *peers) Kept(channel string) ([]mainfluxtest.Reading, error) {
	rows, err := p.db.QueryContext(p.h.ctx, "SELECT reading FROM standin_messages WHERE channel = $1 ORDER BY id", channel)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []mainfluxtest.Reading
	for rows.Next() {
		var raw []byte
		var r mainfluxtest.Reading
		if err := errors.Join(rows.Scan(&raw), json.Unmarshal(raw, &r)); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// sign makes a token of an e-mail address with the secret of auth, which all
// replicas have.
func sign(secret, email string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(email))
	return base64.RawURLEncoding.EncodeToString([]byte(email)) + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// signer answers whose a token is, "" when it is nobody's.
func signer(secret, token string) string {
	head, _, _ := strings.Cut(token, ".")
	email, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil || !hmac.Equal([]byte(sign(secret, string(email))), []byte(token)) {
		return ""
	}
	return string(email)
}
