package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/server"
)

// drain is how long open requests may take to end when the server stops.
const drain = 10 * time.Second

// serveCommand declares the flags of the server and answers what runs it.
func serveCommand(flags *flag.FlagSet) func(context.Context, *slog.Logger) error {
	var o server.Options
	flags.StringVar(&o.Data, "data", "lite-server-data", "directory of the database")
	flags.StringVar(&o.ListenAPI, "listen-api", "127.0.0.1:9080", "host:port of REST; port 0 picks one")
	flags.StringVar(&o.ListenMQTT, "listen-mqtt", "127.0.0.1:1884", "host:port of MQTT; port 0 picks one")
	flags.DurationVar(&o.RetainAge, "retain-age", 0, "delete points older than this; 0 keeps all")
	flags.Int64Var(&o.RetainSize, "retain-bytes", 0, "delete the oldest points beyond this size; 0 keeps all")
	flags.IntVar(&o.MaxMessage, "max-message", 1<<20, "bytes of one message")
	flags.IntVar(&o.MaxRecords, "max-records", 10_000, "records of one message")
	flags.IntVar(&o.MaxSeries, "max-series", 20_000, "different names and units in one channel")
	flags.DurationVar(&o.MaxPast, "max-past", 10*365*24*time.Hour, "how old a reading may be")
	flags.DurationVar(&o.MaxFuture, "max-future", 24*time.Hour, "how far ahead a reading may be")
	sync := flags.String("sync", "full", "full (fsync every commit) or normal (a power cut may lose the last seconds)")
	tokenFile := flags.String("token-file", "", "file with the administrator's token, mode 0600; written with a new token when absent")
	portsFile := flags.String("ports-file", "", "file that receives the bound addresses as JSON")
	cert := flags.String("tls-cert", "", "PEM certificate for REST and MQTT")
	key := flags.String("tls-key", "", "PEM key for REST and MQTT")
	return func(ctx context.Context, log *slog.Logger) error {
		switch *sync {
		case "full", "normal":
			o.Sync = *sync == "full"
		default:
			return fmt.Errorf("--sync: given %q, allowed: full, normal", *sync)
		}
		var err error
		if o.Token, err = readToken(*tokenFile, log); err != nil {
			return err
		}
		if o.TLS, err = loadTLS(*cert, *key); err != nil {
			return err
		}
		o.Log = log
		return serve(ctx, o, *portsFile)
	}
}

// serve runs the server until ctx ends.
func serve(ctx context.Context, o server.Options, portsFile string) error {
	s, err := server.Start(ctx, o)
	if err != nil {
		return err
	}
	ports := map[string]string{"api": s.API().String(), "mqtt": s.MQTT().String()}
	o.Log.Info("listening", "api", ports["api"], "mqtt", ports["mqtt"])
	if portsFile != "" {
		err = writePorts(portsFile, ports)
	}
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-s.Failed():
		}
	}
	o.Log.Info("draining")
	bounded, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	return errors.Join(err, s.Close(bounded))
}

// writePorts replaces the file as a whole: who waits for it never reads half.
func writePorts(path string, ports map[string]string) error {
	text, err := json.Marshal(ports)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".ports-*")
	if err != nil {
		return fmt.Errorf("--ports-file: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("--ports-file: %w", err)
	}
	return nil
}

// readToken reads the administrator's token; the file is its owner's alone.
func readToken(path string, log *slog.Logger) (string, error) {
	if path == "" {
		return "", errors.New("--token-file: given nothing, allowed: a file with the administrator's token, mode 0600")
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		token := rand.Text()
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		log.Info("token file written", "path", path)
		return token, nil
	}
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	if !private(info) {
		return "", fmt.Errorf("--token-file: %s has mode %04o, allowed: 0600", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func loadTLS(cert, key string) (*tls.Config, error) {
	if cert == "" && key == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// private reports whether only this process's user reads a file: its owner, or
// its group where root owns it, as secrets are mounted into pods.
func private(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	byGroup := ok && st.Uid == 0 && os.Geteuid() != 0
	return info.Mode().Perm()&0o077 == 0 || byGroup && info.Mode().Perm()&0o037 == 0
}
