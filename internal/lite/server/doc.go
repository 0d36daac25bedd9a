// Package server is the light IoT server: gateways and applications (things)
// publish SenML to channels over MQTT and HTTP, and read it back by query or as
// a live stream. It is one process with one SQLite file.
//
// # Overview
//
//	MQTT, HTTP -> intake (decode, resolve, check) -> writer (group commit) -> journal
//	                                                    |-> live streams, MQTT subscribers
//	journal + memory (recent) -> flush, in the order of the tree -> tree of points
//	REST -> directory (things, channels, links, keys) -> writer -> registry
//	REST -> queries -> tree + recent (own connections, a snapshot per query)
//	sweeper (retention, points of deleted channels) -> writer
//
// The REST interface has the shape of Mainflux 0.12 with the differences listed
// in docs/lite-server.md.
//
// # States of a message
//
//	received -> refused (never acceptable: format, size, time, series)
//	received -> queued -> on disk -> acknowledged and announced
//	                   -> not stored (disk full, database locked): unacknowledged,
//	                      the sender keeps it and sends it again
//
// # Invariants
//
//   - What is acknowledged is on disk, whenever the process is killed; with
//     Sync also when the power fails.
//   - A message that carries a sequence is stored once, however often it is
//     sent: (thing, stream, sequence) is recorded in the transaction that
//     stores its points.
//   - A thing reaches only channels it is linked to. A key that is rotated or
//     deleted, or a link that is removed, ends its sessions before the request
//     that did so is answered.
//   - The registry in memory changes after the database did, in the same order.
//   - A point is in the tree or among the recent points, and a query sees it once,
//     at whatever moment it reads; what is recent is in the journal.
//   - One goroutine writes to the database; nothing else waits for its lock.
//   - Memory is bounded: by Options.MaxMessage, MaxRecords, MaxSeries and Memory,
//     and a live reader that falls behind is cut off.
//
// # Failures
//
// Errors are fault.Error values and map to HTTP by their kind. A database that
// fails answers 503 or 507 over HTTP and closes MQTT connections without an
// acknowledgement; /healthz then answers 503. Keys, tokens and payloads are
// never logged.
package server
