package app

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/internal/config"
)

// Whoever installs replicas chooses the first key for all of them; a key that
// is none is refused, and a second start does not bring another one in.
func TestAdminKeyOfTheOperator(t *testing.T) {
	dir := t.TempDir()
	key := "osm_" + strings.Repeat("k", 43)
	start := func(content string) (*App, error) {
		file := filepath.Join(dir, "given.key")
		if err := os.WriteFile(file, []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c := config.Default()
		c.Listen.Address, c.Data.Dir, c.Data.AdminKey, c.Host.Enabled = "127.0.0.1:0", filepath.Join(dir, "data"), file, false
		c, err := c.Resolved()
		if err != nil {
			t.Fatal(err)
		}
		return New(context.Background(), c, Options{})
	}
	if _, err := start("short"); err == nil || !strings.Contains(err.Error(), "data.adminkeyfile") || strings.Contains(err.Error(), "short") {
		t.Fatalf("a key that is none: %v", err)
	}
	for _, given := range []string{key, "osm_" + strings.Repeat("x", 43)} {
		a, err := start(given)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		for token, want := range map[string]int{key: http.StatusOK, "osm_" + strings.Repeat("x", 43): http.StatusUnauthorized} {
			r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, a.URL()+"/iotslice/v1/apiKeys", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("given %.6s…, asked with %.6s…: %d, want %d", given, token, res.StatusCode, want)
			}
		}
		if err := a.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "data", AdminKeyFile)); err == nil {
			t.Error("a key of its own was made beside the one given")
		}
	}
}
