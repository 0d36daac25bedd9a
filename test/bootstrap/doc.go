// Package bootstrap checks that the rights which "slicectl infrastructure
// bootstrap" gives are enough for the kubernetes plugin, on a real API server.
package bootstrap
