package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// bareSink is a subscriber of the bare broker.
func (h *house) bareSink() sink {
	return subscriber(h.brokerAddr, "bench", "bench", "devices/#")
}

// storedSink is a subscriber of the server's channel, which relays what it has
// stored.
func (h *house) storedSink() sink {
	return subscriber(h.serverPorts["mqtt"], h.thing, h.key, "channels/"+h.channel+"/messages/#")
}

// subscriber receives SenML at QoS 1; the value of each record is when it was
// sent.
func subscriber(address, user, key, filter string) sink {
	return func(ctx context.Context, ready func(), got func([]time.Time)) error {
		c, err := connect(address, "gatewaybench", user, key)
		if err != nil {
			return err
		}
		defer c.Close()
		stop := context.AfterFunc(ctx, func() { c.Close() })
		defer stop()
		body := append([]byte{0, 1}, text(filter)...)
		if _, err := c.Write(packet(0x82, append(body, 1))); err != nil {
			return err
		}
		in := bufio.NewReaderSize(c, 64<<10)
		for {
			kind, body, err := readPacket(in)
			if err != nil {
				return err
			}
			switch kind & 0xf0 {
			case 0x90: // SUBACK
				if body[len(body)-1] > 2 {
					return fmt.Errorf("subscription to %s refused", filter)
				}
				ready()
			case 0x30:
				n := 2 + int(binary.BigEndian.Uint16(body))
				topic, rest := string(body[2:n]), body[n:]
				if kind&6 != 0 {
					if _, err := c.Write([]byte{0x40, 2, rest[0], rest[1]}); err != nil {
						return err
					}
					rest = rest[2:]
				}
				sent, err := moments(topic, rest)
				if err != nil {
					return err
				}
				got(sent)
			}
		}
	}
}

// moments are when the records of a message were sent.
func moments(topic string, payload []byte) ([]time.Time, error) {
	pack, err := senml.Decode(payload, senml.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", topic, err)
	}
	out := make([]time.Time, 0, len(pack))
	for i := range pack {
		if strings.HasSuffix(pack[i].Name, "temperature") {
			out = append(out, time.UnixMicro(int64(pack[i].Value.Float()*1e6+0.5)))
		}
	}
	return out, nil
}

func readPacket(in *bufio.Reader) (byte, []byte, error) {
	kind, err := in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	n, shift := 0, 0
	for {
		b, err := in.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		n |= int(b&0x7f) << shift
		if shift += 7; b < 0x80 {
			break
		}
	}
	body := make([]byte, n)
	_, err = io.ReadFull(in, body)
	return kind, body, err
}
