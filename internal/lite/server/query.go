package server

import (
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/senml"
)

// query selects points of a channel.
type query struct {
	channel                             string
	name, subtopic, publisher, protocol string
	hasSubtopic                         bool
	from, to                            int64 // µs since 1970: from ≤ time < to
	limit, offset                       int
	after                               *position
	count                               bool // answer how many there are in all

	aggregate  string
	interval   int64 // µs; 0: one window over everything
	maxWindows int
}

func (p position) String() string { return fmt.Sprintf("%d-%d", p.time, p.id) }

// parseQuery reads a query string.
func parseQuery(channel string, v url.Values) (query, error) {
	q := query{
		channel: channel, name: v.Get("name"), subtopic: v.Get("subtopic"), hasSubtopic: v.Has("subtopic"),
		publisher: v.Get("publisher"), protocol: v.Get("protocol"), aggregate: v.Get("aggregate"), to: math.MaxInt64,
	}
	bad := func(name, allowed string) (query, error) {
		return q, fault.New(fault.Malformed, "the query is not valid").With(name, v.Get(name), allowed)
	}
	var err error
	if q.limit, err = intParam(v, "limit", defaultPage, 1, maxPage); err != nil {
		return q, err
	}
	if q.offset, err = intParam(v, "offset", 0, 0, maxOffset); err != nil {
		return q, err
	}
	const times = "seconds since 1970 or RFC 3339"
	if v.Has("from") && !parseTime(v.Get("from"), &q.from) {
		return bad("from", times)
	}
	if v.Has("to") && !parseTime(v.Get("to"), &q.to) {
		return bad("to", times)
	}
	if v.Has("after") {
		if q.after = parsePosition(v.Get("after")); q.after == nil {
			return bad("after", "the value of next in an answer")
		}
	}
	q.count = v.Get("count") != "false" && q.after == nil
	if q.aggregate != "" && !slices.Contains([]string{"mean", "min", "max", "sum", "count"}, q.aggregate) {
		return bad("aggregate", "mean, min, max, sum or count")
	}
	if text := v.Get("interval"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < time.Millisecond || d > 10*366*24*time.Hour || q.aggregate == "" {
			return bad("interval", "a duration of 1ms or more, with aggregate")
		}
		q.interval = d.Microseconds()
	}
	return q, nil
}

func parseTime(text string, into *int64) bool {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		*into = t.UnixMicro()
		return true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= senml.MaxTime+1) {
		return false
	}
	*into = int64(math.Round(f * 1e6))
	return true
}

func parsePosition(text string) *position {
	a, b, _ := strings.Cut(text, "-")
	time, errTime := strconv.ParseInt(a, 10, 64)
	id, errID := strconv.ParseInt(b, 10, 64)
	if errTime != nil || errID != nil {
		return nil
	}
	return &position{time, id}
}

// selects reports whether the query is about series k.
func (q *query) selects(k seriesKey) bool {
	return (q.name == "" || q.name == k.name) && (!q.hasSubtopic || q.subtopic == k.subtopic) &&
		(q.publisher == "" || q.publisher == k.publisher) && (q.protocol == "" || q.protocol == k.protocol)
}

// storedMessage is one point as Mainflux 0.12 answers it.
type storedMessage struct {
	ID          int64    `json:"id"` // arrival number, rising
	Channel     string   `json:"channel"`
	Subtopic    string   `json:"subtopic,omitempty"`
	Publisher   string   `json:"publisher"`
	Protocol    string   `json:"protocol"`
	Name        string   `json:"name"`
	Unit        string   `json:"unit,omitempty"`
	Time        float64  `json:"time"`
	UpdateTime  *float64 `json:"update_time,omitempty"`
	Value       *float64 `json:"value,omitempty"`
	StringValue *string  `json:"string_value,omitempty"`
	BoolValue   *bool    `json:"bool_value,omitempty"`
	DataValue   *string  `json:"data_value,omitempty"` // base64url without padding, as in SenML
	Sum         *float64 `json:"sum,omitempty"`
}

// messagesPage is the answer to a query.
type messagesPage struct {
	Offset   int             `json:"offset"`
	Limit    int             `json:"limit"`
	Name     string          `json:"name,omitempty"`
	Format   string          `json:"format"`
	Total    *int64          `json:"total,omitempty"`
	Next     string          `json:"next,omitempty"` // for after; empty at the end
	Messages []storedMessage `json:"messages"`
}

// messages answers a page of points, newest first, from one snapshot.
func (s *Server) messages(ctx context.Context, q query) (*messagesPage, error) {
	snap, err := s.snapshot(ctx, q)
	if err != nil {
		return nil, err
	}
	defer snap.close()
	page := &messagesPage{Offset: q.offset, Limit: q.limit, Name: q.name, Format: "messages", Messages: []storedMessage{}}
	if q.count {
		total, err := snap.count(ctx, q)
		if err != nil {
			return nil, storeFault(err)
		}
		page.Total = &total
	}
	merge, err := newMerge(ctx, snap, q)
	if err != nil {
		return nil, storeFault(err)
	}
	var last position
	for skipped := 0; len(page.Messages) <= q.limit; {
		p, ok, err := merge.next(ctx)
		if err != nil {
			return nil, storeFault(err)
		}
		if !ok {
			return page, nil
		}
		if skipped < q.offset {
			skipped++
			continue
		}
		if len(page.Messages) == q.limit {
			page.Next = last.String()
			break
		}
		page.Messages, last = append(page.Messages, p.message(snap.series[p.series])), p.at
	}
	return page, nil
}

// message is p as it is answered.
func (p *point) message(k seriesKey) storedMessage {
	m := storedMessage{
		ID: p.at.id, Channel: k.channel, Subtopic: k.subtopic, Publisher: k.publisher, Protocol: k.protocol, Name: k.name, Unit: k.unit,
		Time: float64(p.at.time) / 1e6,
	}
	switch p.value.Kind() {
	case senml.Number:
		v := p.value.Float()
		m.Value = &v
	case senml.Text:
		v := p.value.Text()
		m.StringValue = &v
	case senml.Boolean:
		v := p.value.Bool()
		m.BoolValue = &v
	case senml.Data:
		v := base64.RawURLEncoding.EncodeToString(p.value.Bytes())
		m.DataValue = &v
	}
	if p.hasSum {
		m.Sum = &p.sum
	}
	if p.ut != 0 {
		m.UpdateTime = &p.ut
	}
	return m
}
