package gateway

import (
	"maps"
	"sync"
	"time"
)

const (
	// flightWindow bounds the commands published to a device and not yet
	// acknowledged: below what the broker keeps for a subscriber.
	flightWindow = 32
	// repeatAfter is when a command that was not acknowledged is sent again.
	repeatAfter = 4 * time.Second
)

// flights are the commands on their way to devices on MQTT.
type flights struct {
	mu   sync.Mutex
	sent map[string]map[string]time.Time // by device and command
}

func newFlights() *flights { return &flights{sent: map[string]map[string]time.Time{}} }

// begin reports whether a command is to be sent now: it is not on its way, and
// not too many others are.
func (f *flights) begin(device, id string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	sent := f.sent[device]
	if sent == nil {
		sent = map[string]time.Time{}
		f.sent[device] = sent
	}
	maps.DeleteFunc(sent, func(_ string, at time.Time) bool { return now.Sub(at) > repeatAfter })
	if _, ok := sent[id]; ok || len(sent) >= flightWindow {
		return false
	}
	sent[id] = now
	return true
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
