package northbound

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var nextPage = regexp.MustCompile(`^<([^>]+)>; rel="next"$`)

// A reader that pages while others write sees everything that was there all
// along once, and nothing twice.
func TestPagesUnderConcurrentWrites(t *testing.T) {
	s := start(t)
	_, keys := s.tenant("acme")
	key := keys["tenant-admin"]
	stays := map[string]bool{}
	for i := range 60 {
		stays[s.must(201, key, "POST", "/networkFunctions", object{"name": fmt.Sprintf("stays-%d", i), "networkFunctionType": "VNF"}).id()] = true
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var written atomic.Int64
	for w := range 3 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				made := s.call(key, "POST", "/networkFunctions", object{"name": fmt.Sprintf("w%d-%d", w, i), "networkFunctionType": "PNF"})
				if made.status != 201 {
					t.Errorf("%d %s", made.status, made.body)
					return
				}
				if i%2 == 0 {
					if gone := s.call(key, "DELETE", "/networkFunctions/"+made.id(), nil); gone.status != 204 {
						t.Errorf("%d %s", gone.status, gone.body)
					}
				}
				written.Add(1)
			}
		})
	}
	for range 5 {
		before := written.Load()
		seen := map[string]bool{}
		for path := "/networkFunctions?limit=7"; path != ""; {
			page := s.must(200, key, "GET", path, nil)
			for _, x := range page.list {
				id := fmt.Sprint(x["id"])
				if seen[id] {
					t.Errorf("%s came twice", id)
				}
				seen[id] = true
			}
			path = ""
			if m := nextPage.FindStringSubmatch(page.header.Get("Link")); m != nil {
				path = m[1]
			}
		}
		for id := range stays {
			if !seen[id] {
				t.Errorf("%s was missed", id)
			}
		}
		for deadline := time.Now().Add(2 * time.Minute); written.Load() == before && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond) // until the writers got on
		}
	}
	cancel()
	writers.Wait()
	if r := s.must(400, key, "GET", "/networkFunctions?nextpage_opaque_marker=zzz", nil); names(r)[0] != "nextpage_opaque_marker" {
		t.Errorf("%s", r.body)
	}
}

// The same request with the same key, many times at once, is one order.
func TestIdempotentOrders(t *testing.T) {
	s := start(t)
	id, keys := s.tenant("acme")
	key := keys["tenant-operator"]
	// A dry run leaves the key to the order it tries out, and tells no times of
	// what does not exist.
	for _, tried := range []string{"one", "two"} {
		r := s.must(200, key, "POST", "/iotSlices?dryRun=true", order(tried), "Idempotency-Key", "order-1")
		if r.object["createdAt"] != nil || r.object["updatedAt"] != nil || r.object["dryRunPlan"] == nil {
			t.Errorf("dry run: %s", r.body)
		}
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]int{}
	for range 12 {
		all.Go(func() {
			for {
				r := s.call(key, "POST", "/iotSlices", order("one"), "Idempotency-Key", "order-1")
				if r.status == 409 && strings.Contains(string(r.body), "Idempotency-Key") {
					continue
				}
				mu.Lock()
				defer mu.Unlock()
				if r.status != 201 {
					t.Errorf("%d %s", r.status, r.body)
				}
				ids[r.id()]++
				return
			}
		})
	}
	all.Wait()
	if len(ids) != 1 {
		t.Errorf("orders: %v", ids)
	}
	if r := s.call(key, "POST", "/iotSlices", order("two"), "Idempotency-Key", "order-1"); r.status != 422 || names(r)[0] != "Idempotency-Key" {
		t.Errorf("another body: %d %s", r.status, r.body)
	}
	// Another client's key of the same text is another key.
	if r := s.call(keys["tenant-admin"], "POST", "/iotSlices", order("two"), "Idempotency-Key", "order-1"); r.status != 201 {
		t.Errorf("another client: %d %s", r.status, r.body)
	}
	// The same answer with its credential: the client may have lost the first. It is
	// kept encrypted.
	made := s.must(201, keys["tenant-admin"], "POST", "/apiKeys", object{"name": "k", "role": "tenant-viewer", "tenantIds": []string{id}}, "Idempotency-Key", "key-1")
	again := s.must(201, keys["tenant-admin"], "POST", "/apiKeys", object{"name": "k", "role": "tenant-viewer", "tenantIds": []string{id}}, "Idempotency-Key", "key-1")
	token, _ := made.object["token"].(string)
	if token == "" || string(made.body) != string(again.body) || made.header.Get("Etag") != again.header.Get("Etag") {
		t.Errorf("first %s, again %s", made.body, again.body)
	}
	s.holdsNot(token)
	s.must(200, made.object["token"].(string), "GET", "/iotSlices", nil)
	s.must(204, keys["tenant-admin"], "DELETE", "/apiKeys/"+made.id(), nil)
	s.must(401, made.object["token"].(string), "GET", "/iotSlices", nil) // at once
}

// A NEST comes back as it came, and fills the profile.
func TestNEST(t *testing.T) {
	s := start(t)
	_, keys := s.tenant("acme")
	key := keys["tenant-operator"]
	nest := `{"attributes":[{"name":"Availability","value":99.9,"unit":"%"},{"name":"Maximum number of UEs","value":100},{"name":"Something of ours","value":{"a":[1,true,null]}}]}`
	made := s.must(201, key, "POST", "/iotSlices", `{"name":"n","nest":`+nest+`}`)
	got := s.must(200, key, "GET", "/iotSlices/"+made.id()+"/nest", nil)
	var want object
	if err := json.Unmarshal([]byte(nest), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.object, want) {
		t.Errorf("%s\nwant\n%s", got.body, nest)
	}
	whole := s.must(200, key, "GET", "/iotSlices/"+made.id(), nil)
	profile, _ := whole.object["serviceProfile"].(object)
	if profile["availability"] != 99.9 || profile["maxNumberofUEs"] != 100.0 {
		t.Errorf("%s", whole.body)
	}
	if unmapped := fmt.Sprint(whole.object["unmapped"]); !strings.Contains(unmapped, "Something of ours") {
		t.Errorf("unmapped: %s", unmapped)
	}
	plain := s.must(201, key, "POST", "/iotSlices", object{"name": "p", "serviceProfile": object{"availability": 99.5}})
	if got := s.must(200, key, "GET", "/iotSlices/"+plain.id()+"/nest", nil); len(got.object["attributes"].([]any)) == 0 {
		t.Errorf("%s", got.body)
	}
}

// The live stream tells every change of the tenant once and in order, resumes
// after a position without a gap, and tells nothing of others.
func TestEventStream(t *testing.T) {
	s := start(t)
	_, keys := s.tenant("acme")
	_, other := s.tenant("rival")
	key := keys["tenant-admin"]
	first := s.must(200, key, "GET", "/events?limit=1000", nil)
	from := 0
	if n := len(first.list); n > 0 {
		from = int(first.list[n-1]["position"].(float64))
	}
	stream := func(after int) (<-chan object, func()) {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.app.URL()+base+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Accept", "text/event-stream")
		r.Header.Set("Last-Event-ID", strconv.Itoa(after))
		p, err := http.DefaultClient.Do(r)
		if err != nil || p.StatusCode != http.StatusOK || p.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%v %+v", err, p)
		}
		c := make(chan object, 100)
		go func() {
			defer close(c)
			defer func() { _ = p.Body.Close() }()
			for lines := bufio.NewScanner(p.Body); lines.Scan(); {
				if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
					var e object
					if json.Unmarshal([]byte(data), &e) == nil {
						c <- e
					}
				}
			}
		}()
		return c, cancel
	}
	c, stop := stream(from)
	const n = 20
	for i := range n {
		s.must(201, other["tenant-admin"], "POST", "/networkSlices", object{"name": fmt.Sprintf("theirs-%d", i)})
		s.must(201, key, "POST", "/networkSlices", object{"name": fmt.Sprintf("ours-%d", i)})
	}
	take := func(c <-chan object, want int) (last int) {
		t.Helper()
		for i := want; i < n; i++ {
			select {
			case e := <-c:
				if e["resourceName"] != fmt.Sprintf("ours-%d", i) {
					t.Fatalf("event %d is %v", i, e)
				}
				position := int(e["position"].(float64))
				if position <= last {
					t.Fatalf("position %d after %d", position, last)
				}
				if last = position; i == n/2 && want == 0 {
					return last
				}
			case <-time.After(2 * time.Minute):
				t.Fatalf("event %d did not come", i)
			}
		}
		return last
	}
	half := take(c, 0)
	stop()
	rest, stop := stream(half)
	defer stop()
	take(rest, n/2+1)
	// A filter's semicolons stand as they are (ETSI NFV-SOL013 §5.2.2).
	s.must(200, key, "GET", "/networkSlices?filter=(neq,name,absent);(neq,state,ACTIVE)", nil)
	paged := s.must(200, key, "GET", fmt.Sprintf("/events?after=%d&limit=1000&filter=%s", from, "(eq,resourceKind,networkSlices)"), nil)
	if len(paged.list) != n {
		t.Errorf("%d events in pages, want %d", len(paged.list), n)
	}
}
