package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// httpLink delivers by POST, one batch at a time.
type httpLink struct {
	ctx    context.Context //nolint:containedctx // the link lives as long as its delivery loop
	client *http.Client
	uplink Uplink
}

func newHTTPLink(ctx context.Context, u Uplink, tlsConfig *tls.Config) *httpLink {
	transport := &http.Transport{TLSClientConfig: tlsConfig, MaxIdleConns: 2, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
	client := &http.Client{
		Transport: transport, Timeout: 30 * time.Second,
		// Credentials go to the server that was named, not where it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &httpLink{ctx: ctx, client: client, uplink: u}
}

func (l *httpLink) deliver(b batch, done func(error)) { done(l.post(b)) }

// post sends one batch. What the server calls wrong is sent in halves, down to
// the record that it will never take.
func (l *httpLink) post(b batch) error {
	status, err := l.send(b)
	if err != nil {
		return err
	}
	switch {
	case status >= 200 && status < 300:
		return nil
	case status != http.StatusBadRequest && status != http.StatusRequestEntityTooLarge && status != http.StatusUnprocessableEntity:
		return fmt.Errorf("server answers %d", status)
	case b.count == 1:
		return refusal(1)
	}
	pack, err := senml.DecodeJSON(b.payload, senml.Limits{Bytes: len(b.payload), Records: b.count, Text: len(b.payload)})
	if err != nil {
		return fmt.Errorf("split batch: %w", err)
	}
	return l.halves(b, pack)
}

// halves sends both halves of a refused batch.
func (l *httpLink) halves(b batch, pack senml.Pack) error {
	middle := len(pack) / 2
	refused := refusal(0)
	for _, part := range []struct{ from, to int }{{0, middle}, {middle, len(pack)}} {
		payload, err := senml.EncodeJSON(pack[part.from:part.to])
		if err != nil {
			return fmt.Errorf("split batch: %w", err)
		}
		half := batch{stream: b.stream, first: b.first + uint64(part.from), count: part.to - part.from, payload: payload}
		err = l.post(half)
		var r refusal
		if errors.As(err, &r) {
			refused += r
		} else if err != nil {
			return err
		}
	}
	if refused > 0 {
		return refused
	}
	return nil
}

func (l *httpLink) send(b batch) (int, error) {
	payload, err := b.encoded(l.uplink.Format)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(l.ctx, http.MethodPost, l.uplink.Address, bytes.NewReader(payload))
	if err != nil {
		return 0, fmt.Errorf("uplink request: %w", err)
	}
	req.Header.Set("Content-Type", senml.MediaTypeJSON)
	if l.uplink.Format == "cbor" {
		req.Header.Set("Content-Type", senml.MediaTypeCBOR)
	}
	req.Header.Set("X-Gateway-Sequence", b.name())
	switch {
	case l.uplink.Username != "":
		req.SetBasicAuth(l.uplink.Username, l.uplink.Password)
	case l.uplink.Password != "":
		req.Header.Set("Authorization", l.uplink.Password)
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("uplink: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, nil
}

func (l *httpLink) window() int           { return 1 }
func (l *httpLink) lost() <-chan struct{} { return l.ctx.Done() }
func (l *httpLink) close()                { l.client.CloseIdleConnections() }
