package fulfilment

import (
	"context"
	"fmt"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// relation is a field of a resource that names others, by id.
type relation struct {
	field string
	kind  slice.Kind
	ids   []string
	many  bool
}

// relations are what a resource refers to beyond what it lives below. The ids
// are copies: a later change of r leaves them as they were.
func relations(r slice.Resource) []relation {
	one := func(field string, kind slice.Kind, id string) relation {
		if id == "" {
			return relation{field: field, kind: kind}
		}
		return relation{field: field, kind: kind, ids: []string{id}}
	}
	many := func(field string, kind slice.Kind, ids []string) relation {
		return relation{field: field, kind: kind, ids: slices.Clone(ids), many: true}
	}
	switch v := r.(type) {
	case *slice.IoTSlice:
		return []relation{
			one("communicationServiceId", slice.KindCommunicationService, v.CommunicationService),
			one("networkSliceId", slice.KindNetworkSlice, v.NetworkSlice),
		}
	case *slice.CommunicationService:
		return []relation{many("iotSliceIds", slice.KindIoTSlice, v.IoTSlices)}
	case *slice.NetworkSlice:
		return []relation{many("networkSliceSubnetIds", slice.KindNetworkSliceSubnet, v.Subnets)}
	case *slice.NetworkSliceSubnet:
		return []relation{many("networkFunctionIds", slice.KindNetworkFunction, v.NetworkFunctions)}
	case *slice.NetworkFunction:
		return []relation{
			one("infrastructureId", slice.KindInfrastructure, v.Infrastructure),
			one("networkSliceId", slice.KindNetworkSlice, v.NetworkSlice),
		}
	}
	return nil
}

// checkRelations refuses a reference to what does not exist or is not for the
// tenant of r, in the same words. What r referred to before (was) stays: it may
// have been deleted since.
func (u *unit) checkRelations(ctx context.Context, r slice.Resource, was []relation) error {
	for k, rel := range relations(r) {
		for i, id := range rel.ids {
			if k < len(was) && slices.Contains(was[k].ids, id) {
				continue
			}
			ok, err := u.relates(ctx, r.Head().Tenant, rel.kind, id)
			if err != nil {
				return err
			}
			if ok {
				continue
			}
			field := rel.field
			if rel.many {
				field = fmt.Sprintf("%s/%d", field, i)
			}
			return fault.Field(field, id, fmt.Sprintf("the id of one of %s of the same tenant", rel.kind))
		}
	}
	return nil
}

// relates reports whether resources of a tenant may refer to one of a kind: one
// of the same tenant, or an infrastructure that it may use.
func (u *unit) relates(ctx context.Context, tenant string, kind slice.Kind, id string) (bool, error) {
	r, err := get(ctx, u.Tx, kind, id)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if v, ok := r.(*slice.Infrastructure); ok {
		return usable(v, tenant), nil
	}
	return r.Head().Tenant == tenant, nil
}
