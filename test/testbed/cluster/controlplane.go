package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/osmoslice/osmoslice/test/testbed/pki"
)

// A ControlPlane is etcd, API server, controllers and scheduler in one process on
// loopback, without a node and without root.
type ControlPlane struct {
	Kubeconfig string
	PID        int
	Log        string
	ended      chan error
	stop       func()
}

type controlPlaneOptions struct {
	scheduler   bool
	controllers string
	apiServer   []string
}

// A ControlPlaneOption departs from the default: all controllers that need no
// cloud, and the scheduler.
type ControlPlaneOption func(*controlPlaneOptions)

// APIServerOnly leaves controllers and scheduler out; it starts sooner. What they
// make (the default service account of a namespace) is then missing.
func APIServerOnly() ControlPlaneOption {
	return func(o *controlPlaneOptions) { o.scheduler, o.controllers = false, "" }
}

// APIServerArgument passes one more argument to kube-apiserver.
func APIServerArgument(a string) ControlPlaneOption {
	return func(o *controlPlaneOptions) { o.apiServer = append(o.apiServer, "--apiserver="+a) }
}

// StartControlPlane starts one, state and log in dir, and waits until it serves.
// It ends by Stop, and at the latest with this process.
func StartControlPlane(ctx context.Context, binary, dir string, options ...ControlPlaneOption) (*ControlPlane, error) {
	o := controlPlaneOptions{scheduler: true, controllers: "*"}
	for _, f := range options {
		f(&o)
	}
	// The process inherits the listener: nobody can take the port before it does.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	keys := filepath.Join(dir, "pki")
	server := "https://" + listener.Addr().String()
	if err := pki.Write(keys, pki.Cluster{Name: "testbed", Server: server, Addresses: []net.IP{net.IPv4(10, 96, 0, 1)}}); err != nil {
		return nil, err
	}
	p := &ControlPlane{Kubeconfig: filepath.Join(keys, "admin.kubeconfig"), Log: filepath.Join(dir, "controlplane.log"), ended: make(chan error, 1)}
	ready := filepath.Join(dir, "ready")
	args := append([]string{"controlplane", "--data", filepath.Join(dir, "store"), "--pki", keys, "--listener", "3", "--readyfile", ready,
		fmt.Sprintf("--scheduler=%t", o.scheduler), "--controllers=" + o.controllers}, o.apiServer...)
	inherited, err := listener.(*net.TCPListener).File()
	if err != nil {
		return nil, err
	}
	defer inherited.Close()
	if err := p.start(binary, args, inherited); err != nil {
		return nil, err
	}
	if err := p.await(ctx, ready, o); err != nil {
		p.Stop()
		return nil, fmt.Errorf("control plane: %w: %s", err, lastLines(p.Log))
	}
	return p, nil
}

// start runs the process on a thread that lasts as long as it does, for on that
// thread hangs its death signal.
func (p *ControlPlane) start(binary string, args []string, listener *os.File) error {
	log, err := os.Create(p.Log)
	if err != nil {
		return err
	}
	started := make(chan error)
	go func() {
		defer log.Close()
		runtime.LockOSThread()
		cmd := exec.Command(binary, args...)
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = die(0)
		cmd.ExtraFiles = []*os.File{listener} // descriptor 3
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.PID = cmd.Process.Pid
		p.stop = func() { _ = cmd.Process.Signal(syscall.SIGKILL) } // its state goes with it
		started <- nil
		p.ended <- cmd.Wait()
	}()
	return <-started
}

func (p *ControlPlane) await(ctx context.Context, ready string, o controlPlaneOptions) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := os.Stat(ready)
		if err == nil && o.controllers != "" {
			err = p.defaultAccount(ctx)
		}
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case err := <-p.ended:
			p.ended <- err
			return fmt.Errorf("ended: %w", err)
		}
	}
}

// defaultAccount is what every pod and so every chart needs to be accepted.
func (p *ControlPlane) defaultAccount(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", p.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return defaultAccount(ctx, client)
}

// Stop ends the process and waits for its end.
func (p *ControlPlane) Stop() {
	p.stop()
	p.ended <- <-p.ended
}

// Ended is closed over by whoever waits for the process: it answers why it ended.
func (p *ControlPlane) Ended() error {
	err := <-p.ended
	p.ended <- err
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(lastLines(p.Log)))
	}
	return nil
}
