package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/internal/config"
)

// A first start that cannot write the key down leaves no key behind that nobody
// knows: the next start makes one.
func TestTheFirstKeyIsNeverLost(t *testing.T) {
	c := config.Default()
	c.Data.Dir, c.Host.Enabled, c.Simulated.Dir = t.TempDir(), false, "-"
	c, err := c.Resolved()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(c.Data.Dir, AdminKeyFile)
	if err := os.MkdirAll(filepath.Join(file, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), c, Options{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Fatalf("the key cannot be written down, yet: %v", err)
	}
	if err := os.RemoveAll(file); err != nil {
		t.Fatal(err)
	}
	for try := range 2 {
		a, err := New(t.Context(), c, Options{})
		if err != nil {
			t.Fatal(err)
		}
		token, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.service.Authenticate(t.Context(), strings.TrimSpace(string(token))); err != nil {
			t.Errorf("start %d: %v", try, err)
		}
		if err := a.close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
