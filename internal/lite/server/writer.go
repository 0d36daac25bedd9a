package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

const (
	// queueLength bounds the requests that wait for the writer.
	queueLength = 1024
	// groupRecords ends a group: a commit is never held up by more than this
	// many points.
	groupRecords = 4096
)

// request is one thing the writer does within a group: a message to store or
// a change to make. Exactly one of message and change is set, or neither for a
// message that was refused before (its answer keeps its place in the order).
type request struct {
	message *message
	change  *change
	refused error
	// done is told the outcome once, from the writer's goroutine, in the order
	// the requests were handed in. nil means: on disk.
	done func(error)
}

// change is a change of anything but points.
type change struct {
	// apply runs in the group's transaction; its error undoes this change alone.
	apply func(ctx context.Context, tx *sql.Conn) error
	// applied, if not nil, runs on the writer's goroutine once apply is on
	// disk: what is in memory follows what is on disk, in the same order.
	applied func()
}

// writer is the only one to write to the database. It takes all that waits,
// commits it as one group and then answers everyone: the more load, the larger
// the group, the fewer the commits.
type writer struct {
	db      *database
	series  *seriesTable
	live    *hub
	metrics *metrics

	queue   chan request
	mu      sync.RWMutex // held for reading while handing in, for writing to close
	closed  bool
	stopped chan struct{}

	insert  *sql.Stmt
	log     *sql.Stmt
	advance *sql.Stmt

	arrival int64                // the last arrival number handed out
	seen    map[uplinkKey]uint64 // the last sequence of each uplink
	broken  map[uplinkKey]brokenUplink
	journal []uplinkChange // of the group that is not committed yet
	group   []seriesPoint  // of the group that is not committed yet
	stored  int            // records of the group
	ids     []int64        // scratch: series of a message's records
	row     []byte         // scratch: the group's row of the journal
	recent  *recent
	flush   flush
	options *Options
}

var errClosing = fault.New(fault.Unavailable, "the server is shutting down").Retrying(fault.Backoff)

// errBehind refuses messages while recent points cannot be moved to the tree.
var errBehind = fault.New(fault.Unavailable, "the database does not take points").Retrying(fault.Backoff)

func newWriter(ctx context.Context, db *database, live *hub, m *metrics, o *Options) (*writer, error) {
	w := &writer{
		db: db, live: live, metrics: m, queue: make(chan request, queueLength), stopped: make(chan struct{}),
		recent: newRecent(), options: o, seen: map[uplinkKey]uint64{}, broken: map[uplinkKey]brokenUplink{},
	}
	var err error
	if w.series, err = loadSeries(ctx, db.write, o.MaxSeries); err != nil {
		return nil, err
	}
	if err := w.loadUplinks(ctx); err != nil {
		return nil, err
	}
	if err := db.write.QueryRowContext(ctx, `SELECT value FROM meta WHERE name = 'arrival'`).Scan(&w.arrival); err != nil {
		return nil, fmt.Errorf("arrival number: %w", err)
	}
	live.position = w.arrival
	if w.insert, err = db.write.PrepareContext(ctx, `INSERT OR IGNORE INTO points(series, time, id, v, sum, ut) VALUES (?, ?, ?, ?, ?, ?)`); err != nil {
		return nil, err
	}
	if w.log, err = db.write.PrepareContext(ctx, `INSERT INTO journal(id, points) VALUES (?, ?)`); err != nil {
		return nil, err
	}
	w.advance, err = db.write.PrepareContext(ctx, `INSERT INTO uplinks(thing, stream, seq) VALUES (?, ?, ?)
		ON CONFLICT(thing, stream) DO UPDATE SET seq = excluded.seq`)
	if err != nil {
		return nil, err
	}
	if err := w.recover(ctx); err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

// submit hands in a request; it waits while the queue is full. done is called
// in every case.
func (w *writer) submit(r request) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		r.done(errClosing)
		return
	}
	w.queue <- r
}

// do makes a change and waits until it is on disk.
func (w *writer) do(ctx context.Context, c change) error {
	outcome := make(chan error, 1)
	w.submit(request{change: &c, done: func(err error) { outcome <- err }})
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return fault.Of(ctx.Err())
	}
}

// probe answers nil when the writer comes round and commits.
func (w *writer) probe(ctx context.Context) error {
	return w.do(ctx, change{apply: func(ctx context.Context, tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, `UPDATE meta SET value = value WHERE name = 'arrival'`)
		return err
	}})
}

// close stores what was handed in and stops.
func (w *writer) close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.stopped
}

func (w *writer) run() {
	defer close(w.stopped)
	group := make([]request, 0, queueLength)
	for first := range w.queue {
		group = append(group[:0], first)
		group = w.gather(group)
		w.commit(group)
		clear(group)
		w.keepFlushing()
	}
	// What is left would be recovered from the journal at the next start.
	w.flush.waiting = append(w.flush.waiting, make(chan error, 1))
	for range 2 { // one may be under way
		w.keepFlushing()
	}
}

// gather adds what waits already, without waiting.
func (w *writer) gather(group []request) []request {
	records := group[0].records()
	for records < groupRecords {
		select {
		case r, ok := <-w.queue:
			if !ok {
				return group
			}
			group = append(group, r)
			records += r.records()
		default:
			return group
		}
	}
	return group
}

func (r request) records() int {
	if r.message == nil {
		return 1
	}
	return len(r.message.pack)
}

// commit stores a group and answers everyone. A change that fails concerns its
// requester alone; anything else fails the whole group, of which then nothing
// is stored.
func (w *writer) commit(group []request) {
	start := time.Now()
	outcomes := make([]error, len(group))
	before := w.arrival
	w.stored, w.group = 0, w.group[:0]
	err := w.inTransaction(func(ctx context.Context) error { return w.apply(ctx, group, outcomes) }, nil)
	if err != nil {
		w.arrival = before
		w.series.rollback()
		w.forgetUplinks()
		w.breakUplinks(group)
		failure := storeFault(err)
		w.metrics.commitFailed(failure)
		for i := range group {
			if group[i].refused == nil {
				outcomes[i] = failure
			}
		}
	} else {
		w.recent.add(w.group)
		w.series.commit()
		w.settleUplinks()
		w.metrics.committed(time.Since(start), w.stored, len(group))
	}
	for i, r := range group {
		if outcomes[i] == nil {
			w.announce(r)
		}
		r.done(outcomes[i])
	}
}

// announce tells what is on disk now to those who must know before the
// requester does.
func (w *writer) announce(r request) {
	switch {
	case r.message != nil:
		w.live.publish(r.message)
	case r.change != nil && r.change.applied != nil:
		r.change.applied()
	}
}

// inTransaction commits what apply does. moved, if not nil, follows the commit
// before anyone can read: see recent.
func (w *writer) inTransaction(apply func(context.Context) error, moved func()) error {
	ctx := context.Background()
	if _, err := w.db.write.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := apply(ctx)
	if err == nil {
		if moved != nil {
			w.recent.view.Lock()
			defer w.recent.view.Unlock()
		}
		if _, err = w.db.write.ExecContext(ctx, "COMMIT"); err == nil && moved != nil {
			moved()
		}
	}
	if err != nil {
		_, rollback := w.db.write.ExecContext(ctx, "ROLLBACK")
		if rollback != nil && !isNoTransaction(rollback) {
			err = errors.Join(err, rollback)
		}
	}
	return err
}

func (w *writer) apply(ctx context.Context, group []request, outcomes []error) error {
	if w.overfull(4) {
		return errBehind
	}
	before := w.arrival
	for i, r := range group {
		switch {
		case r.refused != nil:
			outcomes[i] = r.refused
		case r.message != nil:
			if err := w.store(ctx, r.message, &outcomes[i]); err != nil {
				return err
			}
		default:
			if err := w.change(ctx, r.change.apply, &outcomes[i]); err != nil {
				return err
			}
		}
	}
	if w.arrival == before {
		return nil
	}
	if len(w.group) > 0 {
		w.row = appendJournal(w.row[:0], w.group)
		if _, err := w.log.ExecContext(ctx, w.arrival, w.row); err != nil {
			return err
		}
	}
	_, err := w.db.write.ExecContext(ctx, `UPDATE meta SET value = ? WHERE name = 'arrival'`, w.arrival)
	return err
}

// change runs one change in a savepoint, so that its failure leaves the group.
func (w *writer) change(ctx context.Context, apply func(context.Context, *sql.Conn) error, outcome *error) error {
	if _, err := w.db.write.ExecContext(ctx, "SAVEPOINT change"); err != nil {
		return err
	}
	if *outcome = apply(ctx, w.db.write); *outcome == nil {
		_, err := w.db.write.ExecContext(ctx, "RELEASE change")
		return err
	}
	_, err := w.db.write.ExecContext(ctx, "ROLLBACK TO change; RELEASE change")
	return err
}
