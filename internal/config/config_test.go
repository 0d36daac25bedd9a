package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLaterSourcesWin(t *testing.T) {
	path := write(t, "listen:\n  address: 127.0.0.1:1\nlog:\n  level: warn\ncallbacks:\n  allow: [10.0.0.0/8, 192.168.0.0/16]\n")
	c, err := Load(path, []string{"OSMOSLICE_LISTEN_ADDRESS=127.0.0.1:2", "OTHER=1"}, map[string]string{"log.level": "debug"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen.Address != "127.0.0.1:2" || c.Log.Level != "debug" || len(c.Callbacks.Allow) != 2 {
		t.Errorf("got %+v", c)
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	path := write(t, "listen:\n  adress: x\nlimits:\n  backlog: many\n")
	_, err := Load(path, []string{"OSMOSLICE_OPERATIONS_LEASE=soon"}, map[string]string{"host.enabled": "perhaps"})
	for _, want := range []string{`unknown key "listen.adress"`, "listen.address", `limits.backlog: given "many"`, `OSMOSLICE_OPERATIONS_LEASE`, "--host-enabled"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if _, err := Load("", nil, map[string]string{"listen.address": "nowhere", "callbacks.allow": "10.0.0.1"}); err == nil ||
		!strings.Contains(err.Error(), "listen.address") || !strings.Contains(err.Error(), "callbacks.allow") {
		t.Errorf("ranges: %v", err)
	}
	if _, err := Load(write(t, "{{{"), nil, nil); err == nil || !strings.Contains(err.Error(), "configuration file") {
		t.Errorf("corrupt file: %v", err)
	}
}

func TestPrintedConfigurationLoadsBack(t *testing.T) {
	c := Default()
	c.Callbacks.Allow = []string{"10.0.0.0/8"}
	c.Data.Dir = `with "quotes" # and hash`
	got, err := Load(write(t, YAML(c)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if YAML(got) != YAML(c) {
		t.Errorf("got\n%s\nwant\n%s", YAML(got), YAML(c))
	}
}

func TestPasswordIsMaskedAndReadFromFile(t *testing.T) {
	c := Default()
	c.Data.DSN = "postgres://u:hunter2@db/x?sslmode=disable"
	if s := YAML(Masked(c)); strings.Contains(s, "hunter2") {
		t.Errorf("password printed:\n%s", s)
	}
	c.Data.DSN = "postgres://u@db/x?sslmode=disable"
	c.Data.PasswordSrc = write(t, "p w\n")
	r, err := c.Resolved()
	if err != nil || !strings.Contains(r.Data.DSN, "u:p%20w@") {
		t.Errorf("%v %v", r.Data.DSN, err)
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}
