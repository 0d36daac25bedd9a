package simulated

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// logFile is a site's log. Every change is made under its lock (flock), after
// reading what other processes appended; a compacted log replaces the file, so
// the lock counts only while the path still names the locked file.
type logFile struct {
	path   string
	f      *os.File // held while locked
	inode  uint64   // of the file read up to offset
	offset int64
	lines  int
	limit  int // lines at which it is compacted
}

const firstCompaction = 512

func logPath(dir, site string) string {
	// Ids are UUIDs; whatever else comes must not lead out of dir.
	if site == "" || strings.ContainsAny(site, "/\\\x00") || strings.HasPrefix(site, ".") || len(site) > 200 {
		return filepath.Join(dir, "x"+nodeID(site, "log")+".jsonl")
	}
	return filepath.Join(dir, site+".jsonl")
}

// lock opens and locks the file; a process that stopped while it held the lock
// makes the site unavailable, not this process.
func (l *logFile) lock(ctx context.Context) error {
	for {
		f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return logFault(err)
		}
		if err := flock(ctx, f); err != nil {
			f.Close()
			return err
		}
		if sameFile(f, l.path) {
			l.f = f
			return nil
		}
		f.Close() // compacted meanwhile: the next one
	}
}

func (l *logFile) unlock() {
	if l.f != nil {
		l.f.Close()
		l.f = nil
	}
}

func flock(ctx context.Context, f *os.File) error {
	wait := 200 * time.Microsecond
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return logFault(err)
		}
		if time.Now().After(deadline) {
			return fault.New(fault.Unavailable, "the simulated site's log is locked by another process").Retrying(fault.Backoff)
		}
		select {
		case <-ctx.Done():
			return fault.Of(ctx.Err())
		case <-time.After(wait):
			wait = min(2*wait, 10*time.Millisecond)
		}
	}
}

func sameFile(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// logFault classifies what the file system said.
func logFault(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(fault.NoSpace, "no space for the simulated site's log").Because(err).Retrying(fault.Backoff)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fault.New(fault.Unavailable, "the simulated site's log may not be written").Because(err).Retrying(fault.Backoff)
	}
	return fault.New(fault.Unavailable, "the simulated site's log failed").Because(err).Retrying(fault.Backoff)
}

// read folds what is new; reset tells that the file is another one and the
// state must begin anew.
func (l *logFile) read(reset func(), fold func(*entry)) error {
	info, err := l.f.Stat()
	if err != nil {
		return logFault(err)
	}
	inode := info.Sys().(*syscall.Stat_t).Ino
	if inode != l.inode || info.Size() < l.offset {
		l.inode, l.offset, l.lines, l.limit = inode, 0, 0, firstCompaction
		reset()
	}
	if info.Size() == l.offset {
		return nil
	}
	tail := make([]byte, info.Size()-l.offset)
	if _, err := l.f.ReadAt(tail, l.offset); err != nil {
		return logFault(err)
	}
	for len(tail) > 0 {
		end := bytes.IndexByte(tail, '\n')
		if end < 0 { // torn by a kill: it was never answered
			return logFault(l.f.Truncate(l.offset))
		}
		e := &entry{}
		if err := json.Unmarshal(tail[:end], e); err != nil {
			return fault.New(fault.Internal, "%s: line %d is no entry", filepath.Base(l.path), l.lines+1).Because(err)
		}
		fold(e)
		tail = tail[end+1:]
		l.offset += int64(end) + 1
		l.lines++
	}
	return nil
}

func marshal(entries []*entry) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for _, e := range entries {
		if err := enc.Encode(e); err != nil {
			return nil, fault.New(fault.Internal, "a simulated site's entry cannot be written").Because(err)
		}
	}
	return b.Bytes(), nil
}

// append writes entries behind what was read.
func (l *logFile) append(entries ...*entry) error {
	b, err := marshal(entries)
	if err != nil {
		return err
	}
	if _, err := l.f.WriteAt(b, l.offset); err != nil {
		_ = l.f.Truncate(l.offset) // half a line must not stay; read would drop it too
		return logFault(err)
	}
	l.offset += int64(len(b))
	l.lines += len(entries)
	return nil
}

// compact replaces the log by the shortest one. The lock stays with the old
// file until unlock; others find the path naming a new one.
func (l *logFile) compact(entries []*entry) error {
	l.limit = max(firstCompaction, 4*len(entries))
	if l.lines <= l.limit {
		return nil
	}
	b, err := marshal(entries)
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d.tmp", l.path, os.Getpid())
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		os.Remove(tmp)
		return logFault(err)
	}
	if err := os.Rename(tmp, l.path); err != nil {
		os.Remove(tmp)
		return logFault(err)
	}
	info, err := os.Stat(l.path)
	if err != nil {
		return logFault(err)
	}
	l.inode, l.offset, l.lines = info.Sys().(*syscall.Stat_t).Ino, int64(len(b)), len(entries)
	return nil
}
