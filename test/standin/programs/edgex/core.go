package main

import (
	"context"
	"os"
	"sync"

	"github.com/edgexfoundry/go-mod-bootstrap/v4/bootstrap"
	"github.com/edgexfoundry/go-mod-bootstrap/v4/bootstrap/container"
	"github.com/edgexfoundry/go-mod-bootstrap/v4/bootstrap/controller"
	"github.com/edgexfoundry/go-mod-bootstrap/v4/bootstrap/flags"
	"github.com/edgexfoundry/go-mod-bootstrap/v4/bootstrap/handlers"
	"github.com/edgexfoundry/go-mod-bootstrap/v4/bootstrap/interfaces"
	"github.com/edgexfoundry/go-mod-bootstrap/v4/bootstrap/startup"
	"github.com/edgexfoundry/go-mod-bootstrap/v4/config"
	"github.com/edgexfoundry/go-mod-bootstrap/v4/di"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/clients/logger"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/common"
	"github.com/edgexfoundry/go-mod-messaging/v4/messaging"
	"github.com/labstack/echo/v4"
)

// writable is what core services may be told at run time.
type writable struct {
	LogLevel        string
	InsecureSecrets config.InsecureSecrets
	Telemetry       config.TelemetryInfo
}

// settings are those of a core service, as its configuration.yaml has them.
type settings struct {
	Writable     writable
	Clients      config.ClientsCollection
	Database     config.Database
	Registry     config.RegistryInfo
	Service      config.ServiceInfo
	MessageBus   config.MessageBusInfo
	ExternalMQTT config.ExternalMQTTInfo
}

func (s *settings) UpdateFromRaw(raw any) bool {
	v, ok := raw.(*settings)
	if ok {
		*s = *v
	}
	return ok
}

func (s *settings) UpdateWritableFromRaw(raw any) bool {
	v, ok := raw.(*writable)
	if ok {
		s.Writable = *v
	}
	return ok
}

func (s *settings) EmptyWritablePtr() any                      { return &writable{} }
func (s *settings) GetWritablePtr() any                        { return &s.Writable }
func (s *settings) GetLogLevel() string                        { return s.Writable.LogLevel }
func (s *settings) GetRegistryInfo() config.RegistryInfo       { return s.Registry }
func (s *settings) GetInsecureSecrets() config.InsecureSecrets { return s.Writable.InsecureSecrets }
func (s *settings) GetTelemetryInfo() *config.TelemetryInfo    { return &s.Writable.Telemetry }

func (s *settings) GetBootstrap() config.BootstrapConfiguration {
	return config.BootstrapConfiguration{
		Clients: &s.Clients, Service: &s.Service, Registry: &s.Registry, MessageBus: &s.MessageBus,
		Database: &s.Database, ExternalMQTT: &s.ExternalMQTT,
	}
}

// core is what a core service's own part has at hand once it runs.
type core struct {
	ctx      context.Context
	settings *settings
	lc       logger.LoggingClient
	bus      messaging.MessageClient
	db       *database // nil in a service without one
	router   *echo.Echo
}

// parts are what a core service adds to what all have.
type parts struct {
	database bool
	serve    func(c *core) error
}

// runCore runs a core service until it is told to end, as EdgeX's main functions
// do: database first, then the bus, then the service, then the web server.
func runCore(key string, p parts) {
	timer := startup.NewStartUpTimer(key)
	f := flags.New()
	f.Parse(os.Args[1:])
	s := &settings{}
	dic := di.NewContainer(di.ServiceConstructorMap{
		container.ConfigurationInterfaceName: func(di.Get) any { return s },
	})
	router := echo.New()
	server := handlers.NewHttpServer(router, true, key)
	c := &core{settings: s, router: router}
	steps := []interfaces.BootstrapHandler{}
	if p.database {
		steps = append(steps, c.openDatabase)
	}
	own := func(ctx context.Context, _ *sync.WaitGroup, _ startup.Timer, dic *di.Container) bool {
		c.ctx, c.lc, c.bus = ctx, container.LoggingClientFrom(dic.Get), container.MessagingClientFrom(dic.Get)
		controller.NewCommonController(dic, router, key, version)
		if err := p.serve(c); err != nil {
			c.lc.Error(err.Error())
			return false
		}
		return true
	}
	steps = append(steps, handlers.MessagingBootstrapHandler, own, server.BootstrapHandler,
		handlers.NewStartMessage(key, version+" (STAND-IN, not EdgeX)").BootstrapHandler)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	bootstrap.Run(ctx, cancel, f, key, common.ConfigStemCore, s, timer, dic, true, config.ServiceTypeOther, steps)
}

// openDatabase connects with the credentials of the secret that is named as the
// database's type, until the startup timer ends.
func (c *core) openDatabase(ctx context.Context, _ *sync.WaitGroup, timer startup.Timer, dic *di.Container) bool {
	lc := container.LoggingClientFrom(dic.Get)
	for timer.HasNotElapsed() {
		secret, err := container.SecretProviderFrom(dic.Get).GetSecret(c.settings.Database.Type)
		if err == nil {
			c.db, err = openDatabase(ctx, c.settings.Database, secret["username"], secret["password"])
		}
		if err == nil {
			return true
		}
		lc.Warnf("couldn't create database client: %v", err)
		timer.SleepForInterval()
	}
	return false
}

func commandParts() parts { return parts{serve: func(*core) error { return nil }} }
