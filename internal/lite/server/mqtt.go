package server

import (
	"context"
	"strings"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/senml"
)

// sessions decides what MQTT clients may do (Mainflux's scheme: the user is the
// thing's id, the password its key, topics are below channels/<channel id>/).
type sessions struct{ server *Server }

var (
	_ mqtt.Handler          = sessions{}
	_ mqtt.SubscribeHandler = sessions{}
	_ mqtt.DeliveryHandler  = sessions{}
)

// Authenticate answers the thing behind a connection.
func (h sessions) Authenticate(c mqtt.Connect) (string, bool) {
	return c.Username, c.Username != "" && h.server.registry.isKey(c.Username, string(c.Password))
}

// Authorize lets a thing publish messages to its channels and read everything
// of them. A filter must name the channel: wildcards stand behind it only.
func (h sessions) Authorize(thing string, a mqtt.Access, topic string) bool {
	channel, rest, ok := splitTopic(topic)
	if !ok || !h.server.registry.linked(channel, thing) {
		return false
	}
	if a == mqtt.Write {
		return rest == "messages" || strings.HasPrefix(rest, "messages/")
	}
	return true
}

// splitTopic cuts channels/<id>/<rest>; the id is free of wildcards.
func splitTopic(topic string) (channel, rest string, ok bool) {
	below, ok := strings.CutPrefix(topic, "channels/")
	if !ok {
		return "", "", false
	}
	channel, rest, ok = strings.Cut(below, "/")
	return channel, rest, ok && channel != "" && rest != "" && !strings.ContainsAny(channel, "+#")
}

// Publish stores a message before it is acknowledged. What can never be stored
// is refused for good; what cannot be stored now closes the connection, so that
// the sender keeps it and sends it again.
func (h sessions) Publish(m mqtt.Message, done func(mqtt.Outcome)) {
	channel, rest, _ := splitTopic(m.Topic)
	subtopic, batch := splitBatch(strings.TrimPrefix(strings.TrimPrefix(rest, "messages"), "/"))
	accepted := message{channel: channel, publisher: m.Principal, protocol: "mqtt", subtopic: subtopic, batch: batch}
	h.server.intake.take(accepted, m.Payload, senml.Decode, func(err error) {
		switch {
		case err == nil:
			done(mqtt.Relay)
		case fault.Of(err).Retry == fault.Never:
			h.server.log.Debug("message refused", "thing", m.Principal, "channel", channel, "error", err)
			done(mqtt.Refuse)
		default:
			done(mqtt.Abort)
		}
	})
}

// Subscribed sends a gateway the commands that waited for it.
func (h sessions) Subscribed(thing, filter string) {
	channel, rest, ok := splitTopic(filter)
	if !ok || rest != "commands" && rest != "#" && rest != "+" && rest != "commands/#" {
		return
	}
	h.server.resends.start(channel, func(ctx context.Context) {
		if err := h.server.resend(ctx, channel); err != nil {
			h.server.log.Warn("commands not sent again", "thing", thing, "channel", channel, "error", err)
		}
	})
}

// Delivered lets the next command follow the one a gateway took.
func (h sessions) Delivered(_, token string) { h.server.resends.settle(token) }

// splitBatch takes the name of a batch off the end of a subtopic.
func splitBatch(subtopic string) (string, batch) {
	at := strings.LastIndexByte(subtopic, '/')
	b, ok := parseBatch(subtopic[at+1:])
	if !ok {
		return subtopic, batch{}
	}
	return subtopic[:max(at, 0)], b
}
