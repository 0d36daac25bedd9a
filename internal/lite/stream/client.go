package stream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/senml"
)

const (
	maxEvent = 8 << 20 // bytes of one event
	pageSize = 1000
)

// channel is the server's channel as its REST interface shows it.
type channel struct {
	http *http.Client
	base string // …/channels/<id>
	key  string
}

func (c *channel) request(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fault.Field("server", c.base, "an http or https URL")
	}
	r.Header.Set("Authorization", "Thing "+c.key)
	if body != nil {
		r.Header.Set("Content-Type", senml.MediaTypeJSON)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the server is not reachable").Retrying(fault.Backoff).Because(err)
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(response.Body, 512))
	f := fault.New(fault.Unavailable, "the server answered %d: %s", response.StatusCode, strings.ToValidUTF8(string(said), "\uFFFD")).Retrying(fault.Backoff)
	if response.StatusCode/100 == 4 && response.StatusCode != http.StatusTooManyRequests {
		f.Kind, f.Retry = fault.Invalid, fault.Never
	}
	return nil, f
}

// follow reads the live stream until it ends. opened is told the number up to
// which nothing is going to come, take gets every pack with its number.
func (c *channel) follow(ctx context.Context, opened func(position int64) error, take func(senml.Pack, int64)) error {
	response, err := c.request(ctx, http.MethodGet, "/stream", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(make([]byte, 0, 4096), maxEvent)
	var number int64
	for first := true; lines.Scan(); {
		if id, ok := bytes.CutPrefix(lines.Bytes(), []byte("id: ")); ok {
			if number, err = strconv.ParseInt(string(id), 10, 64); err != nil {
				return fault.New(fault.Unavailable, "the stream has no numbers").Retrying(fault.Backoff).Because(err)
			}
		}
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		if first {
			first = false
			if err := opened(number); err != nil {
				return err
			}
			continue
		}
		pack, err := senml.DecodeJSON(data, senml.Limits{Bytes: maxEvent})
		if err != nil {
			return fault.New(fault.Unavailable, "the stream is not SenML").Retrying(fault.Backoff).Because(err)
		}
		take(pack, number)
	}
	if err := lines.Err(); err != nil {
		return fault.New(fault.Unavailable, "the stream broke").Retrying(fault.Backoff).Because(err)
	}
	return fault.New(fault.Unavailable, "the stream ended").Retrying(fault.Backoff)
}

// maxHistory bounds the points that one gap reads back.
const maxHistory = 1_000_000

// history reads what was stored with a time of from (seconds) or later and an
// arrival number in (after, upTo].
func (c *channel) history(ctx context.Context, from float64, after, upTo int64, take func(senml.Record)) error {
	query := url.Values{"from": {fmt.Sprintf("%.6f", max(from, 0))}, "limit": {strconv.Itoa(pageSize)}, "count": {"false"}}
	for range maxHistory / pageSize {
		page, err := c.page(ctx, query)
		if err != nil {
			return err
		}
		for _, m := range page.Messages {
			if m.Value != nil && m.ID > after && m.ID <= upTo {
				take(senml.Record{Name: m.Name, Unit: m.Unit, Time: m.Time, Value: senml.Float(*m.Value)})
			}
		}
		if page.Next == "" {
			return nil
		}
		query.Set("after", page.Next)
	}
	return nil
}

// messagePage is what is read of a page of points.
type messagePage struct {
	Next     string `json:"next"`
	Messages []struct {
		ID    int64    `json:"id"`
		Name  string   `json:"name"`
		Unit  string   `json:"unit"`
		Time  float64  `json:"time"`
		Value *float64 `json:"value"`
	} `json:"messages"`
}

func (c *channel) page(ctx context.Context, query url.Values) (*messagePage, error) {
	response, err := c.request(ctx, http.MethodGet, "/messages?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var page messagePage
	if err := json.NewDecoder(io.LimitReader(response.Body, maxEvent)).Decode(&page); err != nil {
		return nil, fault.New(fault.Unavailable, "the server's answer is not JSON").Retrying(fault.Backoff).Because(err)
	}
	return &page, nil
}

// publish stores a pack in the channel.
func (c *channel) publish(ctx context.Context, pack senml.Pack) error {
	body, err := senml.EncodeJSON(pack)
	if err != nil {
		return fault.New(fault.Internal, "the windows cannot be written").Because(err)
	}
	response, err := c.request(ctx, http.MethodPost, "/messages", body)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
