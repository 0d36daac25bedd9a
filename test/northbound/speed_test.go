package northbound

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The whole stack without the network: router, key, validation, use case, SQL,
// answer.
func BenchmarkGetSlice(b *testing.B) {
	s := start(b)
	_, keys := s.tenant("acme")
	path := base + "/iotSlices/" + s.must(201, keys["tenant-operator"], "POST", "/iotSlices", order("one")).id()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+keys["tenant-viewer"])
		w := httptest.NewRecorder()
		s.app.Handler().ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}

func BenchmarkOrder(b *testing.B) {
	s := start(b)
	_, keys := s.tenant("acme")
	body := string(must(json.Marshal(order("NAME"))))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := httptest.NewRequest(http.MethodPost, base+"/iotSlices", strings.NewReader(strings.Replace(body, "NAME", fmt.Sprintf("s%d", i), 1)))
		r.Header.Set("Authorization", "Bearer "+keys["tenant-operator"])
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.app.Handler().ServeHTTP(w, r)
		if w.Code != 201 {
			b.Fatal(w.Body)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
