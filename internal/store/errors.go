package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io/fs"
	"net"
	"syscall"

	"github.com/osmoslice/osmoslice/internal/fault"

	"github.com/lib/pq"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// translate classifies an error of database/sql or a driver. What is
// classified already, and nil, pass.
func translate(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	var lite *sqlite.Error
	var pg *pq.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Of(err)
	case errors.As(err, &lite):
		return fromSQLite(lite)
	case errors.As(err, &pg):
		return fromPostgres(pg)
	case errors.Is(err, syscall.ENOSPC):
		return fault.New(fault.NoSpace, "the disk is full").Because(err).Retrying(fault.Backoff)
	case errors.Is(err, sql.ErrConnDone), errors.Is(err, sql.ErrTxDone), errors.Is(err, driver.ErrBadConn),
		errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), isNet(err):
		return fault.New(fault.Unavailable, "the database does not answer").Because(err).Retrying(fault.Backoff)
	}
	return fault.New(fault.Internal, "the database failed").Because(err)
}

func isNet(err error) bool {
	var n net.Error
	return errors.As(err, &n)
}

// fromSQLite reads the primary result code (the low byte, see
// sqlite.org/rescode.html).
func fromSQLite(e *sqlite.Error) error {
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT:
		return fault.New(fault.Conflict, "the change breaks a rule of the store").Because(e)
	case sqlite3.SQLITE_FULL:
		return fault.New(fault.NoSpace, "the disk of the database is full").Because(e).Retrying(fault.Backoff)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fault.New(fault.Unavailable, "the database is busy").Because(e).Retrying(fault.Backoff)
	case sqlite3.SQLITE_READONLY:
		return fault.New(fault.Unavailable, "the database file, or its directory, is read-only").Because(e).Retrying(fault.Backoff)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fault.New(fault.Unavailable, "the database file cannot be opened: check that its directory exists and may be written").Because(e).Retrying(fault.Backoff)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fault.New(fault.Unavailable, "the database file is corrupt or no database: restore it from a backup").Because(e)
	case sqlite3.SQLITE_IOERR:
		return fault.New(fault.Unavailable, "the disk of the database fails").Because(e).Retrying(fault.Backoff)
	case sqlite3.SQLITE_INTERRUPT:
		return fault.New(fault.Unavailable, "interrupted").Because(e).Retrying(fault.Backoff)
	case sqlite3.SQLITE_TOOBIG:
		return fault.New(fault.TooLarge, "the value is too large for the database").Because(e)
	}
	return fault.New(fault.Internal, "the database failed").Because(e)
}

// fromPostgres reads the SQLSTATE (PostgreSQL manual, appendix A).
func fromPostgres(e *pq.Error) error {
	switch code := string(e.Code); {
	case code == "40001" || code == "40P01":
		return fault.New(fault.Conflict, "others changed the same data at the same time").Because(e).Retrying(fault.Now)
	case code == "22021" || code == "22P05":
		return fault.New(fault.Malformed, "the text is not valid UTF-8, or holds a NUL").Because(e)
	case code[:2] == "23":
		return fault.New(fault.Conflict, "the change breaks a rule of the store").Because(e)
	case code == "53100":
		return fault.New(fault.NoSpace, "the disk of the database is full").Because(e).Retrying(fault.Backoff)
	case code == "57014":
		return fault.New(fault.Timeout, "the database did not answer in time").Because(e).Retrying(fault.Backoff)
	case code[:2] == "08", code[:2] == "53", code[:2] == "57", code[:2] == "58":
		return fault.New(fault.Unavailable, "the database does not answer").Because(e).Retrying(fault.Backoff)
	case code[:2] == "28":
		return fault.New(fault.Unavailable, "the database refuses the user or password of the DSN").Because(e)
	case code == "3D000":
		return fault.New(fault.Unavailable, "the database named in the DSN does not exist").Because(e)
	case code == "25006":
		return fault.New(fault.Unavailable, "the database is read-only").Because(e).Retrying(fault.Backoff)
	}
	return fault.New(fault.Internal, "the database failed").Because(e)
}

// fileFault classifies a failure to open a file.
func fileFault(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fault.New(fault.Unavailable, "database file %s cannot be written: check the rights of the file and its directory", path).Because(err)
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.Unavailable, "the directory of database file %s does not exist", path).Because(err)
	case errors.Is(err, syscall.ENOSPC):
		return fault.New(fault.NoSpace, "the disk of database file %s is full", path).Because(err).Retrying(fault.Backoff)
	}
	return fault.New(fault.Unavailable, "database file %s cannot be opened", path).Because(err)
}

// serialisation reports whether running the transaction again can help.
func serialisation(err error) bool {
	var pg *pq.Error
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}
