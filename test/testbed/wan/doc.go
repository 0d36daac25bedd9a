// Package wan is the network between the test bed's clusters: it routes, cuts and
// slows down. It works in the network namespace it runs in and needs only what
// any kernel with nftables, bridges and TUN devices has; no netem.
//
// A site (a cluster) is a bridge in this namespace. Traffic between sites, and
// between a site and this namespace itself, is routed here, in the kernel and at
// its speed, until the site's link is given a Quality: then all that enters or
// leaves the site takes a way through a TUN device, on the far side of which
// this process delays, drops and paces packets. Giving a link a quality, or
// taking it away, breaks no connection.
//
// A partition drops packets silently, as a broken cable does: connections hang,
// nothing is refused.
package wan
