package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

const operationPath = "/iotslice/v1/lcmOpOccs/"

func decodeOperation(doc string, fence int64) (*operation.Operation, error) {
	op := new(operation.Operation)
	if err := json.Unmarshal([]byte(doc), op); err != nil {
		return nil, fault.New(fault.Internal, "a stored operation cannot be read").Because(err)
	}
	op.Fence = fence
	return op, nil
}

func openFlag(s operation.State) int {
	if s.Final() {
		return 0
	}
	return 1
}

func finished(op *operation.Operation) int64 {
	if op.FinishedAt == nil {
		return 0
	}
	return micros(*op.FinishedAt)
}

// InsertOperation stores a new operation; a second open one for a slice is
// fault.Conflict whose Instance names the first.
func (t *Tx) InsertOperation(ctx context.Context, op *operation.Operation) error {
	was := *op
	t.undo = append(t.undo, func() { op.ID, op.Revision = was.ID, was.Revision })
	if op.ID == "" {
		op.ID = slice.NewID()
	}
	op.Revision = 1
	doc, err := encode(op)
	if err != nil {
		return err
	}
	n, err := t.exec(ctx, "INSERT INTO operations (id, tenant, slice, type, cause, state, open, schema, revision, fence, owner, lease_until, wake_at, started_at, finished_at, doc)"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, 0, '', 0, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
		op.ID, op.Tenant, op.Slice, string(op.Type), op.Cause, string(op.State), openFlag(op.State), op.Schema, micros(op.Wake), micros(op.StartedAt), finished(op), doc)
	if err != nil {
		return err
	}
	if n == 0 {
		return t.alreadyOpen(ctx, op)
	}
	t.work = true
	t.tally.open += openFlag(op.State)
	return t.operationNote(ctx, op, "CREATE", "", doc)
}

func (t *Tx) alreadyOpen(ctx context.Context, op *operation.Operation) error {
	first, err := t.OpenOperation(ctx, op.Slice)
	if err != nil {
		return err
	}
	if first == nil {
		return fault.New(fault.Conflict, "operation %q exists already", op.ID)
	}
	f := fault.New(fault.Conflict, "operation %s (%s) is still open on the slice in state %s", first.ID, first.Type, first.State)
	f.Instance = operationPath + first.ID
	return f
}

// Operation answers one, or fault.NotFound.
func (t *Tx) Operation(ctx context.Context, id string) (*operation.Operation, error) {
	op, err := t.oneOperation(ctx, "SELECT doc, fence FROM operations WHERE id = $1", id)
	if err == nil && op == nil {
		return nil, fault.Absent("LcmOpOcc", id)
	}
	return op, err
}

// OpenOperation answers the slice's open operation, or nil.
func (t *Tx) OpenOperation(ctx context.Context, sliceID string) (*operation.Operation, error) {
	return t.oneOperation(ctx, "SELECT doc, fence FROM operations WHERE slice = $1 AND open = 1 AND slice <> ''", sliceID)
}

func (t *Tx) oneOperation(ctx context.Context, text, arg string) (*operation.Operation, error) {
	var doc string
	var fence int64
	had, err := t.row(ctx, text, []any{arg}, &doc, &fence)
	if err != nil || !had {
		return nil, err
	}
	return decodeOperation(doc, fence)
}

var operationAttrs = map[string]string{
	"id": "id", "tenantId": "tenant", "iotSliceId": "slice", "lcmOperationType": "type", "operationState": "state", "cause": "cause",
}

// Operations answers a page in the order of ids; the query's Parent is a
// slice's id.
func (t *Tx) Operations(ctx context.Context, q operation.Query) ([]*operation.Operation, error) {
	q.Kind = slice.KindOperation
	l, err := compile(q, operationAttrs, "slice")
	if err != nil {
		return nil, err
	}
	docs, err := t.page(ctx, l, l.branches(t.db.dialect, "SELECT id, doc FROM operations WHERE id <> $1", []any{""}, operationDrivers))
	if err != nil {
		return nil, err
	}
	out := make([]*operation.Operation, 0, len(docs))
	for _, d := range docs {
		op, err := decodeOperation(d.doc, 0)
		if err != nil {
			return nil, err
		}
		out = append(out, op)
	}
	return out, nil
}

// Open counts open operations, for the backlog limit. On PostgreSQL the count
// may be openAge old: reading all open operations inside every order would make
// orders conflict with each other.
func (t *Tx) Open(ctx context.Context) (int, error) {
	if t.conn != nil {
		return t.tally.open, nil
	}
	if t.db.side != nil {
		return t.db.openCount(ctx)
	}
	var n int
	_, err := t.row(ctx, "SELECT count(*) FROM operations WHERE open = 1", nil, &n)
	return n, err
}

// EndOperation writes op, which must be final, whoever leases it, and takes a
// new fence for it.
func (t *Tx) EndOperation(ctx context.Context, op *operation.Operation) error {
	if !op.State.Final() {
		return fault.New(fault.Internal, "operation %s is to end in state %s, which is not final", op.ID, op.State)
	}
	was := *op
	t.undo = append(t.undo, func() { op.Revision, op.Fence = was.Revision, was.Fence })
	fence, err := t.db.dialect.fence(ctx, t)
	if err != nil {
		return err
	}
	var before string
	if _, err := t.row(ctx, "SELECT doc FROM operations WHERE id = $1", []any{op.ID}, &before); err != nil {
		return err
	}
	op.Revision, op.Fence = op.Revision+1, fence
	doc, err := encode(op)
	if err != nil {
		return err
	}
	n, err := t.exec(ctx, "UPDATE operations SET state = $3, open = 0, revision = $4, fence = $5, owner = '', lease_until = 0, finished_at = $6, doc = $7 WHERE id = $1 AND revision = $2 AND open = 1",
		op.ID, was.Revision, string(op.State), op.Revision, fence, finished(op), doc)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.PreconditionFailed, "operation %q was changed meanwhile: read it again", op.ID).Retrying(fault.Now)
	}
	t.work = true
	t.tally.open--
	return t.operationNote(ctx, op, "END", before, doc)
}

// AddSignal records a person's word for an open operation and makes it due at
// once.
func (t *Tx) AddSignal(ctx context.Context, s operation.Signal) error {
	op, err := t.Operation(ctx, s.Operation)
	if err != nil {
		return err
	}
	n, err := t.exec(ctx, "UPDATE operations SET wake_at = 0 WHERE id = $1 AND open = 1", s.Operation)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Conflict, "operation %s is over: %s", op.ID, op.State)
	}
	if s.Actor == "" {
		s.Actor = actor.Of(ctx).Key
	}
	if _, err := t.exec(ctx, "INSERT INTO signals (operation, verb, mode, actor, at) VALUES ($1, $2, $3, $4, $5)",
		s.Operation, s.Verb, s.Mode, s.Actor, micros(t.now)); err != nil {
		return err
	}
	t.work = true
	return t.audit(ctx, []audited{{record: slice.AuditRecord{
		Action: "SIGNAL " + s.Verb, Kind: slice.KindOperation, Resource: op.ID, Name: string(op.Type), Tenant: op.Tenant, Operation: op.ID,
	}}})
}

// PutDecision keeps a placement decision with its explanation for an operation.
func (t *Tx) PutDecision(ctx context.Context, id, sliceID string, decision json.RawMessage) error {
	_, err := t.exec(ctx, "INSERT INTO decisions (operation, slice, doc) VALUES ($1, $2, $3) ON CONFLICT (operation) DO UPDATE SET doc = excluded.doc",
		id, sliceID, string(decision))
	return err
}

// Decision reads it back, or answers fault.NotFound.
func (t *Tx) Decision(ctx context.Context, id string) (json.RawMessage, error) {
	var doc string
	had, err := t.row(ctx, "SELECT doc FROM decisions WHERE operation = $1", []any{id}, &doc)
	if err != nil {
		return nil, err
	}
	if !had {
		return nil, fault.Absent("placement decision of operation", id)
	}
	return json.RawMessage(doc), nil
}

// in writes "$n, $n+1, …" for values that start at placeholder first.
func in(first int, vals []string) (string, []any) {
	b := builder{args: make([]any, first-1, first-1+len(vals))}
	for i, v := range vals {
		if i > 0 {
			b.text.WriteString(", ")
		}
		b.text.WriteString(b.arg(v))
	}
	return b.text.String(), b.args[first-1:]
}

// strings1 reads a column of texts.
func strings1(out *[]string) func(*sql.Rows) error {
	return func(r *sql.Rows) error {
		var s string
		err := r.Scan(&s)
		*out = append(*out, s)
		return err
	}
}
