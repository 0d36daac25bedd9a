package httpcall

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
)

// The defaults of a Client: how long a starting product is waited for, which is
// longer than any restart that was measured, and the pauses in between.
const (
	DefaultPatience = 30 * time.Second
	firstPause      = 100 * time.Millisecond
	longestPause    = 2 * time.Second
	maxAnswer       = 8 << 20 // bytes
)

// Client sends requests to one kind of product.
type Client struct {
	HTTP    *http.Client // nil: http.DefaultClient
	Product string       // "EdgeX", for errors
	// Patience is how long Patiently repeats; 0: DefaultPatience.
	Patience time.Duration
}

// Call is one request.
type Call struct {
	Endpoint     string // name of the endpoint in platform.Access
	Method, Path string // Path with its query
	Body         any    // encoded as JSON; nil: none
	// Text is sent as text/plain when Body is nil and it is not empty.
	Text string
	// Authorization is the header's whole value, "" for none.
	Authorization string
}

// Answer is what came back.
type Answer struct {
	Status   int
	Location string
	Body     []byte
}

// OK reports a status of 2xx.
func (a Answer) OK() bool { return a.Status/100 == 2 }

// Said is what the answer tells a person: the "message" or "error" of a JSON
// object, else the text itself, shortened.
func (a Answer) Said() string {
	var body struct {
		Message string `json:"message"`
		Error   string `json:"error"`
	}
	var said string
	if json.Unmarshal(a.Body, &body) == nil {
		said = cmp.Or(body.Message, body.Error)
	} else {
		said = strings.TrimSpace(string(a.Body))
	}
	return Shorten(cmp.Or(said, http.StatusText(a.Status)))
}

// Shorten bounds a foreign text for an error.
func Shorten(said string) string {
	if len(said) > 300 {
		said = said[:300] + "…"
	}
	return strings.ToValidUTF8(said, "\uFFFD")
}

// base answers the URL of an endpoint without a trailing slash, or the fault
// that names it.
func base(a platform.Access, endpoint, product string) (string, error) {
	raw := a.Endpoints[endpoint]
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fault.Field("endpoints/"+endpoint, raw, "the http or https URL of "+product+"'s "+endpoint)
	}
	return strings.TrimSuffix(raw, "/"), nil
}

// MQTTAddress is where gateways deliver to a server, as MQTT clients write it:
// the endpoint "uplink", else "mqtt".
func MQTTAddress(a platform.Access) (string, error) {
	name, raw := "uplink", a.Endpoints["uplink"]
	if raw == "" {
		name, raw = "mqtt", a.Endpoints["mqtt"]
	}
	u, err := url.Parse(raw)
	if err == nil && u.Host != "" {
		switch u.Scheme {
		case "tcp", "mqtt":
			return "tcp://" + u.Host, nil
		case "ssl", "tls", "mqtts":
			return "ssl://" + u.Host, nil
		}
	}
	return "", fault.Field("endpoints/"+name, raw, "tcp://host:port or ssl://host:port")
}

// Do sends one request and answers what came, whatever its status.
func (c *Client) Do(ctx context.Context, a platform.Access, call Call) (Answer, error) {
	request, err := c.request(ctx, a, call)
	if err != nil {
		return Answer{}, err
	}
	response, err := cmp.Or(c.HTTP, http.DefaultClient).Do(request)
	if err != nil {
		return Answer{}, c.Unreachable(call.Endpoint, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return Answer{}, c.Unreachable(call.Endpoint, err)
	}
	return Answer{Status: response.StatusCode, Location: response.Header.Get("Location"), Body: body}, nil
}

func (c *Client) request(ctx context.Context, a platform.Access, call Call) (*http.Request, error) {
	root, err := base(a, call.Endpoint, c.Product)
	if err != nil {
		return nil, err
	}
	body, contentType := []byte(call.Text), ""
	if call.Text != "" {
		contentType = "text/plain"
	}
	if call.Body != nil {
		contentType = "application/json"
		if body, err = json.Marshal(call.Body); err != nil {
			return nil, fault.New(fault.Invalid, "the request to %s cannot be written", c.Product).Because(err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, call.Method, root+call.Path, bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, "the request to %s cannot be made", c.Product)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if call.Authorization != "" {
		request.Header.Set("Authorization", call.Authorization)
	}
	return request, nil
}

// Unreachable classifies a failure to get an answer at all.
func (c *Client) Unreachable(endpoint string, err error) error {
	kind, what := fault.Unavailable, "is not reachable"
	if errors.Is(err, context.DeadlineExceeded) {
		kind, what = fault.Timeout, "did not answer in time"
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err // without the URL, which may tell more than it should
	}
	return fault.New(kind, "%s's %s %s", c.Product, endpoint, what).Retrying(fault.Backoff).Because(err)
}

// Refused is the fault of a status, with what the product said: 401 and 403
// never, 404, 409 and other 4xx never, 429 and 5xx with backoff.
func (c *Client) Refused(status int, said string) *fault.Error {
	kind, retry := fault.Unavailable, fault.Backoff
	switch {
	case status == http.StatusUnauthorized:
		kind, retry = fault.Unauthenticated, fault.Never
	case status == http.StatusForbidden:
		kind, retry = fault.Forbidden, fault.Never
	case status == http.StatusNotFound:
		kind, retry = fault.NotFound, fault.Never
	case status == http.StatusConflict:
		kind, retry = fault.Conflict, fault.Never
	case status == http.StatusTooManyRequests:
		kind = fault.TooMany
	case status < 500:
		kind, retry = fault.Invalid, fault.Never
	}
	return fault.New(kind, "%s answered %d: %s", c.Product, status, cmp.Or(Shorten(said), http.StatusText(status))).Retrying(retry)
}

// passing marks a fault that a starting product answers for a while.
type passing struct{ fault *fault.Error }

func (p *passing) Error() string { return p.fault.Error() }
func (p *passing) Unwrap() error { return p.fault }

// Passing marks f as an answer that passes by itself: Patiently repeats it, and
// who gets it in the end is told to retry with backoff.
func Passing(f *fault.Error) error {
	if f.Kind != fault.Timeout {
		f.Kind = fault.Unavailable
	}
	return &passing{f.Retrying(fault.Backoff)}
}

// Patiently calls do until it succeeds, fails with something that is not
// Passing, or patience or ctx end; it answers do's last error.
func (c *Client) Patiently(ctx context.Context, do func(context.Context) error) error {
	end := time.Now().Add(cmp.Or(c.Patience, DefaultPatience))
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := do(ctx)
		var p *passing
		if !errors.As(err, &p) {
			return err
		}
		if time.Now().Add(pause).After(end) || !wait(ctx, pause) {
			return p.fault
		}
	}
}

// wait answers false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
