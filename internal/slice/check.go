package slice

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// maxParams bounds the wrong fields told at once: a hostile input of ten
// thousand members must not become an answer of ten thousand lines.
const maxParams = 100

// checks collects every wrong field of one resource. Paths are relative to
// the resource, "serviceProfile/dLLatency".
type checks struct {
	subject string
	e       *fault.Error
}

func checking(k Kind) *checks { return &checks{subject: singular[k]} }

var singular = map[Kind]string{
	KindTenant: "tenant", KindProduct: "product", KindInfrastructure: "infrastructure",
	KindNode: "node", KindLink: "link", KindIoTSlice: "iotSlice", KindIoTGateway: "iotGateway",
	KindIoTServer: "iotServer", KindMicroElement: "microElement", KindMicroData: "microData",
	KindIoTDevice: "iotDevice", KindNetworkSlice: "networkSlice",
	KindNetworkSliceSubnet: "networkSliceSubnet", KindNetworkFunction: "networkFunction",
	KindCommunicationService: "communicationService", KindSubscription: "subscription",
	KindSecret: "secret", KindAPIKey: "apiKey", KindPlacement: "placement",
}

// wrong records one wrong field.
func (c *checks) wrong(field string, given any, allowed string) {
	if c.e == nil {
		c.e = fault.New(fault.Invalid, "the %s is not valid", c.subject)
	}
	if len(c.e.Params) < maxParams {
		_ = c.e.With(field, show(given), allowed)
	}
}

// must records the field unless ok.
func (c *checks) must(ok bool, field string, given any, allowed string) {
	if !ok {
		c.wrong(field, given, allowed)
	}
}

// err answers the fault, or a nil error.
func (c *checks) err() error {
	if c.e == nil {
		return nil
	}
	return c.e
}

func show(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(v)
}

// oneOf requires v to be among allowed; an empty v passes when optional.
func (c *checks) oneOf(field, v string, optional bool, allowed ...string) {
	if optional && v == "" || slices.Contains(allowed, v) {
		return
	}
	c.wrong(field, v, strings.Join(allowed, ", "))
}

// number requires a finite v in [lo, hi].
func (c *checks) number(field string, v, lo, hi float64, unit string) {
	if !(v >= lo && v <= hi) || math.IsInf(v, 0) {
		c.wrong(field, v, span(lo, hi, unit))
	}
}

// positive requires a finite v in (0, hi].
func (c *checks) positive(field string, v, hi float64, unit string) {
	if !(v > 0 && v <= hi) || math.IsInf(v, 0) {
		c.wrong(field, v, "a number above "+span(0, hi, unit)[len("a number from "):])
	}
}

func span(lo, hi float64, unit string) string {
	s := fmt.Sprintf("a number from %s to %s", show(lo), show(hi))
	if unit != "" {
		s += " " + unit
	}
	return s
}

// whole requires v in [lo, hi].
func (c *checks) whole(field string, v, lo, hi int64) {
	if v < lo || v > hi {
		c.wrong(field, v, fmt.Sprintf("a whole number from %d to %d", lo, hi))
	}
}

// text bounds free text: valid UTF-8 without control characters except line
// ends and tabs, at most limit bytes.
func (c *checks) text(field, v string, limit int) {
	if len(v) > limit {
		c.wrong(field, v, fmt.Sprintf("at most %d bytes", limit))
		return
	}
	bad := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' }
	if !utf8.ValidString(v) || strings.ContainsFunc(v, bad) {
		c.wrong(field, v, "UTF-8 text without control characters")
	}
}

// pattern requires v to match re, said in words by allowed.
func (c *checks) pattern(field, v string, re shape, optional bool, allowed string) {
	if optional && v == "" {
		return
	}
	if !re.MatchString(v) {
		c.wrong(field, v, allowed)
	}
}

// set bounds a list of words: at most limit, each once, each by each.
func (c *checks) set(field string, list []string, limit int, each func(field, v string)) {
	if len(list) > limit {
		c.wrong(field, len(list), fmt.Sprintf("at most %d entries", limit))
		return
	}
	seen := make(map[string]bool, len(list))
	for i, v := range list {
		at := fmt.Sprintf("%s/%d", field, i)
		if seen[v] {
			c.wrong(at, v, "an entry named once")
		}
		seen[v] = true
		each(at, v)
	}
}

// each visits a map in the order of its keys, so that answers are the same
// every time; at most limit entries.
func each[V any](c *checks, field string, m map[string]V, limit int, visit func(at, key string, v V)) {
	if len(m) > limit {
		c.wrong(field, len(m), fmt.Sprintf("at most %d entries", limit))
		return
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		visit(field+"/"+escape(k), k, m[k])
	}
}

// escape writes a key as one step of a JSON pointer (RFC 6901 §3).
func escape(key string) string {
	if !strings.ContainsAny(key, "~/") {
		return key
	}
	return pointerEscapes.Replace(key)
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// each field that points to a value is checked only when present.
func present[V any](p *V, check func(V)) {
	if p != nil {
		check(*p)
	}
}
