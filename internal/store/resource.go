package store

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

const oneResource = "SELECT doc FROM resources WHERE id = $1 AND kind = $2"

// Get answers the resource or fault.NotFound.
func (t *Tx) Get(ctx context.Context, kind slice.Kind, id string) (slice.Resource, error) {
	c, err := codecOf(kind)
	if err != nil {
		return nil, err
	}
	if s, ok := t.seen[id]; ok && s.kind == kind {
		return decode(c, s.doc)
	}
	var doc string
	found, err := t.row(ctx, oneResource, []any{id, string(kind)}, &doc)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fault.Absent(c.noun, id)
	}
	return t.decode(c, doc)
}

// seenMost bounds the resources that a transaction remembers.
const seenMost = 128

// decode is decode of what was just read: a writing transaction need not read it
// again before it writes.
func (t *Tx) decode(c codec, doc string) (slice.Resource, error) {
	r, err := decode(c, doc)
	if err == nil {
		t.saw(c, r, doc)
	}
	return r, err
}

// saw remembers a resource as it is stored now.
func (t *Tx) saw(c codec, r slice.Resource, doc string) {
	if !t.write || len(t.seen) >= seenMost {
		return
	}
	if t.seen == nil {
		t.seen = map[string]stored{}
	}
	h := r.Head()
	t.seen[h.ID] = stored{
		columns: c.cols(r), kind: r.Kind(), tenant: h.Tenant, name: h.Name, parent: r.Parent(), doc: doc,
		revision: h.Revision, created: micros(h.CreatedAt),
	}
}

// ByName finds by name below parent ("" at the top) in tenant. Of products with
// several versions it answers the one registered last.
func (t *Tx) ByName(ctx context.Context, kind slice.Kind, tenant, parent, name string) (slice.Resource, error) {
	c, err := codecOf(kind)
	if err != nil {
		return nil, err
	}
	var doc string
	found, err := t.row(ctx, "SELECT doc FROM resources WHERE kind = $1 AND name = $2 AND tenant = $3 AND parent = $4 ORDER BY "+
		t.db.dialect.plain("id")+" DESC LIMIT 1", []any{string(kind), name, tenant, parent}, &doc)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fault.Absent(c.noun, name)
	}
	return t.decode(c, doc)
}

// List answers a page in the order of ids.
func (t *Tx) List(ctx context.Context, q operation.Query) ([]slice.Resource, error) {
	c, err := codecOf(q.Kind)
	if err != nil {
		return nil, err
	}
	l, err := compile(q, c.attrs, "parent")
	if err != nil {
		return nil, err
	}
	docs, err := t.page(ctx, l, l.branches(t.db.dialect, "SELECT id, doc FROM resources WHERE kind = $1", []any{string(q.Kind)}, resourceDrivers))
	if err != nil {
		return nil, err
	}
	out := make([]slice.Resource, 0, len(docs))
	for _, d := range docs {
		r, err := t.decode(c, d.doc)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// Count answers how many resources of a kind a tenant owns.
func (t *Tx) Count(ctx context.Context, kind slice.Kind, tenant string) (int, error) {
	if _, err := codecOf(kind); err != nil {
		return 0, err
	}
	var n int
	_, err := t.row(ctx, "SELECT count(*) FROM resources WHERE kind = $1 AND tenant = $2", []any{string(kind), tenant}, &n)
	return n, err
}

type found struct{ id, doc string }

// page runs the branches and merges their pages by id.
func (t *Tx) page(ctx context.Context, l listing, branches []*builder) ([]found, error) {
	var all []found
	for _, b := range branches {
		err := t.each(ctx, b.text.String(), b.args, func(r *sql.Rows) error {
			var f found
			err := r.Scan(&f.id, &f.doc)
			all = append(all, f)
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(branches) > 1 && len(all) > l.limit {
			slices.SortFunc(all, func(a, b found) int { return strings.Compare(a.id, b.id) })
			all = all[:l.limit]
		}
	}
	if len(branches) > 1 {
		slices.SortFunc(all, func(a, b found) int { return strings.Compare(a.id, b.id) })
	}
	return all, nil
}

// Insert stores a new resource: it gives it an id when it has none, revision 1
// and the times.
func (t *Tx) Insert(ctx context.Context, r slice.Resource) error {
	return t.InsertMany(ctx, []slice.Resource{r})
}

// insertBatch bounds the rows of one statement (SQLite takes 32766 values).
const insertBatch = 64

// InsertMany is Insert for many resources, a batch of rows per statement. The
// first taken name fails the whole call.
func (t *Tx) InsertMany(ctx context.Context, rs []slice.Resource) error {
	for batch := range slices.Chunk(rs, insertBatch) {
		if err := t.insertBatch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

const resourceColumns = 14

func (t *Tx) insertBatch(ctx context.Context, rs []slice.Resource) error {
	args := make([]any, 0, len(rs)*resourceColumns)
	changes := make([]change, 0, len(rs))
	for _, r := range rs {
		c, err := codecOf(r.Kind())
		if err != nil {
			return err
		}
		t.remember(r)
		h := r.Head()
		if h.ID == "" {
			h.ID = slice.NewID()
		}
		h.Revision, h.CreatedAt, h.UpdatedAt = 1, t.now, t.now
		if s, ok := r.(*slice.Subscription); ok {
			if s.Position, err = t.lastEvent(ctx); err != nil {
				return err
			}
		}
		doc, err := encode(r)
		if err != nil {
			return err
		}
		k := c.cols(r)
		args = append(args, h.ID, string(r.Kind()), h.Tenant, r.Parent(), h.Name, k.version, k.state, k.ref, k.class, k.place,
			h.Revision, micros(h.CreatedAt), micros(h.UpdatedAt), doc)
		changes = append(changes, change{noun: c.noun, action: "CREATE", r: r, state: k.state, after: doc})
	}
	text := "INSERT INTO resources (id, kind, tenant, parent, name, version, state, ref, class, place, revision, created_at, updated_at, doc) VALUES " +
		values(len(rs), resourceColumns) + " ON CONFLICT DO NOTHING"
	n, err := t.exec(ctx, text, args...)
	if err != nil {
		return err
	}
	if n != int64(len(rs)) {
		return t.taken(ctx, rs)
	}
	for _, r := range rs {
		if err := t.aside(ctx, r, false); err != nil {
			return err
		}
	}
	return t.note(ctx, changes)
}

// values writes rows of placeholders: ($1, $2), ($3, $4).
func values(rows, columns int) string {
	var b strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			b.WriteString("($")
		case i%columns == 0:
			b.WriteString("), ($")
		default:
			b.WriteString(", $")
		}
		b.WriteString(strconv.Itoa(i + 1))
	}
	b.WriteString(")")
	return b.String()
}

// taken answers the conflict of the first resource whose id or name is not its
// own.
func (t *Tx) taken(ctx context.Context, rs []slice.Resource) error {
	for _, r := range rs {
		h := r.Head()
		k := codecs[r.Kind()].cols(r)
		var id string
		var at int64
		had, err := t.row(ctx, "SELECT id, created_at FROM resources WHERE kind = $1 AND name = $2 AND tenant = $3 AND parent = $4 AND version = $5",
			[]any{string(r.Kind()), h.Name, h.Tenant, r.Parent(), k.version}, &id, &at)
		if err != nil {
			return err
		}
		if had && (id != h.ID || at != micros(h.CreatedAt)) {
			what := h.Name
			if k.version != "" {
				what += " " + k.version
			}
			f := fault.New(fault.Conflict, "%s %q exists already", codecs[r.Kind()].noun, what)
			f.Instance = "/iotslice/v1/" + string(r.Kind()) + "/" + id
			return f.With("name", h.Name, "a name that is not taken")
		}
	}
	return fault.New(fault.Conflict, "two of the resources have the same name or id")
}

// Update requires the stored revision to equal r's and increments it.
func (t *Tx) Update(ctx context.Context, r slice.Resource) error {
	c, old, err := t.expect(ctx, r)
	if err != nil {
		return err
	}
	t.remember(r)
	h := r.Head()
	h.Revision++
	h.UpdatedAt = t.now
	h.CreatedAt = fromMicros(old.created)
	doc, err := encode(r)
	if err != nil {
		return err
	}
	k := c.cols(r)
	key := []any{h.ID, h.Revision - 1, h.Revision, micros(h.UpdatedAt), doc}
	const head = "UPDATE resources SET revision = $3, updated_at = $4, doc = $5"
	var n int64
	switch same := k == old.columns; {
	case same && h.Name == old.name && r.Parent() == old.parent:
		n, err = t.exec(ctx, head+" WHERE id = $1 AND revision = $2", key...)
	case h.Name == old.name && r.Parent() == old.parent && k.withState(old.state) == old.columns:
		n, err = t.exec(ctx, head+", state = $6 WHERE id = $1 AND revision = $2", append(key, k.state)...)
	default:
		if h.Name != old.name || r.Parent() != old.parent || k.version != old.version {
			if err := t.free(ctx, c, r, k); err != nil {
				return err
			}
		}
		n, err = t.exec(ctx, head+", name = $6, parent = $7, version = $8, state = $9, ref = $10, class = $11, place = $12 WHERE id = $1 AND revision = $2",
			append(key, h.Name, r.Parent(), k.version, k.state, k.ref, k.class, k.place)...)
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return stale(c, h.ID)
	}
	delete(t.seen, h.ID)
	t.saw(c, r, doc)
	if err := t.aside(ctx, r, false); err != nil {
		return err
	}
	return t.note(ctx, []change{{noun: c.noun, action: "UPDATE", r: r, state: k.state, before: old.doc, after: doc}})
}

func (c columns) withState(state string) columns {
	c.state = state
	return c
}

// free answers a conflict when another resource has r's name.
func (t *Tx) free(ctx context.Context, c codec, r slice.Resource, k columns) error {
	h := r.Head()
	var id string
	had, err := t.row(ctx, "SELECT id FROM resources WHERE kind = $1 AND name = $2 AND tenant = $3 AND parent = $4 AND version = $5",
		[]any{string(r.Kind()), h.Name, h.Tenant, r.Parent(), k.version}, &id)
	if err != nil || !had || id == h.ID {
		return err
	}
	f := fault.New(fault.Conflict, "%s %q exists already", c.noun, h.Name)
	f.Instance = "/iotslice/v1/" + string(r.Kind()) + "/" + id
	return f.With("name", h.Name, "a name that is not taken")
}

// Delete requires the revision as Update does.
func (t *Tx) Delete(ctx context.Context, r slice.Resource) error {
	c, old, err := t.expect(ctx, r)
	if err != nil {
		return err
	}
	h := r.Head()
	n, err := t.exec(ctx, "DELETE FROM resources WHERE id = $1 AND revision = $2", h.ID, h.Revision)
	if err != nil {
		return err
	}
	if n == 0 {
		return stale(c, h.ID)
	}
	delete(t.seen, h.ID)
	if err := t.aside(ctx, r, true); err != nil {
		return err
	}
	return t.note(ctx, []change{{noun: c.noun, action: "DELETE", r: r, state: old.state, before: old.doc}})
}

// stored is a resource as its row has it.
type stored struct {
	columns
	kind                      slice.Kind
	tenant, name, parent, doc string
	revision, created         int64
}

// expect finds the stored form and requires r's revision and owner.
func (t *Tx) expect(ctx context.Context, r slice.Resource) (codec, stored, error) {
	c, err := codecOf(r.Kind())
	if err != nil {
		return c, stored{}, err
	}
	h := r.Head()
	s, had := t.seen[h.ID]
	if had = had && s.kind == r.Kind(); !had {
		s = stored{kind: r.Kind()}
		had, err = t.row(ctx, "SELECT tenant, parent, name, version, state, ref, class, place, revision, created_at, doc FROM resources WHERE id = $1 AND kind = $2",
			[]any{h.ID, string(r.Kind())}, &s.tenant, &s.parent, &s.name, &s.version, &s.state, &s.ref, &s.class, &s.place, &s.revision, &s.created, &s.doc)
	}
	switch {
	case err != nil:
		return c, s, err
	case !had:
		return c, s, fault.Absent(c.noun, h.ID)
	case s.revision != h.Revision:
		return c, s, stale(c, h.ID).With("If-Match", strconv.FormatInt(h.Revision, 10), strconv.FormatInt(s.revision, 10))
	case s.tenant != h.Tenant:
		return c, s, fault.Field("tenantId", h.Tenant, "the owner never changes")
	}
	return c, s, nil
}

func stale(c codec, id string) *fault.Error {
	return fault.New(fault.PreconditionFailed, "%s %q was changed meanwhile: read it again", c.noun, id).Retrying(fault.Now)
}
