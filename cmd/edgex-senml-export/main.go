// Command edgex-senml-export is an application service of EdgeX 4 that delivers
// readings as SenML (RFC 8428) to an MQTT server: EdgeX's own export sends
// EdgeX's JSON, which servers of SenML refuse.
//
// # Contract
//
// Each event becomes one message: bn is the device and ":", bt the event's
// origin in seconds, n the resource, u its unit, and v, vs, vb or vd its value.
// Tags that a resource has (min, max, deadband, aggregate, window), which device
// services copy to readings, bound and thin them out; see filter.go.
//
// Where to deliver is in the keeper, below edgex/v4/app-senml-export/Writable:
// Pipeline/Functions/MQTTExport/Parameters and InsecureSecrets/mqtt/SecretData,
// the keys that EdgeX's configurable export has. A change is acted upon at once,
// without restart. While there is no server ("none"), or it does not answer,
// messages wait: in memory, and below SENML_EXPORT_QUEUE as well when that names
// a folder, and go in their order as soon as a server takes them (the SDK's
// store-and-forward wants a database and keeps no order). At most 20,000 wait;
// the oldest give way.
//
// It takes the flags and the environment of every EdgeX service (-cp, --registry,
// EDGEX_…). Its configuration is built in; EDGEX_CONFIG_DIR names another.
package main

import (
	_ "embed"
	"fmt"
	"os"
	"strconv"

	"github.com/edgexfoundry/app-functions-sdk-go/v4/pkg"
	"golang.org/x/sys/unix"
)

// serviceKey names the service in the keeper.
const serviceKey = "app-senml-export"

// queueDir is the environment variable that names the queue's folder.
const queueDir = "SENML_EXPORT_QUEUE"

//go:embed configuration.yaml
var builtIn []byte

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "edgex-senml-export:", err)
		os.Exit(1)
	}
}

func run() error {
	release, err := useBuiltIn()
	if err != nil {
		return err
	}
	defer release()
	service, ok := pkg.NewAppService(serviceKey)
	if !ok {
		return fmt.Errorf("the service could not be initialised, see its log")
	}
	lc := service.LoggingClient()
	waiting, err := openQueue(os.Getenv(queueDir))
	if err != nil {
		return err
	}
	told := &custom{}
	if err := service.LoadCustomConfig(told, parametersSection); err != nil {
		return err
	}
	out := newDelivery(service.SecretProvider(), lc, waiting, told.Writable.Pipeline.Functions.MQTTExport.Parameters)
	k, err := openKeeper(os.Args[1:])
	if err != nil {
		return err
	}
	if k != nil {
		out.look = k.look
	}
	if err := service.ListenForCustomConfigChanges(&parameters{}, parametersSection, out.changed); err != nil {
		return err
	}
	if err := service.SetDefaultFunctionsPipeline(newFilter().toSenML, out.take); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); out.run(service.AppContext()) }()
	err = service.Run()
	if err == nil {
		<-ended // what is on its way is delivered or kept
	}
	return err
}

// useBuiltIn gives the SDK, which reads files, the configuration as a file that
// needs no file system to write to: the root of a container is read-only.
func useBuiltIn() (release func(), err error) {
	if os.Getenv("EDGEX_CONFIG_DIR") != "" {
		return func() {}, nil
	}
	fd, err := unix.MemfdCreate("configuration.yaml", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("the built-in configuration: %w", err)
	}
	f := os.NewFile(uintptr(fd), "configuration.yaml")
	if _, err := f.Write(builtIn); err != nil {
		return nil, fmt.Errorf("the built-in configuration: %w", err)
	}
	for k, v := range map[string]string{"EDGEX_CONFIG_DIR": "/proc/self/fd", "EDGEX_CONFIG_FILE": strconv.Itoa(fd)} {
		if err := os.Setenv(k, v); err != nil {
			return nil, err
		}
	}
	return func() { _ = f.Close() }, nil
}
