package gateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// The states of a command.
const (
	statePending   = "PENDING"
	stateDelivered = "DELIVERED"
	stateFailed    = "FAILED"
	stateExpired   = "EXPIRED"
)

const defaultTTL = time.Minute

var (
	errCommandConflict = errors.New("id: given an id in use with another content, allowed: a new one")
	errTooManyCommands = errors.New("too many commands are pending")
)

// Command is one value on its way down to a device's resource.
type Command struct {
	ID       string          `json:"id"`
	Device   string          `json:"device"`
	Resource string          `json:"resource"`
	Value    json.RawMessage `json:"value,omitempty"`
	Data     []byte          `json:"data,omitempty"`
	TTL      Duration        `json:"ttl,omitzero"`

	State   string    `json:"state,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Created time.Time `json:"created,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
}

// validate checks a command by itself and sets its default.
func (c *Command) validate() error {
	if err := checkName("id", c.ID, 128); err != nil {
		return err
	}
	if c.TTL == 0 {
		c.TTL = Duration(defaultTTL)
	}
	if ttl := time.Duration(c.TTL); ttl < time.Second || ttl > 24*time.Hour {
		return bad("ttl", ttl, "1s to 24h")
	}
	if (len(c.Value) > 0) == (c.Data != nil) {
		return bad("value", "both or neither of value and data", "one of them")
	}
	if len(c.Value)+len(c.Data) > maxText {
		return bad("value", fmt.Sprintf("%d bytes", len(c.Value)+len(c.Data)), fmt.Sprintf("at most %d", maxText))
	}
	if c.Data == nil {
		if _, err := c.scalar(); err != nil {
			return err
		}
	}
	c.State, c.Reason = statePending, ""
	return nil
}

// scalar is the value as a number, string or boolean.
func (c *Command) scalar() (senml.Value, error) {
	var v any
	if err := json.Unmarshal(c.Value, &v); err == nil {
		if out, ok := senml.ValueOf(v); ok {
			return out, nil
		}
	}
	return senml.Value{}, bad("value", string(c.Value), "number, string, boolean")
}

// text is the value as the payload of a device: plain text or the bytes.
func (c *Command) text() []byte {
	if c.Data != nil {
		return c.Data
	}
	v, _ := c.scalar()
	switch v.Kind() {
	case senml.Number:
		return strconv.AppendFloat(nil, v.Float(), 'g', -1, 64)
	case senml.Boolean:
		return strconv.AppendBool(nil, v.Bool())
	default:
		return []byte(v.Text())
	}
}

// same reports whether a command repeats this one.
func (c *Command) same(other *Command) bool {
	return c.Device == other.Device && c.Resource == other.Resource && c.TTL == other.TTL &&
		string(c.Value) == string(other.Value) && string(c.Data) == string(other.Data)
}

func (c *Command) final() bool { return c.State != statePending }

// fits checks a command against the device it is for.
func (c *Command) fits(d *device) error {
	if d == nil {
		return bad("device", c.Device, "a registered device")
	}
	if size := len(c.text()); d.Protocol == protocolCoAP && size > maxCoAPCommand {
		return bad("value", fmt.Sprintf("%d bytes", size), fmt.Sprintf("at most %d bytes for a device on CoAP", maxCoAPCommand))
	}
	if err := checkName("resource", c.Resource, 64); err != nil {
		return err
	}
	if d.resources == nil {
		return nil
	}
	r := d.resources[c.Resource]
	if r == nil || !r.Writable {
		return bad("resource", c.Resource, "a writable resource of the device")
	}
	kind := "data"
	if c.Data == nil {
		v, err := c.scalar()
		if err != nil {
			return err
		}
		kind = v.Kind().String()
	}
	if kind != r.kind() {
		return bad("value", kind, r.kind())
	}
	return nil
}

// submit files a command; known is true when it was there before.
func (r *registry) submit(c Command, now time.Time) (out Command, known bool, err error) {
	if err := c.validate(); err != nil {
		return c, false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.commands[c.ID]; old != nil {
		if !old.same(&c) {
			return c, true, errCommandConflict
		}
		return *old, true, nil
	}
	if err := c.fits(r.devices[c.Device]); err != nil {
		return c, false, err
	}
	if len(r.commands) >= maxCommands && !r.forgetOldest() {
		return c, false, errTooManyCommands
	}
	c.Created, c.Updated = now.UTC(), now.UTC()
	if err := r.write(change{Command: &c}); err != nil {
		return c, false, err
	}
	r.commands[c.ID] = &c
	r.waiting[c.Device] = append(r.waiting[c.Device], c.ID)
	r.tidy()
	return c, false, nil
}

// forgetOldest makes room for one command by forgetting the final one that
// ended first. The lock is held.
func (r *registry) forgetOldest() bool {
	var oldest *Command
	for _, c := range r.commands {
		if c.final() && (oldest == nil || c.Updated.Before(oldest.Updated)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	delete(r.commands, oldest.ID)
	if err := r.write(change{DeleteCommand: oldest.ID}); err != nil {
		r.log.Warn("forget command", "error", err)
	}
	return true
}

// command is the command with that id.
func (r *registry) command(id string) (Command, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	c := r.commands[id]
	if c == nil {
		return Command{}, false
	}
	return *c, true
}

// pending are the commands a device has not got, oldest first.
func (r *registry) pending(device string) []Command {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]Command, 0, len(r.waiting[device]))
	for _, id := range r.waiting[device] {
		if c := r.commands[id]; c != nil {
			out = append(out, *c)
		}
	}
	return out
}

// devicesWithPending are the devices that have commands waiting.
func (r *registry) devicesWithPending() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]string, 0, len(r.waiting))
	for name := range r.waiting {
		out = append(out, name)
	}
	return out
}

// finish ends a pending command of a device; false when it was not pending or
// is another device's.
func (r *registry) finish(device, id, state, reason string, now time.Time) (Command, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.commands[id]
	if old == nil || old.final() || old.Device != device {
		return Command{}, false
	}
	c := *old
	c.State, c.Reason, c.Updated = state, reason, now.UTC()
	if err := r.write(change{Command: &c}); err != nil {
		r.log.Error("command state", "error", err)
		return Command{}, false
	}
	r.commands[id] = &c
	rest := slices.DeleteFunc(r.waiting[device], func(s string) bool { return s == id })
	if len(rest) == 0 {
		delete(r.waiting, device)
	} else {
		r.waiting[device] = rest
	}
	r.tidy()
	return c, true
}

// overdue answers the pending commands whose time is over, and forgets final
// ones after a while.
func (r *registry) overdue(now time.Time) []Command {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Command
	var forgotten []change
	for id, c := range r.commands {
		switch {
		case !c.final() && now.After(c.Created.Add(time.Duration(c.TTL))):
			out = append(out, *c)
		case c.final() && now.After(c.Updated.Add(keepCommandFor)):
			delete(r.commands, id)
			forgotten = append(forgotten, change{DeleteCommand: id})
		}
	}
	if len(forgotten) > 0 {
		if err := r.write(forgotten...); err != nil {
			r.log.Warn("forget commands", "error", err)
		}
	}
	return out
}

// commandCounts is how many commands are in each state.
func (r *registry) commandCounts() map[string]int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := map[string]int{statePending: 0, stateDelivered: 0, stateFailed: 0, stateExpired: 0}
	for _, c := range r.commands {
		out[c.State]++
	}
	return out
}

// parseDown reads commands a server published: one command as JSON, or a SenML
// pack with names "<device>:<resource>".
func parseDown(prefix string, payload []byte, now time.Time) ([]Command, error) {
	if looksLikeObject(payload) {
		var c Command
		if err := json.Unmarshal(payload, &c); err != nil {
			return nil, bad("command", "text that is no command", `{"id","device","resource","value"}`)
		}
		if c.ID == "" {
			c.ID = derivedID(payload, now, 0)
		}
		return []Command{c}, nil
	}
	pack, err := senml.Decode(payload, limitsFor(payload))
	if err != nil {
		return nil, err
	}
	if pack, err = senml.Resolve(pack, now); err != nil {
		return nil, err
	}
	out := make([]Command, 0, len(pack))
	for i := range pack {
		c, err := commandFrom(prefix, &pack[i])
		if err != nil {
			return nil, err
		}
		c.ID = derivedID(payload, now, i)
		out = append(out, c)
	}
	return out, nil
}

// derivedID names a command that came without an id.
func derivedID(payload []byte, now time.Time, i int) string {
	return fmt.Sprintf("down-%d-%08x-%d", now.UnixMilli(), checksum(payload), i)
}

// commandFrom reads one SenML record as a command.
func commandFrom(prefix string, rec *senml.Record) (Command, error) {
	name := rec.Name
	if len(prefix) > 0 && len(name) > len(prefix) && name[:len(prefix)] == prefix {
		name = name[len(prefix):]
	}
	var c Command
	for i := range len(name) {
		if name[i] == ':' || name[i] == '/' {
			c.Device, c.Resource = name[:i], name[i+1:]
			break
		}
	}
	if c.Device == "" {
		return c, bad("n", rec.Name, "<device>:<resource>")
	}
	var err error
	switch rec.Value.Kind() {
	case senml.Data:
		c.Data = rec.Value.Bytes()
	case senml.None:
		return c, bad("n", rec.Name+" without a value", "a value")
	default:
		c.Value, err = json.Marshal(rec.Value.Any())
	}
	return c, err
}

// downloads is what a device that fetches commands gets.
func downloads(commands []Command) []byte {
	type item struct {
		ID       string          `json:"id"`
		Resource string          `json:"resource"`
		Value    json.RawMessage `json:"value,omitempty"`
		Data     string          `json:"data,omitempty"`
	}
	items := make([]item, len(commands))
	for i, c := range commands {
		items[i] = item{ID: c.ID, Resource: c.Resource, Value: c.Value}
		if c.Data != nil {
			items[i].Data = base64.StdEncoding.EncodeToString(c.Data)
		}
	}
	b, err := json.Marshal(items)
	if err != nil {
		return []byte("[]") // not reached: every part was parsed as JSON before
	}
	return b
}
