package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/osmoslice/osmoslice/test/testbed/pki"
	"github.com/osmoslice/osmoslice/test/testbed/wan"
)

// A supervisor runs inside the bed: it is the WAN, starts the nodes and serves
// the control socket.
type supervisor struct {
	dir        Dir
	bed        Bed
	cgroup     string
	executable string
	router     *wan.Router
	progress   *progress
	inits      map[string]int // process 1 of each node, by its name
}

// Supervise runs the bed of the folder in the namespaces it was started in, until
// ctx ends. group is the bed's cgroup, executable this program.
func Supervise(ctx context.Context, dir Dir, group, executable string) error {
	// The nodes' death signal hangs on this thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	bed, err := dir.Bed()
	if err != nil {
		return err
	}
	s := &supervisor{dir: dir, bed: bed, cgroup: group, executable: executable, progress: newProgress(bed), inits: map[string]int{}}
	if s.router, err = wan.New(ctx, Operator); err != nil {
		return fmt.Errorf("WAN: %w", err)
	}
	for _, c := range bed.Clusters {
		if err := s.prepare(ctx, c); err != nil {
			return fmt.Errorf("cluster %s: %w", c.Name, err)
		}
	}
	// All nodes start at once: a cluster's others wait for its first by themselves.
	for _, c := range bed.Clusters {
		for _, n := range c.Nodes {
			if err := s.start(ctx, c, n); err != nil {
				return fmt.Errorf("node %s: %w", n.Name, err)
			}
		}
	}
	return s.serve(ctx)
}

// prepare makes a cluster's network and keys.
func (s *supervisor) prepare(ctx context.Context, c Cluster) error {
	site := wan.Site{Name: c.Name, Index: c.Index, Network: c.Network, Gateway: c.Gateway}
	if err := s.router.Add(ctx, site); err != nil {
		return err
	}
	identities := pki.Cluster{Name: c.Name, Server: c.Server(),
		Addresses: []net.IP{bytesOf(c.Nodes[0].Address), bytesOf(c.Services.Addr().Next())}}
	for _, n := range c.Nodes {
		identities.Nodes = append(identities.Nodes, pki.Node{Name: n.Name, Address: bytesOf(n.Address)})
	}
	return pki.Write(s.dir.join("pki", c.Name), identities)
}

func bytesOf(a netip.Addr) net.IP { return a.AsSlice() }

// A nodeOrder is what a node is told on its standard input once its network leg
// is there.
type nodeOrder struct {
	Dir     Dir
	Bed     Bed
	Cluster Cluster
	Node    Node
	Cgroup  string
}

func (s *supervisor) start(ctx context.Context, c Cluster, n Node) error {
	group := s.cgroup + "/" + n.Name
	if err := makeCgroup(group); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir.Log(n.Name), 0o755); err != nil {
		return err
	}
	log, err := os.Create(s.dir.Log(n.Name, "node.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.executable, "init", s.executable, "node")
	cmd.SysProcAttr = die(syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC)
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.inits[n.Name] = cmd.Process.Pid
	if err := s.router.Attach(ctx, c.Name, fmt.Sprintf("%sn%d", c.bridge(), n.Index), cmd.Process.Pid); err != nil {
		return err
	}
	order := nodeOrder{Dir: s.dir, Bed: s.bed, Cluster: c, Node: n, Cgroup: "/" + group}
	if err := json.NewEncoder(in).Encode(order); err != nil {
		return err
	}
	// in stays open: its end tells the node to end.
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.progress.reached(n.Name, lines.Text())
		}
		err := cmd.Wait()
		if err == nil {
			err = fmt.Errorf("ended")
		}
		s.progress.failed(n.Name, fmt.Errorf("%w: see %s", err, s.dir.Log(n.Name)))
	}()
	return nil
}
