package fulfilment_test

import (
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// refused wants fault.Invalid naming field.
func refused(t *testing.T, what string, err error, field string) {
	t.Helper()
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("%s: %v, want it invalid", what, err)
		return
	}
	if p := fault.Of(err).Params; len(p) == 0 || p[0].Field != field {
		t.Errorf("%s: %+v, want %s named", what, p, field)
	}
}

// put creates a resource, which must work.
func (w *world) put(r slice.Resource) slice.Resource {
	w.t.Helper()
	res, err := w.svc.Create(w.ctx, r, fulfilment.Options{})
	if err != nil {
		w.t.Fatalf("%s: %v", r.Kind(), err)
	}
	return res.Resource
}

// What a resource refers to must be its own tenant's; another tenant's is refused
// in the words for what does not exist.
func TestReferencesStayWithinTheTenant(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	acme := w.tenant.ID
	other := w.put(&slice.Tenant{Meta: slice.Meta{Name: "other"}}).Head().ID
	mine := func(name string) slice.Meta { return slice.Meta{Name: name, Tenant: acme} }
	theirs := func(name string) slice.Meta { return slice.Meta{Name: name, Tenant: other} }
	world := func(meta func(string) slice.Meta) map[slice.Kind]string {
		ns := w.put(&slice.NetworkSlice{Meta: meta("ns")}).Head().ID
		vnf := &slice.NetworkFunction{Meta: meta("nf"), FunctionType: "VNF"}
		return map[slice.Kind]string{
			slice.KindNetworkSlice:         ns,
			slice.KindNetworkSliceSubnet:   w.put(&slice.NetworkSliceSubnet{Meta: meta("sub"), NetworkSlice: ns, SubnetType: "TRANSPORT"}).Head().ID,
			slice.KindNetworkFunction:      w.put(vnf).Head().ID,
			slice.KindCommunicationService: w.put(&slice.CommunicationService{Meta: meta("cs")}).Head().ID,
			slice.KindIoTSlice:             w.put(&slice.IoTSlice{Meta: meta("sl")}).Head().ID,
			slice.KindInfrastructure:       w.put(&slice.Infrastructure{Meta: meta("site"), Tier: "CLOUD", Plugin: "simulated"}).Head().ID,
		}
	}
	ours, foreign := world(mine), world(theirs)
	for _, c := range []struct {
		field string
		to    slice.Kind
		make  func(meta slice.Meta, id string) slice.Resource
	}{
		{"iotSliceIds/0", slice.KindIoTSlice, func(m slice.Meta, id string) slice.Resource {
			return &slice.CommunicationService{Meta: m, IoTSlices: []string{id}}
		}},
		{"communicationServiceId", slice.KindCommunicationService, func(m slice.Meta, id string) slice.Resource {
			return &slice.IoTSlice{Meta: m, CommunicationService: id}
		}},
		{"networkSliceId", slice.KindNetworkSlice, func(m slice.Meta, id string) slice.Resource {
			return &slice.IoTSlice{Meta: m, NetworkSlice: id}
		}},
		{"infrastructureId", slice.KindInfrastructure, func(m slice.Meta, id string) slice.Resource {
			return &slice.NetworkFunction{Meta: m, FunctionType: "VNF", Infrastructure: id}
		}},
		{"networkSliceId", slice.KindNetworkSlice, func(m slice.Meta, id string) slice.Resource {
			return &slice.NetworkFunction{Meta: m, FunctionType: "VNF", NetworkSlice: id}
		}},
		{"networkFunctionIds/0", slice.KindNetworkFunction, func(m slice.Meta, id string) slice.Resource {
			return &slice.NetworkSliceSubnet{Meta: m, NetworkSlice: ours[slice.KindNetworkSlice], SubnetType: "TRANSPORT", NetworkFunctions: []string{id}}
		}},
		{"networkSliceSubnetIds/0", slice.KindNetworkSliceSubnet, func(m slice.Meta, id string) slice.Resource {
			return &slice.NetworkSlice{Meta: m, Subnets: []string{id}}
		}},
	} {
		var said []string
		made := w.put(c.make(mine("good-"+slice.NewID()), ours[c.to]))
		for _, id := range []string{foreign[c.to], slice.NewID()} {
			_, err := w.svc.Create(w.ctx, c.make(mine("bad"), id), fulfilment.Options{})
			refused(t, string(c.to)+" on create", err, c.field)
			said = append(said, strings.ReplaceAll(err.Error(), id, "ID"))
			_, err = w.svc.Patch(w.ctx, made.Kind(), made.Head().ID, func(r slice.Resource) error {
				want := c.make(*r.Head(), id)
				switch v := r.(type) {
				case *slice.CommunicationService:
					*v = *want.(*slice.CommunicationService)
				case *slice.IoTSlice:
					*v = *want.(*slice.IoTSlice)
				case *slice.NetworkFunction:
					*v = *want.(*slice.NetworkFunction)
				case *slice.NetworkSliceSubnet:
					*v = *want.(*slice.NetworkSliceSubnet)
				case *slice.NetworkSlice:
					*v = *want.(*slice.NetworkSlice)
				}
				return nil
			}, fulfilment.Options{})
			refused(t, string(c.to)+" on patch", err, c.field)
		}
		if said[0] != said[1] {
			t.Errorf("another tenant's is told from what does not exist: %q, %q", said[0], said[1])
		}
	}
}

// A tenant has no more slices than its quota says, whatever its neighbours have.
func TestAQuotaBoundsSlices(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	small := w.put(&slice.Tenant{Meta: slice.Meta{Name: "small"}, MaxSlices: 2}).Head().ID
	order := func(tenant, name string) error {
		_, err := w.svc.Create(w.ctx, &slice.IoTSlice{Meta: slice.Meta{Name: name, Tenant: tenant}}, fulfilment.Options{})
		return err
	}
	for _, name := range []string{"one", "two", "three"} {
		if err := order(w.tenant.ID, name); err != nil {
			t.Fatal(err)
		}
		err := order(small, name)
		if name == "three" {
			if !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "2 slices") {
				t.Errorf("one too many: %v", err)
			}
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// Replicas of one member are placed together, so that a policy that would spread
// them is refused wherever it is ordered.
func TestSpreadOfReplicasIsRefused(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	policy := &slice.PlacementPolicy{Spread: "node"}
	o := w.order("own")
	o.Instantiate = false
	o.Gateways[0].Placement, o.Gateways[0].Replicas = policy, 2
	_, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
	refused(t, "own policy", err, "iotGateways/0/placementPolicy/spread")
	o.Gateways[0].Placement, o.Slice.Placement = nil, policy
	_, err = w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
	refused(t, "the slice's policy", err, "placementPolicy/spread")

	o.Gateways[0].Replicas = 1
	made, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
	if err != nil {
		t.Fatalf("spread with replicas 1: %v", err)
	}
	id := made.Resource.Head().ID
	_, err = w.svc.Create(w.ctx, &slice.Element{Meta: slice.Meta{Name: "two"}, Slice: id, Element: slice.Gateway, Product: "lite-gateway", Replicas: 2}, fulfilment.Options{})
	refused(t, "a new member", err, "placementPolicy/spread")
	for _, r := range made.Resources {
		if e, ok := r.(*slice.Element); ok {
			_, err = w.svc.Patch(w.ctx, e.Kind(), e.ID, func(r slice.Resource) error { r.(*slice.Element).Replicas = 3; return nil }, fulfilment.Options{})
			refused(t, "a changed member", err, "placementPolicy/spread")
		}
	}
	o.Slice.Name, o.Slice.Placement, o.Gateways[0].Replicas = "plain", nil, 2
	made, err = w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
	if err != nil {
		t.Fatalf("replicas without spread: %v", err)
	}
	_, err = w.svc.Patch(w.ctx, slice.KindIoTSlice, made.Resource.Head().ID, func(r slice.Resource) error { r.(*slice.IoTSlice).Placement = policy; return nil }, fulfilment.Options{})
	refused(t, "a changed slice", err, "placementPolicy/spread")
}

// The last valid system-admin key cannot be ended; one that expired or is
// revoked counts for nothing.
func TestTheLastAdminKeyStays(t *testing.T) {
	w := newWorld(t)
	listed, err := w.svc.List(w.ctx, operation.Query{Kind: slice.KindAPIKey, Limit: 10})
	if err != nil || len(listed.Resources) != 1 {
		t.Fatalf("%d keys, %v", len(listed.Resources), err)
	}
	first := listed.Resources[0].Head().ID
	stays := func(id string) {
		t.Helper()
		if _, err := w.svc.RevokeKey(w.ctx, id, fulfilment.Options{}); !fault.Is(err, fault.Conflict) {
			t.Errorf("revoke: %v, want a conflict", err)
		}
		for _, dry := range []bool{true, false} {
			if _, err := w.svc.Delete(w.ctx, slice.KindAPIKey, id, fulfilment.Options{DryRun: dry}); !fault.Is(err, fault.Conflict) {
				t.Errorf("delete, dry run %v: %v, want a conflict", dry, err)
			}
		}
	}
	stays(first)
	second := w.put(&slice.APIKey{Meta: slice.Meta{Name: "second"}, Role: slice.SystemAdmin}).Head().ID
	if _, err := w.svc.RevokeKey(w.ctx, first, fulfilment.Options{}); err != nil {
		t.Fatal(err)
	}
	stays(second)
	if _, err := w.svc.Delete(w.ctx, slice.KindAPIKey, first, fulfilment.Options{}); err != nil {
		t.Errorf("a revoked key: %v", err)
	}

	past := time.Now().Add(-time.Minute)
	_, err = w.svc.CreateKey(w.ctx, &slice.APIKey{Meta: slice.Meta{Name: "late"}, Role: slice.SystemAdmin, ExpiresAt: &past}, fulfilment.Options{})
	refused(t, "a key that has expired", err, "expiresAt")
}

func TestAnUnknownDeviceIsNamedByItsPlace(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	o := w.order("devices")
	o.Instantiate = false
	made, err := w.svc.CreateSlice(w.ctx, o, fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.svc.RemoveDevices(w.ctx, made.Resource.Head().ID, []string{"sensor", "none"}, fulfilment.Options{})
	refused(t, "bulk delete", err, "iotDevices/1")
}

func TestAnUnknownCredentialIsNamedByItsPlace(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	order := func(name string, devices ...slice.Device) fulfilment.SliceOrder {
		o := w.order(name)
		o.Instantiate, o.Devices = false, devices
		return o
	}
	device := func(name, ref string) slice.Device {
		return slice.Device{Meta: slice.Meta{Name: name}, Gateway: "edge", Protocol: "MQTT", CredentialsRef: ref,
			Magnitudes: []slice.Magnitude{{Name: "temperature", Unit: "Cel"}}}
	}
	_, err := w.svc.CreateSlice(w.ctx, order("wrong", device("first", ""), device("second", "nobody")), fulfilment.Options{})
	refused(t, "an order", err, "iotDevices/1/credentialsRef")

	made, err := w.svc.CreateSlice(w.ctx, order("devices", device("first", ""), device("second", "")), fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id := made.Resource.Head().ID
	_, err = w.svc.AddDevices(w.ctx, id, []slice.Device{device("third", "nobody")}, fulfilment.Options{})
	refused(t, "one device", err, "credentialsRef")
	_, err = w.svc.AddDevices(w.ctx, id, []slice.Device{device("third", ""), device("fourth", "nobody")}, fulfilment.Options{})
	refused(t, "several devices", err, "iotDevices/1/credentialsRef")

	there, err := w.svc.List(w.ctx, operation.Query{Kind: slice.KindIoTDevice, Parent: id, Limit: 10})
	if err != nil || len(there.Resources) != 2 {
		t.Fatalf("%d devices, %v", len(there.Resources), err)
	}
	for what, ref := range map[string]string{"a change to a secret of nobody": "nobody", "a change to none": ""} {
		_, err = w.svc.Patch(w.ctx, slice.KindIoTDevice, there.Resources[0].Head().ID, func(r slice.Resource) error {
			r.(*slice.Device).CredentialsRef = ref
			return nil
		}, fulfilment.Options{})
		refused(t, what, err, "credentialsRef")
	}
	_, err = w.svc.Converge(w.ctx, order("devices", device("first", ""), device("second", "nobody")), fulfilment.Options{})
	refused(t, "the order again", err, "iotDevices/1/credentialsRef")
}
