// Package fault is the one error type of the service. An error is classified
// once, by the adapter that saw it; everything above only passes it on. A
// fault says what kind of failure it is (which decides the HTTP status, in one
// table, and whether the caller is to blame), whether and how repeating helps
// (which decides what a lifecycle operation does next), and, for bad input,
// which field was wrong, what was given and what is allowed.
package fault
