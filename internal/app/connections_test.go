package app

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/domains/host"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
)

func TestConnectionErrorsNameEveryField(t *testing.T) {
	c, err := newConnections(map[string]domain.Plugin{"host": host.Plugin(host.Options{Dir: t.TempDir()})})
	if err != nil {
		t.Fatal(err)
	}
	for _, good := range []string{"", "{}", `{"capacity":{"cpu":1000}}`} {
		if err := c.Validate("host", json.RawMessage(good)); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, words := range map[string][]string{
		`{"capacity":{"cpu":-1},"kind":"MOON"}`: {"connection/capacity/cpu", "-1", "connection/kind", "MOON", "CLOUD"},
		`{"surprise":1}`:                        {"surprise"},
		`[]`:                                    {"connection", "object"},
		`{`:                                     {"connection"},
	} {
		err := c.Validate("host", json.RawMessage(bad))
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", bad, err)
			continue
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", bad, err, w)
			}
		}
	}
	if err := c.Validate("moon", nil); err == nil || !strings.Contains(err.Error(), "host") {
		t.Errorf("unknown plugin: %v", err)
	}
}
