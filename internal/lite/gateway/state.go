package gateway

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// The state that travels in queue entries is a list of operations; a snapshot
// is the list that leads from nothing to the state.
const (
	opCount  = 'c' // counter, difference
	opEdge   = 'e' // device, resource, edge state
	opForget = 'f' // device
)

var errState = errors.New("damaged gateway state")

// edgeKey names the edge state of one resource.
type edgeKey struct{ device, resource string }

// state is what readings change: counters and the memory of edge functions.
type state struct {
	totals tally
	edges  map[string]map[string]*edgeState // by device and resource
	// due is when the first open window may have to be closed, Unix ms; it
	// may be too early, never too late.
	due int64
}

func newState() *state { return &state{edges: map[string]map[string]*edgeState{}} }

// Restore implements queue.Owner.
func (s *state) Restore(snapshot []byte) error {
	*s = *newState()
	return s.Apply(snapshot)
}

// Apply implements queue.Owner.
func (s *state) Apply(meta []byte) error {
	for len(meta) > 0 {
		op := meta[0]
		in := &decoder{b: meta[1:]}
		switch op {
		case opCount:
			c, n := in.uvarint(), in.uvarint()
			if c < uint64(counters) {
				s.totals[c] += n
			}
		case opEdge:
			key := edgeKey{in.text(), in.text()}
			*s.edge(key) = in.edge()
		case opForget:
			s.forget(in.text())
		default:
			return errState
		}
		if in.failed {
			return errState
		}
		meta = in.b
	}
	return nil
}

// Snapshot implements queue.Owner.
func (s *state) Snapshot(dst []byte) []byte {
	dst = appendTally(dst, &s.totals)
	for device, resources := range s.edges {
		for resource, e := range resources {
			dst = appendEdge(dst, edgeKey{device, resource}, e)
		}
	}
	return dst
}

// edge is the state of one resource, made when there is none.
func (s *state) edge(key edgeKey) *edgeState {
	resources := s.edges[key.device]
	if resources == nil {
		resources = map[string]*edgeState{}
		s.edges[key.device] = resources
	}
	e := resources[key.resource]
	if e == nil {
		e = &edgeState{}
		resources[key.resource] = e
	}
	return e
}

// forget removes the edge state of a device.
func (s *state) forget(device string) { delete(s.edges, device) }

// opened notes a window that may be open.
func (s *state) opened(w *window) {
	if w.count > 0 {
		s.due = min(s.due, w.dueAt())
	}
}

func appendTally(dst []byte, t *tally) []byte {
	for c, n := range t {
		if n > 0 {
			dst = append(dst, opCount)
			dst = binary.AppendUvarint(dst, uint64(c))
			dst = binary.AppendUvarint(dst, n)
		}
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendFloat(dst []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
}

func appendEdge(dst []byte, key edgeKey, e *edgeState) []byte {
	dst = append(dst, opEdge)
	dst = appendText(dst, key.device)
	dst = appendText(dst, key.resource)
	var flags uint64
	if e.hasLast {
		flags = 1
	}
	dst = binary.AppendUvarint(dst, flags)
	dst = appendFloat(dst, e.last)
	w := &e.window
	dst = binary.AppendUvarint(dst, w.count)
	if w.count == 0 {
		return dst
	}
	dst = binary.AppendVarint(dst, w.index)
	dst = binary.AppendVarint(dst, int64(w.length))
	dst = binary.AppendVarint(dst, w.opened)
	for _, f := range []float64{w.sum, w.min, w.max} {
		dst = appendFloat(dst, f)
	}
	return dst
}

// decoder reads what the functions above wrote; after a failure it answers
// zeros.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) fail() { d.failed, d.b = true, nil }

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) float() float64 {
	if len(d.b) < 8 {
		d.fail()
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(d.b))
	d.b = d.b[8:]
	return v
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return ""
	}
	v := string(d.b[:n])
	d.b = d.b[n:]
	return v
}

func (d *decoder) edge() edgeState {
	e := edgeState{hasLast: d.uvarint() == 1}
	e.last = d.float()
	w := &e.window
	if w.count = d.uvarint(); w.count == 0 {
		return e
	}
	w.index, w.length, w.opened = d.varint(), time.Duration(d.varint()), d.varint()
	w.sum, w.min, w.max = d.float(), d.float(), d.float()
	return e
}
