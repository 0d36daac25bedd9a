package edgex

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/httpcall"
)

// batchDevices is how many devices one request carries: metadata asks the device
// service about each before it answers.
const batchDevices = 20

// Provision makes what is missing in two requests a batch, and looks closer only
// at devices that were there already.
func (g *Gateway) Provision(ctx context.Context, a platform.Access, devices []platform.Device) ([]platform.Result, error) {
	results := make([]platform.Result, len(devices))
	for from := 0; from < len(devices); from += batchDevices {
		to := min(from+batchDevices, len(devices))
		if err := g.batch(ctx, a, devices[from:to], results[from:to]); err != nil {
			return results[:from], err
		}
	}
	return results, nil
}

func (g *Gateway) batch(ctx context.Context, a platform.Access, devices []platform.Device, results []platform.Result) error {
	pairs := make([]pair, len(devices))
	var open, fresh []int // indexes of devices still to be made; of those without a profile before
	var profiles []any
	for i, d := range devices {
		results[i].Name = d.Name
		if pairs[i], results[i].Err = translate(d); results[i].Err == nil {
			open = append(open, i)
			profiles = append(profiles, pairs[i].profile)
		}
	}
	if len(open) == 0 {
		return nil
	}
	if err := g.registered(ctx, a, pairs, open); err != nil {
		return err
	}
	made, err := g.post(ctx, a, "/api/v3/deviceprofile", profiles)
	if err != nil {
		return err
	}
	var requests []any
	var closer []int
	for k, i := range open {
		switch {
		case made[k].Status == http.StatusCreated:
			fresh = append(fresh, i)
			requests = append(requests, pairs[i].device)
		case made[k].Status == http.StatusConflict || made[k].starting():
			closer = append(closer, i) // ours of before, perhaps another one
		default:
			results[i].Err = g.fault(made[k])
		}
	}
	if len(fresh) > 0 {
		outs, err := g.post(ctx, a, "/api/v3/device", requests)
		if err != nil {
			return err
		}
		for k, i := range fresh {
			switch {
			case outs[k].Status == http.StatusCreated:
			case outs[k].Status == http.StatusConflict || outs[k].starting():
				closer = append(closer, i)
			default:
				results[i].Err = g.withdraw(ctx, a, devices[i].Name, g.fault(outs[k]))
			}
		}
	}
	slices.Sort(closer)
	for _, i := range closer {
		if err := g.replace(ctx, a, pairs[i]); err != nil {
			if lost(err) {
				return err
			}
			results[i].Err = err
		}
	}
	return nil
}

// registered waits until metadata knows the device services that are needed. To
// make profiles before, and to take them back when the devices are refused, would
// end services that start: a profile's removal reaches them before they are ready
// for it.
func (g *Gateway) registered(ctx context.Context, a platform.Access, pairs []pair, which []int) error {
	known := map[string]bool{}
	for _, i := range which {
		service := pairs[i].device.Device.ServiceName
		if known[service] {
			continue
		}
		known[service] = true
		err := g.client.Patiently(ctx, func(ctx context.Context) error {
			o, _, err := g.want(ctx, a, httpcall.Call{Endpoint: "metadata", Method: http.MethodGet, Path: byName("deviceservice", service)}, http.StatusNotFound)
			if err == nil && o.Status == http.StatusNotFound {
				return httpcall.Passing(fault.New(fault.Unavailable, "%s's metadata does not know %s yet", product, service))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lost reports that the product stopped answering: the rest is for later.
func lost(err error) bool {
	f := fault.Of(err)
	return f.Retry == fault.Backoff && (f.Kind == fault.Unavailable || f.Kind == fault.Timeout)
}

// withdraw takes back the profile of a device that was refused, and answers why
// it was.
func (g *Gateway) withdraw(ctx context.Context, a platform.Access, name string, why error) error {
	if _, _, err := g.want(ctx, a, deleting("deviceprofile", profileName(name)), http.StatusNotFound, http.StatusConflict); err != nil && lost(err) {
		return err
	}
	return why
}

func deleting(kind, name string) httpcall.Call {
	return httpcall.Call{Endpoint: "metadata", Method: http.MethodDelete, Path: byName(kind, name)}
}

// replace leaves a device as it is when its label says that it is the one that
// is wanted; else it goes, and with it its profile, and both are made anew.
func (g *Gateway) replace(ctx context.Context, a platform.Access, p pair) error {
	name := p.device.Device.Name
	o, body, err := g.want(ctx, a, httpcall.Call{Endpoint: "metadata", Method: http.MethodGet, Path: byName("device", name)}, http.StatusNotFound)
	if err != nil {
		return err
	}
	if o.Status == http.StatusOK {
		var there struct {
			Device device `json:"device"`
		}
		if err := json.Unmarshal(body, &there); err != nil {
			return fault.New(fault.Unavailable, "%s answered no device", product).Because(err).Retrying(fault.Backoff)
		}
		if slices.Contains(there.Device.Labels, p.spec) {
			return nil
		}
	}
	if err := g.remove(ctx, a, name); err != nil {
		return err
	}
	if err := g.one(ctx, a, "/api/v3/deviceprofile", p.profile); err != nil {
		return err
	}
	if err := g.one(ctx, a, "/api/v3/device", p.device); err != nil {
		return g.withdraw(ctx, a, name, err)
	}
	return nil
}

// one posts one item and waits for the product to start if need be.
func (g *Gateway) one(ctx context.Context, a platform.Access, path string, item any) error {
	return g.client.Patiently(ctx, func(ctx context.Context) error {
		outs, err := g.post(ctx, a, path, []any{item})
		switch {
		case err != nil:
			return err
		case outs[0].starting():
			return httpcall.Passing(g.fault(outs[0]))
		case outs[0].Status/100 != 2:
			return g.fault(outs[0])
		}
		return nil
	})
}

// remove removes a device and its profile; what is not there is removed.
func (g *Gateway) remove(ctx context.Context, a platform.Access, name string) error {
	if _, _, err := g.want(ctx, a, deleting("device", name), http.StatusNotFound); err != nil {
		return err
	}
	_, _, err := g.want(ctx, a, deleting("deviceprofile", profileName(name)), http.StatusNotFound)
	return err
}

// Deprovision removes devices and their profiles by name. Events that core-data
// has of them stay until its own retention ends them.
func (g *Gateway) Deprovision(ctx context.Context, a platform.Access, names []string) ([]platform.Result, error) {
	results := make([]platform.Result, 0, len(names))
	for _, name := range names {
		r := platform.Result{Name: name}
		if nameRE.MatchString(name) { // none else was ever made
			if r.Err = g.remove(ctx, a, name); r.Err != nil && lost(r.Err) {
				return results, r.Err
			}
		}
		results = append(results, r)
	}
	return results, nil
}
