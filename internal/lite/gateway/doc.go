// Package gateway is the light IoT gateway: devices speak MQTT, HTTP or CoAP
// to it, it normalises what they say to SenML, filters and aggregates, keeps
// the result on disk and delivers it to an MQTT or HTTP server.
//
// # Overview
//
//	device --protocol--> normalise --edge functions--> queue --uplink--> server
//	device <--protocol-- commands <------------------- API, server
//
// [New] opens the state below a data directory and listens; Close drains. The
// REST API provisions devices and sets the uplink at run time.
//
//   - registry: devices, uplink and commands, in a journal of whole values.
//   - engine: the one place where readings change state. It decides under its
//     lock and hands records, counters and edge state to the queue as one entry.
//   - uplink: reads the queue, sends batches, acknowledges what the server took.
//   - southbound: one file per protocol, each maps requests to engine.accept.
//
// # Invariants
//
//   - A device is told "taken" only after the entry with its readings, and with
//     every counter and window they changed, was written.
//   - received = passed + filtered + aggregated + dropped, whenever the process
//     is killed.
//   - A device reaches its own paths and topics only, over its own protocol
//     only, and from the moment a removal is answered none at all.
//   - Memory does not grow with what a device sends: payloads, records, names,
//     commands, sessions and windows are bounded.
//
// # Failures
//
// A full queue and a frozen gateway refuse (or make room, if so configured);
// devices keep what they have. When the disk refuses a write, /healthz fails,
// devices are refused and the state is opened anew from disk until it works.
// Secrets are on disk in clear (DTLS-PSK needs them), readable by the owner
// alone; they are in no answer, no log and no error.
package gateway
