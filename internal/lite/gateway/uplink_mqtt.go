package gateway

import (
	"context"
	"crypto/tls"
	"strings"

	"github.com/osmoslice/osmoslice/internal/mqtt"
)

// mqttWindow is how many batches may be unacknowledged on MQTT: enough to keep
// the connection busy, few enough for batches to grow under load.
const mqttWindow = 4

// mqttLink delivers over one MQTT connection at QoS 1.
type mqttLink struct {
	client *mqtt.Client
	uplink Uplink
	order  chan *sent // batches on their way, in order
}

// sent is a batch whose acknowledgement is awaited.
type sent struct {
	result chan error
	done   func(error)
}

func dialMQTTLink(ctx context.Context, u Uplink, name string, tlsConfig *tls.Config, onDown func([]byte)) (*mqttLink, error) {
	id := u.ClientID
	if id == "" {
		id = name
	}
	o := mqtt.ClientOptions{
		Address: u.Address, ClientID: id, Username: u.Username, Password: u.Password,
		OnMessage: func(_ string, payload []byte) { onDown(payload) },
	}
	if strings.HasPrefix(u.Address, "ssl://") {
		o.TLS = tlsConfig
	}
	client, err := mqtt.Dial(ctx, o)
	if err != nil {
		return nil, err
	}
	if u.DownTopic != "" {
		if err := client.Subscribe(ctx, u.DownTopic, 1); err != nil {
			client.Close()
			return nil, err
		}
	}
	l := &mqttLink{client: client, uplink: u, order: make(chan *sent, mqttWindow)}
	go l.settle()
	return l, nil
}

func (l *mqttLink) deliver(b batch, done func(error)) {
	payload, err := b.encoded(l.uplink.Format)
	s := &sent{result: make(chan error, 1), done: done}
	if err != nil {
		s.result <- err
	} else {
		topic := strings.ReplaceAll(l.uplink.Topic, sequencePlace, b.name())
		l.client.PublishAsync(topic, 1, payload, func(err error) { s.result <- err })
	}
	select {
	case l.order <- s:
	case <-l.client.Done():
		done(mqtt.ErrConnectionLost)
	}
}

// settle reports the outcomes in the order of the batches.
func (l *mqttLink) settle() {
	for {
		select {
		case s := <-l.order:
			select {
			case err := <-s.result:
				s.done(err)
			case <-l.client.Done():
				s.done(mqtt.ErrConnectionLost)
				return
			}
		case <-l.client.Done():
			return
		}
	}
}

func (l *mqttLink) window() int           { return mqttWindow }
func (l *mqttLink) lost() <-chan struct{} { return l.client.Done() }
func (l *mqttLink) close()                { l.client.Close() }
