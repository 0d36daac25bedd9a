package app

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"go.opentelemetry.io/otel"

	"github.com/osmoslice/osmoslice/internal/config"
)

// With an endpoint configured, a request becomes a span at the collector, at the
// latest when the service stops.
func TestTracesReachTheCollector(t *testing.T) {
	var mu sync.Mutex
	var got bytes.Buffer
	path := ""
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		path = r.URL.Path
		_, _ = io.Copy(&got, r.Body)
	}))
	t.Cleanup(collector.Close)
	provider, propagator := otel.GetTracerProvider(), otel.GetTextMapPropagator()
	t.Cleanup(func() { otel.SetTracerProvider(provider); otel.SetTextMapPropagator(propagator) })

	c := config.Default()
	c.Data.Dir, c.Host.Enabled, c.Simulated.Dir = t.TempDir(), false, "-"
	c.Telemetry.OTLPEndpoint = collector.URL + "/v1/traces"
	c, err := c.Resolved()
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/iotslice/v1/iotSlices", http.NoBody)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	a.Handler().ServeHTTP(httptest.NewRecorder(), r)
	if err := a.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	trace := []byte{0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c}
	if path != "/v1/traces" || !bytes.Contains(got.Bytes(), []byte("osmosliced")) || !bytes.Contains(got.Bytes(), trace) {
		t.Fatalf("the collector heard %d bytes at %q, without the service's name or the caller's trace", got.Len(), path)
	}
}
