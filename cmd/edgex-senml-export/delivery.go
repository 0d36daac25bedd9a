package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/edgexfoundry/app-functions-sdk-go/v4/pkg/interfaces"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/clients/logger"
)

// secretName names the credentials in the keeper.
const secretName = "mqtt"

const (
	lookEvery      = time.Second   // at secrets, which come apart from parameters
	lookApart      = 3 * lookEvery // at the keeper, while nothing is delivered
	lookConnected  = 10 * lookEvery
	connectTimeout = 5 * time.Second
	publishTimeout = 10 * time.Second
	goodbye        = 250 // ms
)

// target is where to deliver, and as whom.
type target struct {
	parameters
	username, password string
}

func (t target) somewhere() bool {
	return t.BrokerAddress != "" && t.BrokerAddress != nowhere && t.Topic != "" && t.Topic != nowhere
}

func (t target) authenticated() bool { return t.AuthMode != "" && t.AuthMode != nowhere }

// secrets is what is used of the SDK's secret provider.
type secrets interface {
	GetSecret(name string, keys ...string) (map[string]string, error)
}

// delivery keeps one connection to the server that the keeper names.
type delivery struct {
	secrets secrets
	look    func() (target, error) // at the keeper itself; nil: what the SDK tells has to do
	lc      logger.LoggingClient
	queue   *queue
	signal  chan struct{}

	// Of run alone.
	as     target
	client mqtt.Client // nil or connected as as says
	looked time.Time   // when, last
	seen   *target     // what was read then
	hailed target      // what the log was told of

	mu   sync.Mutex
	told parameters
	news bool // since look
}

func newDelivery(s secrets, lc logger.LoggingClient, q *queue, p parameters) *delivery {
	return &delivery{secrets: s, lc: lc, queue: q, told: p, signal: make(chan struct{}, 1)}
}

// changed takes new parameters from the keeper.
func (d *delivery) changed(raw any) {
	p, ok := raw.(*parameters)
	if !ok {
		d.lc.Errorf("settings of a kind that is not known: %T", raw)
		return
	}
	d.mu.Lock()
	d.told, d.news = *p, true
	d.mu.Unlock()
	d.wake()
}

func (d *delivery) wake() {
	select {
	case d.signal <- struct{}{}:
	default:
	}
}

// run keeps the connection as the settings say and delivers, until ctx ends.
func (d *delivery) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	failed := ""
	for {
		err := d.reconcile()
		if err == nil && d.client != nil {
			if err = d.drain(ctx); err != nil {
				d.replace(nil, target{})
			}
		}
		if err != nil || d.client == nil {
			d.queue.keep()
		}
		if text := fmt.Sprint(err); err != nil && text != failed { // once per cause
			d.lc.Warnf("readings wait: %v", err)
			failed = text
		} else if err == nil {
			failed = ""
		}
		select {
		case <-ctx.Done():
			d.replace(nil, target{})
			d.queue.keep()
			return
		case <-d.signal:
		case <-tick.C:
		}
	}
}

// want is the target that the settings make now: as the keeper says, which is
// asked when something was told, when there is no connection, and now and then;
// without one, as the SDK says.
func (d *delivery) want() (target, error) {
	d.mu.Lock()
	t, news := target{parameters: d.told}, d.news
	d.news = false
	d.mu.Unlock()
	if d.look != nil {
		rest := lookApart
		if d.client != nil && d.client.IsConnectionOpen() {
			rest = lookConnected
		}
		if d.seen != nil && !news && time.Since(d.looked) < rest {
			return *d.seen, nil
		}
		d.looked = time.Now()
		seen, err := d.look()
		switch {
		case err == nil:
			d.seen = &seen
		case d.seen == nil:
			return seen, fmt.Errorf("the settings cannot be read: %w", err)
		default: // a keeper that restarts holds up nothing
			d.mu.Lock()
			d.news = d.news || news
			d.mu.Unlock()
		}
		return *d.seen, nil
	}
	if !t.authenticated() {
		return t, nil
	}
	s, err := d.secrets.GetSecret(secretName)
	if err != nil {
		return t, errors.New("secret mqtt cannot be read")
	}
	t.username, t.password = s["username"], s["password"]
	return t, nil
}

// reconcile connects as the settings say, or ends the connection.
func (d *delivery) reconcile() error {
	t, err := d.want()
	if err != nil {
		return err
	}
	if d.as == t && (!t.somewhere() || d.client != nil && d.client.IsConnectionOpen()) {
		return nil
	}
	d.replace(nil, target{})
	if !t.somewhere() {
		d.as = t
		d.lc.Info("no server to deliver to: readings wait")
		return nil
	}
	o := mqtt.NewClientOptions().AddBroker(t.BrokerAddress).SetClientID(t.ClientId).SetProtocolVersion(4).
		SetAutoReconnect(false).SetConnectTimeout(connectTimeout).SetWriteTimeout(publishTimeout)
	if t.authenticated() {
		o.SetUsername(t.username).SetPassword(t.password)
	}
	c := mqtt.NewClient(o)
	token := c.Connect()
	if !token.WaitTimeout(2*connectTimeout) || token.Error() != nil {
		c.Disconnect(0)
		return fmt.Errorf("server %s: no connection: %w", t.BrokerAddress, token.Error())
	}
	d.replace(c, t)
	if d.hailed != t {
		d.lc.Infof("delivering to %s, topic %s", t.BrokerAddress, t.Topic)
		d.hailed = t
	}
	return nil
}

// replace ends the connection there was.
func (d *delivery) replace(c mqtt.Client, t target) {
	if d.client != nil {
		d.client.Disconnect(goodbye)
	}
	d.client, d.as = c, t
}

// take is the pipeline's last function: the message waits for its turn, which is
// now when the server takes messages.
func (d *delivery) take(_ interfaces.AppFunctionContext, data any) (bool, any) {
	payload, ok := data.([]byte)
	if !ok {
		return false, fmt.Errorf("the pipeline got %T, not a message", data)
	}
	dropped, err := d.queue.push(payload)
	if dropped {
		d.lc.Warnf("%d messages wait, the oldest was dropped", maxWaiting)
	}
	d.wake()
	if err != nil {
		return false, err
	}
	return false, nil
}

// drain publishes what waits, in order, until nothing does or the server does
// not take it.
func (d *delivery) drain(ctx context.Context) error {
	for ctx.Err() == nil {
		m, ok := d.queue.first()
		if !ok {
			return nil
		}
		token := d.client.Publish(d.as.Topic, 1, false, m.payload)
		if !token.WaitTimeout(publishTimeout) {
			return errors.New("the server does not acknowledge messages")
		}
		if token.Error() != nil {
			return token.Error()
		}
		d.queue.done(m)
	}
	return nil
}
