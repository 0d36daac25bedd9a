package store

import (
	"context"
	"database/sql"
	"sync"
)

// dialect is everything in which the databases differ.
type dialect interface {
	name() string
	// now is the database's clock in microseconds since 1970.
	now(ctx context.Context, t *Tx) (int64, error)
	// words replace {key}, {serial} and {blob} in migrations.
	words() map[string]string
	// plain is an expression equal to column that no index serves, so that the
	// index of the driving condition is the one that is used.
	plain(column string) string
	// contains is an expression that is true when column contains the text $n.
	contains(column, placeholder string) string
	// position answers the position for changes made by this transaction;
	// reached the one below which nothing can become visible any more.
	position(ctx context.Context, t *Tx) (int64, error)
	reached(ctx context.Context, t *Tx) (int64, error)
	// fence takes the next fence token.
	fence(ctx context.Context, t *Tx) (int64, error)
	// sequenced reports whether events get their position when written.
	sequenced() bool
	// lockRows is the clause with which a claim skips rows being claimed.
	lockRows() string
}

// stmtCache keeps prepared statements by text. It is bounded: texts beyond the
// bound are run without preparation.
type stmtCache struct {
	mu      sync.RWMutex
	byText  map[string]*sql.Stmt
	prepare func(ctx context.Context, text string) (*sql.Stmt, error)
}

const maxStmts = 1024

func newStmtCache(prepare func(context.Context, string) (*sql.Stmt, error)) *stmtCache {
	return &stmtCache{byText: map[string]*sql.Stmt{}, prepare: prepare}
}

// get answers the prepared statement, or nil when the cache is full.
func (c *stmtCache) get(ctx context.Context, text string) (*sql.Stmt, error) {
	c.mu.RLock()
	s, ok := c.byText[text]
	full := len(c.byText) >= maxStmts
	c.mu.RUnlock()
	if ok || full {
		return s, nil
	}
	s, err := c.prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, ok := c.byText[text]; ok { // prepared by two at once
		_ = s.Close() //nolint:sqlclosecheck // a statement that is kept stays open
		return first, nil
	}
	c.byText[text] = s
	return s, nil
}

func (c *stmtCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.byText {
		_ = s.Close()
	}
	clear(c.byText)
}
