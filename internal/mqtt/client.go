package mqtt

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// ErrConnectionLost is returned by calls that were waiting when the connection
// of a [Client] broke.
var ErrConnectionLost = errors.New("mqtt: connection lost")

// ErrRefused is wrapped by [Dial]'s error when the broker answered and refused
// the credentials or the client id: trying again without a change is no use.
var ErrRefused = errors.New("mqtt: refused by the broker")

// ClientOptions configure [Dial].
type ClientOptions struct {
	Address  string // tcp://host:port or ssl://host:port
	ClientID string
	Username string
	Password string
	TLS      *tls.Config   // for ssl://
	Timeout  time.Duration // of the connection attempt and of single writes, default 10 s
	// KeepAlive is the interval of pings, default 30 s.
	KeepAlive time.Duration
	// Persistent keeps the session on the broker across connections.
	Persistent bool
	// OnMessage receives what arrives on any subscription, one at a time.
	OnMessage func(topic string, payload []byte)
}

// Client is one connection to a broker (MQTT 3.1.1). It does not reconnect:
// its owner sees Done and decides.
type Client struct {
	paho paho.Client
	done chan struct{}
	once sync.Once
}

// Dial connects to a broker.
func Dial(ctx context.Context, o ClientOptions) (*Client, error) {
	c := &Client{done: make(chan struct{})}
	timeout := cmp.Or(o.Timeout, 10*time.Second)
	po := paho.NewClientOptions().
		AddBroker(o.Address).
		SetClientID(o.ClientID).
		SetUsername(o.Username).
		SetPassword(o.Password).
		SetProtocolVersion(4).
		SetCleanSession(!o.Persistent).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetConnectTimeout(timeout).
		SetWriteTimeout(timeout).
		SetKeepAlive(cmp.Or(o.KeepAlive, 30*time.Second)).
		SetMessageChannelDepth(64).
		SetConnectionLostHandler(func(paho.Client, error) { c.lost() })
	if o.TLS != nil {
		po.SetTLSConfig(o.TLS)
	}
	if o.OnMessage != nil {
		po.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { o.OnMessage(m.Topic(), m.Payload()) })
	}
	c.paho = paho.NewClient(po)
	token := c.paho.Connect()
	select {
	case <-token.Done():
	case <-ctx.Done():
		c.paho.Disconnect(0)
		return nil, fmt.Errorf("mqtt: connect to %s: %w", o.Address, ctx.Err())
	}
	if err := token.Error(); err != nil {
		if t, ok := token.(*paho.ConnectToken); ok && t.ReturnCode() > 0 && t.ReturnCode() != 3 && t.ReturnCode() <= 5 {
			return nil, fmt.Errorf("mqtt: connect to %s: %w: %w", o.Address, ErrRefused, err)
		}
		return nil, fmt.Errorf("mqtt: connect to %s: %w", o.Address, err)
	}
	return c, nil
}

func (c *Client) lost() { c.once.Do(func() { close(c.done) }) }

// Done is closed when the connection is lost or closed.
func (c *Client) Done() <-chan struct{} { return c.done }

// Publish sends a message and, at QoS 1 and 2, waits until the broker took it.
// Concurrent calls are pipelined on the connection.
func (c *Client) Publish(ctx context.Context, topic string, qos byte, payload []byte) error {
	if err := c.wait(ctx, c.paho.Publish(topic, qos, false, payload)); err != nil {
		return fmt.Errorf("mqtt: publish to %s: %w", topic, err)
	}
	return nil
}

// PublishAsync sends a message and calls done once: with nil when the broker
// took it, with an error when the connection ended before.
func (c *Client) PublishAsync(topic string, qos byte, payload []byte, done func(error)) {
	token := c.paho.Publish(topic, qos, false, payload)
	go func() { done(c.wait(context.Background(), token)) }()
}

// Subscribe asks for the messages of filter; they arrive at OnMessage.
func (c *Client) Subscribe(ctx context.Context, filter string, qos byte) error {
	token := c.paho.Subscribe(filter, qos, nil)
	if err := c.wait(ctx, token); err != nil {
		return fmt.Errorf("mqtt: subscribe to %s: %w", filter, err)
	}
	if t, ok := token.(*paho.SubscribeToken); ok {
		for _, granted := range t.Result() { // keyed by the filter without $share
			if granted >= 0x80 {
				return fmt.Errorf("mqtt: subscribe to %s: %w", filter, ErrRefused)
			}
		}
	}
	return nil
}

func (c *Client) wait(ctx context.Context, token paho.Token) error {
	select {
	case <-token.Done():
		if err := token.Error(); err != nil {
			return fmt.Errorf("%w: %w", ErrConnectionLost, err)
		}
		return nil
	case <-c.done:
		return ErrConnectionLost
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close disconnects; messages not yet acknowledged fail with
// [ErrConnectionLost].
func (c *Client) Close() {
	c.paho.Disconnect(100)
	c.lost()
}
