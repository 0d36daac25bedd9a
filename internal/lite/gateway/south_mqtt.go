package gateway

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/mqtt"
)

// holdWhenFull is how long a publish waits for room before its connection is
// cut without an acknowledgement.
const holdWhenFull = 5 * time.Second

// southMQTT serves devices that speak MQTT.
type southMQTT struct{ g *Gateway }

var (
	_ mqtt.Handler          = (*southMQTT)(nil)
	_ mqtt.DeliveryHandler  = (*southMQTT)(nil)
	_ mqtt.SubscribeHandler = (*southMQTT)(nil)
)

// Authenticate takes the device's name as user and its secret as password.
func (s *southMQTT) Authenticate(c mqtt.Connect) (string, bool) {
	d := s.g.registry.authenticate(c.Username, string(c.Password), protocolMQTT)
	return c.Username, d != nil
}

// Authorize lets a device publish below devices/<name> and read its commands.
func (s *southMQTT) Authorize(principal string, a mqtt.Access, topic string) bool {
	d := s.g.registry.lookup(principal)
	if d == nil || d.Protocol != protocolMQTT {
		return false
	}
	rest, ok := strings.CutPrefix(topic, "devices/"+principal)
	if !ok {
		return false
	}
	if a == mqtt.Read {
		return rest == "/commands" || strings.HasPrefix(rest, "/commands/")
	}
	if rest == "" {
		return true
	}
	resource, ok := strings.CutPrefix(rest, "/")
	return ok && resource != "commands" && validName(resource, 64)
}

// Publish takes a message of a device.
func (s *southMQTT) Publish(m mqtt.Message, done func(mqtt.Outcome)) {
	d := s.g.registry.lookup(m.Principal)
	if d == nil {
		done(mqtt.Abort)
		return
	}
	resource, f := "", formatAuto
	if rest, ok := strings.CutPrefix(m.Topic, "devices/"+m.Principal+"/"); ok && rest != "senml" {
		resource, f = rest, formatPlain
	}
	recs, before, err := s.g.normalise(d, resource, f, m.Payload)
	if err != nil {
		s.g.engine.count(tally{refusedMalformed: 1})
		done(mqtt.Refuse)
		return
	}
	after := func(_ receipt, err error) {
		if err != nil {
			done(mqtt.Abort)
			return
		}
		done(mqtt.Accept)
	}
	if err := s.accept(d, recs, &before, after); err != nil {
		done(mqtt.Abort)
	}
}

// accept waits a while for room. The reader of the connection waits with it,
// which is the back-pressure a device on MQTT can feel.
func (s *southMQTT) accept(d *device, recs recordList, before *tally, done func(receipt, error)) error {
	err := s.g.engine.accept(d, protocolMQTT, recs, before, done)
	if !unavailable(err) {
		if errors.Is(err, errGone) {
			// Replaced meanwhile; the new description decides.
			if d = s.g.registry.lookup(d.Name); d != nil {
				return s.g.engine.accept(d, protocolMQTT, recs, before, done)
			}
		}
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), holdWhenFull)
	defer cancel()
	for unavailable(err) && ctx.Err() == nil {
		s.g.engine.waitRoom(ctx)
		err = s.g.engine.accept(d, protocolMQTT, recs, before, done)
	}
	return err
}

// Delivered ends a command whose PUBACK came; the next may follow.
func (s *southMQTT) Delivered(principal, token string) {
	s.g.finish(principal, token, stateDelivered, "")
	s.g.push(principal)
}

// Subscribed sends what waited for the device.
func (s *southMQTT) Subscribed(principal, _ string) {
	s.g.flights.restart(principal)
	s.g.push(principal)
}
