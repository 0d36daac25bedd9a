package server

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// fill stores n points of a name, from at on, a step apart.
func fill(h *house, c client, name string, at time.Time, n int, step time.Duration) {
	h.t.Helper()
	for n > 0 {
		var p senml.Pack
		for range min(n, 5000) {
			p = append(p, senml.Record{Name: name, Time: senml.Seconds(at), Value: senml.Float(1)})
			at = at.Add(step)
		}
		n -= len(p)
		body, err := senml.EncodeCBOR(p)
		if err != nil {
			h.t.Fatal(err)
		}
		h.publish(c, http.StatusAccepted, body, "Content-Type", senml.MediaTypeCBOR)
	}
}

func (h *house) sweep() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	if err := h.sweeper.sweep(ctx); err != nil {
		h.t.Fatal(err)
	}
}

func TestRetentionByAge(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	h := open(t, func(o *Options) {
		o.RetainAge = time.Hour
		o.Now = func() time.Time { return now }
	})
	c := h.client("gw")
	fill(h, c, "old", now.Add(-2*time.Hour), 350, 10*time.Second)        // all older than an hour
	fill(h, c, "mixed", now.Add(-3700*time.Second), 370, 10*time.Second) // of which 10 are older
	fill(h, c, "new", now.Add(-time.Minute), 10, time.Second)
	h.sweep()
	for name, want := range map[string]int64{"old": 0, "mixed": 360, "new": 10} {
		if got := *h.messages(c, "limit=1&name="+name).Total; got != want {
			t.Errorf("%s: %d points, want %d", name, got, want)
		}
	}
	fill(h, c, "old", now.Add(-time.Minute), 1, time.Second)
	if got := *h.messages(c, "limit=1&name=old").Total; got != 1 {
		t.Errorf("a series that was emptied holds %d points, want 1", got)
	}
}

func TestRetentionBySize(t *testing.T) {
	const limit, points = 200 << 10, 8000
	h := open(t, func(o *Options) { o.RetainSize = limit })
	c := h.client("gw")
	start := time.Now().Add(-48 * time.Hour)
	fill(h, c, "n", start, points, time.Second)
	h.sweep()
	used, err := h.sweeper.used(t.Context())
	if err != nil || used > limit {
		t.Fatalf("%d bytes in use, want at most %d (%v)", used, limit, err)
	}
	p := h.messages(c, "limit=1")
	if p.Messages[0].Time != senml.Seconds(start.Add((points-1)*time.Second)) {
		t.Error("the newest point is gone")
	}
	if *p.Total < 1000 || *p.Total >= points {
		t.Errorf("%d points are left", *p.Total)
	}
	last := h.messages(c, "limit=1&offset="+strconv.FormatInt(*p.Total-1, 10)).Messages[0].Time
	if want := senml.Seconds(start.Add(time.Duration(points-*p.Total) * time.Second)); last != want {
		t.Errorf("the oldest point left is of %f, want %f: what is newer went first", last, want)
	}
}

func TestChannelTakesItsPointsAlong(t *testing.T) {
	h := open(t, nil)
	c, other := h.client("gw"), h.client("other")
	fill(h, c, "n", begin, 2500, time.Second)
	fill(h, other, "n", begin, 10, time.Second)
	h.want(http.StatusNoContent, "DELETE", "/channels/"+c.channel, nil)
	eventually(t, "the points are deleted", func() bool { return h.writer.series.size() == 1 })
	var left int
	if err := h.db.read.QueryRowContext(t.Context(), `SELECT count(*) FROM points`).Scan(&left); err != nil || left != 10 {
		t.Errorf("%d points are left, want the other channel's 10 (%v)", left, err)
	}
	if r := h.call("GET", "/channels/"+c.channel+"/messages", "Bearer "+testToken, nil); r.status != http.StatusNotFound {
		t.Errorf("status %d, want 404", r.status)
	}
}
