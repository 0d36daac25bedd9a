package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	piondtls "github.com/pion/dtls/v3"
	"github.com/plgd-dev/go-coap/v3/dtls"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/udp"
	"github.com/plgd-dev/go-coap/v3/udp/client"
)

// pushTimeout bounds one attempt to reach a device at its address.
const pushTimeout = 4 * time.Second

// pushToAddress sends commands to a device that listens itself. What fails
// stays pending and is tried again until its time is over.
func (g *Gateway) pushToAddress(d *device, pending []Command) {
	ctx, cancel := context.WithTimeout(context.Background(), pushTimeout)
	defer cancel()
	for i := range pending {
		c := &pending[i]
		var err error
		if d.Protocol == protocolCoAP {
			err = pushCoAP(ctx, d, c)
		} else {
			err = pushHTTP(ctx, d, c)
		}
		if err != nil {
			g.log.Debug("command not delivered yet", "id", c.ID, "device", d.Name, "error", err)
			return
		}
		g.finish(d.Name, c.ID, stateDelivered, "")
	}
}

// pushHTTP is PUT <address>/<resource> with the plain value.
func pushHTTP(ctx context.Context, d *device, c *Command) error {
	target := d.Address
	if !strings.Contains(target, "://") {
		target = "http://" + target
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, strings.TrimSuffix(target, "/")+"/"+c.Resource, bytes.NewReader(c.text()))
	if err != nil {
		return fmt.Errorf("device address: %w", err)
	}
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("X-Command-Id", c.ID)
	resp, err := pushClient.Do(req)
	if err != nil {
		return fmt.Errorf("reach the device: %w", err)
	}
	resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the device answers %d", resp.StatusCode)
	}
	return nil
}

var pushClient = &http.Client{
	Timeout:       pushTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// pushCoAP is PUT coap(s)://<address>/<resource> with the plain value. With
// coaps the gateway is the DTLS client, with the device's name and secret.
func pushCoAP(ctx context.Context, d *device, c *Command) error {
	var conn *client.Conn
	var err error
	if address, ok := strings.CutPrefix(d.Address, "coaps://"); ok {
		conn, err = dtls.Dial(address, &piondtls.Config{ //nolint:staticcheck // go-coap takes no other
			PSK:             func([]byte) ([]byte, error) { return []byte(d.Secret), nil },
			PSKIdentityHint: []byte(d.Name),
			CipherSuites:    []piondtls.CipherSuiteID{piondtls.TLS_PSK_WITH_AES_128_CCM_8, piondtls.TLS_PSK_WITH_AES_128_GCM_SHA256},
		})
	} else {
		conn, err = udp.Dial(strings.TrimPrefix(d.Address, "coap://"))
	}
	if err != nil {
		return fmt.Errorf("reach the device: %w", err)
	}
	defer func() { _ = conn.Close() }()
	answer, err := conn.Put(ctx, "/"+c.Resource, message.TextPlain, bytes.NewReader(c.text()))
	if err != nil {
		return fmt.Errorf("reach the device: %w", err)
	}
	if code := answer.Code(); code < codes.Created || code > codes.Content {
		return fmt.Errorf("the device answers %s", code)
	}
	return nil
}
