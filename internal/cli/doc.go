// Package cli is slicectl: the command line over the public API. It knows
// nothing that the API does not tell and does nothing that another client could
// not do.
//
// # Overview
//
// Nouns are rows of one table (nouns.go): collection, parent, columns, flags.
// From a row come the commands create, get, list, update, delete and, where the
// API converges, apply. Verbs of their own (attach, command, watch, instantiate,
// why-not, import) stand in one file per subject. Calls go through the
// transport of the generated client; bodies are sent as they were written, so
// that the service, not the client, says what is wrong with them.
//
// A context names a service: address, tenant, where its key is. Contexts live
// in one file of mode 0600. A key comes from that file, a file it names, the
// environment or a prompt, never from a flag.
//
// # Invariants
//
// Answers go to standard output, everything else to standard error; with -o
// json or yaml standard output holds one document. What was started and not
// waited for is named. Exit codes are those of "slicectl help exit-codes".
//
// # Failures
//
// A Problem of the service is printed with every wrong field. A wrong command
// line or input file never reaches the service.
package cli
