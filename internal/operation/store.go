package operation

import (
	"context"
	"encoding/json"
	"time"

	"github.com/osmoslice/osmoslice/internal/slice"
)

// Store is what the Runner needs of the database. Leases run on the database's
// clock. Implementations pass store/storetest.
type Store interface {
	// Claim leases up to limit open operations to owner for lease: those never
	// claimed, whose lease is over, or that are due (a backoff or a deadline
	// came), oldest first, none with a Schema newer than schema, none in skip.
	// Each claim takes a new Fence from one sequence for the whole store, so that
	// a later operation on a slice always has a higher fence than an earlier
	// one; the first fence is 1.
	Claim(ctx context.Context, owner string, schema, limit int, lease time.Duration) ([]Operation, error)
	// Renew extends the leases of owner and answers the ids that are still its.
	Renew(ctx context.Context, owner string, ids []string, lease time.Duration) ([]string, error)
	// Release gives a lease back; the operation is due again at wake (zero: at
	// once).
	Release(ctx context.Context, owner, id string, wake time.Time) error
	// Save runs effects (nil: none), which may still change op, and then writes
	// op if its Fence is still in force, all in one transaction; on success
	// op.Revision is one more. A lost fence is fault.Conflict with Retry Never;
	// a conflict with Retry Now came from effects (Deduct) and nothing was
	// written. A final state ends the lease; so does a Wake, until when nobody
	// claims it unless a signal comes.
	Save(ctx context.Context, op *Operation, effects func(ctx context.Context, tx Tx) error) error
	// Signals answers the requests (cancel, retry, rollback, fail, continue)
	// recorded for these operations (nil: all that owner leases) beyond their
	// saved SignalsSeen, oldest first. It takes none: a Save deletes those up to
	// op.SignalsSeen, so that no word is lost with a process.
	Signals(ctx context.Context, owner string, ids []string) ([]Signal, error)
	// Wait returns when operations may be claimable or signals may be there:
	// soon after a commit (at once in process, by NOTIFY on PostgreSQL), at the
	// latest after max.
	Wait(ctx context.Context, max time.Duration)
	// Prune deletes at most limit final operations finished before t.
	Prune(ctx context.Context, before time.Time, limit int) (int, error)
	// Now is the database's clock.
	Now(ctx context.Context) (time.Time, error)
}

// Transactor gives transactions over everything durable.
type Transactor interface {
	// Write commits what fn did when it answers nil, else nothing of it. fn may
	// be run again when the database reports a serialisation conflict.
	Write(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
	// Read runs fn on one consistent snapshot; its writes fail.
	Read(ctx context.Context, fn func(ctx context.Context, tx Tx) error) error
}

// Signal is a person's word to an operation.
type Signal struct {
	Position  int64 // given by the store, growing
	Operation string
	Verb      string // "cancel", "retry", "rollback", "fail", "continue"
	Mode      string // of cancel: GRACEFUL or FORCEFUL
	Actor     string
}

// Tx is one transaction over everything durable: reads see its own writes, all
// writes commit together. Every Insert, Update and Delete of a resource also
// writes, in the same transaction, an audit record (actor and request from the
// context, before, after) and an event. Errors are fault.Error values.
type Tx interface {
	// Get answers the resource or fault.NotFound.
	Get(ctx context.Context, kind slice.Kind, id string) (slice.Resource, error)
	// ByName finds by name below parent ("" at the top) in tenant.
	ByName(ctx context.Context, kind slice.Kind, tenant, parent, name string) (slice.Resource, error)
	// List answers a page in the order of the query.
	List(ctx context.Context, q Query) ([]slice.Resource, error)
	// Insert sets Revision 1 and the times; a taken name is fault.Conflict.
	Insert(ctx context.Context, r slice.Resource) error
	// Update requires the stored Revision to equal r's, else
	// fault.PreconditionFailed, and increments it.
	Update(ctx context.Context, r slice.Resource) error
	// Delete requires the Revision as Update does.
	Delete(ctx context.Context, r slice.Resource) error

	// InsertOperation stores a new operation; a second open one for a slice is
	// fault.Conflict whose Instance names the first.
	InsertOperation(ctx context.Context, op *Operation) error
	// Operation answers one, or fault.NotFound.
	Operation(ctx context.Context, id string) (*Operation, error)
	// Operations answers a page in the order of the query, whose Kind is not
	// read and whose Parent is a slice's id.
	Operations(ctx context.Context, q Query) ([]*Operation, error)
	// EndOperation writes op, which must be final, whoever leases it, and takes
	// a new fence for it, so that its runner's late writes are refused: another
	// operation supersedes it.
	EndOperation(ctx context.Context, op *Operation) error
	// OpenOperation answers the slice's open operation, or nil.
	OpenOperation(ctx context.Context, sliceID string) (*Operation, error)
	// Open counts open operations, for the backlog limit.
	Open(ctx context.Context) (int, error)
	// AddSignal records a person's word for an open operation and makes it due
	// at once.
	AddSignal(ctx context.Context, s Signal) error
	// PutDecision keeps a placement decision with its explanation for an
	// operation; Decision reads it back (fault.NotFound).
	PutDecision(ctx context.Context, operation, sliceID string, decision json.RawMessage) error
	Decision(ctx context.Context, operation string) (json.RawMessage, error)

	// Ledger answers the rows changed after position since (0: all), of nodes
	// and then of links, and the position reached.
	Ledger(ctx context.Context, since int64) ([]LedgerRow, int64, error)
	// Deduct adds uses to rows. A row whose version differs from the expected
	// one, or whose capacity would be exceeded, makes it fail with
	// fault.Conflict, Retry Now.
	Deduct(ctx context.Context, changes []LedgerChange) error
	// HoldLinks makes links all that holder holds of the ledger's link rows: what
	// it held before and is not named is given back. It fails as Deduct does.
	// Holdings answers what holder holds, by its ends.
	HoldLinks(ctx context.Context, holder string, links []LinkHolding) error
	Holdings(ctx context.Context, holder string) ([]LinkHolding, error)
	// Now is the database's clock. SetDeadline makes id (of anything) due at a
	// time of that clock, the zero time never; Due answers ids that are, the
	// longest first.
	Now(ctx context.Context) (time.Time, error)
	SetDeadline(ctx context.Context, id string, at time.Time) error
	Due(ctx context.Context, limit int) ([]string, error)

	// Topology answers the infrastructures, nodes and links changed after
	// position since (0: all), the ids of those removed, and the position
	// reached. Positions are given out so that none becomes visible late.
	Topology(ctx context.Context, since int64) (changed []slice.Resource, removed []string, position int64, err error)

	// PutTombstone keeps a leftover to be removed later, or writes one that is
	// there again; its capacity stays reserved. TakeTombstones answers due ones,
	// oldest first, and puts their NextAt to lease from now; DropTombstone ends
	// one.
	PutTombstone(ctx context.Context, t Tombstone) error
	TakeTombstones(ctx context.Context, limit int, lease time.Duration) ([]Tombstone, error)
	Tombstones(ctx context.Context, infrastructure string, limit int) ([]Tombstone, error)
	DropTombstone(ctx context.Context, id string) error
}

// LedgerRow is what is deducted from one node, or of the link between two, by
// everyone.
type LedgerRow struct {
	Node     string
	To       string // of a link from Node; "" in the row of a node
	Kbit     int64  // kbit/s of the link
	CPU      int64  // milli-cores used
	Memory   int64  // MiB used
	Storage  int64  // MiB used
	Version  int64  // grows with every change; 0: no row yet
	Position int64  // of the change, over all rows
}

// LedgerChange adds (or, negative, gives back) uses on a node.
type LedgerChange struct {
	Node                 string
	CPU, Memory, Storage int64
	// Expect is the version the decision was made on; -1 does not check (giving
	// back never fails).
	Expect int64
}

// LinkHolding is bandwidth that one holder has of the way from one node to
// another.
type LinkHolding struct {
	From, To string // node ids
	Kbit     int64
	// Most is the bandwidth that there is, as the decision saw it in the same
	// transaction; -1: without limit. It bounds only what is newly taken.
	Most int64 `json:",omitempty"`
	// Expect is the version of the row that the decision was made on; -1 does
	// not check. It is read only where more is taken than before.
	Expect int64 `json:",omitempty"`
}

// Tombstone is a delete that still has to happen at a site.
type Tombstone struct {
	ID             string
	Tenant         string
	Slice          string
	Element        string
	Infrastructure string
	Release        string
	Generation     int64
	Uses           []LedgerChange // negative: given back when it has run
	Detail         string
	CreatedAt      time.Time
	NextAt         time.Time
	Attempts       int
}

// Query selects resources of one kind.
type Query struct {
	Kind slice.Kind
	// Tenants restricts to these owners; nil is every tenant.
	Tenants []string
	Parent  string // "": any
	// Filter is a conjunction over indexed attributes.
	Filter []Condition
	// After is the opaque marker of the previous page's end; Limit at most 1000.
	After string
	Limit int
}

// Condition compares an indexed attribute with values (ETSI NFV-SOL013 §5.2).
type Condition struct {
	Op     string // eq neq gt gte lt lte in nin cont ncont
	Attr   string // attribute path, "/" separated
	Values []string
}
