package catalogue

import "github.com/osmoslice/osmoslice/internal/slice"

// The products of other makers: edgex and mainflux, as charts.

// chartVersion is the version of the charts of the products of others.
const chartVersion = "0.1.0"

// chartDrivers install charts, or play it.
var chartDrivers = []string{"kubernetes", "simulated"}

func charted(name, version, description string, kind slice.ElementKind) slice.Product {
	p := slice.Product{Version: version, Element: kind, Platform: name, State: slice.Active, Packaging: map[string]slice.Packaging{}}
	p.Name, p.Tenant, p.Description = name, slice.System, description
	for _, d := range chartDrivers {
		p.Packaging[d] = slice.Packaging{Chart: &slice.Chart{Name: name, Version: chartVersion}}
	}
	return p
}

// edgex is EdgeX Foundry with its stores and our SenML export. The figures are
// what its pods ask for together.
func edgex() slice.Product {
	p := charted("edgex", "4.0.2", "EdgeX Foundry: IoT gateway for MQTT and HTTP devices, export as SenML over MQTT", slice.Gateway)
	p.Ports = []slice.Port{
		{Name: "keeper", Protocol: "tcp", Scheme: "http"},
		{Name: "metadata", Protocol: "tcp", Scheme: "http"},
		{Name: "data", Protocol: "tcp", Scheme: "http"},
		{Name: "command", Protocol: "tcp", Scheme: "http"},
		{Name: "rest", Protocol: "tcp", Scheme: "http"},
		{Name: "app", Protocol: "tcp", Scheme: "http"},
		{Name: "mqtt", Protocol: "tcp", Scheme: "tcp"},
	}
	p.Probe = &slice.ProbeSpec{Port: "metadata", Path: "/api/v3/ping"}
	p.Requirements = slice.Requirements{CPU: 150, Memory: 420, Storage: 1024}
	p.Protocols = []string{"MQTT", "HTTP"}
	return p
}

// mainflux is Mainflux with its stores. Its administrator is the file "admin",
// user:password; the adapter knows the user's name.
func mainflux() slice.Product {
	p := charted("mainflux", "0.12.1", "Mainflux: IoT server, SenML over MQTT, HTTP and CoAP, kept in PostgreSQL", slice.Server)
	p.Ports = []slice.Port{
		{Name: "users", Protocol: "tcp", Scheme: "http"},
		{Name: "things", Protocol: "tcp", Scheme: "http"},
		{Name: "http", Protocol: "tcp", Scheme: "http"},
		{Name: "reader", Protocol: "tcp", Scheme: "http"},
		{Name: "auth", Protocol: "tcp", Scheme: "http"},
		{Name: "mqtt", Protocol: "tcp", Scheme: "tcp"},
		{Name: "coap", Protocol: "udp", Scheme: "coap"},
	}
	p.Files = map[string]string{"admin": mainfluxAdmin + ":${secret:admin}"}
	p.Probe = &slice.ProbeSpec{Port: "things", Path: "/version"}
	p.Requirements = slice.Requirements{CPU: 200, Memory: 480, Storage: 2048, Architectures: []string{"amd64"}} // no other images of it are published
	p.Protocols = []string{"MQTT", "HTTP", "COAP"}
	return p
}

// mainfluxAdmin is the user that the adapter takes a bare password for.
const mainfluxAdmin = "admin@osmoslice.local"
