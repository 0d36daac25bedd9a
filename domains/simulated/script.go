package simulated

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Script is what a site is made of and how it behaves. The zero Script is one
// node without limits, where everything works at once.
type Script struct {
	// Seed of every draw.
	Seed uint64 `json:"seed,omitempty"`
	// Kind is the tier told for the nodes; CLOUD when empty.
	Kind  topology.Kind `json:"kind,omitempty"`
	Nodes []NodeSpec    `json:"nodes,omitempty"`
	// Latency of calls and functions.
	Latency  Latency   `json:"latencyMs,omitzero"`
	Failures []Failure `json:"failures,omitempty"`
	// Loss is "", "partitioned" or "dead"; LostNodes names nodes lost now.
	Loss      string   `json:"loss,omitempty"`
	LostNodes []string `json:"lostNodes,omitempty"`
	// Outages are losses at times.
	Outages []Outage `json:"outages,omitempty"`
}

// NodeSpec is one node, or Count equal ones named <name>-1, <name>-2, …
// Capacity left out is without limit.
type NodeSpec struct {
	Name               string             `json:"name"`
	Count              int                `json:"count,omitempty"`
	Arch               string             `json:"architecture,omitempty"`
	CPU                *int64             `json:"cpuMilli,omitempty"`
	Memory             *int64             `json:"memoryMiB,omitempty"`
	Storage            *int64             `json:"storageMiB,omitempty"`
	Labels             map[string]string  `json:"labels,omitempty"`
	Software           []string           `json:"software,omitempty"`
	Things             []string           `json:"things,omitempty"`
	AccessTechnologies []string           `json:"accessTechnologies,omitempty"`
	SecurityLevel      int                `json:"securityLevel,omitempty"`
	Area               string             `json:"area,omitempty"`
	Location           *topology.Location `json:"location,omitempty"`
	EnergyPerCPU       float64            `json:"energyPerCpu,omitempty"`
	PricePerCPU        float64            `json:"pricePerCpuHour,omitempty"`
}

// Latency is how long things take, in milliseconds: Apply, Delete, Observe and
// Platform calls until they answer; Ready until an applied function is ready;
// Gone until a deleted one is gone. Each is drawn from ±Jitter (a fraction).
type Latency struct {
	Apply    float64 `json:"apply,omitempty"`
	Ready    float64 `json:"ready,omitempty"`
	Delete   float64 `json:"delete,omitempty"`
	Gone     float64 `json:"gone,omitempty"`
	Observe  float64 `json:"observe,omitempty"`
	Platform float64 `json:"platform,omitempty"`
	Jitter   float64 `json:"jitter,omitempty"`
}

// Failure makes matching calls fail.
type Failure struct {
	// Call is apply, delete, observe, nodes, check, list, ready (the function
	// never gets ready) or one of the platform's: health, provision,
	// deprovision, attach, detach, connect, disconnect, command, export, import.
	Call string `json:"call"`
	// Release is a pattern (path.Match) on the release; empty matches all.
	// Device restricts provision, deprovision and command to devices whose name
	// matches: only they fail.
	Release string `json:"release,omitempty"`
	Device  string `json:"device,omitempty"`
	// After lets the first N matching calls pass; Times bounds the failures
	// (0: no bound); Probability draws each (0 means 1).
	After       int     `json:"after,omitempty"`
	Times       int     `json:"times,omitempty"`
	Probability float64 `json:"probability,omitempty"`
	// Kind and Retry are fault's words; unavailable and backoff when empty.
	Kind   string `json:"kind,omitempty"`
	Retry  string `json:"retry,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Late lets the call take effect and only its answer fail. Hang never
	// answers: the call ends with its context (of ready: it starts for ever).
	Late bool `json:"late,omitempty"`
	Hang bool `json:"hang,omitempty"`
}

// Outage is a loss from FromMS to ToMS milliseconds since the site was first
// seen (ToMS 0: for good): of the site ("partitioned" or "dead") or of one
// node.
type Outage struct {
	FromMS float64 `json:"fromMs"`
	ToMS   float64 `json:"toMs,omitempty"`
	Loss   string  `json:"loss,omitempty"`
	Node   string  `json:"node,omitempty"`
}

// The losses of a site.
const (
	Partitioned = "partitioned"
	Dead        = "dead"
)

var calls = []string{
	"apply", "delete", "observe", "nodes", "check", "list", "ready", "health", "provision",
	"deprovision", "attach", "detach", "connect", "disconnect", "command", "export", "import",
}

// maxNodes bounds the nodes of one site.
const maxNodes = 100_000

// ParseScript reads connection data. Empty data is the zero Script.
func ParseScript(raw json.RawMessage) (*Script, error) {
	s := &Script{}
	if len(bytes.TrimSpace(raw)) == 0 {
		return s, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(s); err != nil {
		return nil, wrongJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.Field("connection", "", "one JSON object")
	}
	return s, s.validate()
}

// wrongJSON names the field that encoding/json stumbled on.
func wrongJSON(err error) error {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
		return fault.Field("connection/"+strings.ReplaceAll(t.Field, ".", "/"), t.Value, "a value of type "+t.Type.String())
	}
	if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		name = strings.Trim(name, `"`)
		return fault.Field("connection/"+name, name, "a field of the simulated plugin's schema")
	}
	return fault.Field("connection", "", "a JSON object: "+err.Error())
}

func (s *Script) validate() error {
	e := fault.New(fault.Invalid, "the simulated site's connection data is not valid")
	must := func(ok bool, field string, given any, allowed string) {
		if !ok {
			_ = e.With("connection/"+field, fmt.Sprint(given), allowed)
		}
	}
	s.validateNodes(must)
	must(s.Kind == "" || contains(topology.Kinds(), s.Kind), "kind", s.Kind, fmt.Sprint(topology.Kinds()))
	must(s.Loss == "" || s.Loss == Partitioned || s.Loss == Dead, "loss", s.Loss, "partitioned or dead")
	l := s.Latency
	for name, v := range map[string]float64{
		"apply": l.Apply, "ready": l.Ready, "delete": l.Delete,
		"gone": l.Gone, "observe": l.Observe, "platform": l.Platform,
	} {
		must(v >= 0 && v <= 86_400_000, "latencyMs/"+name, v, "0 to 86400000 ms")
	}
	must(l.Jitter >= 0 && l.Jitter <= 1, "latencyMs/jitter", l.Jitter, "0 to 1")
	for i, f := range s.Failures {
		f.validate(fmt.Sprintf("failures/%d/", i), must)
	}
	for i, o := range s.Outages {
		at := fmt.Sprintf("outages/%d/", i)
		must(o.FromMS >= 0 && o.FromMS <= 1e12, at+"fromMs", o.FromMS, "0 or more")
		must(o.ToMS == 0 || o.ToMS > o.FromMS && o.ToMS <= 1e12, at+"toMs", o.ToMS, "more than fromMs, or 0")
		must((o.Node == "") != (o.Loss == ""), at+"loss", o.Loss, "either a loss or a node")
		must(o.Loss == "" || o.Loss == Partitioned || o.Loss == Dead, at+"loss", o.Loss, "partitioned or dead")
	}
	if len(e.Params) > 0 {
		return e
	}
	return nil
}

func (s *Script) validateNodes(must func(bool, string, any, string)) {
	total := 0
	seen := map[string]bool{}
	for i, n := range s.Nodes {
		at := fmt.Sprintf("nodes/%d/", i)
		must(n.Name != "" && len(n.Name) <= 200 && !strings.ContainsAny(n.Name, "/ \x00"), at+"name", n.Name, "a name of 1 to 200 characters without '/' and space")
		must(!seen[n.Name], at+"name", n.Name, "a name used once")
		seen[n.Name] = true
		must(n.Count >= 0 && n.Count <= maxNodes, at+"count", n.Count, fmt.Sprintf("0 to %d", maxNodes))
		total += max(1, n.Count)
		for field, v := range map[string]*int64{"cpuMilli": n.CPU, "memoryMiB": n.Memory, "storageMiB": n.Storage} {
			must(v == nil || *v >= 0 && *v <= topology.Infinite, at+field, deref(v), "0 or more")
		}
		finite := n.EnergyPerCPU >= 0 && n.PricePerCPU >= 0 && !math.IsInf(n.EnergyPerCPU+n.PricePerCPU, 0)
		must(finite, at+"pricePerCpuHour", n.PricePerCPU, "0 or more, as energyPerCpu")
	}
	must(total <= maxNodes, "nodes", total, fmt.Sprintf("at most %d nodes", maxNodes))
}

func (f Failure) validate(at string, must func(bool, string, any, string)) {
	must(contains(calls, f.Call), at+"call", f.Call, strings.Join(calls, ", "))
	for name, pattern := range map[string]string{"release": f.Release, "device": f.Device} {
		_, err := path.Match(pattern, "")
		must(err == nil, at+name, pattern, "a pattern of *, ? and [a-z]")
	}
	must(f.After >= 0, at+"after", f.After, "0 or more")
	must(f.Times >= 0, at+"times", f.Times, "0 or more")
	must(f.Probability >= 0 && f.Probability <= 1, at+"probability", f.Probability, "0 to 1")
	must(f.Kind == "" || fault.ParseKind(f.Kind).String() == f.Kind, at+"kind", f.Kind, "a kind of fault, such as unavailable, timeout, forbidden, invalid")
	must(f.Retry == "" || parseRetry(f.Retry) != nil, at+"retry", f.Retry, "never, now or backoff")
}

func parseRetry(word string) *fault.Retry {
	for _, r := range []fault.Retry{fault.Never, fault.Now, fault.Backoff} {
		if r.String() == word {
			return &r
		}
	}
	return nil
}

// fault is the error that a failing call answers.
func (f Failure) fault(site string) error {
	kind, retry := fault.Unavailable, fault.Backoff
	if f.Kind != "" {
		kind = fault.ParseKind(f.Kind)
		retry = fault.Never
		if kind == fault.Unavailable || kind == fault.Timeout {
			retry = fault.Backoff
		}
	}
	if r := parseRetry(f.Retry); r != nil {
		retry = *r
	}
	return fault.New(kind, "%s: %s", site, f.cause()).Retrying(retry)
}

func (f Failure) cause() string {
	if f.Detail != "" {
		return f.Detail
	}
	return "scripted failure of " + f.Call
}

// lossAt is the site's loss at a time since it was first seen.
func (s *Script) lossAt(since time.Duration) string {
	loss := s.Loss
	for _, o := range s.Outages {
		if o.Loss != "" && o.covers(since) && loss != Dead {
			loss = o.Loss
		}
	}
	return loss
}

// nodeLost reports whether a node is lost at a time.
func (s *Script) nodeLost(node string, since time.Duration) bool {
	if contains(s.LostNodes, node) {
		return true
	}
	for _, o := range s.Outages {
		if o.Node == node && o.covers(since) {
			return true
		}
	}
	return false
}

func (o Outage) covers(since time.Duration) bool {
	return since >= ms(o.FromMS) && (o.ToMS == 0 || since < ms(o.ToMS))
}

func ms(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }

func contains[T comparable](list []T, v T) bool {
	for _, w := range list {
		if w == v {
			return true
		}
	}
	return false
}

func deref(v *int64) int64 {
	if v == nil {
		return 0
	}
	return *v
}
