package wan

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func shaperOf(q Quality) *shaper { return &shaper{quality: q, chance: rand.New(rand.NewPCG(1, 2))} }

func TestLatencyAndRate(t *testing.T) {
	start := time.Unix(0, 0)
	s := shaperOf(Quality{Latency: 20 * time.Millisecond, Rate: 1e6})
	// 1250 bytes are 10 ms at 1 Mbit/s: each packet waits for those before it.
	for i := range 5 {
		got, ok := s.admit(start, 1250)
		want := start.Add(20*time.Millisecond + time.Duration(i+1)*10*time.Millisecond)
		if !ok || !got.Equal(want) {
			t.Fatalf("packet %d arrives %s (%t), want %s", i, got.Sub(start), ok, want.Sub(start))
		}
	}
	// Once the line is free again, only its own time counts.
	got, ok := s.admit(start.Add(time.Second), 1250)
	if want := start.Add(time.Second + 30*time.Millisecond); !ok || !got.Equal(want) {
		t.Errorf("later: arrives %s, want %s", got.Sub(start), want.Sub(start))
	}
}

func TestABufferThatIsFullDrops(t *testing.T) {
	start := time.Unix(0, 0)
	s := shaperOf(Quality{Rate: 1e6})
	sent := 0
	for range 1000 {
		if _, ok := s.admit(start, 1250); ok {
			sent++
		}
	}
	// 200 ms of buffer at 10 ms each, and the one that fills it.
	if sent != 21 {
		t.Errorf("%d of 1000 packets are sent, want 21", sent)
	}
}

func TestLoss(t *testing.T) {
	const n = 100000
	for _, loss := range []float64{0, 0.1, 1} {
		s := shaperOf(Quality{Loss: loss})
		lost := 0
		for range n {
			if _, ok := s.admit(time.Unix(0, 0), 100); !ok {
				lost++
			}
		}
		if got := float64(lost) / n; got < loss-0.01 || got > loss+0.01 {
			t.Errorf("loss %g: %g of the packets are lost", loss, got)
		}
	}
}

func TestJitterVariesButKeepsTheOrder(t *testing.T) {
	s := shaperOf(Quality{Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond})
	last, lowest, highest := time.Time{}, time.Hour, time.Duration(0)
	for i := range 10000 {
		now := time.Unix(0, 0).Add(time.Duration(i) * 50 * time.Millisecond)
		arrives, _ := s.admit(now, 100)
		if arrives.Before(last) {
			t.Fatalf("packet %d overtakes", i)
		}
		last = arrives
		lowest, highest = min(lowest, arrives.Sub(now)), max(highest, arrives.Sub(now))
	}
	if lowest < 10*time.Millisecond || lowest > 11*time.Millisecond || highest > 30*time.Millisecond || highest < 29*time.Millisecond {
		t.Errorf("latency varies from %s to %s, want 10ms to 30ms", lowest, highest)
	}
}

func TestQualityIsChecked(t *testing.T) {
	for _, q := range []Quality{{Latency: -1}, {Latency: time.Hour}, {Latency: 1, Jitter: 2}, {Loss: 1.1}, {Loss: -0.1}, {Rate: 100}, {Rate: -1}} {
		if q.Validate() == nil {
			t.Errorf("%+v is accepted", q)
		}
	}
	if err := (Quality{Latency: time.Second, Jitter: time.Second, Loss: 1, Rate: 8000}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestCuts(t *testing.T) {
	sites := map[string]Site{}
	for i, name := range []string{"cloud", "edge", "third"} {
		sites[name] = Site{Name: name, Index: i + 1, Network: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 210, byte(i + 1), 0}), 24)}
	}
	got := renderCuts(sites, map[cut]bool{{"edge", ""}: true, {"cloud", "third"}: true})
	for rule, times := range map[string]int{
		"  ip saddr 10.210.2.0/24 drop\n": 3, "  ip daddr 10.210.2.0/24 drop\n": 3,
		"  ip saddr 10.210.1.0/24 ip daddr 10.210.3.0/24 drop\n": 3, "  ip saddr 10.210.3.0/24 ip daddr 10.210.1.0/24 drop\n": 3,
		"drop\n": 12,
	} {
		if n := strings.Count(got, rule); n != times {
			t.Errorf("%q is in it %d times, want %d (forward, input, output):\n%s", rule, n, times, got)
		}
	}
	if none := renderCuts(sites, nil); strings.Contains(none, "drop") {
		t.Errorf("without cuts:\n%s", none)
	}
}

func TestDestined(t *testing.T) {
	packet := make([]byte, 20)
	packet[0] = 0x45
	copy(packet[16:], []byte{10, 210, 1, 11})
	if !destined(packet, netip.MustParsePrefix("10.210.1.0/24")) || destined(packet, netip.MustParsePrefix("10.210.2.0/24")) {
		t.Error("the packet goes to 10.210.1.11")
	}
	packet[0] = 0x60
	if destined(packet, netip.MustParsePrefix("10.210.1.0/24")) {
		t.Error("an IPv6 packet is taken for one of IPv4")
	}
}
