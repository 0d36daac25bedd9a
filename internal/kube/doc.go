// Package kube is a thin wrapper on client-go: it makes the one client of a
// cluster, says what an error of the API means, applies and compares objects.
// It decides nothing; what shall be at a cluster is its callers' affair.
//
// # Contract
//
// A Cluster is made from connection data that a tenant may have written:
// Kubeconfig refuses whatever would make this process read a file, run a
// program the operator did not allow, or skip the proof of who the server is.
// All requests of a Cluster share one connection pool, one rate limit (QPS and
// burst) and one pause after a failure to connect, so that a dead cluster costs
// its own callers time and nobody else any. A request ends with its context, or
// when the server has sent no header for Options.Timeout, or, watches apart,
// when the answer as a whole takes longer than that.
//
// Every error that leaves this package or passes through Fault is a
// *fault.Error: Unavailable with Backoff for a cluster that does not answer,
// Conflict with Now for an optimistic conflict, Invalid for what the API
// refuses, Forbidden for missing rights.
package kube
