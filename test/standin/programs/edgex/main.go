// Command edgex is a stand-in for one service of EdgeX Foundry 4.0: the chart is
// tried with it where the real images cannot be had. It is no EdgeX.
//
// # Contract
//
// What EdgeX's services share is EdgeX's own here: flags, environment, files
// below ./res, the keeper's configuration, common configuration, registry,
// secrets, message bus and web server are go-mod-bootstrap v4, and the device
// services run on device-sdk-go v4. So a service of this kind starts, waits,
// gives up after a minute and binds as the real one does. Requests are checked by
// go-mod-core-contracts v4, and answered with the statuses and words that the
// real services were recorded with.
//
// What each service does behind that is written anew and small: the keeper keeps
// keys and watches the registered services, metadata keeps profiles and devices
// and tells device services of them, data keeps events, all of it in PostgreSQL;
// command answers its ping alone; the device services take readings by MQTT and
// HTTP and command nothing.
//
// Which service it is, is compiled in (-X main.service=core-keeper).
package main

import (
	"fmt"
	"os"

	"github.com/edgexfoundry/device-sdk-go/v4/pkg/startup"
)

// service and version are set by the linker.
var (
	service = ""
	version = "4.0.2"
)

func main() {
	switch service {
	case "core-keeper":
		runCore(service, keeperParts())
	case "core-metadata":
		runCore(service, metadataParts())
	case "core-data":
		runCore(service, dataParts())
	case "core-command":
		runCore(service, commandParts())
	case "core-common-config-bootstrapper":
		if err := bootstrapCommon(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, service+":", err)
			os.Exit(1)
		}
	case "device-mqtt":
		startup.Bootstrap(service, version, &mqttDriver{})
	case "device-rest":
		startup.Bootstrap(service, version, &restDriver{})
	default:
		fmt.Fprintf(os.Stderr, "no stand-in for %q\n", service)
		os.Exit(1)
	}
}
