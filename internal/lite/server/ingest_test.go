package server

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// TestBatchesAreStoredOnce sends batches again, in part and out of order with
// their numbers, over both protocols.
func TestBatchesAreStoredOnce(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, func(o *Options) { o.Data = dir })
	h := &house{s, t}
	c, other := h.client("gw"), h.client("other")
	const stream = "edge-1.0123456789abcdef"
	send := func(c client, name string, values ...int) {
		t.Helper()
		h.publish(c, http.StatusAccepted, numbered(values...), "X-Gateway-Sequence", name)
	}
	send(c, stream+".1.3", 1, 2, 3)
	send(c, stream+".1.3", 1, 2, 3)
	send(c, stream+".2.4", 2, 3, 4, 5)
	send(c, stream+".9.1", 9)      // a gap: the gateway dropped 6 to 8
	send(c, stream+".4.2", 4, 5)   // long stored
	send(other, stream+".1.1", 71) // another thing's sequence is its own
	send(c, "edge-1.fedcba9876543210.1.1", 81)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m := h.mustDial(c, nil)
	for range 2 {
		if err := m.Publish(ctx, "channels/"+c.channel+"/messages/room/"+stream+".9.2", 1, []byte(numbered(9, 10))); err != nil {
			t.Fatal(err)
		}
	}
	want := "81 10 9 5 4 3 2 1"
	if got := values(h, c); got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	if p := h.messages(c, "subtopic=room"); len(p.Messages) != 1 {
		t.Errorf("%d points under the subtopic, want the one that was new", len(p.Messages))
	}
	stopServer(t, s)
	h = open(t, func(o *Options) { o.Data = dir })
	h.publish(c, http.StatusAccepted, numbered(9, 10, 11), "X-Gateway-Sequence", stream+".9.3")
	if got := values(h, c); got != "81 11 10 9 5 4 3 2 1" {
		t.Errorf("after a restart %s", got)
	}
	if n := h.total(other); n != 1 {
		t.Errorf("the other thing has %d points, want 1", n)
	}
}

// numbered is a pack whose values are the numbers, at rising times.
func numbered(values ...int) string {
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintf(&b, `,{"n":"n","t":%d,"v":%d}`, begin.Unix()+int64(v), v)
	}
	return "[" + b.String()[1:] + "]"
}

// values lists the values of a channel, newest first.
func values(h *house, c client) string {
	var all []string
	for _, m := range h.messages(c, "limit=1000").Messages {
		all = append(all, fmt.Sprint(*m.Value))
	}
	return strings.Join(all, " ")
}

func TestBatchNames(t *testing.T) {
	for name, want := range map[string]batch{
		"edge-1.0123456789abcdef.1.250":             {"edge-1.0123456789abcdef", 1, 250},
		"a.b.c.0123456789abcdef.1001.1":             {"a.b.c.0123456789abcdef", 1001, 1},
		"edge-1.0123456789abcdef.0.1":               {},
		"edge-1.0123456789abcdef.1.0":               {},
		"edge-1.0123456789ABCDEF.1.1":               {},
		"edge-1.0123456789abcde.1.1":                {},
		".0123456789abcdef.1.1":                     {},
		"0123456789abcdef.1.1":                      {},
		"edge.0123456789abcdef.-1.1":                {},
		"edge.0123456789abcdef.1.x":                 {},
		"edge.0123456789abcdef.1e3.1":               {},
		"e.0123456789abcdef.99999999999999999999.1": {},
		"": {}, ".": {}, "...": {},
	} {
		if got, ok := parseBatch(name); ok != (want.count > 0) || ok && got != want {
			t.Errorf("%q: got %+v, %v; want %+v", name, got, ok, want)
		}
	}
}

func TestRefusedMessagesLeaveNothing(t *testing.T) {
	h := open(t, func(o *Options) { o.MaxMessage, o.MaxRecords, o.MaxSeries = 64<<10, 500, 100 })
	c := h.client("gw")
	var many, names strings.Builder
	for i := range 501 {
		fmt.Fprintf(&many, `,{"n":"n","v":%d}`, i)
	}
	for i := range 101 {
		fmt.Fprintf(&names, `,{"n":"n%d","v":1}`, i)
	}
	year := int64(365 * 24 * 3600)
	for _, bad := range []struct {
		name   string
		status int
		body   string
		header []string
	}{
		{"not SenML", 400, `{"temperature":1}`, nil},
		{"empty", 400, ``, nil},
		{"second record bad", 400, `[{"n":"t","v":1},{"n":"t","v":"1"}]`, nil},
		{"wrong UTF-8", 400, "[{\"n\":\"t\",\"vs\":\"\xff\"}]", nil},
		{"wrong name", 400, `[{"n":"a b","v":1}]`, nil},
		{"deep", 413, `[{"x":` + strings.Repeat("[", 30_000), nil},
		{"large", 413, `[{"n":"t","vs":"` + strings.Repeat("x", 64<<10) + `"}]`, nil},
		{"many records", 413, "[" + many.String()[1:] + "]", nil},
		{"many names", 422, "[" + names.String()[1:] + "]", nil},
		{"clock 11 years behind", 400, fmt.Sprintf(`[{"n":"t","t":%d,"v":1}]`, time.Now().Unix()-11*year), nil},
		{"clock 2 years ahead", 400, fmt.Sprintf(`[{"n":"t","t":%d,"v":1}]`, time.Now().Unix()+2*year), nil},
		{"clock beyond all", 400, `[{"n":"t","t":1e300,"v":1}]`, nil},
		{"media type", 415, `[{"n":"t","v":1}]`, []string{"Content-Type", "text/plain"}},
		{"CBOR that is JSON", 400, `[{"n":"t","v":1}]`, []string{"Content-Type", senml.MediaTypeCBOR}},
		{"batch of another length", 400, `[{"n":"t","v":1}]`, []string{"X-Gateway-Sequence", "e.0123456789abcdef.1.2"}},
		{"no batch", 400, `[{"n":"t","v":1}]`, []string{"X-Gateway-Sequence", "1"}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			r := h.call("POST", "/channels/"+c.channel+"/messages", c.key, bad.body, bad.header...)
			if r.status != bad.status || !strings.Contains(string(r.body), `"error"`) || len(r.body) > 2000 {
				t.Errorf("status %d, want %d: %.300s", r.status, bad.status, r.body)
			}
		})
	}
	if n := h.total(c); n != 0 {
		t.Errorf("%d points of refused messages are stored", n)
	}
	h.publish(c, http.StatusAccepted, `[{"n":"fine","v":1}]`)
	if n := h.total(c); n != 1 {
		t.Errorf("%d points, want 1", n)
	}
}

// TestHundredMegabytes sends a body that is refused before it is read.
func TestHundredMegabytes(t *testing.T) {
	h := open(t, nil)
	c := h.client("gw")
	body := make([]byte, 100<<20)
	if r := h.call("POST", "/channels/"+c.channel+"/messages", c.key, body); r.status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d, want 413", r.status)
	}
	m := h.mustDial(c, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := m.Publish(ctx, "channels/"+c.channel+"/messages", 1, body); err == nil {
		t.Error("100 MB were taken over MQTT")
	}
	if r := h.call("GET", "/healthz", "", nil); r.status != http.StatusOK {
		t.Errorf("unwell after: %d %s", r.status, r.body)
	}
	h.publish(c, http.StatusAccepted, `[{"n":"t","v":1}]`)
}

// TestFullDisk makes the database unable to grow: nothing is acknowledged that
// is not stored, later batches do not overtake, and all goes on once there is
// room.
func TestFullDisk(t *testing.T) {
	h := open(t, nil)
	c := h.client("gw")
	limit := func(pages int) {
		t.Helper()
		err := h.writer.do(t.Context(), change{apply: func(ctx context.Context, tx *sql.Conn) error {
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
			return err
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // SQLite takes it as: no more than there are
	const stream = "edge-1.0123456789abcdef"
	large := make([]int, 400)
	for i := range large {
		large[i] = i + 1
	}
	r := h.call("POST", "/channels/"+c.channel+"/messages", c.key, numbered(large...), "X-Gateway-Sequence", stream+".1.400")
	if r.status != http.StatusInsufficientStorage {
		t.Fatalf("full disk: status %d %s", r.status, r.body)
	}
	// A small later batch would fit, but must not overtake the first.
	if r := h.call("POST", "/channels/"+c.channel+"/messages", c.key, numbered(401), "X-Gateway-Sequence", stream+".401.1"); r.status != http.StatusServiceUnavailable {
		t.Errorf("the batch behind: status %d %s", r.status, r.body)
	}
	m := h.mustDial(c, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := m.Publish(ctx, "channels/"+c.channel+"/messages/"+stream+".1.400", 1, []byte(numbered(large...))); err == nil {
		t.Error("acknowledged what was not stored")
	}
	gone(t, m)
	limit(1 << 30)
	if n := h.total(c); n != 0 {
		t.Errorf("%d points, want none", n)
	}
	h.publish(c, http.StatusAccepted, numbered(large...), "X-Gateway-Sequence", stream+".1.400")
	h.publish(c, http.StatusAccepted, numbered(401), "X-Gateway-Sequence", stream+".401.1")
	if n := h.total(c); n != 401 {
		t.Errorf("%d points, want 401", n)
	}
}

func TestManyPublishersAtOnce(t *testing.T) {
	h := open(t, nil)
	c := h.client("gw")
	const publishers, each = 8, 200
	acknowledged := make(chan error, publishers*each)
	for p := range publishers {
		other := client{channel: c.channel}
		other.id = strings.TrimPrefix(h.want(http.StatusCreated, "POST", "/things", `{}`).header.Get("Location"), "/things/")
		var known thing
		h.want(http.StatusOK, "GET", "/things/"+other.id, nil).into(t, &known)
		other.key = known.Key
		h.want(http.StatusOK, "PUT", "/channels/"+c.channel+"/things/"+other.id, nil)
		m := h.mustDial(other, nil)
		for i := range each {
			body := pack(fmt.Sprintf("p%d", p), begin.Add(time.Duration(i)*time.Second), float64(i))
			m.PublishAsync("channels/"+c.channel+"/messages", 1, []byte(body), func(err error) { acknowledged <- err })
		}
	}
	for range publishers * each {
		if err := <-acknowledged; err != nil {
			t.Fatal(err)
		}
	}
	if n := h.total(c); n != publishers*each {
		t.Errorf("%d points, want %d", n, publishers*each)
	}
}
