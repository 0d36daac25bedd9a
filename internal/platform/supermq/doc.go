// Package supermq adapts SuperMQ 0.19 (Magistrala's core) to the platform port:
// Mainflux's successor, with the same nouns under other names.
//
// # Contract
//
// Access.Endpoints holds "users", "domains", "clients" and "channels" (REST) and
// "mqtt" (tcp:// or ssl://host:port, unless "uplink" names another address that
// gateways reach it at). Access.Token is "username:password", or a password
// alone of the user "admin".
//
// Everything is made in one domain, DomainName. A gateway is one client, one
// channel of the same name and the connection between them, searched by exact
// name first. The client's secret is chosen here, at random. Gateways publish to
// m/<domain>/c/<channel>.
//
// The product has no store of its own that could be read back, so there is no
// platform.Reader. What was recorded is making, connecting and removing;
// searching follows the product's published interface.
//
// # Failures
//
// Every error is a fault.Error. 401 to a token request is a wrong password, and
// never helps by being repeated; 401 later, and 5xx, are what a restart looks
// like, and are waited out for 30 s. No credential appears in an error.
package supermq
