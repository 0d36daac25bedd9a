// Package store keeps everything durable in SQL: resources, operations, the
// capacity ledger, tombstones, audit, events, idempotency records, sealed
// secrets. It decides nothing; it makes what others decided atomic.
//
// # Overview
//
// Open takes a DSN. `sqlite:///path/file.db` or a plain path is one file in WAL
// mode, for one process (a lock beside the file refuses a second one).
// `postgres://…` is shared by any number of replicas. There is one code path
// with `$N` placeholders; a dialect only sets what differs (types in
// migrations, the clock, the fence and position sources, notification).
//
// DB.Update runs a function in one transaction. On SQLite concurrent calls are
// batched: each runs under a savepoint, one after the other, and one commit
// (one fsync) acknowledges all of them; a failing one undoes only itself. On
// PostgreSQL each call is a SERIALIZABLE transaction that is run again when the
// database reports a serialisation conflict: the function must start from
// nothing each time.
//
// # Invariants
//
//   - Nothing is acknowledged that a kill or a power cut could undo
//     (synchronous=FULL on SQLite unless Options say otherwise).
//   - Names are unique: (kind, tenant, parent, name), for products with version.
//   - An Update or Delete of a resource carries the revision that was read.
//   - One open operation per slice; every write of an operation carries the
//     fence of a claim that still holds; leases run on the database's clock.
//   - A ledger row never exceeds its node's capacity by a Deduct that adds; a
//     link's row is the sum of what its holders hold, and never exceeds what the
//     one who takes more says there is.
//   - Audit records are only ever added, and removed by retention only; they and
//     events are written in the transaction of the change.
//   - Positions (events, ledger, topology) never become visible late.
//   - Lists are ordered by id and stable under concurrent writes; filters run on
//     indexed columns.
//
// # Failures
//
// Every error is a fault.Error. A taken name or a lost fence is Conflict, a
// stale revision PreconditionFailed, a full disk NoSpace, a read-only or broken
// file and an absent server Unavailable with words that name the remedy. When
// PostgreSQL comes back, the pool reconnects by itself.
package store
