package topology

import "sync"

const memoLimit = 4096

// Derived is a value computed from the unmeasured facts of all nodes (all but
// capacity and availability). With answers the value for a snapshot in which
// only the given nodes differ; it must not change its receiver.
type Derived interface {
	With(s *Snapshot, changed []int32) Derived
}

// memo keeps derived values; snapshots with the same unmeasured facts share it.
type memo struct {
	mu     sync.RWMutex
	values map[string]Derived
}

func newMemo() *memo { return &memo{values: map[string]Derived{}} }

// Memo answers the derived value kept under key, building it when there is
// none. Values are carried over from snapshot to snapshot at a cost that grows
// with the nodes whose unmeasured facts changed. Memo never changes what a
// caller can observe, only how long it takes.
func (s *Snapshot) Memo(key string, build func() Derived) Derived {
	s.memo.mu.RLock()
	v, ok := s.memo.values[key]
	s.memo.mu.RUnlock()
	if ok {
		return v
	}
	v = build()
	s.memo.mu.Lock()
	defer s.memo.mu.Unlock()
	if len(s.memo.values) >= memoLimit {
		clear(s.memo.values)
	}
	s.memo.values[key] = v
	return v
}

// MemoEpoch identifies the set of derived values: two snapshots with the same
// epoch answer the same value for the same key.
func (s *Snapshot) MemoEpoch() any { return s.memo }

// carry is the memo for a snapshot that differs from m's in the given nodes.
func (m *memo) carry(s *Snapshot, changed []int32) *memo {
	if len(changed) == 0 {
		return m
	}
	out := newMemo()
	if len(changed)*4 > s.size {
		return out
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for k, v := range m.values {
		out.values[k] = v.With(s, changed)
	}
	return out
}
