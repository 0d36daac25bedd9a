package fulfilment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Situation is everything the planner looks at.
type Situation struct {
	Type      operation.Type
	Operation string // id, for release names
	Slice     *slice.IoTSlice
	Elements  []*slice.Element // in the order of their ids
	// Products and Needs by element; Sites by infrastructure, of what is
	// deployed; Places where each element shall run.
	Products map[string]*slice.Product
	Needs    map[string]slice.Requirements
	Sites    map[string]*slice.Infrastructure
	Places   map[string]place
	Plugins  map[string]bool
	// MicroData with bounds, and the gateway of each device they name.
	MicroData      []*slice.MicroData
	DeviceGateways map[string]string
	// Able says what can be asked of a product at a plugin.
	Able func(product *slice.Product, plugin string) Platform
	// Dry asks for the Basis of the decision, which a preview is kept by.
	Dry   bool
	Basis *basis
	// ProveWithin bounds the wait for a synthetic reading.
	ProveWithin time.Duration
	// images answers what is known of an element's images at a place; unasked are
	// the questions about them that have no answer yet.
	images  func(*slice.Element, *slice.Infrastructure) (survey, bool)
	unasked []imageQuestion
	packs   map[[2]string]packaged
	// Batches of devices to be told to, or removed from, gateways.
	Batches []batch
	params  params
}

// batch is a range of devices of one gateway, by id.
type batch struct {
	Gateway string `json:"gateway"` // element id
	First   string `json:"first"`
	Last    string `json:"last"`
	Count   int    `json:"count"`
	Remove  bool   `json:"remove,omitempty"`
	// stale: all of it is provisioned; it is needed only by an instance that
	// does not know it.
	stale bool
}

// doomed: the element shall be gone.
func (s *Situation) doomed(e *slice.Element) bool {
	return s.Type == operation.Terminate || slices.Contains(s.params.Remove, e.ID)
}

// named: the operation is about this element in particular.
func (s *Situation) named(e *slice.Element) bool { return slices.Contains(s.params.Elements, e.ID) }

// silent: the infrastructure does not answer.
func (s *Situation) silent(infrastructure string) bool {
	v := s.Sites[infrastructure]
	return v != nil && v.State == slice.Inactive
}

// mayStay: the element runs and need not move.
func (s *Situation) mayStay(e *slice.Element) bool {
	switch {
	case e.Run == nil || e.Run.Node == "":
		return false
	case s.Type == operation.Heal && s.silent(e.Run.Infrastructure):
		return false
	case s.Type == operation.Migrate && s.named(e), s.params.Replace && (len(s.params.Elements) == 0 || s.named(e)):
		return false
	}
	return true
}

// target is the further policy that binds a moving element.
func (s *Situation) target(e *slice.Element) *slice.PlacementPolicy {
	t := s.params.Target
	if s.Type == operation.Migrate && s.named(e) {
		out := slice.PlacementPolicy{}
		if t != nil {
			out = *t
		}
		if len(out.Nodes)+len(out.Infrastructures) == 0 && e.Run != nil {
			out.DeniedInfrastructures = append(slices.Clone(out.DeniedInfrastructures), e.Run.Infrastructure)
		}
		return &out
	}
	if t != nil && s.named(e) {
		return t
	}
	return nil
}

// serverOf is the server that a gateway or microElement feeds, nil if none.
func (s *Situation) serverOf(e *slice.Element) *slice.Element {
	var only *slice.Element
	n := 0
	for _, o := range s.Elements {
		if o.Element != slice.Server {
			continue
		}
		if o.Name == e.Server {
			return o
		}
		if !s.doomed(o) {
			only, n = o, n+1
		}
	}
	if e.Server == "" && n == 1 && e.Element != slice.Server {
		return only
	}
	return nil
}

// elementKinds are the collections of a slice's elements.
var elementKinds = []slice.Kind{slice.KindIoTGateway, slice.KindIoTServer, slice.KindMicroElement}

// listAll reads every page of a query.
func listAll(ctx context.Context, tx operation.Tx, q operation.Query, marker func(slice.Kind, string) string) ([]slice.Resource, error) {
	const page = 1000
	q.Limit = page
	var out []slice.Resource
	for {
		rs, err := tx.List(ctx, q)
		if err != nil {
			return nil, err
		}
		out = append(out, rs...)
		if len(rs) < page {
			return out, nil
		}
		q.After = marker(q.Kind, rs[len(rs)-1].Head().ID)
	}
}

// elements reads a slice's elements.
func (s *Service) elements(ctx context.Context, tx operation.Tx, sliceID string) ([]*slice.Element, error) {
	var out []*slice.Element
	for _, k := range elementKinds {
		rs, err := listAll(ctx, tx, operation.Query{Kind: k, Parent: sliceID}, s.c.Marker)
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			if e, ok := r.(*slice.Element); ok {
				out = append(out, e)
			}
		}
	}
	slices.SortFunc(out, func(a, b *slice.Element) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// situation reads all that planning an operation looks at, except places.
func (s *Service) situation(ctx context.Context, tx operation.Tx, op *operation.Operation) (*Situation, error) {
	p, err := paramsOf(op)
	if err != nil {
		return nil, err
	}
	r, err := tx.Get(ctx, slice.KindIoTSlice, op.Slice)
	if err != nil {
		return nil, err
	}
	sl, _ := r.(*slice.IoTSlice)
	sit := &Situation{
		Type: op.Type, Operation: op.ID, ProveWithin: firstOf(s.c.ProveWithin, proveWithin), Slice: sl, params: p, Plugins: map[string]bool{}, Able: s.able,
		Products: map[string]*slice.Product{}, Needs: map[string]slice.Requirements{}, Sites: map[string]*slice.Infrastructure{},
	}
	sit.images = func(e *slice.Element, v *slice.Infrastructure) (survey, bool) { return s.imageFacts(sit, e, v) }
	for name := range s.c.Plugins {
		sit.Plugins[name] = true
	}
	if sit.Elements, err = s.elements(ctx, tx, sl.ID); err != nil {
		return nil, err
	}
	for _, e := range sit.Elements {
		if err := s.lookUp(ctx, tx, sit, e); err != nil {
			return nil, err
		}
	}
	return sit, s.readFlows(ctx, tx, sit)
}

// lookUp reads an element's product and where it is deployed.
func (s *Service) lookUp(ctx context.Context, tx operation.Tx, sit *Situation, e *slice.Element) error {
	version := e.Version
	if version == "" && e.Run != nil && !sit.params.Replace {
		version = e.Run.Version // the newest then, not now: nothing changes unasked
	}
	pr, err := s.product(ctx, tx, sit.Slice.Tenant, e.Product, version)
	switch {
	case fault.Is(err, fault.NotFound) && sit.doomed(e):
		pr = &slice.Product{Version: version}
		pr.Name = e.Product
	case err != nil:
		return err
	}
	sit.Products[e.ID], sit.Needs[e.ID] = pr, needs(e, pr)
	for _, d := range []*slice.Deployment{e.Run, e.Previous} {
		if d == nil || sit.Sites[d.Infrastructure] != nil {
			continue
		}
		v, err := s.infrastructure(ctx, tx, d.Infrastructure)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		sit.Sites[d.Infrastructure] = v
	}
	return nil
}

// product is findProduct, remembered for a moment.
func (s *Service) product(ctx context.Context, tx operation.Tx, tenant, name, version string) (*slice.Product, error) {
	return s.memory.products.get(tenant+"\x00"+name+"\x00"+version, func() (*slice.Product, error) {
		return findProduct(ctx, tx, tenant, name, version)
	})
}

// findProduct finds a catalogue entry a tenant may use: its own before the
// system's; no version is the newest registered.
func findProduct(ctx context.Context, tx operation.Tx, tenant, name, version string) (*slice.Product, error) {
	for _, owner := range []string{tenant, slice.System} {
		var found slice.Resource
		if version == "" {
			r, err := tx.ByName(ctx, slice.KindProduct, owner, "", name)
			if err != nil && !fault.Is(err, fault.NotFound) {
				return nil, err
			}
			found = r
			if err != nil {
				continue
			}
		} else {
			rs, err := tx.List(ctx, operation.Query{Kind: slice.KindProduct, Tenants: []string{owner}, Limit: 1,
				Filter: []operation.Condition{{Op: "eq", Attr: "name", Values: []string{name}}, {Op: "eq", Attr: "version", Values: []string{version}}}})
			if err != nil {
				return nil, err
			}
			if len(rs) == 0 {
				continue
			}
			found = rs[0]
		}
		if p, ok := found.(*slice.Product); ok {
			return p, nil
		}
	}
	if version != "" {
		name += " " + version
	}
	return nil, fault.Absent("product", name)
}

// able says who can be asked about a product installed by a plugin.
func (s *Service) able(p *slice.Product, plugin string) Platform {
	if a, ok := s.c.Platforms[plugin]; ok {
		return a
	}
	if p == nil || p.Platform == "" {
		return Platform{}
	}
	return s.c.Platforms[p.Platform]
}

// hash is the digest of what an element shall be, before anything is resolved.
func (s *Situation) hash(e *slice.Element) string {
	pr := s.Products[e.ID]
	sp := specOf(e)
	sp.Version, sp.Placement = pr.Version, nil
	server := ""
	if o := s.serverOf(e); o != nil {
		server = o.ID
	}
	b, err := json.Marshal([]any{sp, pr.ID, pr.Revision, s.Needs[e.ID], server})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
