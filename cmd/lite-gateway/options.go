package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/osmoslice/osmoslice/internal/lite/gateway"
)

// options are the flags.
type options struct {
	gateway       gateway.Config
	tokenFile     string
	portsFile     string
	tlsCert       string
	tlsKey        string
	uplinkCA      string
	queueFull     string
	fsync         string
	queueBytes    int64
	fsyncInterval time.Duration
	logLevel      string
	version       bool
}

// parse reads the environment, then the flags, which win.
func parse(args []string, env func(string) (string, bool), stderr io.Writer) (*options, error) {
	o := &options{}
	flags := o.flags(stderr)
	var err error
	flags.VisitAll(func(f *flag.Flag) {
		if v, ok := env(envName(f.Name)); ok {
			if e := flags.Set(f.Name, v); e != nil && err == nil {
				err = fmt.Errorf("%s: %w", envName(f.Name), e)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("arguments: given %q, allowed: flags only", flags.Arg(0))
	}
	return o, nil
}

func (o *options) flags(stderr io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("lite-gateway", flag.ContinueOnError)
	f.SetOutput(stderr)
	c := &o.gateway
	f.StringVar(&c.Name, "name", "gateway", "identity of this gateway")
	f.StringVar(&c.Data, "data", "lite-gateway-data", "directory of registry, queue and window state")
	f.StringVar(&o.tokenFile, "token-file", "", "file with the admin token (mode 0600)")
	f.StringVar(&c.ListenAPI, "listen-api", "127.0.0.1:9180", "address of the REST API")
	f.StringVar(&c.ListenMQTT, "listen-mqtt", "127.0.0.1:1883", "address of MQTT for devices; empty: off")
	f.StringVar(&c.ListenHTTP, "listen-http", "127.0.0.1:9181", "address of HTTP for devices; empty: off")
	f.StringVar(&c.ListenCoAP, "listen-coap", "", "address of plain CoAP for devices; empty: off")
	f.StringVar(&c.ListenCoAPS, "listen-coaps", "127.0.0.1:5684", "address of CoAP over DTLS-PSK for devices; empty: off")
	f.StringVar(&o.portsFile, "ports-file", "", "file that receives the bound addresses as JSON")
	f.StringVar(&o.tlsCert, "tls-cert", "", "PEM certificate for MQTT and HTTP of devices")
	f.StringVar(&o.tlsKey, "tls-key", "", "PEM key of --tls-cert")
	f.StringVar(&o.uplinkCA, "uplink-ca", "", "PEM authorities trusted for the uplink; empty: those of the system")
	f.Int64Var(&o.queueBytes, "queue-bytes", 256<<20, "bound of the disk queue")
	f.StringVar(&o.queueFull, "queue-full", "block", "what a full queue does: block or drop-oldest")
	f.StringVar(&o.fsync, "fsync", "interval", "when to sync the queue: none, interval or always")
	f.DurationVar(&o.fsyncInterval, "fsync-interval", 200*time.Millisecond, "interval of --fsync interval")
	f.IntVar(&c.BatchRecords, "batch-records", 1000, "records of one uplink message")
	f.IntVar(&c.BatchBytes, "batch-bytes", 128<<10, "bytes of one uplink message")
	f.IntVar(&c.MaxPayload, "max-payload", 256<<10, "bytes of one message of a device")
	f.IntVar(&c.MaxDevices, "max-devices", 20_000, "devices in the registry")
	f.DurationVar(&c.MaxPast, "max-past", 366*24*time.Hour, "how old a reading may be")
	f.DurationVar(&c.MaxFuture, "max-future", 24*time.Hour, "how far ahead of this clock a reading may be")
	f.StringVar(&c.NamePrefix, "name-prefix", "", "put before every SenML name sent up")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.BoolVar(&o.version, "version", false, "print the version and exit")
	return f
}

// config turns flags into the gateway's configuration.
func (o *options) config(log *slog.Logger) (gateway.Config, error) {
	c := o.gateway
	c.Log = log
	var err error
	if c.Token, err = readToken(o.tokenFile); err != nil {
		return c, err
	}
	switch o.queueFull {
	case "block", "drop-oldest":
	default:
		return c, fmt.Errorf("queue-full: given %q, allowed: block, drop-oldest", o.queueFull)
	}
	c.Queue = gateway.QueueOptions(o.queueBytes, o.fsync, o.fsyncInterval, o.queueFull == "drop-oldest")
	if (o.tlsCert == "") != (o.tlsKey == "") {
		return c, errors.New("tls-key: given one of tls-cert and tls-key, allowed: both or neither")
	}
	if o.tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsKey)
		if err != nil {
			return c, fmt.Errorf("tls-cert: %w", err)
		}
		c.DeviceTLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	c.UplinkTLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if o.uplinkCA != "" {
		pem, err := os.ReadFile(o.uplinkCA)
		if err != nil {
			return c, fmt.Errorf("uplink-ca: %w", err)
		}
		c.UplinkTLS.RootCAs = x509.NewCertPool()
		if !c.UplinkTLS.RootCAs.AppendCertsFromPEM(pem) {
			return c, errors.New("uplink-ca: given a file without a certificate, allowed: PEM")
		}
	}
	return c, nil
}
