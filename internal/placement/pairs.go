package placement

import (
	"slices"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// pairState is one ordered pair of nodes during a decision, in one cache line.
type pairState struct {
	from, to int32
	row      int32 // the ledger's, -1: none
	flows    int32 // of the given demands, placed now
	ok       bool
	latency  float64
	loss     float64
	free     int64 // kbit/s that may still be given out; headroom already taken off
	cap      int64
	others   int64 // kbit/s given out to demands not given
	delta    int64 // what the plan changes in the ledger's row
}

// allows checks a flow against the pair's fixed qualities.
func (p *pairState) allows(f *flow) bool {
	return p.ok && p.latency <= f.maxLatency && p.loss <= f.maxLoss
}

// pairTable maps ordered pairs to states: open addressing, reset by a stamp.
type pairTable struct {
	slots []pairSlot
	list  []pairState
	stamp uint32
}

type pairSlot struct {
	stamp uint32
	at    int32
	key   uint64
}

func (t *pairTable) reset(stamp uint32) {
	t.stamp = stamp
	t.list = t.list[:0]
	if t.slots == nil {
		t.slots = make([]pairSlot, 64)
		t.list = make([]pairState, 0, 32)
	}
}

func pairKey(from, to int32) uint64 { return uint64(uint32(from))<<32 | uint64(uint32(to)) }

func (t *pairTable) find(key uint64) (slot int, found bool) {
	mask := len(t.slots) - 1
	i := int((key*0x9E3779B97F4A7C15)>>32) & mask
	for t.slots[i].stamp == t.stamp {
		if t.slots[i].key == key {
			return i, true
		}
		i = (i + 1) & mask
	}
	return i, false
}

// pair answers the state of an ordered pair, reading snapshot and ledger once.
// The pointer holds until the next call.
func (s *search) pair(from, to int32) *pairState { return &s.pairs.list[s.pairAt(from, to)] }

// pairAt is the position of an ordered pair's state.
func (s *search) pairAt(from, to int32) int32 { return s.pairAtRow(from, to, noRow) }

// pairAtRow is pairAt of a pair whose row in the ledger is known.
func (s *search) pairAtRow(from, to, row int32) int32 {
	t := &s.pairs
	key := pairKey(from, to)
	i, found := t.find(key)
	if found {
		return t.slots[i].at
	}
	if len(t.list)*2 >= len(t.slots) {
		t.grow()
		i, _ = t.find(key)
	}
	at := len(t.list)
	t.slots[i] = pairSlot{t.stamp, int32(at), key}
	if at == cap(t.list) {
		t.list = slices.Grow(t.list, at)
	}
	t.list = t.list[:at+1]
	s.readPair(&t.list[at], from, to, row)
	return int32(at)
}

// readPair reads a pair from ledger and snapshot.
func (s *search) readPair(p *pairState, from, to, at int32) {
	*p = pairState{from: from, to: to, row: at}
	var row *linkRow
	if s.ledger != nil {
		if at == noRow {
			p.row = s.ledger.links.find(pairKey(from, to))
		}
		if p.row >= 0 {
			row = &s.ledger.links.list[p.row]
		}
	}
	if row != nil && s.resident {
		p.ok, p.latency, p.loss, p.cap = row.ok, row.latency, row.loss, row.capacity
	} else if path, ok := s.snap.Path(from, to); ok {
		p.ok, p.latency, p.loss, p.cap = true, path.LatencyMS, path.Loss, boundless(path.BandwidthKbit)
	}
	if row != nil && s.others && !s.opts.FactsAreFree {
		p.others = row.kbit
	}
	p.free = p.cap - p.others - s.opts.Headroom.BandwidthKbit
}

// carries reports whether a pair takes one more flow.
func (s *search) carries(from, to int32, f *flow) bool {
	i, found := s.pairs.find(pairKey(from, to))
	switch {
	case found:
		p := &s.pairs.list[s.pairs.slots[i].at]
		return p.allows(f) && p.free >= f.kbit
	case !s.others && !s.opts.FactsAreFree: // the whole link is there
		return s.snap.Carries(from, to, f.maxLatency, f.maxLoss, f.kbit+s.opts.Headroom.BandwidthKbit)
	}
	s.readPair(&s.glance, from, to, noRow)
	return s.glance.allows(f) && s.glance.free >= f.kbit
}

// pairNow is the state of a pair that is only looked at. One that nothing has been
// placed on is not kept: most are looked at once.
func (s *search) pairNow(from, to int32) *pairState {
	if i, found := s.pairs.find(pairKey(from, to)); found {
		return &s.pairs.list[s.pairs.slots[i].at]
	}
	s.readPair(&s.glance, from, to, noRow)
	return &s.glance
}

// couldCarry reports whether a pair could take a flow if no other flow of the given
// demands was on it.
func (s *search) couldCarry(from, to int32, f *flow) bool {
	if !s.others && !s.opts.FactsAreFree {
		return s.snap.Carries(from, to, f.maxLatency, f.maxLoss, f.kbit+s.opts.Headroom.BandwidthKbit)
	}
	p := s.pairNow(from, to)
	return p.allows(f) && (s.opts.FactsAreFree || p.cap-p.others-s.opts.Headroom.BandwidthKbit >= f.kbit)
}

func (t *pairTable) grow() {
	old := t.list
	t.slots = make([]pairSlot, 2*len(t.slots))
	for k := range old {
		key := pairKey(old[k].from, old[k].to)
		i, _ := t.find(key)
		t.slots[i] = pairSlot{t.stamp, int32(k), key}
	}
}

// creditPair gives back bandwidth that a given demand holds on a pair.
func (s *search) creditPair(p topology.Pair, kbit int64) {
	switch st := s.pair(p.From, p.To); {
	case s.opts.FactsAreFree:
		st.free += kbit
	case s.others:
		st.free += kbit
		st.others -= kbit
	}
}
