package simulated

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
)

// Platform plays every gateway and server product on the sites of one Driver:
// what it is told survives and fails as its site does. Access must hold at
// least one of the endpoints (sim://site/release/port) that the site told;
// tokens are not looked at (a Failure of kind forbidden plays a wrong one).
type Platform struct{ d *Driver }

var (
	_ platform.Gateway   = Platform{}
	_ platform.Server    = Platform{}
	_ platform.Commander = Platform{}
	_ platform.Mover     = Platform{}
)

// Platform answers the products' side of the world.
func (d *Driver) Platform() Platform { return Platform{d} }

// do finds the instance behind the endpoints and acts on it when it is ready.
func (p Platform) do(ctx context.Context, name string, a platform.Access, act func(t *site, r *record) error) error {
	id, release, err := locate(a)
	if err != nil {
		return err
	}
	c := call{name: name, id: id, release: release, latency: platformLatency}
	return p.d.do(ctx, c, func(t *site, now int64) error {
		r := t.state.live(release, now)
		if st := t.status(r, now); r == nil || st.Phase != "READY" {
			return fault.New(fault.Unavailable, "instance %s at site %s is %s: connection refused", release, t.label(), st.Phase).Retrying(fault.Backoff)
		}
		return act(t, r)
	})
}

// locate reads site and release from any endpoint.
func locate(a platform.Access) (site, release string, err error) {
	for _, e := range a.Endpoints {
		u, err := url.Parse(e)
		if err != nil || u.Scheme != "sim" || u.Host == "" {
			continue
		}
		release, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
		if release != "" {
			return u.Host, release, nil
		}
	}
	return "", "", fault.New(fault.Invalid, "the instance has no simulated endpoint").
		With("endpoints", fmt.Sprint(len(a.Endpoints)), "at least one sim://site/release/port")
}

// Health answers nil when the instance is ready.
func (p Platform) Health(ctx context.Context, a platform.Access) error {
	return p.do(ctx, "health", a, func(*site, *record) error { return nil })
}

// Provision keeps the devices; of their secrets only a digest.
func (p Platform) Provision(ctx context.Context, a platform.Access, devices []platform.Device) ([]platform.Result, error) {
	results := make([]platform.Result, len(devices))
	err := p.do(ctx, "provision", a, func(t *site, r *record) error {
		known := r.state().devices
		e := &entry{Op: "devices", Release: r.Release, Devices: map[string]string{}}
		for i := range devices {
			d := &devices[i]
			results[i].Name = d.Name
			if results[i].Err = t.deviceFails("provision", r.Release, d.Name); results[i].Err != nil {
				continue
			}
			if h := digest(d); known[d.Name] != h {
				e.Devices[d.Name] = h
			}
		}
		if len(e.Devices) == 0 {
			return nil
		}
		return t.commit(e)
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// deviceFails answers a failure scripted for one device.
func (t *site) deviceFails(call, release, device string) error {
	if len(t.script.Failures) == 0 {
		return nil
	}
	f, err := t.failing(call, release, device)
	if err == nil && f != nil {
		err = f.fault("device " + device)
	}
	return err
}

// digest identifies a value without keeping it.
func digest(v any) string {
	raw, err := json.Marshal(v)
	if err != nil { // values of the port are plain data
		raw = []byte(fmt.Sprint(v))
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Deprovision forgets devices; one that is not known is no error.
func (p Platform) Deprovision(ctx context.Context, a platform.Access, names []string) ([]platform.Result, error) {
	results := make([]platform.Result, len(names))
	err := p.do(ctx, "deprovision", a, func(t *site, r *record) error {
		e := &entry{Op: "devices", Release: r.Release}
		for i, name := range names {
			results[i].Name = name
			results[i].Err = t.deviceFails("deprovision", r.Release, name)
			if _, known := r.state().devices[name]; known && results[i].Err == nil {
				e.Names = append(e.Names, name)
			}
		}
		if len(e.Names) == 0 {
			return nil
		}
		return t.commit(e)
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// Attach keeps where the gateway delivers.
func (p Platform) Attach(ctx context.Context, a platform.Access, u platform.Uplink) error {
	return p.do(ctx, "attach", a, func(t *site, r *record) error {
		want := &uplink{
			Protocol: string(u.Protocol), Address: u.Address, Topic: u.Topic, ClientID: u.ClientID,
			Digest: digest([]string{u.Username, u.Password}),
		}
		if have := r.state().uplink; have != nil && *have == *want {
			return nil
		}
		return t.commit(&entry{Op: "uplink", Release: r.Release, Uplink: want})
	})
}

// Detach stops the delivery.
func (p Platform) Detach(ctx context.Context, a platform.Access) error {
	return p.do(ctx, "detach", a, func(t *site, r *record) error {
		if r.state().uplink == nil {
			return nil
		}
		return t.commit(&entry{Op: "uplink", Release: r.Release})
	})
}

// Connect makes a gateway's client at the server. Its password is derived from
// the release and the times it was connected, so that repeating answers the
// same and Disconnect revokes it.
func (p Platform) Connect(ctx context.Context, a platform.Access, gateway string) (platform.Uplink, error) {
	var u platform.Uplink
	err := p.do(ctx, "connect", a, func(t *site, r *record) error {
		i := r.state()
		key := i.gateways[gateway]
		if key == 0 {
			key = i.keys[gateway] + 1
			if err := t.commit(&entry{Op: "connect", Release: r.Release, Text: gateway, Seen: key}); err != nil {
				return err
			}
		}
		u = platform.Uplink{
			Protocol: platform.MQTT, Address: endpoint(t.id, r.Release, "mqtt"),
			Topic: "channels/" + nodeID(r.Release, gateway) + "/messages", ClientID: gateway, Username: gateway,
			Password: digest([]string{t.id, r.Release, gateway, fmt.Sprint(key)})[:32],
		}
		return nil
	})
	return u, err
}

// Disconnect revokes a gateway's client.
func (p Platform) Disconnect(ctx context.Context, a platform.Access, gateway string) error {
	return p.do(ctx, "disconnect", a, func(t *site, r *record) error {
		if r.state().gateways[gateway] == 0 {
			return nil
		}
		return t.commit(&entry{Op: "disconnect", Release: r.Release, Text: gateway})
	})
}

// Send delivers a command at once to a device that is known.
func (p Platform) Send(ctx context.Context, a platform.Access, c platform.Command) (platform.CommandState, error) {
	var st platform.CommandState
	err := p.do(ctx, "command", a, func(t *site, r *record) error {
		i := r.state()
		if was, ok := i.commands[c.ID]; ok {
			st = platform.CommandState(was)
			return nil
		}
		if _, known := i.devices[c.Device]; !known {
			return fault.Absent("device", c.Device)
		}
		st = platform.CommandDelivered
		if err := t.deviceFails("command", r.Release, c.Device); err != nil {
			st = platform.CommandFailed
		}
		return t.commit(&entry{Op: "command", Release: r.Release, Text: c.ID, Name: string(st)})
	})
	return st, err
}

// CommandState answers how far a command came.
func (p Platform) CommandState(ctx context.Context, a platform.Access, id string) (platform.CommandState, error) {
	var st platform.CommandState
	err := p.do(ctx, "command", a, func(_ *site, r *record) error {
		was, ok := r.state().commands[id]
		if !ok {
			return fault.Absent("command", id)
		}
		st = platform.CommandState(was)
		return nil
	})
	return st, err
}

// moved is an exported gateway.
type moved struct {
	Devices map[string]string `json:"devices,omitempty"`
	Uplink  *uplink           `json:"uplink,omitempty"`
}

// Export answers the gateway's registry and uplink.
func (p Platform) Export(ctx context.Context, a platform.Access) ([]byte, error) {
	var out []byte
	err := p.do(ctx, "export", a, func(_ *site, r *record) (err error) {
		i := r.state()
		out, err = json.Marshal(moved{Devices: i.devices, Uplink: i.uplink})
		return err
	})
	return out, err
}

// Import replaces the gateway's registry and uplink.
func (p Platform) Import(ctx context.Context, a platform.Access, state []byte) error {
	var m moved
	if err := json.Unmarshal(state, &m); err != nil {
		return fault.New(fault.Invalid, "the state is not what Export answers").Because(err)
	}
	return p.do(ctx, "import", a, func(t *site, r *record) error {
		e := &entry{Op: "devices", Release: r.Release, Devices: m.Devices}
		for name := range r.state().devices {
			if _, stays := m.Devices[name]; !stays {
				e.Names = append(e.Names, name)
			}
		}
		return t.commit(e, &entry{Op: "uplink", Release: r.Release, Uplink: m.Uplink})
	})
}
