package devices

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// mqttDevice publishes at QoS 1 and subscribes to its commands.
type mqttDevice struct {
	options Options
	client  paho.Client
	lost    chan struct{}
	once    sync.Once
}

func dialMQTT(ctx context.Context, o Options) (*mqttDevice, error) {
	d := &mqttDevice{options: o, lost: make(chan struct{})}
	d.client = paho.NewClient(paho.NewClientOptions().
		AddBroker(o.Address).SetClientID(o.Name).SetUsername(o.Name).SetPassword(o.Secret).
		SetProtocolVersion(4).SetAutoReconnect(false).SetConnectRetry(false).SetOrderMatters(true).
		SetConnectionLostHandler(func(paho.Client, error) { d.once.Do(func() { close(d.lost) }) }))
	if err := d.wait(ctx, d.client.Connect()); err != nil {
		if strings.Contains(err.Error(), "not Authorized") || strings.Contains(err.Error(), "bad user name") {
			return nil, fmt.Errorf("devices: connect: %w: %w", ErrRefused, err)
		}
		return nil, fmt.Errorf("devices: connect: %w", err)
	}
	return d, nil
}

var errLost = errors.New("connection lost")

func (d *mqttDevice) wait(ctx context.Context, t paho.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-d.lost:
		return errLost
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Send publishes; several messages are on their way at once.
func (d *mqttDevice) Send(ctx context.Context, readings ...Reading) error {
	messages, err := d.options.encode(readings)
	if err != nil {
		return err
	}
	tokens := make([]paho.Token, len(messages))
	for i, m := range messages {
		topic := "devices/" + d.options.Name + "/senml"
		if m.resource != "" {
			topic = "devices/" + d.options.Name + "/" + m.resource
		}
		tokens[i] = d.client.Publish(topic, 1, false, m.payload)
	}
	for _, t := range tokens {
		if err := d.wait(ctx, t); err != nil {
			return fmt.Errorf("devices: publish: %w", err)
		}
	}
	return nil
}

// Commands subscribes; the PUBACK of the client acknowledges.
func (d *mqttDevice) Commands(ctx context.Context, handle func(Command)) error {
	prefix := "devices/" + d.options.Name + "/commands/"
	token := d.client.Subscribe(prefix+"#", 1, func(_ paho.Client, m paho.Message) {
		handle(Command{Resource: strings.TrimPrefix(m.Topic(), prefix), Value: string(m.Payload())})
	})
	if err := d.wait(ctx, token); err != nil {
		return fmt.Errorf("devices: subscribe: %w", err)
	}
	select {
	case <-ctx.Done():
		return nil
	case <-d.lost:
		return errLost
	}
}

func (d *mqttDevice) Close() { d.client.Disconnect(50) }
