package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/osmoslice/osmoslice/internal/kube"
)

// service is the shipped osmosliced with both clusters registered.
type service struct {
	cmd      *exec.Cmd
	dir, bed string
	url, key string
	tenant   string
	clusters map[string]*kube.Cluster

	mu     sync.Mutex
	slices map[string]string // name -> id
}

type object map[string]any

// pods are the address ranges of the bed's clusters.
var pods = map[string]string{"edge": "10.1.0.0/16", "cloud": "10.2.0.0/16"}

func start(ctx context.Context, bin, bed string) (*service, error) {
	dir, err := os.MkdirTemp("", "kubebench-")
	if err != nil {
		return nil, err
	}
	s := &service{dir: dir, bed: bed, clusters: map[string]*kube.Cluster{}, slices: map[string]string{}}
	address := filepath.Join(dir, "address")
	s.cmd = exec.CommandContext(ctx, filepath.Join(bin, "osmosliced"), "--data-dir", filepath.Join(dir, "data"), "--listen-address", "127.0.0.1:0",
		"--listen-portfile", address, "--limits-ratepersecond", "0", "--host-enabled=false", "--log-level", "warn")
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	err = until(ctx, 30*time.Second, soon, func() error {
		b, err := os.ReadFile(address)
		if err != nil {
			return err
		}
		key, err := os.ReadFile(filepath.Join(dir, "data", "admin.key"))
		s.url, s.key = "http://"+strings.TrimSpace(string(b))+"/iotslice/v1", strings.TrimSpace(string(key))
		return err
	})
	if err == nil {
		err = s.prepare(ctx)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// stop ends the service and removes its folder.
func (s *service) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
	_ = os.RemoveAll(s.dir)
}

func (s *service) prepare(ctx context.Context) error {
	var made struct{ ID string }
	if err := s.call(ctx, "POST", "/tenants", object{"name": "bench"}, &made); err != nil {
		return err
	}
	s.tenant = made.ID
	for name, kind := range map[string]string{"edge": "DEVICE_EDGE", "cloud": "CLOUD"} {
		raw, err := os.ReadFile(filepath.Join(s.bed, "kubeconfig", name))
		if err != nil {
			return err
		}
		config, err := kube.Kubeconfig(raw, "", kube.Rules{})
		if err != nil {
			return err
		}
		if s.clusters[name], err = kube.Connect(config, kube.Options{}); err != nil {
			return err
		}
		if err := s.call(ctx, "POST", "/secrets", object{"name": "kubeconfig-" + name, "tenantId": s.tenant, "value": string(raw)}, nil); err != nil {
			return err
		}
		err = s.call(ctx, "POST", "/infrastructures", object{"name": name, "tenantId": s.tenant, "kind": kind, "plugin": "kubernetes",
			"connection": object{"podCIDR": []string{pods[name]}}, "secretRefs": object{"kubeconfig": "kubeconfig-" + name}}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// How often one slice is looked at: alone it costs nothing, and among many the
// looking itself would take the two cores. The slower one adds up to its length
// to what is measured.
const (
	soon   = 10 * time.Millisecond
	seldom = 200 * time.Millisecond
)

// order orders one slice, of functions with so many milli-cores each, and looks
// at it until it runs.
func (s *service) order(ctx context.Context, name string, look time.Duration, milli int) (id string, err error) {
	var made struct{ ID string }
	little := object{"cpuMilli": milli, "memoryMiB": 32} // so that many fit one machine
	err = s.call(ctx, "POST", "/iotSlices", object{"name": name, "tenantId": s.tenant, "instantiate": true,
		"iotServers":  []object{{"name": "core", "product": "lite-server", "requirements": little, "placementPolicy": object{"kinds": []string{"CLOUD"}}}},
		"iotGateways": []object{{"name": "gw", "product": "lite-gateway", "requirements": little, "iotServer": "core", "placementPolicy": object{"kinds": []string{"DEVICE_EDGE"}}}},
	}, &made)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.slices[name] = made.ID
	s.mu.Unlock()
	return made.ID, until(ctx, 10*time.Minute, look, func() error {
		var sl struct{ State, Cause string }
		if err := s.call(ctx, "GET", "/iotSlices/"+made.ID, nil, &sl); err != nil {
			return err
		}
		if sl.State != "ACTIVE" {
			return fmt.Errorf("slice %s is %s: %s", name, sl.State, sl.Cause)
		}
		return nil
	})
}

// orderOne times one order, and removes the slice again.
func (s *service) orderOne(ctx context.Context, name string) (time.Duration, error) {
	from := time.Now()
	if _, err := s.order(ctx, name, soon, compared); err != nil {
		return 0, err
	}
	took := time.Since(from)
	return took, s.remove(ctx, name)
}

// remove ends a slice and waits until it is gone.
func (s *service) remove(ctx context.Context, name string) error {
	s.mu.Lock()
	id := s.slices[name]
	s.mu.Unlock()
	if err := s.call(ctx, "DELETE", "/iotSlices/"+id+"?cascade=true", nil, nil); err != nil {
		return err
	}
	return until(ctx, 5*time.Minute, soon, func() error {
		left, err := s.namespaces(ctx, "osmoslice.dev/slice="+id)
		if err == nil && left > 0 {
			err = fmt.Errorf("slice %s has left %d namespaces", name, left)
		}
		return err
	})
}

// call sends one request; an answer outside 2xx is an error.
func (s *service) call(ctx context.Context, method, path string, body, into any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, r)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.400s", method, path, resp.Status, b)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(b, into)
}

// rss is the resident memory of osmosliced in KiB.
func (s *service) rss() (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kib int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib, nil
		}
	}
	return 0, fmt.Errorf("no VmRSS of %d", s.cmd.Process.Pid)
}

// until repeats f until it answers nil.
func until(ctx context.Context, within, every time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %v: %w", within, err)
		case <-tick.C:
		}
	}
}
