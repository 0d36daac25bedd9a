package lite

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

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
)

const (
	maxAnswer = 32 << 20 // bytes of a JSON answer
	maxState  = 4 << 30  // bytes of an exported state
)

// client talks to one kind of product.
type client struct {
	http    *http.Client
	product string // "light gateway", for errors
}

// call is one request and where its JSON answer goes.
type call struct {
	method, path string
	body         any    // encoded as JSON, unless raw is set
	raw          []byte // with contentType
	contentType  string
	into         any // nil: the body is not read
	limit        int64
}

// answer is what is kept of a response.
type answer struct {
	status   int
	location string
	raw      []byte
}

// do sends c and answers the response, or a fault when its status is not 2xx.
// The answer comes with the fault, for those who read a status or Location.
func (cl *client) do(ctx context.Context, a platform.Access, c call) (answer, error) {
	request, err := cl.request(ctx, a, c)
	if err != nil {
		return answer{}, err
	}
	response, err := cl.http.Do(request)
	if err != nil {
		return answer{}, cl.unreachable(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, cmp.Or(c.limit, maxAnswer)))
	if err != nil {
		return answer{}, cl.unreachable(err)
	}
	ans := answer{status: response.StatusCode, location: response.Header.Get("Location"), raw: raw}
	if ans.status/100 != 2 {
		return ans, cl.refused(ans)
	}
	if c.into != nil {
		if err := json.Unmarshal(raw, c.into); err != nil {
			return ans, fault.New(fault.Unavailable, "the %s answered something else than its interface says", cl.product).Because(err)
		}
	}
	return ans, nil
}

func (cl *client) request(ctx context.Context, a platform.Access, c call) (*http.Request, error) {
	base, err := url.Parse(a.Endpoints["api"])
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fault.Field("endpoints/api", a.Endpoints["api"], "the http or https URL of the "+cl.product)
	}
	body := c.raw
	if c.body != nil {
		if body, err = json.Marshal(c.body); err != nil {
			return nil, fault.New(fault.Invalid, "the request cannot be written").Because(err)
		}
		c.contentType = "application/json"
	}
	target := strings.TrimSuffix(base.String(), "/") + c.path
	request, err := http.NewRequestWithContext(ctx, c.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, "the request cannot be made").Because(err)
	}
	request.Header.Set("Authorization", "Bearer "+a.Token)
	if c.contentType != "" {
		request.Header.Set("Content-Type", c.contentType)
	}
	return request, nil
}

// unreachable classifies a failure to get an answer at all.
func (cl *client) unreachable(err error) error {
	kind, what := fault.Unavailable, "is not reachable"
	if errors.Is(err, context.DeadlineExceeded) {
		kind, what = fault.Timeout, "did not answer in time"
	}
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err // without the URL, which may tell more than it should
	}
	return fault.New(kind, "the %s %s", cl.product, what).Retrying(fault.Backoff).Because(err)
}

// refused classifies an answer that is not 2xx.
func (cl *client) refused(ans answer) *fault.Error {
	var body struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(ans.raw, &body)
	return statusFault(cl.product, ans.status, body.Error)
}

// statusFault is the fault of a status, with what the product said.
func statusFault(product string, status int, said string) *fault.Error {
	if len(said) > 300 {
		said = said[:300] + "…"
	}
	said = cmp.Or(strings.ToValidUTF8(said, "\uFFFD"), http.StatusText(status))
	kind, retry := fault.Unavailable, fault.Backoff
	switch status {
	case http.StatusUnauthorized:
		kind, retry = fault.Unauthenticated, fault.Never
	case http.StatusForbidden:
		kind, retry = fault.Forbidden, fault.Never
	case http.StatusNotFound:
		kind, retry = fault.NotFound, fault.Never
	case http.StatusConflict:
		kind, retry = fault.Conflict, fault.Never
	case http.StatusRequestEntityTooLarge:
		kind, retry = fault.TooLarge, fault.Never
	case http.StatusInsufficientStorage:
		kind = fault.NoSpace
	case http.StatusTooManyRequests:
		kind = fault.TooMany
	default:
		if status < 500 {
			kind, retry = fault.Invalid, fault.Never
		}
	}
	return fault.New(kind, "the %s answered %d: %s", product, status, said).Retrying(retry)
}
