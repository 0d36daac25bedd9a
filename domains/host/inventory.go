package host

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/supervise"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// Nodes tells the site's one node: this machine, with the capacity that the
// connection data states or else what the machine has.
func (d *Driver) Nodes(ctx context.Context, s domain.Site) ([]topology.Node, error) {
	p, err := d.claim(s)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.Of(err)
	}
	id, err := d.HostID()
	if err != nil {
		return nil, err
	}
	capacity, err := d.capacity(p.connection)
	if err != nil {
		return nil, err
	}
	name, err := os.Hostname()
	if err != nil {
		name = id
	}
	if p.Capacity != (topology.Capacity{}) && s.Name != "" {
		name = s.Name + "." + name // one of several places that share the machine
	}
	n := topology.Node{ID: d.nodeID(p), Name: name, Infrastructure: s.ID, Kind: p.Kind, Arch: runtime.GOARCH,
		Capacity: capacity, Labels: map[string]string{"hostId": id}}
	if p.LatencyMS != nil {
		n.Labels["latencyMs"] = strconv.FormatFloat(*p.LatencyMS, 'g', -1, 64)
	}
	return []topology.Node{n}, nil
}

// nodeID is stable for one site on one host.
func (d *Driver) nodeID(p place) string {
	id, err := d.HostID()
	if err != nil {
		return p.site.ID
	}
	return p.site.ID + "-" + id[:min(8, len(id))]
}

func (d *Driver) capacity(c connection) (topology.Capacity, error) {
	got := c.Capacity
	if got.CPU == 0 {
		got.CPU = int64(runtime.NumCPU()) * 1000
	}
	if got.Memory == 0 {
		f, err := os.Open("/proc/meminfo")
		if err != nil {
			return got, supervise.IOFault(err, "cannot read this machine's memory")
		}
		defer f.Close()
		if got.Memory, err = memTotal(bufio.NewScanner(f)); err != nil {
			return got, supervise.IOFault(err, "cannot read this machine's memory")
		}
	}
	if got.Storage == 0 {
		if err := d.prepare(d.o.Dir); err != nil {
			return got, err
		}
		var st unix.Statfs_t
		if err := unix.Statfs(d.o.Dir, &st); err != nil {
			return got, supervise.IOFault(err, "cannot read the size of "+filepath.Base(d.o.Dir))
		}
		got.Storage = int64(st.Blocks) * st.Bsize >> 20
	}
	return got, nil
}

// memTotal reads MemTotal of proc_meminfo(5) in MiB.
func memTotal(sc *bufio.Scanner) (int64, error) {
	for sc.Scan() {
		if f := strings.Fields(sc.Text()); len(f) >= 2 && f[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib >> 10, err
		}
	}
	return 0, fmt.Errorf("no MemTotal: %w", sc.Err())
}
