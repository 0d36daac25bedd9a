package queue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func segmentPath(dir string, index int64) string {
	return filepath.Join(dir, fmt.Sprintf("%012d.seg", index))
}

// commit writes what waits until the queue is closed: all that gathered during
// one write goes into the next.
func (q *Queue) commit() {
	defer q.written.Done()
	for {
		select {
		case <-q.kick:
		case <-q.stop:
			q.commitPending()
			return
		}
		q.commitPending()
	}
}

// commitPending writes the chunks that wait and tells their owners.
func (q *Queue) commitPending() {
	q.mu.Lock()
	chunks := q.pending
	q.pending = nil
	failed := q.err
	q.mu.Unlock()
	if len(chunks) == 0 {
		return
	}
	if failed != nil && !errors.Is(failed, ErrClosed) {
		q.fail(failed, chunks)
		return
	}
	for i := range chunks {
		if err := q.writeChunk(&chunks[i]); err != nil {
			q.fail(err, chunks)
			return
		}
	}
	if q.options.Sync == SyncAlways {
		if err := q.file.Sync(); err != nil {
			q.fail(fmt.Errorf("queue: sync: %w", err), chunks)
			return
		}
	}
	q.committed(chunks)
}

// committed publishes the chunks to readers and calls back.
func (q *Queue) committed(chunks []chunk) {
	q.mu.Lock()
	for i := range chunks {
		c := &chunks[i]
		c.segment.ready = true
		q.durable = max(q.durable, c.last)
		q.waiting -= int64(len(c.data))
		if len(c.remove) > 0 {
			// What was given up must not come back if its file does.
			if err := q.cursor.write(q.acked); err != nil {
				q.options.Log.Warn("queue: cursor", "error", err)
			}
		}
	}
	q.trim()
	q.announce()
	q.mu.Unlock()
	for i := range chunks {
		for _, old := range chunks[i].remove {
			if err := os.Remove(segmentPath(q.options.Dir, old.index)); err != nil && !errors.Is(err, os.ErrNotExist) {
				q.options.Log.Warn("queue: remove segment", "error", err)
			}
		}
		for _, done := range chunks[i].done {
			done(nil)
		}
	}
	select {
	case q.dirty <- struct{}{}:
	default:
	}
}

// writeChunk writes one chunk, beginning its segment when it is new.
func (q *Queue) writeChunk(c *chunk) error {
	if c.segment.index != q.index {
		if err := q.begin(c.segment); err != nil {
			return err
		}
	}
	if _, err := q.file.Write(c.data); err != nil {
		return fmt.Errorf("queue: write: %w", err)
	}
	return nil
}

// begin closes the segment being written and creates s.
func (q *Queue) begin(s *segment) error {
	if q.options.Sync != SyncNone {
		if err := q.file.Sync(); err != nil {
			return fmt.Errorf("queue: sync: %w", err)
		}
	}
	file, err := os.OpenFile(segmentPath(q.options.Dir, s.index), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("queue: new segment: %w", err)
	}
	if q.options.Sync != SyncNone {
		if err := syncDir(q.options.Dir); err != nil {
			file.Close()
			return err
		}
	}
	_ = q.file.Close()
	q.file, q.index = file, s.index
	return nil
}

// fail ends the queue: nothing after a failed write may be confirmed.
func (q *Queue) fail(err error, chunks []chunk) {
	q.mu.Lock()
	if q.err == nil {
		q.err = err
	}
	q.announce()
	q.mu.Unlock()
	for i := range chunks {
		for _, done := range chunks[i].done {
			done(err)
		}
	}
}

// syncLoop syncs at intervals while there is something to sync.
func (q *Queue) syncLoop() {
	defer q.written.Done()
	for {
		select {
		case <-q.dirty:
		case <-q.stop:
			return
		}
		select {
		case <-time.After(q.options.SyncInterval):
		case <-q.stop:
			return
		}
		q.mu.Lock()
		last := q.segments[len(q.segments)-1]
		for i := len(q.segments) - 1; i > 0 && !q.segments[i].ready; i-- {
			last = q.segments[i-1]
		}
		path := segmentPath(q.options.Dir, last.index)
		q.mu.Unlock()
		// A handle of its own: the committer may be replacing its file.
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			continue // removed meanwhile
		}
		err = file.Sync()
		file.Close()
		if err != nil {
			q.fail(fmt.Errorf("queue: sync: %w", err), nil)
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("queue: sync directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("queue: sync directory: %w", err)
	}
	return nil
}
