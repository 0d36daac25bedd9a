package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// buffer is a log that is written and read at once.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

func noEnv(string) (string, bool) { return "", false }

func tokenFile(t *testing.T, mode os.FileMode, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token+"\n"), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// The command serves until it is told to stop, takes settings from the
// environment, says where it listens and leaves its token out of the log.
func TestRunUntilStopped(t *testing.T) {
	const token = "a-token-of-some-length"
	dir := t.TempDir()
	env := map[string]string{
		"LITE_GATEWAY_NAME": "from-env", "LITE_GATEWAY_LISTEN_API": "127.0.0.1:0", "LITE_GATEWAY_LISTEN_MQTT": "127.0.0.1:0",
		"LITE_GATEWAY_LISTEN_HTTP": "", "LITE_GATEWAY_LISTEN_COAPS": "", "LITE_GATEWAY_DATA": "/nonexistent/overruled",
	}
	ports := filepath.Join(dir, "ports")
	args := []string{"--data", filepath.Join(dir, "data"), "--token-file", tokenFile(t, 0o600, token), "--ports-file", ports}
	ctx, cancel := context.WithCancel(t.Context())
	var log buffer
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, args, func(k string) (string, bool) { v, ok := env[k]; return v, ok }, &log)
	}()
	var bound map[string]string
	deadline := time.Now().Add(time.Minute)
	for bound == nil {
		if b, err := os.ReadFile(ports); err == nil {
			if err := json.Unmarshal(b, &bound); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case err := <-ended:
			t.Fatalf("ended: %v\n%s", err, log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("no ports file within a minute")
		}
	}
	if len(bound) != 2 || bound["api"] == "" || bound["mqtt"] == "" {
		t.Fatalf("ports %v", bound)
	}
	resp, err := http.Get("http://" + bound["api"] + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var health map[string]string
	if err := json.NewDecoder(resp.Body).Decode(&health); err != nil || health["name"] != "from-env" || health["status"] != "ok" {
		t.Fatalf("health %v %v", health, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(log.String()), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("log line is no JSON: %s", line)
		}
	}
	if strings.Contains(log.String(), token) {
		t.Error("the token is in the log")
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	good := tokenFile(t, 0o600, "a-token-of-some-length")
	for want, args := range map[string][]string{
		"token-file":  {},
		"0600":        {"--token-file", tokenFile(t, 0o644, "a-token-of-some-length")},
		"token":       {"--token-file", tokenFile(t, 0o600, "short")},
		"queue-full":  {"--token-file", good, "--queue-full", "explode"},
		"sync policy": {"--token-file", good, "--fsync", "sometimes"},
		"name":        {"--token-file", good, "--name", "a b"},
		"tls-key":     {"--token-file", good, "--tls-cert", "x"},
		"uplink-ca":   {"--token-file", good, "--uplink-ca", "/nonexistent"},
		"log-level":   {"--token-file", good, "--log-level", "loud"},
		"arguments":   {"--token-file", good, "extra"},
		"not-an-addr": {"--token-file", good, "--listen-api", "not-an-addr"},
	} {
		args = append([]string{"--data", t.TempDir(), "--listen-mqtt", "", "--listen-http", "", "--listen-coaps", "", "--listen-api", "127.0.0.1:0"}, args...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := run(ctx, args, noEnv, new(buffer))
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want it to name %s", args[10:], err, want)
		}
	}
}

// Two processes do not share a data directory.
func TestDataDirectoryIsLocked(t *testing.T) {
	dir := t.TempDir()
	args := []string{"--data", dir, "--token-file", tokenFile(t, 0o600, "a-token-of-some-length"), "--listen-mqtt", "", "--listen-http", "", "--listen-coaps", "", "--listen-api", "127.0.0.1:0"}
	ports := filepath.Join(t.TempDir(), "ports")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, append(args, "--ports-file", ports), noEnv, new(buffer)) }()
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := os.Stat(ports); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not ready within a minute")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := run(ctx, args, noEnv, new(buffer)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second process: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
