// Package devices holds real IoT devices as programs: clients that speak MQTT,
// HTTP and CoAP to a gateway, send readings as SenML JSON, SenML CBOR or plain
// values and receive commands. Demonstrations and tests use them.
//
// # Contract
//
// Send returns nil only when the gateway said that it took the readings
// (PUBACK, 202, 2.04). An error that wraps [ErrRefused] is the gateway's final
// no; with any other error it is unknown whether the readings were taken, and a
// real device would send them again. A device is used by one goroutine at a
// time, except that Commands may run beside Send.
package devices
