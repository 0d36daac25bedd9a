// Package queue is a bounded append-only log on disk: what a gateway accepted
// from devices and has not delivered yet, and the state that changed with it.
//
// # Overview
//
// An [Entry] holds n records for the uplink (a payload) and the owner's state
// changes (meta). Append gives the records consecutive sequence numbers and
// calls back when the entry is safe. A [Reader] answers committed records in
// batches; Ack forgets them.
//
//	Append -> pending -> write (+ sync) -> done -> Reader -> Ack -> segment removed
//
// # Format
//
// The directory holds segments (NNN.seg), a cursor (acknowledged sequence, two
// checksummed slots written in turn) and the stream's name. Every entry is
//
//	length uint32 | CRC-32C uint32 | kind uint8 | first uvarint | n uvarint | len(meta) uvarint | meta | payload
//
// little endian; length and checksum cover what follows them. A segment begins
// with a snapshot entry: the owner's whole state at that point. So the last
// segment alone restores the state, and older ones can go once delivered.
//
// # Invariants
//
//   - done(nil) is called after the entry was written to the operating system,
//     and after a sync where the policy says so; in the order of Append.
//   - All entries that wait share one write and one sync.
//   - Sequence numbers are gapless over the life of a stream; acknowledged
//     numbers never come back.
//   - The bytes of all segments stay below MaxBytes plus one segment.
//
// # Failures
//
// A torn tail of the last segment is cut off at Open. A damaged entry in an
// older segment loses the rest of that segment; readers report how many
// records. A failed write fails the queue: every waiting and later Append gets
// the error, and the owner opens it anew (what was not confirmed is gone, as
// after a crash). ErrFull is the only error that passes by itself.
package queue
