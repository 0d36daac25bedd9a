package fulfilment

import (
	"encoding/json"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// params is what an operation was asked to do, as it is stored with it.
type params struct {
	// Elements, by id, are concerned in particular (migrate, heal, scale).
	Elements []string               `json:"elements,omitempty"`
	Target   *slice.PlacementPolicy `json:"target,omitempty"`
	Replace  bool                   `json:"replace,omitempty"`
	// Remove lists members, by id, that shall be gone afterwards.
	Remove []string `json:"remove,omitempty"`
	// DeleteSlice removes the slice with everything once it is terminated.
	DeleteSlice bool `json:"deleteSlice,omitempty"`
	// Placement is the kept placement whose plan it shall run.
	Placement string `json:"placementId,omitempty"`
	// Before is what elements were before a change, by id: rolled back, they
	// are it again.
	Before map[string]spec `json:"before,omitempty"`
}

func (p params) encode() json.RawMessage {
	b, err := json.Marshal(p)
	if err != nil {
		return json.RawMessage(`{}`)
	}
	return b
}

func paramsOf(op *operation.Operation) (params, error) {
	var p params
	if len(op.Params) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(op.Params, &p); err != nil {
		return p, fault.New(fault.Internal, "the parameters of operation %s cannot be read", op.ID).Because(err)
	}
	return p, nil
}

// spec is the part of an element that a person decides and the world must
// follow.
type spec struct {
	Product       string                 `json:"product"`
	Version       string                 `json:"productVersion,omitempty"`
	Server        string                 `json:"iotServer,omitempty"`
	MELClass      string                 `json:"melClass,omitempty"`
	Configuration map[string]string      `json:"configuration,omitempty"`
	Args          []string               `json:"args,omitempty"`
	SecretRefs    map[string]string      `json:"secretRefs,omitempty"`
	Replicas      int                    `json:"replicas,omitempty"`
	Requirements  *slice.Requirements    `json:"requirements,omitempty"`
	Placement     *slice.PlacementPolicy `json:"placementPolicy,omitempty"`
}

func specOf(e *slice.Element) spec {
	return spec{
		Product: e.Product, Version: e.Version, Server: e.Server, MELClass: e.MELClass, Configuration: e.Configuration,
		Args: e.Args, SecretRefs: e.SecretRefs, Replicas: e.Replicas, Requirements: e.Requirements, Placement: e.Placement,
	}
}

func (s spec) restore(e *slice.Element) {
	e.Product, e.Version, e.Server, e.MELClass, e.Configuration = s.Product, s.Version, s.Server, s.MELClass, s.Configuration
	e.Args, e.SecretRefs, e.Replicas, e.Requirements, e.Placement = s.Args, s.SecretRefs, s.Replicas, s.Requirements, s.Placement
}

func (s spec) equal(o spec) bool {
	a, errA := json.Marshal(s)
	b, errB := json.Marshal(o)
	return errA == nil && errB == nil && string(a) == string(b)
}

// needs is what an element takes of its node: its own requirements before its
// product's, times its replicas.
func needs(e *slice.Element, p *slice.Product) slice.Requirements {
	n := p.Requirements
	if r := e.Requirements; r != nil {
		n.CPU, n.Memory, n.Storage = firstOf(r.CPU, n.CPU), firstOf(r.Memory, n.Memory), firstOf(r.Storage, n.Storage)
		n.MaxLatencyMS, n.BandwidthKbit = firstOf(r.MaxLatencyMS, n.MaxLatencyMS), firstOf(r.BandwidthKbit, n.BandwidthKbit)
		n.Software, n.Things = union(n.Software, r.Software), union(n.Things, r.Things)
		n.AccessTechnologies = union(n.AccessTechnologies, r.AccessTechnologies)
		if len(r.Architectures) > 0 {
			n.Architectures = r.Architectures
		}
	}
	k := int64(max(e.Replicas, 1))
	n.CPU, n.Memory, n.Storage = n.CPU*k, n.Memory*k, n.Storage*k
	n.Software, n.Things, n.AccessTechnologies = slices.Clip(n.Software), slices.Clip(n.Things), slices.Clip(n.AccessTechnologies)
	return n
}
