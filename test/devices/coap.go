package devices

import (
	"bytes"
	"context"
	"fmt"
	"net/url"

	piondtls "github.com/pion/dtls/v3"
	"github.com/plgd-dev/go-coap/v3/dtls"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	"github.com/plgd-dev/go-coap/v3/udp"
	"github.com/plgd-dev/go-coap/v3/udp/client"
)

// coapDevice posts readings and observes its commands.
type coapDevice struct {
	options Options
	conn    *client.Conn
	auth    []message.Option // plain CoAP: the secret as a query
}

func dialCoAP(_ context.Context, o Options, u *url.URL) (*coapDevice, error) {
	d := &coapDevice{options: o}
	var err error
	if u.Scheme == "coaps" {
		d.conn, err = dtls.Dial(u.Host, &piondtls.Config{ //nolint:staticcheck // go-coap takes no other
			PSK:             func([]byte) ([]byte, error) { return []byte(o.Secret), nil },
			PSKIdentityHint: []byte(o.Name),
			CipherSuites:    []piondtls.CipherSuiteID{piondtls.TLS_PSK_WITH_AES_128_CCM_8, piondtls.TLS_PSK_WITH_AES_128_GCM_SHA256},
		})
	} else {
		d.auth = []message.Option{{ID: message.URIQuery, Value: []byte("auth=" + o.Secret)}}
		d.conn, err = udp.Dial(u.Host)
	}
	if err != nil {
		return nil, fmt.Errorf("devices: connect: %w", err)
	}
	return d, nil
}

func (d *coapDevice) Send(ctx context.Context, readings ...Reading) error {
	messages, err := d.options.encode(readings)
	if err != nil {
		return err
	}
	for _, m := range messages {
		path, mediaType := "/ingest/"+d.options.Name, message.AppSenmlJSON
		switch {
		case m.resource != "":
			path, mediaType = path+"/"+m.resource, message.TextPlain
		case d.options.Format == CBOR:
			mediaType = message.AppSenmlCbor
		}
		answer, err := d.conn.Post(ctx, path, mediaType, bytes.NewReader(m.payload), d.auth...)
		if err != nil {
			return fmt.Errorf("devices: %w", err)
		}
		code := answer.Code()
		d.conn.ReleaseMessage(answer)
		switch {
		case code == codes.ServiceUnavailable:
			return fmt.Errorf("devices: %w", ErrBusy)
		case code != codes.Changed:
			return fmt.Errorf("devices: %w: %s", ErrRefused, code)
		}
	}
	return nil
}

// Commands observes; the library acknowledges each confirmable notification.
func (d *coapDevice) Commands(ctx context.Context, handle func(Command)) error {
	failed := make(chan error, 1)
	observation, err := d.conn.Observe(ctx, "/ingest/"+d.options.Name+"/commands", func(n *pool.Message) {
		body, err := n.ReadBody()
		if err == nil && n.Code() != codes.Content {
			err = fmt.Errorf("devices: %w: %s", ErrRefused, n.Code())
		}
		var commands []Command
		if err == nil {
			commands, err = parseDownloads(body)
		}
		if err != nil {
			select {
			case failed <- err:
			default:
			}
			return
		}
		for _, c := range commands {
			handle(c)
		}
	}, d.auth...)
	if err != nil {
		return fmt.Errorf("devices: observe: %w", err)
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		_ = observation.Cancel(context.Background())
		return nil
	case <-d.conn.Context().Done():
		return errLost
	}
}

func (d *coapDevice) Close() { _ = d.conn.Close() }
