// Package httpcall is what the adapters of products with a REST interface have
// in common: one request with a bounded answer, errors that are classified and
// tell no credential, and patience with answers that a product gives only while
// it starts.
//
// # Contract
//
// Do answers whatever status came; only the lack of an answer is an error. What
// a status means is the adapter's knowledge. Patiently repeats what the adapter
// marks as Passing, for as long as the caller's context and the patience last,
// and then answers the fault inside; every other error comes back at once, so
// that an unreachable product is left to the caller's own backoff.
//
// # Invariants
//
// Neither a URL, a header nor a request's body appears in an error.
package httpcall
