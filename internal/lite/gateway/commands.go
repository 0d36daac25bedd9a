package gateway

import (
	"fmt"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// wakers lets requests wait until a device has commands.
type wakers struct {
	mu     sync.Mutex
	wait   map[string]chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newWakers() *wakers {
	return &wakers{wait: map[string]chan struct{}{}, closed: make(chan struct{})}
}

// on answers a channel that is closed at the device's next command.
func (w *wakers) on(device string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch := w.wait[device]
	if ch == nil {
		ch = make(chan struct{})
		w.wait[device] = ch
	}
	return ch
}

func (w *wakers) wake(device string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ch := w.wait[device]; ch != nil {
		close(ch)
		delete(w.wait, device)
	}
}

func (w *wakers) close() { w.once.Do(func() { close(w.closed) }) }

// command files a command and sends it on its way.
func (g *Gateway) command(c Command) (Command, bool, error) {
	out, known, err := g.registry.submit(c, time.Now())
	if err == nil && !known {
		g.push(c.Device)
	}
	return out, known, err
}

// push sends a device what is pending for it, over its protocol. It is
// repeated until the device has it or its time is over.
func (g *Gateway) push(name string) {
	d := g.registry.lookup(name)
	if d == nil {
		return
	}
	defer g.flights.turn(name)()
	pending := g.registry.pending(name)
	if len(pending) == 0 {
		return
	}
	switch {
	case d.Address != "":
		go g.pushToAddress(d, pending)
	case d.Protocol == protocolMQTT:
		broker := g.mqtt.Load()
		if broker == nil {
			return
		}
		for _, c := range g.flights.begin(name, pending, time.Now()) {
			topic := "devices/" + name + "/commands/" + c.Resource
			if err := broker.Publish(topic, c.text(), 1, c.ID); err != nil {
				g.log.Warn("command", "id", c.ID, "error", err)
			}
		}
	default:
		g.poll.wake(name)
	}
}

// finish ends a command and reports its state to the server.
func (g *Gateway) finish(device, id, state, reason string) {
	c, ok := g.registry.finish(device, id, state, reason, time.Now())
	g.flights.end(device, id)
	if !ok {
		return
	}
	rec := senml.Record{
		Name:  g.config.NamePrefix + g.config.Name + ":command:" + c.ID,
		Value: senml.String(c.State), Time: senml.Seconds(c.Updated),
	}
	if err := g.engine.emit(senml.Pack{rec}); err != nil {
		g.log.Warn("report command state", "id", id, "error", err)
	}
}

// expireCommands ends the commands whose time is over.
func (g *Gateway) expireCommands() {
	for _, c := range g.registry.overdue(time.Now()) {
		reason := "not fetched by the device in time"
		if d := g.registry.lookup(c.Device); d == nil {
			g.finish(c.Device, c.ID, stateFailed, "the device was removed")
			continue
		} else if d.Address != "" {
			reason = "not taken by the device in time"
		}
		g.finish(c.Device, c.ID, stateExpired, reason)
	}
}

// down takes what the server published on the uplink's down topic.
func (g *Gateway) down(payload []byte) {
	commands, err := parseDown(g.config.NamePrefix, payload, time.Now())
	if err != nil {
		g.log.Warn("command from the server refused", "error", err)
		return
	}
	for _, c := range commands {
		if _, _, err := g.command(c); err != nil {
			g.log.Warn("command from the server refused", "id", c.ID, "error", err)
			g.reportRefused(c, err)
		}
	}
}

// reportRefused tells the server about a command that was not even filed.
func (g *Gateway) reportRefused(c Command, cause error) {
	if checkName("id", c.ID, 128) != nil {
		return
	}
	rec := senml.Record{
		Name:  g.config.NamePrefix + g.config.Name + ":command:" + c.ID,
		Value: senml.String(fmt.Sprintf("%s: %v", stateFailed, cause)), Time: senml.Seconds(time.Now()),
	}
	if err := g.engine.emit(senml.Pack{rec}); err != nil {
		g.log.Warn("report command state", "id", c.ID, "error", err)
	}
}
