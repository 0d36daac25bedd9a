package queue

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const streamName = "stream"

var streamPattern = regexp.MustCompile(`^[0-9a-f]{16}$`)

// Open opens the queue in o.Dir, creating it when there is none, and restores
// the owner's state.
func Open(o Options, owner Owner) (*Queue, error) {
	o.defaults()
	switch o.Sync {
	case SyncNone, SyncInterval, SyncAlways:
	default:
		return nil, fmt.Errorf("queue: sync policy: given %q, allowed: none, interval, always", o.Sync)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q := &Queue{
		options: o, owner: owner, changed: make(chan struct{}),
		kick: make(chan struct{}, 1), dirty: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	var err error
	if q.stream, err = openStream(o.Dir); err != nil {
		return nil, err
	}
	if q.cursor, q.acked, err = openCursor(o.Dir); err != nil {
		return nil, err
	}
	if err := q.recover(); err != nil {
		_ = q.cursor.close()
		return nil, err
	}
	q.written.Add(1)
	go q.commit()
	if o.Sync == SyncInterval {
		q.written.Add(1)
		go q.syncLoop()
	}
	return q, nil
}

// openStream reads the stream's name or makes one.
func openStream(dir string) (string, error) {
	path := filepath.Join(dir, streamName)
	b, err := os.ReadFile(path)
	if name := strings.TrimSpace(string(b)); err == nil && streamPattern.MatchString(name) {
		return name, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("queue: stream: %w", err)
	}
	var random [8]byte
	_, _ = rand.Read(random[:])
	name := hex.EncodeToString(random[:])
	if err := writeDurably(path, []byte(name+"\n")); err != nil {
		return "", err
	}
	return name, nil
}

// writeDurably replaces a file as a whole.
func writeDurably(path string, data []byte) error {
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// recover finds the segments, restores the owner's state from the last whole
// one and cuts off its torn tail.
func (q *Queue) recover() error {
	if err := q.findSegments(); err != nil {
		return err
	}
	for len(q.segments) > 0 {
		last := q.segments[len(q.segments)-1]
		restored, err := q.restore(last)
		if err != nil {
			return err
		}
		if restored {
			return q.resume()
		}
		// Its snapshot is torn: nothing in it was confirmed, and the one
		// before is still there.
		q.options.Log.Warn("queue: segment without a snapshot removed", "segment", last.index)
		if err := os.Remove(segmentPath(q.options.Dir, last.index)); err != nil {
			return fmt.Errorf("queue: %w", err)
		}
		q.bytes -= last.bytes
		q.segments = q.segments[:len(q.segments)-1]
	}
	return q.create()
}

// findSegments lists the segment files and where their sequences begin.
func (q *Queue) findSegments() error {
	names, err := filepath.Glob(filepath.Join(q.options.Dir, "*.seg"))
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		var index int64
		if _, err := fmt.Sscanf(filepath.Base(name), "%d.seg", &index); err != nil {
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("queue: %w", err)
		}
		info, err := file.Stat()
		if err != nil {
			file.Close()
			return fmt.Errorf("queue: %w", err)
		}
		e, _, err := readEntry(file, nil)
		file.Close()
		s := &segment{index: index, bytes: info.Size(), ready: true}
		if err == nil && e.kind == kindSnapshot {
			s.first = e.first
		} else if name != names[len(names)-1] {
			q.options.Log.Error("queue: damaged segment left out", "segment", index)
			continue
		}
		q.segments = append(q.segments, s)
		q.bytes += s.bytes
	}
	return nil
}

// restore reads the last segment s into the owner; false when it has no
// snapshot.
func (q *Queue) restore(s *segment) (bool, error) {
	path := segmentPath(q.options.Dir, s.index)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return false, fmt.Errorf("queue: %w", err)
	}
	in := bufio.NewReaderSize(file, 256<<10)
	e, buf, err := readEntry(in, nil)
	if err != nil || e.kind != kindSnapshot {
		file.Close()
		return false, nil
	}
	if err := q.owner.Restore(e.meta); err != nil {
		file.Close()
		return false, fmt.Errorf("queue: restore: %w", err)
	}
	q.next = e.first
	good := e.size
	s.base = e.size
	for {
		e, buf, err = readEntry(in, buf)
		if err != nil {
			break
		}
		if err := q.replay(e); err != nil {
			file.Close()
			return false, err
		}
		good += e.size
	}
	if !errors.Is(err, io.EOF) {
		q.options.Log.Warn("queue: torn tail cut off", "segment", s.index, "bytes", s.bytes-good)
		if err := file.Truncate(good); err != nil {
			file.Close()
			return false, fmt.Errorf("queue: cut torn tail: %w", err)
		}
		q.bytes -= s.bytes - good
		s.bytes = good
	}
	q.file, q.index = file, s.index
	return true, nil
}

// replay applies one entry of the last segment.
func (q *Queue) replay(e entry) error {
	switch e.kind {
	case kindData:
		if err := q.owner.Apply(e.meta); err != nil {
			return fmt.Errorf("queue: replay record %d: %w", e.first, err)
		}
		q.next = e.first + uint64(e.n)
	case kindDrop:
		q.acked = max(q.acked, e.first)
	case kindSkip:
		q.next = e.first
		q.skip = skip{first: e.first, n: uint64(e.n)}
	}
	return nil
}

// skipped is how many numbers are left out when written entries may have been
// lost: more than could be on their way to a server.
const skipped = 1 << 20

// resume continues after the last whole entry. A power cut may have taken
// entries whose records a server already has; their numbers must not be given
// to other records, which the server would take for duplicates.
func (q *Queue) resume() error {
	powerCut, err := rebooted(q.options.Dir)
	if err != nil {
		return err
	}
	lost := q.acked >= q.next
	if lost || powerCut && q.options.Sync != SyncAlways {
		from := max(q.next, q.acked+1)
		q.skip = skip{first: from + skipped, n: skipped}
		data := appendEntry(nil, kindSkip, q.skip.first, int(q.skip.n), nil, nil)
		if _, err := q.file.Write(data); err != nil {
			return fmt.Errorf("queue: %w", err)
		}
		last := q.segments[len(q.segments)-1]
		last.bytes += int64(len(data))
		q.bytes += int64(len(data))
		q.next = q.skip.first
		q.options.Log.Warn("queue: sequence skipped ahead after a power cut", "numbers", q.skip.n)
	}
	q.durable = q.next - 1
	q.trim()
	return nil
}

const bootName = "boot"

// rebooted reports whether the system was started since the queue was last
// opened, and remembers this start. Where the system does not say, it is false.
func rebooted(dir string) (bool, error) {
	now, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return false, nil //nolint:nilerr // not Linux: no boot id
	}
	path := filepath.Join(dir, bootName)
	before, err := os.ReadFile(path)
	if err == nil && string(before) == string(now) {
		return false, nil
	}
	return err == nil, writeDurably(path, now)
}

// create writes the first segment of a new queue.
func (q *Queue) create() error {
	if err := q.owner.Restore(nil); err != nil {
		return fmt.Errorf("queue: restore: %w", err)
	}
	// Past an acknowledged sequence whose segments are lost: its numbers must
	// not come back.
	q.next = q.acked + 1
	q.durable = q.acked
	if _, err := rebooted(q.options.Dir); err != nil {
		return err
	}
	s := &segment{index: 1, first: q.next, ready: true}
	data := appendEntry(nil, kindSnapshot, q.next, 0, q.owner.Snapshot(nil), nil)
	file, err := os.OpenFile(segmentPath(q.options.Dir, s.index), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if _, err = file.Write(data); err == nil {
		err = file.Sync()
	}
	if err != nil {
		file.Close()
		return fmt.Errorf("queue: %w", err)
	}
	s.bytes, s.base = int64(len(data)), int64(len(data))
	q.bytes = s.bytes
	q.segments = []*segment{s}
	q.file, q.index = file, s.index
	return syncDir(q.options.Dir)
}
