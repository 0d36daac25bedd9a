package devices

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// httpDevice posts readings and polls for commands.
type httpDevice struct {
	options Options
	client  *http.Client
}

func newHTTP(o Options) *httpDevice {
	return &httpDevice{options: o, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2}, Timeout: 90 * time.Second}}
}

func (d *httpDevice) do(ctx context.Context, method, path, contentType string, body []byte) (int, []byte, error) {
	base := strings.TrimSuffix(d.options.Address, "/") + "/ingest/" + url.PathEscape(d.options.Name)
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("devices: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+d.options.Secret)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("devices: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, nil, fmt.Errorf("devices: %w", err)
	}
	return resp.StatusCode, answer, nil
}

func (d *httpDevice) Send(ctx context.Context, readings ...Reading) error {
	messages, err := d.options.encode(readings)
	if err != nil {
		return err
	}
	for _, m := range messages {
		path, contentType := "", senml.MediaTypeJSON
		switch {
		case m.resource != "":
			path, contentType = "/"+m.resource, "text/plain"
		case d.options.Format == CBOR:
			contentType = senml.MediaTypeCBOR
		}
		status, answer, err := d.do(ctx, http.MethodPost, path, contentType, m.payload)
		switch {
		case err != nil:
			return err
		case status == http.StatusServiceUnavailable:
			return fmt.Errorf("devices: %w", ErrBusy)
		case status != http.StatusAccepted:
			return fmt.Errorf("devices: %w: status %d: %s", ErrRefused, status, bytes.TrimSpace(answer))
		}
	}
	return nil
}

// Commands polls; the commands of one answer are acknowledged by the next
// request.
func (d *httpDevice) Commands(ctx context.Context, handle func(Command)) error {
	ack := ""
	for ctx.Err() == nil {
		status, body, err := d.do(ctx, http.MethodGet, "/commands?wait=20s&ack="+url.QueryEscape(ack), "", nil)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case status == http.StatusNoContent:
			ack = ""
			continue
		case status != http.StatusOK:
			return fmt.Errorf("devices: %w: status %d", ErrRefused, status)
		}
		commands, err := parseDownloads(body)
		if err != nil {
			return err
		}
		ids := make([]string, len(commands))
		for i, c := range commands {
			handle(c)
			ids[i] = c.ID
		}
		ack = strings.Join(ids, ",")
	}
	return nil
}

func (d *httpDevice) Close() { d.client.CloseIdleConnections() }
