// Package stream is a small stream element: it follows the live stream of a
// channel of the light server, computes mean, minimum and maximum of every name
// over tumbling windows, and publishes them back under a suffix.
//
// # States of a window
//
//	open (readings arrive) -> closed (Grace after its end) -> published
//
// Windows begin at multiples of their length since 1970 and follow the time of
// the readings. A reading for a window that is closed already is counted as
// late and left out.
//
// # Invariants
//
//   - The element never consumes what it publishes: names that contain the
//     suffix are passed over.
//   - Memory is bounded by MaxNames windows; readings of further names are
//     counted as dropped.
//   - The decisions (which window, when closed, what value) are in Windows,
//     which is pure: readings and a time in, records out.
//
// # Failures
//
// A broken stream is opened again with backoff; what was missed meanwhile is
// read back by query, so windows are complete as far as the server stored the
// readings. Closed windows wait in memory, bounded, until the server takes
// them. What is in memory is lost when the process is killed.
package stream
