package store

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// change is one write of a resource, for the audit trail and for subscribers.
type change struct {
	noun, action  string
	r             slice.Resource
	state         string
	before, after string
}

// note writes the audit records and the events of changes.
func (t *Tx) note(ctx context.Context, changes []change) error {
	records := make([]audited, 0, len(changes))
	events := make([]slice.Event, 0, len(changes))
	for _, c := range changes {
		h := c.r.Head()
		records = append(records, audited{
			record: slice.AuditRecord{Action: c.action, Kind: c.r.Kind(), Resource: h.ID, Name: h.Name, Tenant: h.Tenant},
			before: c.before, after: c.after,
		})
		e := slice.Event{Tenant: h.Tenant, Kind: c.r.Kind(), Resource: h.ID, Name: h.Name, Parent: c.r.Parent(), State: c.state, Revision: h.Revision}
		switch c.action {
		case "CREATE":
			e.Type = c.noun + "CreationNotification"
		case "DELETE":
			e.Type = c.noun + "DeletionNotification"
		default:
			e.Type = c.noun + "AttributeValueChangeNotification"
			e.Changes = differences(c.before, c.after)
		}
		events = append(events, e)
	}
	if err := t.audit(ctx, records); err != nil {
		return err
	}
	return t.publish(ctx, events)
}

// differences names the attributes at the top in which two documents differ.
func differences(before, after string) []string {
	var a, b map[string]json.RawMessage
	if json.Unmarshal([]byte(before), &a) != nil || json.Unmarshal([]byte(after), &b) != nil {
		return nil
	}
	var out []string
	for k, v := range b {
		if !bytes.Equal(v, a[k]) && k != "revision" && k != "updatedAt" {
			out = append(out, k)
		}
	}
	for k := range maps.Keys(a) {
		if _, ok := b[k]; !ok {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// audited is a record with its documents.
type audited struct {
	record        slice.AuditRecord
	before, after string
}

const auditColumns = 10

func (t *Tx) audit(ctx context.Context, records []audited) error {
	who := actor.Of(ctx)
	if who.Key == "" {
		who.Key = slice.System
	}
	for _, a := range records {
		r := a.record
		r.Time, r.Actor, r.Role, r.Request = t.now, who.Key, who.Role, who.RequestID
		doc, err := encode(r)
		if err != nil {
			return err
		}
		t.notes.audit = append(t.notes.audit, micros(t.now), r.Tenant, r.Actor, r.Action, string(r.Kind), r.Resource, r.Name, doc, a.before, a.after)
	}
	return t.flush(ctx, noteBatch)
}

// notes are the rows of audit and events that a transaction has yet to write:
// many go in one statement, at its end.
type notes struct{ audit, events []any }

// noteBatch bounds the rows of one statement, and of what is kept back.
const noteBatch = 32

// flush writes the notes when there are at least that many of a kind.
func (t *Tx) flush(ctx context.Context, least int) error {
	for _, k := range []struct {
		rows    *[]any
		columns int
		head    string
	}{
		{&t.notes.audit, auditColumns, "INSERT INTO audit (at, tenant, actor, action, kind, resource, name, doc, before, after) VALUES "},
		{&t.notes.events, eventColumns, "INSERT INTO events (position, at, tenant, doc) VALUES "},
	} {
		if len(*k.rows) < least*k.columns {
			continue
		}
		for rows := range slices.Chunk(*k.rows, noteBatch*k.columns) {
			if _, err := t.exec(ctx, k.head+values(len(rows)/k.columns, k.columns), rows...); err != nil {
				return err
			}
		}
		*k.rows = nil
	}
	return nil
}

const eventColumns = 4

// publish writes events to the outbox. Where writers take turns they get their
// position now, else from the sequencer after the commit.
func (t *Tx) publish(ctx context.Context, events []slice.Event) error {
	for _, e := range events {
		e.Time = t.now
		doc, err := encode(e)
		if err != nil {
			return err
		}
		var position any
		if t.db.dialect.sequenced() {
			t.tally.events++
			position = t.tally.events
		}
		t.notes.events = append(t.notes.events, position, micros(t.now), e.Tenant, doc)
	}
	t.news = true
	return t.flush(ctx, noteBatch)
}

// lastEvent answers the newest position: where a new subscription begins.
func (t *Tx) lastEvent(ctx context.Context) (int64, error) {
	if t.db.dialect.sequenced() {
		return t.tally.events, nil
	}
	var n int64
	_, err := t.row(ctx, "SELECT value FROM counters WHERE name = 'events'", nil, &n)
	return n, err
}

// aside writes what belongs to a resource outside its document: the hash of an
// API key, and the position of what the placer watches.
func (t *Tx) aside(ctx context.Context, r slice.Resource, gone bool) error {
	switch r := r.(type) {
	case *slice.APIKey:
		return t.keepHash(ctx, r, gone)
	case *slice.Infrastructure, *slice.Node, *slice.Link:
		return t.moved(ctx, r, gone)
	}
	return nil
}

// keepHash stores a key's hash; an empty one (the key was read, which does not
// tell it) leaves the stored one as it is.
func (t *Tx) keepHash(ctx context.Context, k *slice.APIKey, gone bool) error {
	if !gone && k.Hash == "" {
		return nil
	}
	if _, err := t.exec(ctx, "DELETE FROM key_hashes WHERE id = $1", k.ID); err != nil || gone {
		return err
	}
	_, err := t.exec(ctx, "INSERT INTO key_hashes (hash, id) VALUES ($1, $2)", k.Hash, k.ID)
	return err
}

// KeyByHash answers the API key whose token has the SHA-256 hash (hex), or
// fault.NotFound.
func (t *Tx) KeyByHash(ctx context.Context, hash string) (*slice.APIKey, error) {
	var id string
	had, err := t.row(ctx, "SELECT id FROM key_hashes WHERE hash = $1", []any{hash}, &id)
	if err != nil {
		return nil, err
	}
	if !had {
		return nil, fault.New(fault.NotFound, "there is no such API key")
	}
	r, err := t.Get(ctx, slice.KindAPIKey, id)
	if err != nil {
		return nil, err
	}
	k := r.(*slice.APIKey)
	k.Hash = hash
	return k, nil
}

// KeyByHash is Tx.KeyByHash in a transaction of its own.
func (db *DB) KeyByHash(ctx context.Context, hash string) (key *slice.APIKey, err error) {
	err = db.view(ctx, func(ctx context.Context, t *Tx) error {
		key, err = t.KeyByHash(ctx, hash)
		return err
	})
	return key, err
}

// place answers the position for this transaction's changes.
func (t *Tx) place(ctx context.Context) (int64, error) {
	if t.pos != 0 {
		return t.pos, nil
	}
	n, err := t.db.dialect.position(ctx, t)
	t.pos = n
	return n, err
}

// moved records that an infrastructure, node or link changed or went.
func (t *Tx) moved(ctx context.Context, r slice.Resource, gone bool) error {
	n, err := t.place(ctx)
	if err != nil {
		return err
	}
	removed := 0
	if gone {
		removed = 1
	}
	_, err = t.exec(ctx, "INSERT INTO topology (id, kind, position, removed) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO UPDATE SET position = excluded.position, removed = excluded.removed",
		r.Head().ID, string(r.Kind()), n, removed)
	return err
}

// operationNote writes the event of an operation whose state changed, and the
// audit record of an action upon it.
func (t *Tx) operationNote(ctx context.Context, op *operation.Operation, action, before, after string) error {
	if action != "" {
		a := audited{record: slice.AuditRecord{
			Action: action, Kind: slice.KindOperation, Resource: op.ID, Name: string(op.Type), Tenant: op.Tenant, Operation: op.ID,
		}, before: before, after: after}
		if err := t.audit(ctx, []audited{a}); err != nil {
			return err
		}
	}
	e := slice.Event{
		Type: "LcmOpOccNotification", Tenant: op.Tenant, Kind: slice.KindOperation, Resource: op.ID, Parent: op.Slice,
		OperationType: string(op.Type), OperationState: string(op.State), State: string(op.State), Revision: op.Revision,
	}
	if op.RootCause != nil {
		e.Cause = op.RootCause.Detail
	}
	return t.publish(ctx, []slice.Event{e})
}
