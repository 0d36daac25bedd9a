// Package catalogue holds the products that come with the service, as data:
// lite-gateway and lite-server, our light IoT products, and microElements:
// process (any executable), container (any image) and stream (transforms a
// server's readings).
//
// # Templates
//
// Configuration, files and arguments hold placeholders. The domain driver fills
// in ${port:NAME}, ${listen:NAME}, ${dir} and ${file:NAME}; before that the
// service fills in
//
//	${config:NAME}   the element's configuration
//	${secret:admin}  the secret that administers the instance
//	${secret:NAME}   the element's secretRefs
//	${element}       the element's name; ${slice} the slice's
//	${server:PORT}   URL of a port of the server it feeds
//	${uplink:FIELD}  its own connection at that server: protocol, address,
//	                 topic, clientId, username, password, downTopic, channel,
//	                 sources (channels of the gateways that feed it)
//
// # Invariants
//
// A product's Name and Version name its content for ever: a change of an entry
// here needs a new Version.
package catalogue

import (
	"encoding/json"

	"github.com/osmoslice/osmoslice/internal/slice"
)

// Version is the version of the built-in entries.
const Version = "0.1.0"

// Drivers that start processes as they are, and the one that plays them.
var processDrivers = []string{"host", "simulated"}

// Products are the built-in entries, new for each caller.
func Products() []slice.Product {
	return []slice.Product{liteGateway(), liteServer(), process(), container(), stream()}
}

// kubernetes packages a product as a chart of its own version.
func kubernetes(p *slice.Product, chart, values string) {
	c := &slice.Chart{Name: chart, Version: Version}
	if values != "" {
		c.Values = json.RawMessage(values)
	}
	p.Packaging["kubernetes"] = slice.Packaging{Chart: c}
}

func entry(name, description string, kind slice.ElementKind, process slice.Process) slice.Product {
	p := slice.Product{Version: Version, Element: kind, State: slice.Active, Packaging: map[string]slice.Packaging{}}
	p.Name, p.Tenant, p.Description = name, slice.System, description
	for _, d := range processDrivers {
		c := process
		p.Packaging[d] = slice.Packaging{Process: &c}
	}
	return p
}

func liteGateway() slice.Product {
	p := entry("lite-gateway", "IoT gateway for constrained places: MQTT, HTTP and CoAP devices, edge functions, queue on disk",
		slice.Gateway, slice.Process{Artefact: "lite-gateway"})
	p.Platform = "lite"
	p.Ports = []slice.Port{
		{Name: "api", Protocol: "tcp", Scheme: "http"},
		{Name: "mqtt", Protocol: "tcp", Scheme: "tcp"},
		{Name: "http", Protocol: "tcp", Scheme: "http"},
		{Name: "coaps", Protocol: "udp", Scheme: "coaps"},
	}
	p.Configuration = map[string]string{
		"LITE_GATEWAY_NAME":         "${element}",
		"LITE_GATEWAY_DATA":         "${dir}/data",
		"LITE_GATEWAY_TOKEN_FILE":   "${file:admin.token}",
		"LITE_GATEWAY_LISTEN_API":   "${listen:api}",
		"LITE_GATEWAY_LISTEN_MQTT":  "${listen:mqtt}",
		"LITE_GATEWAY_LISTEN_HTTP":  "${listen:http}",
		"LITE_GATEWAY_LISTEN_COAPS": "${listen:coaps}",
	}
	p.Files = map[string]string{"admin.token": "${secret:admin}"}
	p.Probe = &slice.ProbeSpec{Port: "api", Path: "/healthz"}
	p.Requirements = slice.Requirements{CPU: 50, Memory: 32, Storage: 256}
	p.Protocols = []string{"MQTT", "HTTP", "COAP"}
	kubernetes(&p, "lite-gateway", "")
	return p
}

func liteServer() slice.Product {
	p := entry("lite-server", "IoT server for constrained places: SenML over MQTT and HTTP, kept in one file, queried and streamed",
		slice.Server, slice.Process{Artefact: "lite-server"})
	p.Platform = "lite"
	p.Ports = []slice.Port{
		{Name: "api", Protocol: "tcp", Scheme: "http"},
		{Name: "mqtt", Protocol: "tcp", Scheme: "tcp"},
	}
	p.Configuration = map[string]string{
		"LITE_SERVER_DATA":        "${dir}/data",
		"LITE_SERVER_TOKEN_FILE":  "${file:admin.token}",
		"LITE_SERVER_LISTEN_API":  "${listen:api}",
		"LITE_SERVER_LISTEN_MQTT": "${listen:mqtt}",
	}
	p.Files = map[string]string{"admin.token": "${secret:admin}"}
	p.Probe = &slice.ProbeSpec{Port: "api", Path: "/healthz"}
	p.Requirements = slice.Requirements{CPU: 100, Memory: 64, Storage: 1024}
	p.Protocols = []string{"MQTT", "HTTP"}
	kubernetes(&p, "lite-server", "")
	return p
}

// process runs any executable of the artefact folder: the element's
// configuration becomes its environment, its args its arguments.
func process() slice.Product {
	p := entry("process", "any executable of the artefact folder, named by configuration ARTEFACT", slice.MicroElement,
		slice.Process{Artefact: "process"})
	p.Requirements = slice.Requirements{CPU: 50, Memory: 32}
	return p
}

// container runs any image, named by the element's configuration IMAGE, as
// registry.example/team/name:tag: the configuration becomes its environment,
// args its arguments.
func container() slice.Product {
	p := slice.Product{Version: Version, Element: slice.MicroElement, State: slice.Active, Packaging: map[string]slice.Packaging{}}
	p.Name, p.Tenant, p.Description = "container", slice.System, "any image, named by configuration IMAGE"
	p.Requirements = slice.Requirements{CPU: 50, Memory: 64}
	kubernetes(&p, "microelement", `{"images":{"main":{"reference":"${config:IMAGE}"}}}`)
	return p
}

// stream is the server binary in its stream role: it reads a channel of the
// server, transforms, and publishes back.
func stream() slice.Product {
	p := entry("stream", "transforms the readings of a slice's server and publishes the result back", slice.MicroElement,
		slice.Process{Artefact: "lite-server", Args: []string{"stream"}})
	p.Platform = "lite"
	p.Ports = []slice.Port{{Name: "http", Protocol: "tcp", Scheme: "http"}}
	p.Probe = &slice.ProbeSpec{Port: "http", Path: "/healthz"}
	p.Configuration = map[string]string{
		"LITE_STREAM_SERVER":   "${server:api}",
		"LITE_STREAM_LISTEN":   "${listen:http}",
		"LITE_STREAM_CHANNEL":  "${uplink:channel}",
		"LITE_STREAM_FOLLOW":   "${uplink:sources}",
		"LITE_STREAM_KEY_FILE": "${file:uplink.key}",
	}
	p.Files = map[string]string{"uplink.key": "${uplink:password}"}
	kubernetes(&p, "microelement", `{"images":{"main":{"repository":"osmoslice/lite-server","tag":"`+Version+`"}},"commandArgs":["stream"]}`)
	p.Requirements = slice.Requirements{CPU: 50, Memory: 32}
	return p
}
