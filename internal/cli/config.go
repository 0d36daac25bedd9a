package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// contexts is the file of contexts.
type contexts struct {
	Current  string                `yaml:"current,omitempty"`
	Contexts map[string]serviceRef `yaml:"contexts,omitempty"`
}

// serviceRef is one service and who speaks to it.
type serviceRef struct {
	Server  string `yaml:"server"`
	Tenant  string `yaml:"tenant,omitempty"`
	KeyFile string `yaml:"keyFile,omitempty"`
	APIKey  string `yaml:"apiKey,omitempty"`
	CAFile  string `yaml:"caFile,omitempty"`
}

func (s *session) configPath() string {
	for _, p := range []string{s.flags.config, s.Getenv("SLICECTL_CONFIG")} {
		if p != "" {
			return p
		}
	}
	if dir := s.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "slicectl", "config.yaml")
	}
	return filepath.Join(s.Home, ".config", "slicectl", "config.yaml")
}

// loadContexts reads the file; an absent one has no contexts. Since it may hold
// keys, others must not be able to read it.
func (s *session) loadContexts() (*contexts, error) {
	path := s.configPath()
	c := &contexts{Contexts: map[string]serviceRef{}}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, usagef("config: %v", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, usagef("config: %s may be read by others (mode %04o); run chmod 600 %s", path, info.Mode().Perm(), path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("config: %v", err)
	}
	dec := yaml.NewDecoder(strings.NewReader(string(raw)))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil && len(strings.TrimSpace(string(raw))) > 0 {
		return nil, usagef("config: %s: %v", path, err)
	}
	if c.Contexts == nil {
		c.Contexts = map[string]serviceRef{}
	}
	return c, nil
}

// saveContexts replaces the file at once, mode 0600.
func (s *session) saveContexts(c *contexts) error {
	path := s.configPath()
	raw, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return usagef("config: %v", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".config-*") // mode 0600
	if err != nil {
		return usagef("config: %v", err)
	}
	_, err = tmp.Write(raw)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return usagef("config: %v", err)
	}
	return nil
}

// chosen is the service in force: flags over environment over context.
func (s *session) chosen() (serviceRef, error) {
	all, err := s.loadContexts()
	if err != nil {
		return serviceRef{}, err
	}
	name := first(s.flags.context, s.Getenv("SLICECTL_CONTEXT"))
	if name == "" && s.flags.server == "" && s.Getenv("SLICECTL_SERVER") == "" {
		name = all.Current
	}
	c, known := all.Contexts[name]
	if name != "" && !known {
		return c, usagef("context: given %q, allowed: %s", name, listed(sortedKeys(all.Contexts)))
	}
	c.Server = first(s.flags.server, s.Getenv("SLICECTL_SERVER"), c.Server)
	c.Tenant = first(s.flags.tenant, s.Getenv("SLICECTL_TENANT"), c.Tenant)
	c.CAFile = first(s.flags.caFile, s.Getenv("SLICECTL_CA_FILE"), c.CAFile)
	switch {
	case s.flags.keyFile != "":
		c.KeyFile, c.APIKey = s.flags.keyFile, ""
	case s.Getenv("SLICECTL_API_KEY") != "":
		c.KeyFile, c.APIKey = "", s.Getenv("SLICECTL_API_KEY")
	case s.Getenv("SLICECTL_KEY_FILE") != "":
		c.KeyFile, c.APIKey = s.Getenv("SLICECTL_KEY_FILE"), ""
	}
	return c, nil
}

// key finds the API key: context, file or environment, else a person is asked.
func (s *session) key(c serviceRef) (string, error) {
	key := c.APIKey
	if c.KeyFile != "" {
		raw, err := os.ReadFile(c.KeyFile)
		if err != nil {
			return "", usagef("key-file: %v", err)
		}
		key = string(raw)
	}
	key = strings.TrimSpace(key)
	if key == "" && c.KeyFile == "" && s.Prompt != nil {
		given, err := s.Prompt("API key for " + c.Server + ": ")
		if err != nil {
			return "", err
		}
		key = strings.TrimSpace(given)
	}
	if key == "" {
		return "", usagef("no API key: give --key-file, set SLICECTL_API_KEY or SLICECTL_KEY_FILE, or name it in the context")
	}
	if strings.ContainsAny(key, "\r\n \t") {
		return "", usagef("the API key holds white space: is it the right file?")
	}
	return key, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
