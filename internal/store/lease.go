package store

import (
	"context"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// duties are the leases of SQLite's only process: they need not outlive it, and
// an idle service writes nothing.
type duties struct {
	mu   sync.Mutex
	held map[string]duty
}

type duty struct {
	owner string
	until time.Time
}

func (d *duties) lead(name, owner string, now time.Time, ttl time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h, ok := d.held[name]; ok && h.owner != owner && h.until.After(now) {
		return false
	}
	if d.held == nil {
		d.held = map[string]duty{}
	}
	d.held[name] = duty{owner, now.Add(ttl)}
	return true
}

func (d *duties) resign(name, owner string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held[name].owner == owner {
		delete(d.held, name)
	}
}

// Lead takes or extends a lease on a duty of which there may be one holder, on
// the database's clock, and answers whether owner holds it for ttl from now.
func (db *DB) Lead(ctx context.Context, duty, owner string, ttl time.Duration) (bool, error) {
	if db.lite() {
		return db.duties.lead(duty, owner, db.clock.now(), ttl), ctx.Err()
	}
	held := false
	err := db.quick(ctx, func(ctx context.Context, t *Tx) error {
		now, err := db.dialect.now(ctx, t)
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, "INSERT INTO leases (name, owner, until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until WHERE leases.owner = excluded.owner OR leases.until <= $4",
			duty, owner, now+ttl.Microseconds(), now)
		held = n == 1
		return err
	})
	return held && err == nil, err
}

// Resign gives a duty back, so that another takes it at once.
func (db *DB) Resign(ctx context.Context, duty, owner string) error {
	if db.lite() {
		db.duties.resign(duty, owner)
		return nil
	}
	return db.quick(ctx, func(ctx context.Context, t *Tx) error {
		_, err := t.exec(ctx, "DELETE FROM leases WHERE name = $1 AND owner = $2", duty, owner)
		return err
	})
}

// ClaimKey claims an Idempotency-Key of a tenant for a request with a hash. It
// answers the kept answer when the same request was answered before; status 0
// when the caller is now to carry the request out and FinishKey or DropKey it. A
// request with another hash is fault.Invalid; one that is being carried out is
// fault.Conflict until it is over, or until patience has passed (its process
// died).
func (db *DB) ClaimKey(ctx context.Context, tenant, key, hash string, patience time.Duration) (status int, header string, body []byte, err error) {
	err = db.quick(ctx, func(ctx context.Context, t *Tx) error {
		status, header, body = 0, "", nil
		now, err := db.dialect.now(ctx, t)
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, "INSERT INTO idempotency (tenant, key, hash, done, until, status, header, created_at) VALUES ($1, $2, $3, 0, $4, 0, '', $5)"+
			" ON CONFLICT (tenant, key) DO UPDATE SET until = excluded.until WHERE idempotency.done = 0 AND idempotency.hash = excluded.hash AND idempotency.until <= $5",
			tenant, key, hash, now+patience.Microseconds(), now)
		if err != nil || n == 1 {
			return err
		}
		var was string
		var done int
		if _, err := t.row(ctx, "SELECT hash, done, status, header, body FROM idempotency WHERE tenant = $1 AND key = $2",
			[]any{tenant, key}, &was, &done, &status, &header, &body); err != nil {
			return err
		}
		if done == 0 || was != hash {
			status = 0
		}
		switch {
		case was != hash:
			return fault.New(fault.Invalid, "this Idempotency-Key came with another request before").With("Idempotency-Key", key, "a new key for a new request")
		case done == 0:
			return fault.New(fault.Conflict, "the request with this Idempotency-Key is still being carried out").Retrying(fault.Backoff)
		}
		return nil
	})
	return status, header, body, err
}

// FinishKey keeps the answer to a claimed request; header is as the caller
// encodes it. Inside the transaction of
// the request itself (Tx.FinishKey) both become durable together.
func (db *DB) FinishKey(ctx context.Context, tenant, key string, status int, header string, body []byte) error {
	return db.quick(ctx, func(ctx context.Context, t *Tx) error { return t.FinishKey(ctx, tenant, key, status, header, body) })
}

// FinishKey keeps the answer to a claimed request.
func (t *Tx) FinishKey(ctx context.Context, tenant, key string, status int, header string, body []byte) error {
	n, err := t.exec(ctx, "UPDATE idempotency SET done = 1, status = $3, header = $4, body = $5 WHERE tenant = $1 AND key = $2",
		tenant, key, status, header, body)
	if err == nil && n == 0 {
		err = fault.New(fault.Internal, "an Idempotency-Key was finished that nobody claimed")
	}
	return err
}

// AnswerID is the id under which the sealed part of a kept answer is stored; it
// goes with the answer.
func AnswerID(tenant, key string) string { return "answer " + tenant + " " + key }

// DropKey forgets a claimed key whose request changed nothing, so that it can
// be tried again.
func (db *DB) DropKey(ctx context.Context, tenant, key string) error {
	return db.quick(ctx, func(ctx context.Context, t *Tx) error {
		_, err := t.exec(ctx, "DELETE FROM idempotency WHERE tenant = $1 AND key = $2 AND done = 0", tenant, key)
		return err
	})
}
