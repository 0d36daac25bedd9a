// Package northbound tests the API on the whole service, in process, on SQLite
// with simulated sites: a tour of the resources, and requests generated from
// swagger.yaml that are wrong in every way the definitions allow to think of.
package northbound
