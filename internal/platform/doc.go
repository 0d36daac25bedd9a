// Package platform is the port to the products that slices are made of: what
// an IoT gateway or an IoT server can be asked to do once it runs. Adapters
// (platform/lite, platform/edgex, platform/mainflux) translate it to a
// product's own API; nothing here knows a product.
//
// # Contract
//
// Every call is idempotent and resumable: repeating it after a crash at any
// point leaves the same state and answers the same result. What is absent is
// not an error when it is to be removed. Names given by Osmoslice are the keys;
// a product that assigns its own ids (Mainflux answers them in Location) is
// searched by name before anything is created. Errors are fault.Error values
// classified by the adapter: an unreachable product is retried with backoff, a
// refused key never. Batches answer one Result per item, so that one bad device
// does not hide the others.
//
// Credentials travel only inside Access, Credentials and Uplink; adapters never
// log them and never put them in an error.
package platform
