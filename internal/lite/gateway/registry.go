package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Bounds of the commands kept.
const (
	maxCommands    = 10_000
	keepCommandFor = time.Hour
)

var errNoSecret = bad("secret", "nothing", "required for a new device")

// registry holds devices, uplink and commands, and keeps them in a journal.
type registry struct {
	maxDevices int
	log        *slog.Logger

	mu       sync.RWMutex
	journal  *journal
	devices  map[string]*device
	names    []string // sorted, nil when outdated
	uplink   *Uplink
	commands map[string]*Command
	waiting  map[string][]string // ids of pending commands by device, in order
}

func openRegistry(path string, maxDevices int, log *slog.Logger) (*registry, error) {
	r := &registry{maxDevices: maxDevices, log: log}
	return r, r.load(path)
}

// load replaces everything by the journal at path.
func (r *registry) load(path string) error {
	r.devices, r.names, r.uplink = map[string]*device{}, nil, nil
	r.commands, r.waiting = map[string]*Command{}, map[string][]string{}
	j, err := openJournal(path, r.replay)
	if err != nil {
		return err
	}
	r.journal = j
	pending := slices.SortedFunc(maps.Values(r.commands), func(a, b *Command) int { return a.Created.Compare(b.Created) })
	for _, c := range pending {
		if c.State == statePending {
			r.waiting[c.Device] = append(r.waiting[c.Device], c.ID)
		}
	}
	return nil
}

func (r *registry) replay(c change) {
	switch {
	case c.Device != nil:
		r.devices[c.Device.Name] = newDevice(*c.Device)
	case c.DeleteDevice != "":
		delete(r.devices, c.DeleteDevice)
	case c.Uplink != nil:
		r.uplink = c.Uplink
	case c.DeleteUplink:
		r.uplink = nil
	case c.Command != nil:
		r.commands[c.Command.ID] = c.Command
	case c.DeleteCommand != "":
		delete(r.commands, c.DeleteCommand)
	}
}

// all is the present state as changes.
func (r *registry) all(yield func(change) bool) {
	for _, d := range r.devices {
		if !yield(change{Device: &d.Device}) {
			return
		}
	}
	if r.uplink != nil && !yield(change{Uplink: r.uplink}) {
		return
	}
	for _, c := range r.commands {
		if !yield(change{Command: c}) {
			return
		}
	}
}

// write makes changes durable. The lock is held.
func (r *registry) write(changes ...change) error {
	if err := r.journal.write(changes...); err != nil {
		return err
	}
	return nil
}

// tidy compacts the journal when it is worth it, after the changes are applied.
func (r *registry) tidy() {
	if r.journal.wantsCompaction() {
		if err := r.journal.compact(r.all); err != nil {
			r.log.Warn("compact registry", "error", err)
		}
	}
}

// lookup is the device of that name, nil when there is none.
func (r *registry) lookup(name string) *device {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.devices[name]
}

// authenticate answers the device whose secret and protocol these are. The
// comparison takes the same time whatever the secret.
func (r *registry) authenticate(name, secret, protocol string) *device {
	d := r.lookup(name)
	want := ""
	if d != nil {
		want = d.Secret
	}
	a, b := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 || d == nil || d.Protocol != protocol {
		return nil
	}
	return d
}

// replaced is an update that took effect.
type replaced struct{ old, now *device }

// outcome is the result for one item of a batch.
type outcome struct {
	Name   string `json:"name"`
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"`
}

// put creates or updates devices; the changes are durable on return.
func (r *registry) put(devices []Device) ([]outcome, []replaced, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	results := make([]outcome, len(devices))
	var changes []change
	var updates []replaced
	pending := map[string]*device{} // of this batch
	count := len(r.devices)
	for i := range devices {
		d := devices[i]
		old := pending[d.Name]
		if old == nil {
			old = r.devices[d.Name]
		}
		status, err := r.judge(&d, old, count)
		results[i] = outcome{Name: d.Name, Status: status}
		if err != nil {
			results[i].Error = err.Error()
			continue
		}
		if old == nil {
			count++
		}
		now := newDevice(d)
		pending[d.Name] = now
		changes = append(changes, change{Device: &now.Device})
	}
	if len(changes) == 0 {
		return results, nil, nil
	}
	if err := r.write(changes...); err != nil {
		return nil, nil, err
	}
	for name, now := range pending {
		updates = append(updates, replaced{r.devices[name], now})
		if r.devices[name] == nil {
			r.names = nil
		}
		r.devices[name] = now
	}
	r.tidy()
	return results, updates, nil
}

// judge validates d against what is there, completes its secret and answers
// the item's status.
func (r *registry) judge(d *Device, old *device, count int) (int, error) {
	if err := d.validate(); err != nil {
		return 400, err
	}
	if old == nil {
		if d.Secret == "" {
			return 400, errNoSecret
		}
		if count >= r.maxDevices {
			return 507, errors.New("too many devices")
		}
		return 201, nil
	}
	if d.Secret == "" {
		d.Secret = old.Secret
	}
	return 200, nil
}

// remove deletes devices by name; the changes are durable on return.
func (r *registry) remove(names []string) ([]outcome, []*device, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	results := make([]outcome, len(names))
	var changes []change
	gone := map[string]*device{}
	for i, name := range names {
		results[i] = outcome{Name: name, Status: 404}
		if d := r.devices[name]; d != nil && gone[name] == nil {
			results[i].Status = 204
			gone[name] = d
			changes = append(changes, change{DeleteDevice: name})
		}
	}
	if len(changes) == 0 {
		return results, nil, nil
	}
	if err := r.write(changes...); err != nil {
		return nil, nil, err
	}
	for name := range gone {
		delete(r.devices, name)
	}
	r.names = nil
	r.tidy()
	return results, slices.Collect(maps.Values(gone)), nil
}

// list answers up to limit devices after a name, by name, and where to go on.
func (r *registry) list(after string, limit int) ([]Device, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = slices.Sorted(maps.Keys(r.devices))
	}
	at, found := slices.BinarySearch(r.names, after)
	if found {
		at++
	}
	page := []Device{}
	for _, name := range r.names[at:min(at+limit, len(r.names))] {
		page = append(page, r.devices[name].shown())
	}
	next := ""
	if at+limit < len(r.names) {
		next = page[len(page)-1].Name
	}
	return page, next
}

// size is the number of devices.
func (r *registry) size() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.devices)
}

func (r *registry) getUplink() *Uplink {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.uplink
}

func (r *registry) setUplink(u *Uplink) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := change{Uplink: u}
	if u == nil {
		if r.uplink == nil {
			return nil
		}
		c = change{DeleteUplink: true}
	}
	if err := r.write(c); err != nil {
		return err
	}
	r.uplink = u
	r.tidy()
	return nil
}

func (r *registry) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.journal.close()
}
