// Package app is osmosliced's composition root: it turns a configuration into a
// running service and is the only place that lists the plugins. Nothing in it
// decides anything about slices.
//
// # Order
//
// New opens the store and the key file, makes the use cases over the plugins,
// writes the built-in catalogue and the first admin key, and builds the API.
// Start binds the address and begins to serve, to carry out operations, to
// sequence and deliver events. Stop drains: no new connections, calls under way
// may end, leases are given back. A Stop that is not called (kill -9) loses
// nothing that was acknowledged.
package app
