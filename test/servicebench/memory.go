package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// memory: the shipped binary idle, and what a slice adds to it.
func memory(ctx context.Context, b *bench) error {
	dir, err := b.folder()
	if err != nil {
		return err
	}
	address := filepath.Join(dir, "address")
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "osmosliced"), "--data-dir", dir, "--listen-address", "127.0.0.1:0",
		"--listen-portfile", address, "--limits-ratepersecond", "0", "--simulated-dir", "-", "--log-level", "warn")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w (make build makes the binaries)", err)
	}
	defer func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() }()
	s := &service{dir: dir, client: httpClient()}
	r := remote{s, ""}
	if err := r.wait(ctx, address); err != nil {
		return err
	}
	idle, err := rss(cmd.Process.Pid)
	if err != nil {
		return err
	}
	tenant, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	b.row("memory of osmosliced (RSS), idle", fmt.Sprintf("%.1f MB", float64(idle)/1024), "", "", "reported")
	made, before := 0, idle
	for _, n := range []int{b.s.slices / 10, b.s.slices, 4 * b.s.slices} {
		if err := r.slices(ctx, tenant, made, n); err != nil {
			return err
		}
		now, err := rss(cmd.Process.Pid)
		if err != nil {
			return err
		}
		b.row(fmt.Sprintf("memory of osmosliced (RSS), %d slices", n), fmt.Sprintf("%.1f MB", float64(now)/1024), "",
			fmt.Sprintf("%.1f kB for each since %d", float64(now-before)/float64(n-made), made), "reported")
		made, before = n, now
	}
	return nil
}

// remote is a service in another process.
type remote struct {
	*service
	base string
}

func (r *remote) wait(ctx context.Context, address string) error {
	for limit := time.Now().Add(20 * time.Second); ; {
		if b, err := os.ReadFile(address); err == nil {
			key, err := os.ReadFile(filepath.Join(r.dir, "admin.key"))
			r.base, r.key = "http://"+strings.TrimSpace(string(b)), strings.TrimSpace(string(key))
			return err
		}
		if time.Now().After(limit) {
			return fmt.Errorf("osmosliced does not serve")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (r *remote) do(ctx context.Context, method, path string, body any, want int) ([]byte, error) {
	return r.callAt(ctx, r.base, method, path, body, want)
}

func (r *remote) prepare(ctx context.Context) (string, error) {
	b, err := r.do(ctx, "POST", "/tenants", object{"name": "bench"}, http.StatusCreated)
	if err != nil {
		return "", err
	}
	tenant := id(b)
	_, err = r.do(ctx, "POST", "/infrastructures", site(tenant, 0, nil), http.StatusCreated)
	return tenant, err
}

// slices orders the slices number from … to-1 and waits for the last.
func (r *remote) slices(ctx context.Context, tenant string, from, to int) error {
	var last string
	for i := from; i < to; i++ {
		b, err := r.do(ctx, "POST", "/iotSlices", order(tenant, fmt.Sprintf("m-%05d", i), true), http.StatusAccepted)
		if err != nil {
			return err
		}
		last = id(b)
	}
	for limit := time.Now().Add(time.Minute); ; {
		b, err := r.do(ctx, "GET", "/iotSlices/"+last, nil, http.StatusOK)
		if err != nil || strings.Contains(string(b), `"ACTIVE"`) {
			return err
		}
		if time.Now().After(limit) {
			return fmt.Errorf("slice %s is not ACTIVE: %.300s", last, b)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// rss is the resident memory of a process in KiB.
func rss(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kib int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib, nil
		}
	}
	return 0, fmt.Errorf("no VmRSS of %d", pid)
}
