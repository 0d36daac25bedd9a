// Package platformtest holds the contract of package platform as tests: every
// adapter of a product passes ExerciseGateway and ExerciseServer against the
// product or a fake that answers like it.
//
// # Contract
//
// A fixture starts a fresh instance for each test and tells how to act as the
// other side: how a device publishes, how a gateway delivers with an Uplink.
// What an instance cannot do is nil in its fixture; the tests that need it are
// then skipped by name, and fail instead when CI is "true".
package platformtest
