package server

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/mqtt"
	"github.com/osmoslice/osmoslice/internal/senml"
)

// BenchmarkIngest publishes at QoS 1 over MQTT, as a gateway does (many records
// in a message, several messages on the way), until all is acknowledged and so
// on disk.
func BenchmarkIngest(b *testing.B) {
	for _, devices := range []int{10, 1000, 10_000} {
		for _, records := range []int{1, 100, 1000} {
			for _, full := range []bool{false, true} {
				b.Run(fmt.Sprintf("devices=%d/records=%d/fsync=%v", devices, records, full), func(b *testing.B) { ingest(b, devices, records, full) })
			}
		}
	}
}

func ingest(b *testing.B, devices, records int, full bool) {
	s := startServer(b, func(o *Options) { o.Sync = full })
	defer stopServer(b, s)
	gateway, ch := benchClient(b, s)
	m, err := mqtt.Dial(context.Background(), mqtt.ClientOptions{Address: "tcp://" + s.MQTT().String(), ClientID: "gw", Username: gateway.ID, Password: gateway.Key})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	payload := benchPayloads(b, devices, records)
	const onTheWay = 64
	window := make(chan struct{}, onTheWay)
	var wg sync.WaitGroup
	sent := 0
	publish := func() {
		window <- struct{}{}
		wg.Add(1)
		topic := fmt.Sprintf("channels/%s/messages/edge-1.0123456789abcdef.%d.%d", ch.ID, sent*records+1, records)
		m.PublishAsync(topic, 1, payload[sent%len(payload)], func(err error) {
			if err != nil {
				b.Error(err)
			}
			<-window
			wg.Done()
		})
		sent++
	}
	for range payload { // every series is known before the clock runs
		publish()
	}
	wg.Wait()
	before, warm := processorTime(b), sent
	for b.Loop() {
		publish()
	}
	wg.Wait()
	points := float64((sent - warm) * records)
	b.ReportMetric(points/b.Elapsed().Seconds(), "points/s")
	b.ReportMetric((processorTime(b)-before).Seconds()*1e6/points, "cpu-µs/point")
}

// processorTime is what the process used so far, client and server together: a
// measure that other processes on the machine disturb little.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func benchClient(b *testing.B, s *Server) (thing, channel) {
	b.Helper()
	gateway, err := s.newThing(context.Background(), thing{Name: "gw"})
	if err != nil {
		b.Fatal(err)
	}
	ch, err := s.newChannel(context.Background(), channel{Name: "gw"})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.connect(context.Background(), ch.ID, gateway.ID); err != nil {
		b.Fatal(err)
	}
	return gateway, ch
}

// benchPayloads are messages that together hold readings of all devices.
func benchPayloads(b *testing.B, devices, records int) [][]byte {
	b.Helper()
	at := senml.Seconds(time.Now())
	var out [][]byte
	device := 0
	for range max(1, devices/records) {
		p := make(senml.Pack, records)
		for i := range p {
			p[i] = senml.Record{Name: fmt.Sprintf("device-%d:temperature", device%devices), Unit: "Cel", Time: at + float64(device)/1e3, Value: senml.Float(20 + float64(i%80)/8)}
			device++
		}
		text, err := senml.EncodeJSON(p)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, text)
	}
	return out
}

// BenchmarkQuery reads from a channel of 1000 series with 1000 points each.
func BenchmarkQuery(b *testing.B) {
	s := startServer(b, nil)
	defer stopServer(b, s)
	gateway, ch := benchClient(b, s)
	from := time.Now().Add(-time.Hour)
	for second := range 1000 {
		p := make(senml.Pack, 1000)
		for i := range p {
			p[i] = senml.Record{Name: fmt.Sprintf("device-%d:temperature", i), Time: senml.Seconds(from) + float64(second), Value: senml.Float(float64(i))}
		}
		done := make(chan error, 1)
		text, err := senml.EncodeCBOR(p)
		if err != nil {
			b.Fatal(err)
		}
		s.intake.take(message{channel: ch.ID, publisher: gateway.ID, protocol: "http"}, text, senml.DecodeCBOR, func(err error) { done <- err })
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	for name, q := range map[string]string{
		"latest of a channel": "limit=100&count=false", "with total": "limit=100", "latest of a name": "limit=100&name=device-7:temperature",
		"windows of a name": "limit=100&name=device-7:temperature&aggregate=mean&interval=60s", "windows of all": "limit=100&aggregate=mean&interval=60s",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r, err := http.NewRequest(http.MethodGet, "http://"+s.API().String()+"/channels/"+ch.ID+"/messages?"+q, nil)
				if err != nil {
					b.Fatal(err)
				}
				r.Header.Set("Authorization", gateway.Key)
				response, err := http.DefaultClient.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				if response.StatusCode != http.StatusOK {
					b.Fatal(response.Status)
				}
				response.Body.Close()
			}
		})
	}
}
