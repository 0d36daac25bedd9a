package fulfilment

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// askTimeout bounds one question to a site about itself.
const askTimeout = 10 * time.Second

// Discover asks an infrastructure whether it answers, and which nodes it has,
// and stores both. What the site does not answer is no error of Discover: it
// becomes the infrastructure's state and cause.
func (s *Service) Discover(ctx context.Context, id string) (*slice.Infrastructure, error) {
	ctx = actor.With(ctx, actor.Service("discovery"))
	var v *slice.Infrastructure
	var site domain.Site
	var driver domain.Driver
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
		if v, site, err = s.site(ctx, tx, id); err != nil {
			return err
		}
		driver, err = s.plugin(v)
		return err
	})
	if v == nil {
		return nil, err
	}
	var nodes []topology.Node
	asked := false
	if err == nil {
		nodes, asked, err = ask(ctx, driver, site)
	}
	var out *slice.Infrastructure
	werr := s.c.Store.Write(ctx, func(ctx context.Context, tx operation.Tx) error {
		r, gerr := tx.Get(ctx, slice.KindInfrastructure, id)
		if gerr != nil {
			return gerr
		}
		out, _ = r.(*slice.Infrastructure)
		if err := s.answered(ctx, tx, out, err); err != nil {
			return err
		}
		if !asked || err != nil {
			return nil
		}
		return s.syncNodes(ctx, tx, out, nodes)
	})
	s.memory.sites.clear()
	return out, werr
}

// ask puts the questions that the driver can answer.
func ask(ctx context.Context, driver domain.Driver, site domain.Site) (nodes []topology.Node, asked bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if c, ok := driver.(domain.Checker); ok {
		if err := c.Check(ctx, site); err != nil {
			return nil, false, err
		}
	}
	inv, ok := driver.(domain.Inventory)
	if !ok {
		return nil, false, nil
	}
	nodes, err = inv.Nodes(ctx, site)
	return nodes, err == nil, err
}

// answered stores whether a site answers, when that is news.
func (s *Service) answered(ctx context.Context, tx operation.Tx, v *slice.Infrastructure, err error) error {
	state, cause := slice.Active, ""
	if err != nil {
		state, cause = slice.Inactive, fault.Of(err).Error()
	}
	if v.State == state && (v.Cause == cause || state == slice.Inactive) {
		return nil
	}
	now := s.now()
	v.State, v.Cause, v.CheckedAt = state, cause, &now
	return tx.Update(ctx, v)
}

// syncNodes makes the stored discovered nodes be those the site tells. A node
// that is gone while something runs on it stays, INACTIVE.
func (s *Service) syncNodes(ctx context.Context, tx operation.Tx, v *slice.Infrastructure, nodes []topology.Node) error {
	rs, err := listAll(ctx, tx, operation.Query{Kind: slice.KindNode, Parent: v.ID}, s.c.Marker)
	if err != nil {
		return err
	}
	old := map[string]*slice.Node{}
	for _, r := range rs {
		if n, ok := r.(*slice.Node); ok {
			old[n.Name] = n
		}
	}
	for i := range nodes {
		f := &nodes[i]
		name := firstOf(f.Name, f.ID)
		o := old[name]
		delete(old, name)
		if o == nil {
			o = &slice.Node{Meta: slice.Meta{ID: s.c.NewID(), Tenant: v.Tenant, Name: name}, Infrastructure: v.ID, Origin: "discovered"}
			facts(o, f)
			if err := o.Validate(); err != nil {
				return err
			}
			if err := tx.Insert(ctx, o); err != nil {
				return err
			}
			continue
		}
		was := clone(o)
		facts(o, f)
		if sameJSON(was, o) {
			continue
		}
		if err := tx.Update(ctx, o); err != nil {
			return err
		}
	}
	return s.lostNodes(ctx, tx, v, old)
}

// facts takes what the site says of a node; a declared one keeps what a person
// said of its capacity.
func facts(n *slice.Node, f *topology.Node) {
	n.State, n.Cause = slice.Active, ""
	if f.Unavailable {
		n.State, n.Cause = slice.Inactive, firstOf(f.Reason, "not available")
	}
	if n.Origin != "discovered" {
		return
	}
	n.Architecture, n.Software, n.Things, n.AccessTechnologies = f.Arch, f.Software, f.Things, f.AccessTechnologies
	n.CPU, n.Memory, n.Storage = f.Capacity.CPU, f.Capacity.Memory, f.Capacity.Storage
	n.Unlimited = false
	for _, q := range []*int64{&n.CPU, &n.Memory, &n.Storage} {
		if *q >= topology.Infinite { // what has no limit is not stated
			*q, n.Unlimited = 0, true
		}
	}
	n.SecurityLevel, n.EnergyPerCPU, n.PricePerCPUHour = f.SecurityLevel, f.EnergyPerCPU, f.PricePerCPU
	if f.Location != nil {
		n.Location = &slice.Geolocation{Latitude: f.Location.Lat, Longitude: f.Location.Lon}
	}
	if len(f.Labels) > 0 && n.Labels == nil {
		n.Labels = map[string]string{}
	}
	for k, val := range f.Labels {
		n.Labels[k] = val
	}
}

func (s *Service) lostNodes(ctx context.Context, tx operation.Tx, v *slice.Infrastructure, lost map[string]*slice.Node) error {
	for _, n := range lost {
		if n.Origin != "discovered" {
			continue
		}
		u := &unit{Tx: tx, s: s}
		err := u.nodeUsed(ctx, n)
		switch {
		case err == nil:
			err = tx.Delete(ctx, n)
		case fault.Is(err, fault.Conflict) && n.State != slice.Inactive:
			n.State, n.Cause = slice.Inactive, "infrastructure "+v.Name+" no longer tells of it"
			err = tx.Update(ctx, n)
		case fault.Is(err, fault.Conflict):
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// infrastructures reads all.
func (s *Service) infrastructures(ctx context.Context) ([]*slice.Infrastructure, error) {
	var out []*slice.Infrastructure
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		rs, err := listAll(ctx, tx, operation.Query{Kind: slice.KindInfrastructure}, s.c.Marker)
		out = out[:0]
		for _, r := range rs {
			if v, ok := r.(*slice.Infrastructure); ok {
				out = append(out, v)
			}
		}
		return err
	})
	return out, err
}

// PluginSchemas answers the JSON Schema of each plugin's connection data.
func (s *Service) PluginSchemas() map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for name, p := range s.c.Plugins {
		out[name] = slices.Clone(p.Schema)
	}
	return out
}
