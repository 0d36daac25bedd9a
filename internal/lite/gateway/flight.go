package gateway

import (
	"hash/maphash"
	"maps"
	"sync"
	"time"
)

const (
	// flightWindow bounds the commands published to a device and not yet
	// acknowledged: well below what the broker keeps for a subscriber, also when
	// what was on its way is sent again because the device subscribed anew.
	flightWindow = 16
	// repeatAfter is when a command that was not acknowledged is sent again.
	repeatAfter = 4 * time.Second
)

// flights are the commands on their way to devices on MQTT.
type flights struct {
	mu   sync.Mutex
	sent map[string]map[string]time.Time // by device and command

	seed  maphash.Seed
	turns [64]sync.Mutex // by device
}

func newFlights() *flights {
	return &flights{sent: map[string]map[string]time.Time{}, seed: maphash.MakeSeed()}
}

// turn lets one at a time choose and send commands for a device: they leave in
// order. The answer ends it.
func (f *flights) turn(device string) (end func()) {
	m := &f.turns[maphash.String(f.seed, device)%uint64(len(f.turns))]
	m.Lock()
	return m.Unlock
}

// begin answers which of a device's pending commands, the oldest first, are to
// be sent now: those not on their way, as long as not too many are. It is called
// in the device's turn.
func (f *flights) begin(device string, pending []Command, now time.Time) (out []Command) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sent := f.sent[device]
	if sent == nil {
		sent = map[string]time.Time{}
		f.sent[device] = sent
	}
	maps.DeleteFunc(sent, func(_ string, at time.Time) bool { return now.Sub(at) > repeatAfter })
	for _, c := range pending {
		if _, ok := sent[c.ID]; ok {
			continue
		}
		if len(sent) >= flightWindow {
			break // a later one must not overtake it
		}
		sent[c.ID] = now
		out = append(out, c)
	}
	return out
}

// end forgets a command that arrived or is over.
func (f *flights) end(device, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if delete(f.sent[device], id); len(f.sent[device]) == 0 {
		delete(f.sent, device)
	}
}

// restart forgets what was on its way to a device: it has connected anew.
func (f *flights) restart(device string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sent, device)
}
