package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Load makes the effective configuration: Default, then the YAML file (none
// when path is empty), then environ (os.Environ's form), then flags by key. It
// answers every mistake at once.
func Load(path string, environ []string, flags map[string]string) (Config, error) {
	c := Default()
	settings := map[string]Setting{}
	for _, s := range Settings(&c) {
		settings[s.Key] = s
	}
	var errs []error
	if path != "" {
		errs = append(errs, fromFile(path, settings)...)
	}
	errs = append(errs, fromEnv(environ, settings)...)
	for key, text := range flags {
		s, ok := settings[key]
		if !ok {
			errs = append(errs, fmt.Errorf("flag for unknown setting %q", key))
		} else if err := s.Set(text); err != nil {
			errs = append(errs, fmt.Errorf("flag --%s: %w", s.Flag(), err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return c, err
	}
	return c, c.Validate()
}

func fromFile(path string, settings map[string]Setting) (errs []error) {
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return []error{fmt.Errorf("configuration file %s: %w", path, err)}
	}
	for _, key := range k.Keys() {
		s, ok := settings[key]
		if !ok {
			errs = append(errs, fmt.Errorf("configuration file %s: unknown key %q%s", path, key, nearest(key, settings)))
			continue
		}
		text := k.String(key)
		if s.Kind == "list" {
			text = strings.Join(k.Strings(key), ",")
		}
		if err := s.Set(text); err != nil {
			errs = append(errs, fmt.Errorf("configuration file %s: %w", path, err))
		}
	}
	return errs
}

func fromEnv(environ []string, settings map[string]Setting) (errs []error) {
	byEnv := map[string]Setting{}
	for _, s := range settings {
		byEnv[s.Env()] = s
	}
	for _, kv := range environ {
		name, text, _ := strings.Cut(kv, "=")
		s, ok := byEnv[name]
		if !ok {
			continue // not ours, or another program's OSMOSLICE_ variable
		}
		if err := s.Set(text); err != nil {
			errs = append(errs, fmt.Errorf("environment %s: %w", name, err))
		}
	}
	return errs
}

func nearest(key string, settings map[string]Setting) string {
	head, _, _ := strings.Cut(key, ".")
	var same []string
	for k := range settings {
		if strings.HasPrefix(k, head+".") {
			same = append(same, k)
		}
	}
	if len(same) == 0 {
		return ""
	}
	slices.Sort(same)
	return "; allowed there: " + strings.Join(same, ", ")
}

// number is a setting's text, and whether it is more than nothing.
func (c Config) number(key string) (text string, positive bool) {
	for _, s := range Settings(&c) {
		if s.Key == key {
			return s.Text(), s.value.Int() > 0
		}
	}
	return "", false
}

// Validate answers every value that is out of range.
func (c Config) Validate() error {
	var errs []error
	must := func(ok bool, key, given, allowed string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: given %q, allowed: %s", key, given, allowed))
		}
	}
	_, _, err := net.SplitHostPort(c.Listen.Address)
	must(err == nil, "listen.address", c.Listen.Address, "host:port")
	must((c.TLS.CertFile == "") == (c.TLS.KeyFile == ""), "tls.certfile", c.TLS.CertFile, "together with tls.keyfile, or neither")
	must(c.Data.Dir != "", "data.dir", "", "a folder")
	must(c.Data.DSN == "" || strings.HasPrefix(c.Data.DSN, "postgres://") || strings.HasPrefix(c.Data.DSN, "postgresql://") || strings.HasPrefix(c.Data.DSN, "sqlite://"),
		"data.dsn", Masked(c).Data.DSN, "sqlite:///file or postgres://…")
	must(slices.Contains([]string{"full", "normal"}, c.Data.Synchronous), "data.synchronous", c.Data.Synchronous, "full, normal")
	must(slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level), "log.level", c.Log.Level, "debug, info, warn, error")
	must(slices.Contains([]string{"text", "json"}, c.Log.Format), "log.format", c.Log.Format, "text, json")
	for _, key := range []string{
		"limits.bodybytes", "limits.backlog", "operations.workers", "operations.siteconcurrency", "operations.lease", "operations.steptimeout",
		"operations.deadline", "operations.rollbackdeadline", "operations.holdtimeout", "operations.maxattempts",
		"retention.operations", "retention.events", "retention.idempotency", "callbacks.giveup",
		"placement.reservation", "placement.maxreservation", "placement.keep",
	} {
		given, positive := c.number(key)
		must(positive, key, given, "greater than 0")
	}
	must(c.Limits.RatePerSecond >= 0, "limits.ratepersecond", fmt.Sprint(c.Limits.RatePerSecond), "0 (no limit) or more")
	must(c.Limits.RatePerSecond <= 0 || c.Limits.RateBurst > 0, "limits.rateburst", fmt.Sprint(c.Limits.RateBurst), "greater than 0 when limits.ratepersecond is")
	for _, r := range c.Callbacks.Allow {
		_, err := netip.ParsePrefix(r)
		must(err == nil, "callbacks.allow", r, "CIDR, as 10.1.0.0/16")
	}
	if e := c.Telemetry.OTLPEndpoint; e != "" {
		u, err := url.Parse(e)
		must(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "telemetry.otlpendpoint", e, "http(s)://host:port")
	}
	return errors.Join(errs...)
}

// Masked answers c with the password in the DSN replaced, fit to be printed.
func Masked(c Config) Config {
	u, err := url.Parse(c.Data.DSN)
	if err != nil {
		c.Data.DSN = "(masked: not a URL)"
		return c
	}
	const mask = "xxxxx"
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), mask)
		c.Data.DSN = u.String()
	}
	q := u.Query()
	for _, name := range []string{"password", "sslpassword"} { // the driver takes them here, too
		if q.Has(name) {
			q.Set(name, mask)
			u.RawQuery = q.Encode()
			c.Data.DSN = u.String()
		}
	}
	return c
}

// Resolved answers c with its empty paths filled in and made absolute, and the
// DSN's password read from its file.
func (c Config) Resolved() (Config, error) {
	abs, err := filepath.Abs(c.Data.Dir)
	if err != nil {
		return c, fmt.Errorf("data.dir: %w", err)
	}
	c.Data.Dir = abs
	fill := func(p *string, name string) {
		if *p == "" {
			*p = filepath.Join(abs, name)
		}
	}
	fill(&c.Data.KeyFile, "secret.key")
	fill(&c.Host.Dir, "host")
	fill(&c.Simulated.Dir, "simulated")
	if c.Data.DSN == "" {
		c.Data.DSN = "sqlite://" + filepath.Join(abs, "osmoslice.db")
	}
	if c.Host.ArtefactDir == "" {
		exe, err := os.Executable()
		if err != nil {
			return c, fmt.Errorf("host.artefactdir: where this program is: %w", err)
		}
		c.Host.ArtefactDir = filepath.Dir(exe)
	}
	return c, c.readPassword()
}

func (c *Config) readPassword() error {
	if c.Data.PasswordSrc == "" {
		return nil
	}
	b, err := os.ReadFile(c.Data.PasswordSrc)
	if err != nil {
		return fmt.Errorf("data.dsnpasswordfile: %w", err)
	}
	u, err := url.Parse(c.Data.DSN)
	if err != nil || u.User == nil {
		return errors.New("data.dsnpasswordfile: data.dsn must be a URL with a user name")
	}
	u.User = url.UserPassword(u.User.Username(), strings.TrimSpace(string(b)))
	c.Data.DSN = u.String()
	return nil
}
