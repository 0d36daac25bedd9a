package store

import (
	"context"
	"database/sql"
	"sync"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// writer is SQLite's single writer with group commit. Whoever holds the turn
// runs his function under a savepoint on the one writing connection; when
// others wait, he hands the turn on and waits for the commit that the last of
// the batch does for all.
//
// States of a batch: none → open (first turn: BEGIN IMMEDIATE) → closed (COMMIT
// or ROLLBACK by the last turn; everyone is told).
type writer struct {
	db    *DB
	conn  *sql.Conn
	stmts *stmtCache
	max   int

	mu     sync.Mutex
	busy   bool // somebody holds the turn
	queue  []*turn
	closed bool

	// What follows belongs to the holder of the turn.
	batch *batch
	tally tally
}

// tally is what the only writer knows without asking.
type tally struct {
	events int64 // last event position given out
	open   int   // open operations
}

type turn struct{ mine chan struct{} }

type batch struct {
	size  int
	tally tally // before the batch
	over  chan struct{}
	err   error // set: SQLite gave the whole batch up (disk full, I/O error)
}

// take waits for the turn. A caller whose context ends while waiting leaves the
// queue; if the turn has come just then, it is his and the error is nil.
func (w *writer) take(ctx context.Context) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return fault.New(fault.Unavailable, "the store is closed").Retrying(fault.Backoff)
	}
	if !w.busy {
		w.busy = true
		w.mu.Unlock()
		return nil
	}
	me := &turn{mine: make(chan struct{})}
	w.queue = append(w.queue, me)
	w.mu.Unlock()
	select {
	case <-me.mine:
		return nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, q := range w.queue {
		if q == me {
			w.queue = append(w.queue[:i], w.queue[i+1:]...)
			return translate(ctx.Err())
		}
	}
	return nil
}

// hand gives the turn to the next in the queue; without one, or when the batch
// is full and must be committed first, it answers false.
func (w *writer) hand(full bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if full || len(w.queue) == 0 {
		return false
	}
	w.next()
	return true
}

func (w *writer) next() {
	me := w.queue[0]
	w.queue = w.queue[1:]
	close(me.mine)
}

// leave ends the turn after a commit.
func (w *writer) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 {
		w.next()
		return
	}
	w.busy = false
}

func (w *writer) update(ctx context.Context, fn func(ctx context.Context, t *Tx) error) error {
	if err := w.take(ctx); err != nil {
		return err
	}
	t := &Tx{db: w.db, stmts: w.stmts, conn: w.conn, write: true, now: w.db.clock.now()}
	b, err := w.run(ctx, t, fn)
	if b == nil { // not even begun
		w.leave()
		return err
	}
	if w.hand(b.size >= w.max) {
		<-b.over
	} else {
		w.commit(b)
		w.leave()
	}
	if err == nil {
		err = b.err
	}
	if err != nil {
		t.revert()
		return err
	}
	t.done()
	return nil
}

// run runs fn under a savepoint of the open batch, which it begins if there is
// none. A panic in fn (or a test's FailNow) undoes fn's writes, ends the turn
// and goes on.
func (w *writer) run(ctx context.Context, t *Tx, fn func(ctx context.Context, t *Tx) error) (*batch, error) {
	if err := ctx.Err(); err != nil && w.batch == nil {
		return nil, translate(err)
	}
	b, err := w.begin()
	if err != nil {
		return nil, err
	}
	b.size++
	if b.err == nil {
		b.err = w.raw("SAVEPOINT one")
	}
	if b.err != nil {
		return b, b.err
	}
	t.tally = w.tally
	finished := false
	defer func() {
		if finished {
			return
		}
		w.rollback(b)
		t.revert()
		if !w.hand(false) {
			w.commit(b)
			w.leave()
		}
	}()
	if err = fn(ctx, t); err == nil {
		err = t.flush(ctx, 1)
	}
	finished = true
	if err != nil {
		w.rollback(b)
		return b, err
	}
	if b.err = w.raw("RELEASE one"); b.err == nil {
		w.tally = t.tally
	}
	return b, b.err
}

// rollback undoes the savepoint. That fails only when SQLite has rolled back
// everything by itself, which ends the batch for all in it.
func (w *writer) rollback(b *batch) {
	if b.err = w.raw("ROLLBACK TO one"); b.err == nil {
		b.err = w.raw("RELEASE one")
	}
}

func (w *writer) begin() (*batch, error) {
	if w.batch != nil {
		return w.batch, nil
	}
	if err := w.raw("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	w.batch = &batch{over: make(chan struct{}), tally: w.tally}
	return w.batch, nil
}

// commit ends the batch for everyone in it.
func (w *writer) commit(b *batch) {
	if b.err == nil && w.tally.events != b.tally.events {
		b.err = w.raw("UPDATE counters SET value = $1 WHERE name = 'events'", w.tally.events)
	}
	if b.err == nil {
		b.err = w.raw("COMMIT")
	}
	if b.err != nil {
		w.tally = b.tally
		_ = w.raw("ROLLBACK") // fails when SQLite has rolled back already
	}
	w.batch = nil
	close(b.over)
}

func (w *writer) raw(text string, args ...any) error {
	if w.db.opts.Record != nil {
		w.db.opts.Record(text, args)
	}
	ctx := context.Background()
	s, err := w.stmts.get(ctx, text) //nolint:sqlclosecheck // the cache closes it
	switch {
	case err != nil:
	case s == nil: // the cache is full
		_, err = w.conn.ExecContext(ctx, text, args...)
	default:
		_, err = s.ExecContext(ctx, args...)
	}
	return translate(err)
}

// close refuses new transactions and waits for the running ones.
func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	for {
		w.mu.Lock()
		if !w.busy {
			w.mu.Unlock()
			break
		}
		me := &turn{mine: make(chan struct{})}
		w.queue = append(w.queue, me)
		w.mu.Unlock()
		<-me.mine
		if w.batch != nil {
			w.commit(w.batch)
		}
		w.leave()
	}
	w.stmts.close()
	return translate(w.conn.Close())
}
