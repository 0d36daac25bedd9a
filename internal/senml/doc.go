// Package senml encodes, decodes and resolves Sensor Measurement Lists
// (RFC 8428) in their JSON (§5) and CBOR (§6) representations.
//
// # Overview
//
// A Pack is a list of Records as they travel, base fields included. Decode
// reads untrusted bytes within Limits, Resolve applies the base fields and the
// receiver's clock (§4.6), Append writes. A resolved record holds its full
// name, its unit, one value or sum, and an absolute time.
//
//	bytes --Decode--> Pack --Resolve(now)--> resolved Pack --CheckTime--> accepted
//	Pack  --Append--> bytes
//
// # Invariants
//
//   - What Decode accepts, Append writes, and Decode reads back equal.
//   - Numbers are finite IEEE 754 doubles; text is valid UTF-8.
//   - Resolve is idempotent, and keeps the number of records.
//   - Work and memory are linear in the length of the input, whatever it holds.
//   - Strings of a decoded record share the memory of one copy of the input:
//     clone those that are kept for long.
//
// # Failures
//
// Every refusal is an *Error with the offset in the input or the index of the
// record, the label, what was given and what is allowed. Nothing panics. An
// unknown label is ignored unless it ends in "_", which makes the pack
// unusable for a receiver that does not know it (§4.4). A label given twice, a
// record with two values and an empty pack are refused.
package senml
