package fulfilment

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Inventory is nodes and links of an infrastructure, as a report states them. A
// nil list says nothing of its kind; ends of links are ids or names, also of
// nodes in the same report.
type Inventory struct {
	Nodes []slice.Node
	Links []slice.Link
	// Prune deletes what a list that is given does not name.
	Prune bool
}

// InventoryResult counts what an import did, by name.
type InventoryResult struct {
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	Deleted   int `json:"deleted"`
}

// Import makes nodes and links of an infrastructure be as a report says: all of
// it, or, when any item is wrong, nothing. An item that already is as it says
// is not written. Errors name the item by its place in the report and the field.
func (s *Service) Import(ctx context.Context, infrastructureID string, in Inventory, o Options) (InventoryResult, error) {
	var out InventoryResult
	_, err := s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) {
		parent, err := owned(ctx, u.Tx, slice.KindInfrastructure, infrastructureID)
		if err != nil {
			return Result{}, err
		}
		if err := u.unseen(ctx, parent, o); err != nil {
			return Result{}, err
		}
		x := &importing{u: u, parent: parent, prune: in.Prune, nodes: map[string]string{}}
		nodes := make([]slice.Resource, len(in.Nodes))
		for k := range in.Nodes {
			nodes[k] = clone(&in.Nodes[k])
		}
		links := make([]slice.Resource, len(in.Links))
		for k := range in.Links {
			links[k] = clone(&in.Links[k])
		}
		if in.Nodes == nil && in.Links != nil {
			err = x.lookAtNodes(ctx)
		}
		if in.Nodes != nil {
			err = x.kind(ctx, slice.KindNode, "nodes", nodes)
		}
		if err == nil && in.Links != nil {
			err = x.kind(ctx, slice.KindLink, "links", links)
		}
		out = x.result
		return Result{}, err
	})
	return out, err
}

// InventoryRevision changes when a node or link among those given does, or comes,
// or goes; their order is of no account.
func InventoryRevision(all []slice.Resource) int64 {
	lines := make([]string, len(all))
	for k, r := range all {
		lines[k] = r.Head().ID + " " + strconv.FormatInt(r.Head().Revision, 10) + "\n"
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return int64(binary.BigEndian.Uint64(sum[:])>>1) | 1
}

// unseen refuses an import whose caller has not seen the nodes and links as they
// are.
func (u *unit) unseen(ctx context.Context, parent slice.Resource, o Options) error {
	if o.IfMatch == 0 {
		return nil
	}
	var all []slice.Resource
	for _, k := range []slice.Kind{slice.KindNode, slice.KindLink} {
		rs, err := listAll(ctx, u.Tx, operation.Query{Kind: k, Parent: parent.Head().ID}, u.s.c.Marker)
		if err != nil {
			return err
		}
		all = append(all, rs...)
	}
	if now := InventoryRevision(all); now != o.IfMatch {
		return fault.New(fault.PreconditionFailed, "the inventory of %q has revision %d, not %d", parent.Head().Name, now, o.IfMatch)
	}
	return nil
}

// importing is one import.
type importing struct {
	u      *unit
	parent slice.Resource
	prune  bool
	result InventoryResult
	nodes  map[string]string // ids of the infrastructure's nodes by name, and by id
	fresh  []slice.Resource  // to be inserted together
}

func (x *importing) kind(ctx context.Context, kind slice.Kind, field string, want []slice.Resource) error {
	have, err := listAll(ctx, x.u.Tx, operation.Query{Kind: kind, Parent: x.parent.Head().ID}, x.u.s.c.Marker)
	if err != nil {
		return err
	}
	byName := make(map[string]slice.Resource, len(have))
	for _, r := range have {
		byName[r.Head().Name] = r
		x.know(r)
	}
	named := make(map[string]bool, len(want))
	for i, w := range want {
		at := field + "/" + strconv.Itoa(i)
		if l, ok := w.(*slice.Link); ok && l.Name == "" {
			l.Name = l.From + ">" + l.To
		}
		name := w.Head().Name
		if named[name] {
			return fault.Field(at+"/name", name, "each name once")
		}
		named[name] = true
		if err := x.one(ctx, w, byName[name]); err != nil {
			return itemFault(err, at, name)
		}
	}
	if err := x.insert(ctx); err != nil || !x.prune {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if named[name] {
			continue
		}
		if err := x.u.dependents(ctx, byName[name]); err != nil {
			return itemFault(err, field, name)
		}
		if err := x.u.s.forget(ctx, x.u, byName[name]); err != nil {
			return err
		}
		x.result.Deleted++
	}
	return nil
}

// one creates or changes an item, unless it is as it shall be.
func (x *importing) one(ctx context.Context, want, have slice.Resource) error {
	h := want.Head()
	h.Tenant = x.parent.Head().Tenant
	switch v := want.(type) {
	case *slice.Node:
		v.Infrastructure = x.parent.Head().ID
	case *slice.Link:
		v.Infrastructure = x.parent.Head().ID
		if was, ok := have.(*slice.Link); ok && v.Level == "" {
			v.Level = was.Level
		}
		if err := x.ends(ctx, v); err != nil {
			return err
		}
	}
	if have == nil {
		return x.create(ctx, want)
	}
	if x.u.unchanged(have, want) {
		x.result.Unchanged++
		return nil
	}
	x.result.Updated++
	_, err := x.u.patchPlain(ctx, have, func(r slice.Resource) error { replaceBy(r, want); return nil })
	return err
}

// know remembers what nodes are called.
func (x *importing) know(r slice.Resource) {
	if h := r.Head(); r.Kind() == slice.KindNode {
		x.nodes[h.Name] = h.ID
		x.nodes[h.ID] = h.ID
	}
}

func (x *importing) lookAtNodes(ctx context.Context) error {
	rs, err := listAll(ctx, x.u.Tx, operation.Query{Kind: slice.KindNode, Parent: x.parent.Head().ID}, x.u.s.c.Marker)
	for _, r := range rs {
		x.know(r)
	}
	return err
}

// ends finds a link's ends: mostly nodes that are known already.
func (x *importing) ends(ctx context.Context, l *slice.Link) error {
	from, to := x.nodes[l.From], x.nodes[l.To]
	if l.Level == "INFRASTRUCTURE" || from == "" || to == "" {
		return x.u.checkLink(ctx, l)
	}
	l.Level, l.From, l.To = "NODE", from, to
	return l.Validate()
}

// create makes an item new, to be inserted with the others.
func (x *importing) create(ctx context.Context, r slice.Resource) error {
	*r.Head() = fresh(*r.Head(), x.parent.Head().Tenant, x.u.s.c.NewID())
	if n, ok := r.(*slice.Node); ok {
		n.Origin, n.State, n.Cause = "declared", slice.Active, ""
	}
	if err := r.Validate(); err != nil {
		return err
	}
	x.know(r)
	x.fresh = append(x.fresh, r)
	x.result.Created++
	return require(ctx, wants(r))
}

func (x *importing) insert(ctx context.Context) error {
	made := x.fresh
	x.fresh = nil
	if len(made) == 0 {
		return nil
	}
	return x.u.insertAll(ctx, made)
}

// unchanged reports whether replacing would change what a caller may write.
func (u *unit) unchanged(have, want slice.Resource) bool {
	switch v := have.(type) {
	case *slice.Node:
		after := clone(v)
		replaceBy(after, want)
		after.State, after.Cause, after.Origin = v.State, v.Cause, v.Origin
		return sameJSON(after, v)
	case *slice.Link:
		after := clone(v)
		replaceBy(after, want)
		return sameJSON(after, v)
	}
	return false
}

// replaceBy keeps identity and takes everything else from want.
func replaceBy(x, want slice.Resource) {
	meta := *x.Head()
	meta.Description, meta.Labels = want.Head().Description, want.Head().Labels
	switch v := x.(type) {
	case *slice.Node:
		if w, ok := want.(*slice.Node); ok {
			*v = *w
		}
	case *slice.Link:
		if w, ok := want.(*slice.Link); ok {
			*v = *w
		}
	}
	*x.Head() = meta
}

// itemFault puts the fields of an error below the item that it is about.
func itemFault(err error, at, name string) error {
	f := fault.Of(err)
	out := *f
	out.Params = nil
	for _, p := range f.Params {
		p.Field = at + "/" + p.Field
		out.Params = append(out.Params, p)
	}
	if f.Kind != fault.Internal && f.Retry != fault.Now {
		out.Detail = strconv.Quote(name) + ": " + f.Detail
		if len(out.Params) == 0 {
			out.Params = []fault.Param{{Field: at, Given: name, Allowed: f.Detail}}
		}
	}
	return &out
}
