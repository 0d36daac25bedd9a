package fulfilment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// doDevices tells a gateway of a batch of devices, or has it forget one.
func (s *Service) doDevices(ctx context.Context, b batch) (operation.Outcome, error) {
	var list []*slice.Device
	var told []platform.Device
	var at platform.Access
	var able Platform
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		e, err := s.element(ctx, tx, b.Gateway)
		if err != nil {
			return err
		}
		if at, able, err = s.access(ctx, tx, e, e.Run); err != nil {
			return err
		}
		if list, err = s.devices(ctx, tx, e.Slice, e.Name, b); err != nil || b.Remove {
			return err
		}
		told, err = s.told(ctx, tx, list)
		return err
	})
	if err != nil || len(list) == 0 {
		return operation.Outcome{Done: err == nil}, err
	}
	var results []platform.Result
	if b.Remove {
		names := make([]string, 0, len(list))
		for _, d := range list {
			names = append(names, d.Name)
		}
		results, err = able.Gateway.Deprovision(ctx, at, names)
	} else {
		results, err = able.Gateway.Provision(ctx, at, told)
	}
	if err != nil {
		return operation.Outcome{}, err
	}
	return s.toldOutcome(b, list, results)
}

// toldOutcome repeats the batch when repeating helps any of it; else it is done,
// in part when some devices were refused.
func (s *Service) toldOutcome(b batch, list []*slice.Device, results []platform.Result) (operation.Outcome, error) {
	failed := map[string]error{}
	for _, r := range results {
		if r.Err == nil {
			continue
		}
		if f := fault.Of(r.Err); f.Retry != fault.Never {
			return operation.Outcome{}, fault.New(f.Kind, "device %q", r.Name).Because(r.Err).Retrying(f.Retry)
		}
		failed[r.Name] = r.Err
	}
	var names []string
	for _, d := range list {
		if failed[d.Name] != nil && len(names) < 100 {
			names = append(names, d.Name)
		}
	}
	return operation.Outcome{
		Done: true, Partial: len(failed) > 0,
		Result: raw(map[string]any{"devices": len(list), "refused": len(failed), "names": names}),
		Record: func(ctx context.Context, tx operation.Tx) error { return s.recordTold(ctx, tx, b, list, failed) },
	}, nil
}

// told translates devices, their secrets resolved.
func (s *Service) told(ctx context.Context, tx operation.Tx, list []*slice.Device) ([]platform.Device, error) {
	out := make([]platform.Device, 0, len(list))
	for _, d := range list {
		p := platform.Device{Name: d.Name, Protocol: platform.Protocol(d.Protocol), Address: d.Address, Labels: d.Labels}
		if d.CredentialsRef != "" {
			v, err := s.resolve(ctx, tx, d.CredentialsRef, d.Tenant)
			if err != nil {
				return nil, err
			}
			p.Secret = string(v)
		}
		p.Resources = resources(d)
		out = append(out, p)
	}
	return out, nil
}

func resources(d *slice.Device) []platform.Resource {
	out := make([]platform.Resource, 0, len(d.Magnitudes)+len(d.Actions))
	at := map[string]int{}
	for _, m := range d.Magnitudes {
		at[m.Name] = len(out)
		out = append(out, platform.Resource{
			Name: m.Name, Unit: m.Unit, Type: firstOf(m.Type, "number"), Min: m.Min, Max: m.Max, Deadband: m.Deadband,
			Aggregate: m.Aggregate, Window: time.Duration(m.AggregateWindow * float64(time.Second)),
		})
	}
	for _, a := range d.Actions {
		if k, both := at[a.Name]; both {
			out[k].Writable = true
			continue
		}
		out = append(out, platform.Resource{Name: a.Name, Unit: a.Unit, Type: firstOf(a.Type, "number"), Writable: true})
	}
	return out
}

// deviceHash is the digest of what a gateway is told of a device.
func deviceHash(d *slice.Device) string {
	b, err := json.Marshal([]any{d.Name, d.Protocol, d.Address, d.Format, d.Magnitudes, d.Actions, d.CredentialsRef, d.Labels})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// recordTold writes what became of each device. One that was changed meanwhile
// keeps waiting to be told.
func (s *Service) recordTold(ctx context.Context, tx operation.Tx, b batch, list []*slice.Device, failed map[string]error) error {
	for _, was := range list {
		r, err := tx.Get(ctx, slice.KindIoTDevice, was.ID)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		d, _ := r.(*slice.Device)
		switch e := failed[was.Name]; {
		case e != nil:
			d.State, d.Cause = slice.Failed, fault.Of(e).Error()
		case b.Remove && d.State == removing:
			if err := s.forget(ctx, tx, d); err != nil {
				return err
			}
			continue
		case b.Remove || deviceHash(d) != deviceHash(was) || d.State == removing:
			continue
		case d.State == slice.Active && d.ProvisionedHash == deviceHash(d):
			continue
		default:
			d.State, d.Cause, d.ProvisionedHash = slice.Active, "", deviceHash(d)
		}
		if err := tx.Update(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// forget deletes a resource with the secrets made for it.
func (s *Service) forget(ctx context.Context, tx operation.Tx, r slice.Resource) error {
	if s.c.Secrets != nil {
		rs, err := listAll(ctx, tx, operation.Query{Kind: slice.KindSecret, Tenants: []string{r.Head().Tenant},
			Filter: []operation.Condition{{Op: "eq", Attr: "ownerId", Values: []string{r.Head().ID}}}}, s.c.Marker)
		if err != nil {
			return err
		}
		for _, o := range rs {
			if sec, ok := o.(*slice.Secret); ok {
				if err := s.c.Secrets.Delete(ctx, bare(tx), sec.Tenant, sec.ID); err != nil {
					return err
				}
			}
		}
	}
	return tx.Delete(ctx, r)
}
