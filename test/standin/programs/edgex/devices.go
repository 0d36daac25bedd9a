package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/eclipse/paho.mqtt.golang"
	"github.com/edgexfoundry/device-sdk-go/v4/pkg/interfaces"
	sdk "github.com/edgexfoundry/device-sdk-go/v4/pkg/models"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/common"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/models"
	"github.com/labstack/echo/v4"
)

// driver is what both device services have: they take what devices send, and
// command nothing.
type driver struct{ sdk interfaces.DeviceServiceSDK }

func (*driver) Discover() error { return errors.New("not here: discovery") }
func (*driver) Stop(bool) error { return nil }

func (*driver) HandleReadCommands(string, map[string]models.ProtocolProperties, []sdk.CommandRequest) ([]*sdk.CommandValue, error) {
	return nil, errors.New("not here: reading from devices")
}

func (*driver) HandleWriteCommands(string, map[string]models.ProtocolProperties, []sdk.CommandRequest, []*sdk.CommandValue) error {
	return errors.New("not here: writing to devices")
}

func (*driver) AddDevice(string, map[string]models.ProtocolProperties, models.AdminState) error {
	return nil
}

func (*driver) UpdateDevice(string, map[string]models.ProtocolProperties, models.AdminState) error {
	return nil
}
func (*driver) RemoveDevice(string, map[string]models.ProtocolProperties) error { return nil }

// value makes a reading of a text, as its resource's type says.
func (d *driver) value(device, resource, text string) (*sdk.CommandValue, error) {
	r, ok := d.sdk.DeviceResource(device, resource)
	if !ok {
		return nil, fmt.Errorf("Resource '%s' not found", resource) //nolint:staticcheck // the product's words
	}
	var v any = text
	var err error
	switch r.Properties.ValueType {
	case common.ValueTypeFloat64:
		if v, err = strconv.ParseFloat(text, 64); err != nil {
			return nil, fmt.Errorf("failed to parse %s reading, unable to cast %q of type string to float64", resource, text)
		}
	case common.ValueTypeBool:
		v, err = strconv.ParseBool(text)
	case common.ValueTypeString:
	default:
		err = fmt.Errorf("not here: readings of type %s", r.Properties.ValueType)
	}
	if err != nil {
		return nil, err
	}
	return sdk.NewCommandValue(resource, r.Properties.ValueType, v)
}

func (d *driver) pass(device, source string, values ...*sdk.CommandValue) {
	d.sdk.AsyncValuesChannel() <- &sdk.AsyncValues{DeviceName: device, SourceName: source, CommandValues: values}
}

// restDriver takes what HTTP devices post.
type restDriver struct{ driver }

func (d *restDriver) Initialize(s interfaces.DeviceServiceSDK) error { d.sdk = s; return nil }

func (d *restDriver) Start() error {
	return d.sdk.AddCustomRoute("/api/v3/resource/:device/:resource", interfaces.Authenticated, d.take, http.MethodPost)
}

func (*restDriver) ValidateDevice(models.Device) error { return nil }

func (d *restDriver) take(e echo.Context) error {
	device, resource := e.Param("device"), e.Param("resource")
	if _, err := d.sdk.GetDeviceByName(device); err != nil {
		return e.String(http.StatusNotFound, fmt.Sprintf("Device '%s' not found", device))
	}
	body, err := io.ReadAll(io.LimitReader(e.Request().Body, 1<<20))
	if err != nil || len(body) == 0 {
		return e.String(http.StatusBadRequest, "no request body provided")
	}
	v, err := d.value(device, resource, string(body))
	if err != nil {
		return e.String(http.StatusBadRequest, err.Error())
	}
	d.pass(device, resource, v)
	return e.NoContent(http.StatusOK)
}

// mqttSettings is device-mqtt's own section.
type mqttSettings struct {
	MQTTBrokerInfo struct {
		Schema, Host, ClientId, AuthMode, IncomingTopic, ResponseTopic string //nolint:staticcheck // the keys' names
		Port, Qos, KeepAlive, ConnEstablishingRetry, ConnRetryWaitTime int
	}
}

func (s *mqttSettings) UpdateFromRaw(raw any) bool {
	v, ok := raw.(*mqttSettings)
	if ok {
		*s = *v
	}
	return ok
}

// mqttDriver takes what MQTT devices publish.
type mqttDriver struct {
	driver
	client mqtt.Client
}

// Initialize connects to the broker of the devices, and gives up as the real one
// does. It takes readings only once it runs.
func (d *mqttDriver) Initialize(s interfaces.DeviceServiceSDK) error {
	d.sdk = s
	own := &mqttSettings{}
	if err := s.LoadCustomConfig(own, "MQTTBrokerInfo"); err != nil {
		return err
	}
	b := own.MQTTBrokerInfo
	if b.IncomingTopic == "" || b.ClientId == "" {
		return errors.New("MQTTBrokerInfo: IncomingTopic or ClientId is missing")
	}
	if b.ClientId == service {
		return errors.New("MQTTBrokerInfo.ClientId is the client id on the message bus: on one broker they would evict each other")
	}
	broker := strings.ToLower(b.Schema) + "://" + net.JoinHostPort(b.Host, strconv.Itoa(b.Port))
	o := mqtt.NewClientOptions().AddBroker(broker).SetClientID(b.ClientId).SetKeepAlive(time.Duration(b.KeepAlive) * time.Second)
	o.SetOnConnectHandler(func(c mqtt.Client) { c.Subscribe(b.IncomingTopic, byte(b.Qos), d.take) })
	d.client = mqtt.NewClient(o)
	var err error
	for range b.ConnEstablishingRetry + 1 {
		token := d.client.Connect()
		token.Wait()
		if err = token.Error(); err == nil {
			return nil
		}
		s.LoggingClient().Warnf("broker %s: %v", broker, err)
		<-time.After(time.Duration(b.ConnRetryWaitTime) * time.Second)
	}
	return fmt.Errorf("broker %s: %w", broker, err)
}

func (*mqttDriver) Start() error { return nil }

func (*mqttDriver) ValidateDevice(d models.Device) error {
	p, ok := d.Protocols["mqtt"]
	if !ok {
		return errors.New("invalid protocol properties, 'mqtt' protocol properties is not defined")
	}
	if topic, _ := p["CommandTopic"].(string); topic == "" {
		return errors.New("protocol properties 'CommandTopic' is not defined")
	}
	return nil
}

// take takes incoming/data/<device>/<resource> with a plain value, or
// incoming/data/<device>/<command> with a JSON object.
func (d *mqttDriver) take(_ mqtt.Client, m mqtt.Message) {
	lc := d.sdk.LoggingClient()
	p := strings.Split(m.Topic(), "/")
	if len(p) != 4 {
		lc.Errorf("topic %s: incoming/data/<device>/<source> is wanted", m.Topic())
		return
	}
	device, source := p[2], p[3]
	command, ok := d.sdk.DeviceCommand(device, source)
	if !ok {
		v, err := d.value(device, source, string(m.Payload()))
		if err != nil {
			lc.Errorf("incoming reading ignored, %s: %v", m.Topic(), err)
			return
		}
		d.pass(device, source, v)
		return
	}
	var members map[string]any
	if err := json.Unmarshal(m.Payload(), &members); err != nil {
		lc.Errorf("incoming reading ignored, %s: %v", m.Topic(), err)
		return
	}
	var values []*sdk.CommandValue
	for _, o := range command.ResourceOperations {
		v, err := d.value(device, o.DeviceResource, fmt.Sprint(members[o.DeviceResource]))
		if err != nil {
			lc.Errorf("incoming reading ignored, %s: %v", m.Topic(), err)
			return
		}
		values = append(values, v)
	}
	d.pass(device, source, values...)
}
