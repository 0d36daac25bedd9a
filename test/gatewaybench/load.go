package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"strconv"
	"sync"
	"time"
)

// load is what the devices do in one measurement.
type load struct {
	address  string
	devices  int
	messages int // in all
	window   int // unacknowledged messages per device
	rate     int // messages per second in all; 0 for as many as possible
	// lossy ends a measurement when nothing more arrives: a bare broker drops
	// what its subscriber's queue does not hold. Only what arrived counts.
	lossy bool
}

// quiet is how long nothing must arrive before a lossy measurement ends.
const quiet = 2 * time.Second

func deviceName(i int) string { return "device-" + strconv.Itoa(i) }

// sink receives what was relayed or stored: calls got with the moment of
// sending of each message, until ctx ends.
type sink func(ctx context.Context, ready func(), got func(sent []time.Time)) error

// measure sends and receives one load.
func measure(ctx context.Context, l load, to sink) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	conns, err := connectAll(l)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	if err != nil {
		return result{}, err
	}
	a := &arrivals{want: l.messages, done: make(chan struct{})}
	ready, sinkErr := make(chan struct{}), make(chan error, 1)
	go func() { sinkErr <- to(ctx, func() { close(ready) }, a.add) }()
	select {
	case <-ready:
	case err := <-sinkErr:
		return result{}, fmt.Errorf("subscriber: %w", err)
	}
	began := time.Now()
	sendErr := make(chan error, 1)
	go func() { sendErr <- sendAll(ctx, l, conns) }()
	sending := true
	for {
		select {
		case <-a.done:
			cancel()
			<-sinkErr
			return a.result(began), nil
		case err := <-sinkErr:
			return result{}, fmt.Errorf("subscriber: %w", err)
		case err := <-sendErr:
			if err != nil {
				return result{}, err
			}
			sending, sendErr = false, nil
		case <-time.After(quiet / 4):
			if l.lossy && !sending && a.quietFor() > quiet {
				cancel()
				<-sinkErr
				return a.result(began), nil
			}
		case <-ctx.Done():
			return result{}, fmt.Errorf("%d of %d messages arrived: %w", a.count(), l.messages, ctx.Err())
		}
	}
}

// arrivals are the messages that the subscriber has got.
type arrivals struct {
	mu        sync.Mutex
	want      int
	done      chan struct{}
	latencies []time.Duration
	last      time.Time
}

func (a *arrivals) add(sent []time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = time.Now()
	for _, t := range sent {
		a.latencies = append(a.latencies, a.last.Sub(t))
		if len(a.latencies) == a.want {
			close(a.done)
		}
	}
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.latencies)
}

func (a *arrivals) quietFor() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Since(a.last)
}

func (a *arrivals) result(began time.Time) result {
	a.mu.Lock()
	defer a.mu.Unlock()
	return sorted(result{messages: len(a.latencies), lost: a.want - len(a.latencies), elapsed: a.last.Sub(began), latencies: a.latencies})
}

// connectAll connects the devices, some at a time.
func connectAll(l load) ([]net.Conn, error) {
	conns := make([]net.Conn, l.devices)
	errs := make([]error, l.devices)
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range l.devices {
		wg.Add(1)
		slots <- struct{}{}
		go func() {
			defer wg.Done()
			conns[i], errs[i] = connect(l.address, deviceName(i), deviceName(i), "bench-secret")
			<-slots
		}()
	}
	wg.Wait()
	conns = slices.DeleteFunc(conns, func(c net.Conn) bool { return c == nil })
	return conns, errors.Join(errs...)
}

// sendAll lets every device send its share.
func sendAll(ctx context.Context, l load, conns []net.Conn) error {
	stop := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			c.Close()
		}
	})
	defer stop()
	var wg sync.WaitGroup
	errs := make([]error, len(conns))
	for i, c := range conns {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = send(c, deviceName(i), l.messages/len(conns), l.window, l.pause(len(conns)))
		}()
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil // over: connections were closed on purpose
	}
	return errors.Join(errs...)
}

// pause is the time between two messages of one device.
func (l load) pause(devices int) time.Duration {
	if l.rate == 0 {
		return 0
	}
	return time.Second * time.Duration(devices) / time.Duration(l.rate)
}

// send publishes n messages at QoS 1 with at most window unacknowledged. It
// writes MQTT itself: a client library would take more of the processor than
// what is measured.
func send(c net.Conn, name string, n, window int, pause time.Duration) error {
	slots := make(chan struct{}, window)
	acked := make(chan error, 1)
	go func() { acked <- readAcks(c, n, slots) }()
	topic := "devices/" + name + "/senml"
	for i := range n {
		select {
		case slots <- struct{}{}:
		case err := <-acked:
			return fmt.Errorf("%s: acknowledgements: %w", name, err)
		}
		if pause > 0 {
			time.Sleep(pause)
		}
		if _, err := c.Write(publish(topic, uint16(i%65535+1), payload(name))); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return <-acked
}

// payload is one reading; its value is the moment of sending, as seconds, so
// that the receiver knows the latency.
func payload(name string) []byte {
	b := append([]byte(`[{"bn":"`), name...)
	b = append(b, `:","n":"temperature","u":"s","v":`...)
	b = strconv.AppendFloat(b, float64(time.Now().UnixMicro())/1e6, 'f', 6, 64)
	return append(b, `}]`...)
}

// readAcks reads n PUBACKs (MQTT 3.1.1 §3.4), freeing a slot each.
func readAcks(c net.Conn, n int, slots chan struct{}) error {
	in := bufio.NewReaderSize(c, 512)
	var ack [4]byte
	for range n {
		if _, err := io.ReadFull(in, ack[:]); err != nil {
			return err
		}
		if ack[0] != 0x40 || ack[1] != 2 {
			return fmt.Errorf("unexpected packet % x", ack)
		}
		<-slots
	}
	return nil
}

// connect opens an MQTT 3.1.1 connection (§3.1).
func connect(address, clientID, user, password string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", address, 20*time.Second)
	if err != nil {
		return nil, err
	}
	body := append(text("MQTT"), 4, 0xc2, 0, 0)
	for _, s := range []string{clientID, user, password} {
		body = append(body, text(s)...)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	var ack [4]byte
	if _, err = c.Write(packet(0x10, body)); err == nil {
		_, err = io.ReadFull(c, ack[:])
	}
	if err != nil || ack[0] != 0x20 || ack[3] != 0 {
		c.Close()
		return nil, fmt.Errorf("connect %s: % x %w", clientID, ack, err)
	}
	return c, c.SetDeadline(time.Time{})
}

func text(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func packet(kind byte, body []byte) []byte {
	out := []byte{kind}
	for n := len(body); ; {
		b := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			out = append(out, b|0x80)
			continue
		}
		return append(append(out, b), body...)
	}
}

func publish(topic string, id uint16, payload []byte) []byte {
	body := binary.BigEndian.AppendUint16(text(topic), id)
	return packet(0x32, append(body, payload...))
}
