// Command lite-gateway is an IoT gateway for constrained places: devices speak
// MQTT, HTTP or CoAP to it, and it delivers their readings as SenML to an MQTT
// or HTTP server. docs/lite-gateway.md describes its flags, its REST API and
// what devices send.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/gateway"
	"github.com/osmoslice/osmoslice/internal/version"
)

// drainFor bounds how long requests may take to end after a signal.
const drainFor = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.LookupEnv, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "lite-gateway:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, env func(string) (string, bool), stderr io.Writer) error {
	o, err := parse(args, env, stderr)
	if err != nil {
		return err
	}
	if o.version {
		fmt.Fprintln(stderr, "lite-gateway", version.String())
		return nil
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return fmt.Errorf("log-level: given %q, allowed: debug, info, warn, error", o.logLevel)
	}
	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level}))
	config, err := o.config(log)
	if err != nil {
		return err
	}
	g, err := gateway.New(config)
	if err != nil {
		return err
	}
	if err := writePorts(o.portsFile, g.Ports()); err != nil {
		_ = g.Close(ctx)
		return err
	}
	attrs := []any{"name", config.Name, "version", version.String()}
	for name, address := range g.Ports() {
		attrs = append(attrs, name, address)
	}
	log.Info("ready", attrs...)
	<-ctx.Done()
	log.Info("draining")
	drain, cancel := context.WithTimeout(context.Background(), drainFor)
	defer cancel()
	if err := g.Close(drain); err != nil {
		return err
	}
	log.Info("stopped")
	return nil
}

// writePorts writes the bound addresses as a whole file.
func writePorts(path string, ports map[string]string) error {
	if path == "" {
		return nil
	}
	b, err := json.Marshal(ports)
	if err != nil {
		return fmt.Errorf("ports-file: %w", err)
	}
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("ports-file: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("ports-file: %w", err)
	}
	return nil
}

// envName is the environment variable of a flag.
func envName(flagName string) string {
	return "LITE_GATEWAY_" + strings.ToUpper(strings.ReplaceAll(flagName, "-", "_"))
}

// readToken reads the admin token from a file that only its owner reads.
func readToken(path string) (string, error) {
	if path == "" {
		return "", errors.New("token-file: given nothing, allowed: a file with the admin token")
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("token-file: %w", err)
	}
	if !private(info) {
		return "", fmt.Errorf("token-file %s: given mode %04o, allowed: readable by its owner alone (0600)", filepath.Base(path), info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("token-file: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// private reports whether only this process's user reads a file: its owner, or
// its group where root owns it, as secrets are mounted into pods.
func private(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	byGroup := ok && st.Uid == 0 && os.Geteuid() != 0
	return info.Mode().Perm()&0o077 == 0 || byGroup && info.Mode().Perm()&0o037 == 0
}
