// Package shape compares a JSON document with a definition of swagger.yaml
// before anything decodes it: names, types, nesting, and what a caller may
// write. The generated layer checks values (ranges, lengths, patterns), but
// accepts unknown fields, names no path for a wrong type, and overlooks
// read-only fields that refer to another definition; this package does not.
//
// # Invariants
//
// A document that passes decodes without error into any Go type of the same
// shape: every object has known names, each once and spelled exactly; every
// value has the type of its field or is null; whole numbers fit 64 bits; nesting
// is at most MaxDepth. Free-form values (a plugin's connection data, a JSON
// Schema) are checked for syntax, nesting and repeated names only.
//
// # Failures
//
// Broken JSON is fault.Malformed (400); a well-formed document of another shape
// is fault.Invalid (422) that lists up to MaxParams wrong fields by path, parts
// separated by "/", with what was given and what is allowed.
package shape
