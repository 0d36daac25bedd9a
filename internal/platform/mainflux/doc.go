// Package mainflux adapts Mainflux 0.12.1 to the platform port.
//
// # Contract
//
// Access.Endpoints holds "users" and "things" (REST), "mqtt" (tcp:// or
// ssl://host:port, where gateways deliver, unless "uplink" names another
// address that gateways reach it at), and, where there, "reader", "http", "coap"
// and "auth". Access.Token is "email:password" of the user who owns what is made
// here, or a password alone, which belongs to AdminEmail; that user is made when
// the product does not have it.
//
// A gateway is one thing, one channel of the same name and the link between
// them. The product gives names no meaning and answers new ids only in
// Location, so everything is searched by its exact name before it is made, and
// two calls for one name wait for each other within this process.
//
// Disconnect takes link, thing and channel away, in this order: the key is
// refused from then on, and a session that is open is cut when it publishes
// next. Readings stay in the product's database; its reader answers them no
// more, since reading needs a channel.
//
// # Failures
//
// Every error is a fault.Error. A wrong password (403) never helps by being
// repeated. While a service of the product restarts, the others answer 401 to
// valid tokens, 400 "non-existent user" or 503: these are repeated for 30 s
// within the caller's context and are a matter of backoff after that. The
// reader's 500 to a wrong key is told apart from a failing reader by asking
// things for the key first. Neither password, token nor key appears in an error.
package mainflux
