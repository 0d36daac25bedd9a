// Package mqtt wraps an embedded MQTT broker (mochi) and an MQTT client
// (paho), so that gateway, server, service and agent share one set of rules.
//
// # Broker
//
// A [Broker] speaks MQTT 3.1.1 and 5 on one listener. What its clients may do
// is decided by a [Handler]: Authenticate names the principal behind a
// connection, Authorize answers every publish, subscribe and delivery, Publish
// takes a message over. A publish of QoS 1 or 2 is acknowledged only after the
// handler called done, so a handler that persists first never acknowledges
// what it could lose. done may be called later and from another goroutine:
// many publishes of one connection can wait for one commit.
//
// # States of a publish
//
//	received -> Authorize -> Publish -> done(Accept | Relay | Refuse | Abort)
//
// Accept and Relay acknowledge, Relay also hands the message to subscribers.
// Refuse acknowledges too (a message that can never be taken must not be sent
// for ever), with a negative reason code where the client speaks MQTT 5. Abort
// does not acknowledge and closes the connection: the client sends again.
//
// # Invariants
//
//   - Sessions are keyed by principal and client id together: nobody can take
//     over the session of another principal by using its client id.
//   - A will message passes Authorize when the client connects and goes through
//     Publish like any other message.
//   - After [Broker.Disconnect] returns, the principal has no connection and no
//     stored session.
//   - A client that does not read its acknowledgements delays nobody else.
//   - With CutSlow, a subscriber at QoS 1 or 2 gets every message relayed to it
//     or sees its session end; without, what is too much is dropped and counted.
//   - Packets above MaxPacket are refused before their body is read; a
//     connection that sends no CONNECT is closed after ConnectTimeout.
//
// # Failures
//
// Listen errors are returned by [NewBroker]; everything later concerns one
// connection and closes it. Payloads and passwords are never logged.
package mqtt
