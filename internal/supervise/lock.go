package supervise

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Lock is an exclusive lock on one byte of a file. It belongs to its open file
// description: it excludes other holders in this process and in others alike,
// and the kernel lets go of it when the holder dies.
type Lock struct{ f *os.File }

// TakeLock waits until it holds the byte at offset of the file at path, which
// it creates with mode 0600. It ends with the context's error.
func TakeLock(ctx context.Context, path string, offset int64) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, IOFault(err, "cannot open the lock file")
	}
	wait := time.Millisecond
	for {
		err := setLock(f, unix.F_WRLCK, offset)
		if err == nil {
			return &Lock{f}, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			_ = f.Close()
			return nil, IOFault(err, "cannot lock")
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fault.Of(ctx.Err())
		case <-time.After(wait):
			wait = min(wait*3/2, 20*time.Millisecond)
		}
	}
}

// Release lets go of the lock.
func (l *Lock) Release() { l.f.Close() }

// is reports whether the lock is on that very file.
func (l *Lock) is(file os.FileInfo) bool {
	mine, err := l.f.Stat()
	return err == nil && os.SameFile(mine, file)
}

func setLock(f *os.File, kind int16, offset int64) error {
	l := unix.Flock_t{Type: kind, Start: offset, Len: 1}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &l)
}

// lockHeld reports whether someone holds the first byte of the file at path,
// without taking it even for a moment.
func lockHeld(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	l := unix.Flock_t{Type: unix.F_WRLCK, Len: 1}
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l) == nil && l.Type != unix.F_UNLCK
}

// IOFault classifies an error of the file system: a full disk or quota is
// NoSpace and may pass; a want of permission or a wrong path needs a person.
func IOFault(err error, doing string) *fault.Error {
	var already *fault.Error
	switch {
	case errors.As(err, &already):
		return already
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fault.New(fault.NoSpace, "%s: the disk is full", doing).Because(err).Retrying(fault.Backoff)
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EAGAIN):
		return fault.New(fault.Unavailable, "%s: this machine is out of files, processes or memory", doing).Because(err).Retrying(fault.Backoff)
	case errors.Is(err, os.ErrPermission), errors.Is(err, unix.EROFS):
		return fault.New(fault.Unavailable, "%s: not permitted", doing).Because(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Of(err)
	}
	return fault.New(fault.Internal, "%s", doing).Because(err).Retrying(fault.Backoff)
}
