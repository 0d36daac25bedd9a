// Package secret keeps secret values that can be written and used, never read
// back over the API.
//
// # Overview
//
// A value is encrypted with a data key of its own (AES-256-GCM); the data key
// is encrypted ("wrapped") with the newest key-encryption key of a key file.
// The database and its backups hold ciphertext only; the key file, mode 0600,
// holds every key-encryption key. Everything else holds references: the id or
// name of a slice.Secret.
//
// # States
//
// A key file is absent (made at the first start, unless the database holds
// values already), whole, or refused: readable by others, damaged, or without a
// key that values need. Rotate adds a key and rewraps every data key with it;
// interrupted, it goes on where it was when called again. Old keys stay in the
// file, for backups that were made under them.
//
// # Invariants
//
//   - Additional authenticated data binds a value to its secret, version and
//     tenant, and a data key to its value and key-encryption key: rows cannot be
//     exchanged.
//   - A value exists in memory only between Resolve and its use; it is never in
//     an error, a log line, an event or an audit record.
//   - A reference resolves for its own tenant only; another's is NotFound.
//
// # Failures
//
// Errors are fault.Error and name the key file: Unavailable for an unusable
// file, NotFound for an unknown reference, Internal for a value that does not
// decrypt (damaged or exchanged).
package secret
