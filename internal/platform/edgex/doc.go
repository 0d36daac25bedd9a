// Package edgex adapts EdgeX Foundry 4.0 to the platform port.
//
// # Contract
//
// Access.Endpoints holds "keeper", "metadata", "data", "command", "rest" and
// "app" (REST of core-keeper, core-metadata, core-data, core-command,
// device-rest and the SenML export service) and "mqtt", where MQTT devices
// connect. EdgeX without its secret store asks for no credential, so
// Access.Token is not used: the network around it is what protects it.
//
// A device is a device profile "osmoslice-<device>" and a device that uses it. A
// digest of both is the device's label, so that a repeated Provision changes
// nothing; a device that differs is removed and made anew. Deprovision needs
// only the name. MQTT devices belong to device-mqtt, HTTP devices to
// device-rest; CoAP is refused, its device service is not part of the product's
// packaging.
//
// Attach and Detach write the export service's settings into the keeper, below
// edgex/v4/app-senml-export/Writable, which the service watches: no restart.
// They wait until it has registered its settings, since a service that finds
// some of them takes them for all.
//
// What EdgeX cannot do with a reading (bounds, deadband, aggregation) goes along
// as tags of its resource, by which the export service does it. Device.Secret
// is not used: EdgeX knows no credentials of devices.
//
// Commands go through core-command, which answers when the device service has
// written: PENDING is only what a crash leaves. Their ids and states are kept in
// the keeper, in a bounded number of slots; an id whose slot was taken over by a
// later one is not known any more.
//
// # Failures
//
// Every error is a fault.Error. POST answers 207 whatever happened: each item
// has its own status. "device service … does not exists", "request timeout" and
// 5xx are what a starting product answers: they are repeated for 30 s within the
// caller's context and are a matter of backoff after that. Credentials of the
// uplink appear in no error.
package edgex
