package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Policy says when written entries are synced to the disk.
type Policy string

// The sync policies.
const (
	SyncNone     Policy = "none"     // the system decides
	SyncInterval Policy = "interval" // every SyncInterval
	SyncAlways   Policy = "always"   // before done is called, one sync for all that wait
)

var (
	// ErrFull says that MaxBytes is reached; it passes when records are
	// acknowledged.
	ErrFull = errors.New("queue: full")
	// ErrClosed says that the queue was closed.
	ErrClosed = errors.New("queue: closed")
)

// maxPending bounds the entries that wait for the disk.
const maxPending = 8 << 20

// Owner is whose state changes travel with the entries. Its methods are called
// by Open and Append only, never concurrently.
type Owner interface {
	// Restore replaces the state by a snapshot; nil is the state of a new queue.
	Restore(snapshot []byte) error
	// Apply replays the meta of one entry.
	Apply(meta []byte) error
	// Snapshot appends the whole state, as it is after the last Append.
	Snapshot(dst []byte) []byte
}

// Options configure [Open].
type Options struct {
	Dir          string
	MaxBytes     int64 // default 256 MiB, at least 256 KiB
	SegmentBytes int64 // default MaxBytes/16, between 64 KiB and 8 MiB
	Sync         Policy
	SyncInterval time.Duration // default 200 ms
	DropOldest   bool          // at MaxBytes, give up the oldest segment instead of ErrFull
	Log          *slog.Logger
}

func (o *Options) defaults() {
	o.MaxBytes = max(cmp.Or(o.MaxBytes, 256<<20), 256<<10)
	o.SegmentBytes = cmp.Or(o.SegmentBytes, min(max(o.MaxBytes/16, 64<<10), 8<<20))
	o.Sync = cmp.Or(o.Sync, SyncInterval)
	o.SyncInterval = cmp.Or(o.SyncInterval, 200*time.Millisecond)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
}

// Entry is what one Append makes durable.
type Entry struct {
	Records int    // records in Payload, numbered from the next sequence on
	Meta    []byte // the owner's state changes
	Payload []byte // for readers
}

// Queue is an open queue. Append is called by one owner under its own lock;
// everything else may be called concurrently.
type Queue struct {
	options Options
	owner   Owner
	stream  string

	mu       sync.Mutex
	segments []*segment // oldest first; the last is being written
	next     uint64     // sequence of the next record
	acked    uint64     // every record up to this one is delivered or given up
	durable  uint64     // every record up to this one may be read
	bytes    int64      // of all segments, what waits included
	pending  []chunk
	waiting  int64 // bytes in pending
	err      error // why the queue failed or was closed
	changed  chan struct{}
	kick     chan struct{}

	cursor  *cursor
	written sync.WaitGroup // the committer and the syncer
	dirty   chan struct{}
	stop    chan struct{}
	file    *os.File // of the last segment written; used by the committer only
	index   int64    // of file
	skip    skip
}

// skip is a gap in the sequence that holds no records.
type skip struct {
	first uint64 // sequence after the gap
	n     uint64
}

// segment is one file.
type segment struct {
	index int64
	first uint64 // sequence of the first record in it or after it
	bytes int64
	base  int64 // bytes of its snapshot
	ready bool  // the file exists: its snapshot was written
}

// chunk is what waits to be written to one segment.
type chunk struct {
	segment *segment
	data    []byte
	done    []func(error)
	last    uint64 // durable once this is written
	remove  []*segment
}

// Append adds e. On a nil answer done is called exactly once, later, from
// another goroutine; otherwise never.
func (q *Queue) Append(e Entry, done func(error)) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	c := q.tail()
	at := len(c.data)
	c.data = appendEntry(c.data, kindData, q.next, e.Records, e.Meta, e.Payload)
	c.done = append(c.done, done)
	q.next += uint64(e.Records)
	c.last = q.next - 1
	q.grew(c, len(c.data)-at)
	// A large snapshot must not be written after every few entries.
	if s := c.segment; s.bytes-s.base >= max(q.options.SegmentBytes, s.base) {
		q.roll()
	}
	q.wake()
	return nil
}

// Room answers whether an entry of n bytes may be appended now. With
// DropOldest it makes room and answers how many records it gave up; the caller
// accounts for them in its next entry.
func (q *Queue) Room(n int) (dropped int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return 0, q.err
	}
	if q.waiting+int64(n) > maxPending {
		return 0, ErrFull
	}
	for q.bytes+int64(n) > q.options.MaxBytes {
		if !q.options.DropOldest || len(q.segments) < 2 {
			return dropped, ErrFull
		}
		dropped += q.dropOldest()
	}
	return dropped, nil
}

// dropOldest gives up the records of the oldest segment. The file goes after
// the entry that says so is written.
func (q *Queue) dropOldest() int {
	oldest, floor := q.segments[0], q.segments[1].first-1
	n := 0
	if floor > q.acked {
		n = int(floor - max(q.acked, oldest.first-1))
		q.acked = floor
	}
	q.segments = slices.Delete(q.segments, 0, 1)
	q.bytes -= oldest.bytes
	c := q.tail()
	at := len(c.data)
	c.data = appendEntry(c.data, kindDrop, floor, 0, nil, nil)
	c.remove = append(c.remove, oldest)
	q.grew(c, len(c.data)-at)
	q.wake()
	return n
}

// tail is the chunk for the last segment.
func (q *Queue) tail() *chunk {
	last := q.segments[len(q.segments)-1]
	if len(q.pending) == 0 || q.pending[len(q.pending)-1].segment != last {
		q.pending = append(q.pending, chunk{segment: last})
	}
	return &q.pending[len(q.pending)-1]
}

func (q *Queue) grew(c *chunk, n int) {
	c.segment.bytes += int64(n)
	q.bytes += int64(n)
	q.waiting += int64(n)
}

// roll begins a new segment with a snapshot of the owner's state.
func (q *Queue) roll() {
	last := q.segments[len(q.segments)-1]
	q.segments = append(q.segments, &segment{index: last.index + 1, first: q.next})
	c := q.tail()
	c.data = appendEntry(c.data, kindSnapshot, q.next, 0, q.owner.Snapshot(nil), nil)
	c.last = q.next - 1
	c.segment.base = int64(len(c.data))
	q.grew(c, len(c.data))
	q.trim()
}

// Checkpoint begins a new segment now, so that the state of an owner whose
// state did not travel in entries (a removed device) is written.
func (q *Queue) Checkpoint(done func(error)) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	q.roll()
	c := q.tail()
	c.done = append(c.done, done)
	q.wake()
	return nil
}

// wake tells the committer that there is work.
func (q *Queue) wake() {
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// announce wakes everyone who waits for a change. The lock is held.
func (q *Queue) announce() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// Changed is closed at the next change of what can be read or of the room.
func (q *Queue) Changed() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.changed
}

// Ack says that every record up to sequence was delivered.
func (q *Queue) Ack(sequence uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	if sequence <= q.acked {
		return nil
	}
	if sequence > q.durable {
		return fmt.Errorf("queue: acknowledge %d: the last record is %d", sequence, q.durable)
	}
	if err := q.cursor.write(sequence); err != nil {
		return err
	}
	q.acked = sequence
	q.trim()
	q.announce()
	return nil
}

// trim removes the delivered segments before the last whose successor is on
// disk: its snapshot replaces theirs.
func (q *Queue) trim() {
	for len(q.segments) > 1 && q.segments[1].ready && q.segments[1].first-1 <= q.acked {
		oldest := q.segments[0]
		if err := os.Remove(segmentPath(q.options.Dir, oldest.index)); err != nil && !errors.Is(err, os.ErrNotExist) {
			q.options.Log.Warn("queue: remove segment", "error", err)
			return
		}
		q.segments = slices.Delete(q.segments, 0, 1)
		q.bytes -= oldest.bytes
	}
}

// Stats describe the queue.
type Stats struct {
	Stream   string
	Last     uint64 // sequence of the last record appended
	Acked    uint64
	Queued   int   // records not acknowledged
	Bytes    int64 // of all segments
	Segments int
	Err      error // why the queue failed
}

// Stats answers the present figures.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	queued := q.next - 1 - q.acked
	if q.acked < q.skip.first-q.skip.n {
		queued -= q.skip.n
	}
	return Stats{
		Stream: q.stream, Last: q.next - 1, Acked: q.acked, Queued: int(queued),
		Bytes: q.bytes, Segments: len(q.segments), Err: q.err,
	}
}

// Stream is the random name the queue got when it was created.
func (q *Queue) Stream() string { return q.stream }

// Flush waits until everything appended so far is written.
func (q *Queue) Flush(ctx context.Context) error {
	q.mu.Lock()
	if len(q.pending) == 0 && q.durable == q.next-1 || q.err != nil {
		defer q.mu.Unlock()
		return q.err
	}
	done := make(chan error, 1)
	c := q.tail()
	c.done = append(c.done, func(err error) { done <- err })
	q.wake()
	q.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close writes and syncs what waits and closes the files.
func (q *Queue) Close() error {
	q.mu.Lock()
	if errors.Is(q.err, ErrClosed) {
		q.mu.Unlock()
		return nil
	}
	failed := q.err
	q.err = ErrClosed
	q.announce()
	q.mu.Unlock()
	close(q.stop)
	q.written.Wait()
	err := errors.Join(failed, q.cursor.close())
	if q.file != nil {
		err = errors.Join(err, q.file.Sync(), q.file.Close())
	}
	return err
}

// Files calls yield with the path of every file that makes up the queue, as it
// is between two writes; none is removed meanwhile. The caller has called Flush
// and keeps Append from running.
func (q *Queue) Files(yield func(path string) error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return q.err
	}
	paths := []string{filepath.Join(q.options.Dir, streamName), filepath.Join(q.options.Dir, cursorName)}
	for _, s := range q.segments {
		paths = append(paths, segmentPath(q.options.Dir, s.index))
	}
	for _, path := range paths {
		if err := yield(path); err != nil {
			return err
		}
	}
	return nil
}
