// Package lite adapts the light gateway and the light server to the platform
// port, over the REST interfaces of docs/lite-gateway.md and
// docs/lite-server.md.
//
// # Contract
//
// Access.Endpoints holds "api", the base URL of an instance; for a server also
// "mqtt" (tcp://, ssl://, mqtt:// or mqtts://host:port), where gateways
// deliver, unless "uplink" names another address that gateways reach it at.
// Without either, Connect answers an HTTP uplink below "api". Access.Token is
// the instance's admin token.
//
// Export freezes the gateway it is called on, so that what it answers is the
// last state; Attach thaws. Import on an instance that has taken the state
// before does nothing, so a repeated migration loses no reading that came in
// between.
//
// Disconnect removes the gateway's client and with it the key. The channel goes
// too when nothing was ever stored in it; readings are never deleted here.
//
// # Failures
//
// Every error is a fault.Error: no connection, 429 and 5xx are retried with
// backoff; 401, 403, a conflict or a refused value never. Neither tokens nor
// device secrets appear in one.
package lite
