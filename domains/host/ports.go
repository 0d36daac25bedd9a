package host

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/supervise"
)

// A port is reserved by a symbolic link ports/<number> to "site/release/name":
// making one is atomic among all services that share the directory.

func (d *Driver) portsDir() string { return filepath.Join(d.o.Dir, "ports") }

// reserve gives each wanted port a number: the one it had before, the fixed
// one, or a free one of the site's range. Repeated for the same release it
// answers the same.
func (d *Driver) reserve(p place, release string, wanted []slice.Port, had map[string]int) (map[string]int, error) {
	if err := d.prepare(d.portsDir()); err != nil {
		return nil, err
	}
	owner := p.owner(release)
	if had == nil {
		had = d.reservedBy(owner)
	}
	got := map[string]int{}
	for _, w := range wanted {
		n := had[w.Name]
		if n != 0 && (w.Fixed == 0 || w.Fixed == n) {
			got[w.Name] = n
			continue
		}
		n, err := d.reserveOne(p, owner+"/"+w.Name, w)
		if err != nil {
			return nil, err
		}
		got[w.Name] = n
	}
	return got, nil
}

func (d *Driver) reserveOne(p place, owner string, w slice.Port) (int, error) {
	if w.Fixed != 0 {
		why, err := d.take(p, w.Fixed, owner)
		if err == nil && why != "" && d.dropStale(w.Fixed) {
			why, err = d.take(p, w.Fixed, owner)
		}
		if err == nil && why != "" {
			err = fault.New(fault.Conflict, "port %d for %q is %s", w.Fixed, w.Name, why).Retrying(fault.Backoff)
		}
		return w.Fixed, err
	}
	for _, dropStale := range []bool{false, true} {
		n, err := d.search(p, owner, dropStale)
		if n != 0 || err != nil {
			return n, err
		}
	}
	return 0, fault.New(fault.Conflict, "no free port for %q: all %d ports from %d to %d are reserved or in use",
		w.Name, p.Ports.To-p.Ports.From+1, p.Ports.From, p.Ports.To).Retrying(fault.Backoff)
}

// search tries every port of the range once, from a place that the owner's
// name decides, so that independent services rarely try the same ones.
func (d *Driver) search(p place, owner string, dropStale bool) (int, error) {
	n := p.Ports.To - p.Ports.From + 1
	h := fnv.New32a()
	h.Write([]byte(d.o.Dir + " " + owner))
	start := int(h.Sum32() % uint32(n))
	for i := range n {
		port := p.Ports.From + (start+i)%n
		if dropStale && !d.dropStale(port) {
			continue
		}
		why, err := d.take(p, port, owner)
		if err != nil || why == "" {
			return port, err
		}
	}
	return 0, nil
}

// take reserves one port; why tells who is in the way.
func (d *Driver) take(p place, port int, owner string) (why string, err error) {
	link := filepath.Join(d.portsDir(), strconv.Itoa(port))
	err = os.Symlink(owner, link)
	if errors.Is(err, os.ErrExist) {
		if is, _ := os.Readlink(link); is == owner {
			return "", nil
		}
		return "reserved by another deployment", nil
	}
	if err != nil {
		return "", supervise.IOFault(err, "cannot reserve a port")
	}
	err = free(p.Listen, port)
	if err == nil {
		return "", nil
	}
	_ = os.Remove(link)
	if errors.Is(err, unix.EADDRINUSE) || errors.Is(err, unix.EACCES) {
		return "in use or not permitted on this machine", nil
	}
	return "", fault.New(fault.Invalid, "this machine cannot listen at %s", p.Listen).Because(err).
		With("connection/listen", p.Listen, "an address of this machine")
}

// free reports whether the port can be bound, both for TCP and for UDP.
func free(host string, port int) error {
	at := net.JoinHostPort(host, strconv.Itoa(port))
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", at)
	if err != nil {
		return err
	}
	_ = l.Close()
	c, err := lc.ListenPacket(context.Background(), "udp", at)
	if err != nil {
		return err
	}
	return c.Close()
}

// dropStale gives up a reservation whose deployment is gone, left by a service
// that was killed; it reports whether it did.
func (d *Driver) dropStale(port int) bool {
	link := filepath.Join(d.portsDir(), strconv.Itoa(port))
	owner, err := os.Readlink(link)
	f := strings.SplitN(owner, "/", 3)
	if err != nil || len(f) != 3 {
		return false
	}
	_, err = os.Lstat(filepath.Join(d.o.Dir, "sites", f[0], "units", f[1]))
	return errors.Is(err, os.ErrNotExist) && os.Remove(link) == nil
}

// reservedBy reads an owner's reservations, by port name.
func (d *Driver) reservedBy(owner string) map[string]int {
	found := map[string]int{}
	entries, err := os.ReadDir(d.portsDir())
	if err != nil {
		return found
	}
	for _, e := range entries {
		is, err := os.Readlink(filepath.Join(d.portsDir(), e.Name()))
		name, ok := strings.CutPrefix(is, owner+"/")
		if n, nerr := strconv.Atoi(e.Name()); err == nil && ok && nerr == nil {
			found[name] = n
		}
	}
	return found
}

// release gives back every reservation of the owner but those to keep.
func (d *Driver) releasePorts(owner string, keep map[string]int) error {
	for name, n := range d.reservedBy(owner) {
		if keep[name] == n {
			continue
		}
		if err := os.Remove(filepath.Join(d.portsDir(), strconv.Itoa(n))); err != nil && !errors.Is(err, os.ErrNotExist) {
			return supervise.IOFault(err, fmt.Sprintf("cannot give back port %d", n))
		}
	}
	return nil
}

// endpoints are the URLs at which others reach the ports.
func (p place) endpoints(wanted []slice.Port, numbers map[string]int) map[string]string {
	urls := map[string]string{}
	for _, w := range wanted {
		scheme := w.Scheme
		if scheme == "" {
			scheme = w.Protocol
		}
		urls[w.Name] = scheme + "://" + net.JoinHostPort(p.Advertise, strconv.Itoa(numbers[w.Name]))
	}
	return urls
}
