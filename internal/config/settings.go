package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Setting is one leaf of Config.
type Setting struct {
	Key  string // "listen.address"
	Help string
	// Kind is what a value must look like: "text", "whole number", "number",
	// "duration", "true or false", "list".
	Kind  string
	value reflect.Value
}

// Env is the environment variable of the setting.
func (s Setting) Env() string {
	return "OSMOSLICE_" + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
}

// Flag is the command-line flag of the setting, without dashes in front.
func (s Setting) Flag() string { return strings.ReplaceAll(s.Key, ".", "-") }

// Settings lists every leaf of c in the order of the struct; Set and Text act on c.
func Settings(c *Config) []Setting {
	var out []Setting
	collect(reflect.ValueOf(c).Elem(), "", &out)
	return out
}

func collect(v reflect.Value, prefix string, out *[]Setting) {
	t := v.Type()
	for i := range t.NumField() {
		key := prefix + t.Field(i).Tag.Get("key")
		if t.Field(i).Type.Kind() == reflect.Struct {
			collect(v.Field(i), key+".", out)
			continue
		}
		*out = append(*out, Setting{Key: key, Help: t.Field(i).Tag.Get("help"), Kind: kindOf(v.Field(i)), value: v.Field(i)})
	}
}

func kindOf(v reflect.Value) string {
	switch v.Interface().(type) {
	case time.Duration:
		return "duration"
	case bool:
		return "true or false"
	case int, int64:
		return "whole number"
	case float64:
		return "number"
	case []string:
		return "list"
	}
	return "text"
}

// Set parses text into the setting.
func (s Setting) Set(text string) error {
	err := s.parse(text)
	if err != nil {
		return fmt.Errorf("%s: given %q, allowed: a %s", s.Key, text, s.Kind)
	}
	return nil
}

func (s Setting) parse(text string) error {
	switch s.value.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		s.value.SetInt(int64(d))
		return err
	case bool:
		b, err := strconv.ParseBool(text)
		s.value.SetBool(b)
		return err
	case int, int64:
		n, err := strconv.ParseInt(text, 10, 64)
		s.value.SetInt(n)
		return err
	case float64:
		f, err := strconv.ParseFloat(text, 64)
		s.value.SetFloat(f)
		return err
	case []string:
		s.value.Set(reflect.ValueOf(list(text)))
		return nil
	}
	s.value.SetString(text)
	return nil
}

func list(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// Text is the setting's value as Set would take it.
func (s Setting) Text() string {
	if l, ok := s.value.Interface().([]string); ok {
		return strings.Join(l, ",")
	}
	return fmt.Sprint(s.value.Interface())
}

// YAML renders c as a file that Load reads back to the same Config. Strings
// are written in JSON's quoting, which YAML shares.
func YAML(c Config) string {
	var b strings.Builder
	section := ""
	for _, s := range Settings(&c) {
		head, leaf, _ := strings.Cut(s.Key, ".")
		if head != section {
			section = head
			fmt.Fprintf(&b, "%s:\n", head)
		}
		fmt.Fprintf(&b, "  %s: %s # %s\n", leaf, s.yaml(), s.Help)
	}
	return b.String()
}

func (s Setting) yaml() string {
	switch v := s.value.Interface().(type) {
	case bool, int, int64, float64:
		return fmt.Sprint(v)
	case []string:
		if v == nil {
			v = []string{}
		}
		j, _ := json.Marshal(v) // strings always marshal
		return string(j)
	}
	j, _ := json.Marshal(s.Text())
	return string(j)
}
