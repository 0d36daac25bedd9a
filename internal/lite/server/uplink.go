package server

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// batch is what the name of a gateway's batch says (docs/lite-gateway.md,
// Uplink): record i of the pack has number first+i in the stream. The zero
// batch belongs to a message that carries no sequence.
type batch struct {
	stream       string
	first, count uint64
}

// parseBatch reads <stream>.<first>.<count>, where stream ends in an epoch of
// 16 hexadecimal digits.
func parseBatch(name string) (batch, bool) {
	rest, count, ok := cutLast(name)
	stream, first, ok2 := cutLast(rest)
	_, epoch, ok3 := cutLast(stream)
	if !ok || !ok2 || !ok3 || len(epoch) != 16 || strings.Trim(epoch, "0123456789abcdef") != "" {
		return batch{}, false
	}
	b := batch{stream: strings.Clone(stream)}
	var errFirst, errCount error
	b.first, errFirst = strconv.ParseUint(first, 10, 63)
	b.count, errCount = strconv.ParseUint(count, 10, 31)
	return b, errFirst == nil && errCount == nil && b.first > 0 && b.count > 0
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i <= 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// last is the number of the last record.
func (b batch) last() uint64 { return b.first + b.count - 1 }

// uplinkKey names one sequence of one sender.
type uplinkKey struct{ thing, stream string }

// loadUplinks reads how far each sender came.
func (w *writer) loadUplinks(ctx context.Context) error {
	rows, err := w.db.write.QueryContext(ctx, `SELECT thing, stream, seq FROM uplinks`)
	if err != nil {
		return fmt.Errorf("uplinks: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k uplinkKey
		var seq int64
		if err := rows.Scan(&k.thing, &k.stream, &seq); err != nil {
			return fmt.Errorf("uplinks: %w", err)
		}
		w.seen[k] = uint64(seq)
	}
	return rows.Err()
}

// uplinkChange is how to undo the advance of one sender.
type uplinkChange struct {
	key    uplinkKey
	before uint64
}

func (w *writer) settleUplinks() { w.journal = w.journal[:0] }

// forgetUplinks undoes what a failed group advanced, the last one first.
func (w *writer) forgetUplinks() {
	for i := len(w.journal) - 1; i >= 0; i-- {
		change := w.journal[i]
		if change.before == 0 {
			delete(w.seen, change.key)
		} else {
			w.seen[change.key] = change.before
		}
	}
	w.journal = w.journal[:0]
}

// forgetThing forgets the sequences of a thing that is gone; only the writer
// calls it.
func (w *writer) forgetThing(id string) {
	for k := range w.seen {
		if k.thing == id {
			delete(w.seen, k)
		}
	}
}

// brokenFor is how long batches behind one that was not stored are refused:
// longer than what a cut connection had in its buffers can take to arrive. It
// ends by itself, for a gateway may have dropped what failed.
const brokenFor = 10 * time.Second

// brokenUplink is a stream of which a batch could not be stored.
type brokenUplink struct {
	first uint64
	at    time.Time
}

// admit decides by the sequence of m: false when it was stored before (the
// outcome stays nil) or must wait for one before it. Of a batch that was stored
// in part the rest is left.
func (w *writer) admit(m *message, outcome *error) bool {
	if m.batch.count == 0 {
		return true
	}
	key := uplinkKey{m.publisher, m.batch.stream}
	if broken, ok := w.broken[key]; ok {
		if m.batch.first > broken.first && time.Since(broken.at) < brokenFor {
			*outcome = fault.New(fault.Unavailable, "an earlier batch of the stream was not stored").Retrying(fault.Backoff)
			return false
		}
		delete(w.broken, key)
	}
	highest := w.seen[key]
	if m.batch.last() <= highest {
		m.pack = nil
		w.metrics.duplicates.Inc()
		return false
	}
	if highest >= m.batch.first {
		m.pack = m.pack[highest-m.batch.first+1:]
		w.metrics.duplicates.Inc()
	}
	return true
}

// advanceUplink records in the group's transaction that m is stored.
func (w *writer) advanceUplink(ctx context.Context, m *message) error {
	if m.batch.count == 0 {
		return nil
	}
	key := uplinkKey{m.publisher, m.batch.stream}
	w.journal = append(w.journal, uplinkChange{key, w.seen[key]})
	w.seen[key] = m.batch.last()
	_, err := w.advance.ExecContext(ctx, key.thing, key.stream, int64(m.batch.last()))
	return err
}

// breakUplinks notes the batches of a group that failed: a later batch of the
// same stream must not overtake them, for it would make them look stored.
func (w *writer) breakUplinks(group []request) {
	for _, r := range group {
		if r.message == nil || r.message.batch.count == 0 {
			continue
		}
		key := uplinkKey{r.message.publisher, r.message.batch.stream}
		if broken, ok := w.broken[key]; !ok || r.message.batch.first < broken.first {
			w.broken[key] = brokenUplink{first: r.message.batch.first, at: time.Now()}
		}
	}
}
