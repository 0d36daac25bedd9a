package wan

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A tunnel is the way around through this process that a site's traffic takes
// while its link has a quality.
type tunnel struct {
	device  *os.File
	network netip.Prefix
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu        sync.Mutex
	into, out *shaper
}

// openTunnel makes the TUN device; it vanishes when the tunnel closes.
func openTunnel(name string, network netip.Prefix, q Quality) (*tunnel, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("links with latency, loss or rate need /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("TUN device %s: %w", name, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t := &tunnel{device: os.NewFile(uintptr(fd), "/dev/net/tun"), network: network, stop: stop}
	t.shape(q)
	into, out := make(chan packet, maxWaiting), make(chan packet, maxWaiting)
	t.done.Add(3)
	go func() { defer t.done.Done(); t.read(into, out) }()
	for _, way := range []chan packet{into, out} {
		go func() { defer t.done.Done(); _ = deliver(ctx, way, t.device.Write) }()
	}
	return t, nil
}

// shape gives both directions a quality; what is under way keeps its arrival.
func (t *tunnel) shape(q Quality) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.into = &shaper{quality: q, chance: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	t.out = &shaper{quality: q, chance: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
}

// read takes packets off the device until it closes.
func (t *tunnel) read(into, out chan<- packet) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := t.device.Read(buffer)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil || n < 20 {
			continue
		}
		way, inwards := out, destined(buffer[:n], t.network)
		if inwards {
			way = into
		}
		arrives, ok := t.admit(inwards, n)
		if !ok {
			continue
		}
		select {
		case way <- packet{append([]byte(nil), buffer[:n]...), arrives}:
		default: // too much in flight
		}
	}
}

func (t *tunnel) admit(inwards bool, bytes int) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if inwards {
		return t.into.admit(time.Now(), bytes)
	}
	return t.out.admit(time.Now(), bytes)
}

func (t *tunnel) close() {
	t.stop()
	t.device.Close()
	t.done.Wait()
}

// destined is whether an IPv4 packet goes to the network.
func destined(p []byte, network netip.Prefix) bool {
	return p[0]>>4 == 4 && network.Contains(netip.AddrFrom4([4]byte(p[16:20])))
}
