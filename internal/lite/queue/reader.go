package queue

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Batch is consecutive records for the uplink.
type Batch struct {
	First   uint64 // sequence of the first record
	Count   int
	Payload []byte // the payloads of whole entries, joined by the reader's separator
	Lost    int    // records before First that were damaged on disk
}

// Last is the sequence of the last record.
func (b Batch) Last() uint64 { return b.First + uint64(b.Count) - 1 }

// Reader answers the records of a queue in order, beginning after a sequence.
// It is used by one goroutine.
type Reader struct {
	queue     *Queue
	separator byte
	next      uint64
	segment   int64 // index of the segment being read, 0 before the first
	file      *os.File
	in        *bufio.Reader
	buf       []byte
	held      *entry // read but did not fit into the last batch
}

// NewReader reads from the first record not acknowledged. Payloads of entries
// that share a batch are joined by separator.
func (q *Queue) NewReader(separator byte) *Reader {
	q.mu.Lock()
	defer q.mu.Unlock()
	return &Reader{queue: q, separator: separator, next: q.acked + 1}
}

// Close releases the reader's file.
func (r *Reader) Close() {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

// Next answers the next records, at most maxRecords of at most maxBytes unless
// one entry alone is larger. It waits until there is one.
func (r *Reader) Next(ctx context.Context, maxRecords, maxBytes int) (Batch, error) {
	for {
		changed := r.queue.Changed()
		b, err := r.TryNext(maxRecords, maxBytes)
		if err != nil || b.Count > 0 {
			return b, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		}
	}
}

// TryNext is Next without waiting: Count is 0 when there is nothing.
func (r *Reader) TryNext(maxRecords, maxBytes int) (Batch, error) {
	var b Batch
	for {
		e, err := r.entry()
		if err != nil || e == nil {
			return b, err
		}
		if e.first > r.next && b.Count > 0 {
			r.held = e
			return b, nil
		}
		if b.Count > 0 && (b.Count+e.n > maxRecords || len(b.Payload)+len(e.payload) > maxBytes) {
			r.held = e
			return b, nil
		}
		if b.Count == 0 {
			b.First, b.Lost = e.first, int(e.first-r.next)
		} else {
			b.Payload = append(b.Payload, r.separator)
		}
		b.Payload = append(b.Payload, e.payload...)
		b.Count += e.n
		r.next = e.first + uint64(e.n)
		if b.Count >= maxRecords || len(b.Payload) >= maxBytes {
			return b, nil
		}
	}
}

// entry answers the next entry with records at or after r.next that is
// committed; nil when there is none now.
func (r *Reader) entry() (*entry, error) {
	if e := r.held; e != nil {
		r.held = nil
		return e, nil
	}
	for {
		r.queue.mu.Lock()
		err, durable, acked := r.queue.err, r.queue.durable, r.queue.acked
		r.queue.mu.Unlock()
		if err != nil {
			return nil, err
		}
		r.next = max(r.next, acked+1) // given up meanwhile
		if r.next > durable {
			return nil, nil
		}
		if r.file == nil {
			if err := r.open(); err != nil {
				return nil, err
			}
		}
		e, buf, err := readEntry(r.in, r.buf)
		r.buf = buf
		switch {
		case err == nil && e.kind == kindData && e.n > 0 && e.first+uint64(e.n) > r.next:
			return &e, nil
		case err == nil && e.kind == kindSkip:
			r.next = max(r.next, e.first)
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, errDamaged):
			// The end of this segment: what is committed lies in a later one.
			r.Close()
		default:
			return nil, fmt.Errorf("queue: read: %w", err)
		}
	}
}

// open opens the segment that holds r.next, or the one after the segment that
// was read to its end.
func (r *Reader) open() error {
	r.queue.mu.Lock()
	var found *segment
	for _, s := range r.queue.segments {
		if s.ready && (s.first <= r.next || found == nil) && s.index > r.segment {
			found = s
			if r.segment > 0 {
				break
			}
		}
	}
	r.queue.mu.Unlock()
	if found == nil {
		return fmt.Errorf("queue: read: no segment holds record %d", r.next)
	}
	file, err := os.Open(segmentPath(r.queue.options.Dir, found.index))
	if err != nil {
		return fmt.Errorf("queue: read: %w", err)
	}
	r.file, r.segment = file, found.index
	r.in = bufio.NewReaderSize(file, 64<<10)
	return nil
}
