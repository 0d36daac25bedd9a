package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	_ "modernc.org/sqlite" // the driver that the store uses
)

// statement is one SQL statement as the store ran it.
type statement struct {
	text string
	args []any
}

// recorder hears the store's statements; off until started.
type recorder struct {
	mu   sync.Mutex
	on   bool
	tape []statement
}

func (r *recorder) record(text string, args []any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on {
		r.tape = append(r.tape, statement{text, append([]any(nil), args...)})
	}
}

func (r *recorder) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on, r.tape = true, nil
}

// stop answers what was heard since start.
func (r *recorder) stop() []statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = false
	return r.tape
}

// tapes cuts a stream at its commits: one order, one tape.
func tapes(stream []statement) (out [][]statement) {
	from := 0
	for i, s := range stream {
		if s.text == "COMMIT" {
			out = append(out, stream[from:i+1])
			from = i + 1
		}
	}
	return out
}

// mention keeps the tapes in which an argument holds a text: the service's own
// duties write, too.
func mention(all [][]statement, text string) (out [][]statement) {
	for _, tape := range all {
		if slices.ContainsFunc(tape, func(s statement) bool {
			return slices.ContainsFunc(s.args, func(a any) bool {
				v, ok := a.(string)
				return ok && strings.Contains(v, text)
			})
		}) {
			out = append(out, tape)
		}
	}
	return out
}

// player replays tapes on a database file as barely as can be: prepared
// statements on one connection, nothing decoded.
type player struct {
	mu    sync.Mutex
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

func newPlayer(ctx context.Context, file string) (*player, error) {
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-16000)")
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &player{db: db, conn: conn, stmts: map[string]*sql.Stmt{}}, nil
}

func (p *player) close() error { return errors.Join(p.conn.Close(), p.db.Close()) }

// play runs one tape; tapes of several callers do not mix.
func (p *player) play(ctx context.Context, tape []statement) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range tape {
		if err := p.one(ctx, s); err != nil {
			_, _ = p.conn.ExecContext(ctx, "ROLLBACK")
			return fmt.Errorf("%s: %w", s.text, err)
		}
	}
	return nil
}

func (p *player) one(ctx context.Context, s statement) error {
	if len(s.args) == 0 && !strings.HasPrefix(s.text, "SELECT") {
		_, err := p.conn.ExecContext(ctx, s.text)
		return err
	}
	st := p.stmts[s.text]
	if st == nil {
		var err error
		if st, err = p.conn.PrepareContext(ctx, s.text); err != nil {
			return err
		}
		p.stmts[s.text] = st
	}
	if !strings.HasPrefix(s.text, "SELECT") && !strings.Contains(s.text, "RETURNING") {
		_, err := st.ExecContext(ctx, s.args...)
		return err
	}
	rows, err := st.QueryContext(ctx, s.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() { // the rows are fetched, and nothing is done with them
	}
	return rows.Err()
}

// copyTo copies a live SQLite file as it is at one moment.
func copyTo(ctx context.Context, from, to string) error {
	db, err := sql.Open("sqlite", "file:"+from+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO $1", to)
	return errors.Join(err, db.Close())
}
