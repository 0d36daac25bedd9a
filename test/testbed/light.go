package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/osmoslice/osmoslice/test/testbed/cluster"
	"github.com/osmoslice/osmoslice/test/testbed/components"
	"github.com/osmoslice/osmoslice/test/testbed/crowd"
)

// apiserver runs a control plane alone until it is interrupted; no root needed.
func apiserver(ctx context.Context, _ cluster.Dir, args []string) error {
	f := flag.NewFlagSet("apiserver", flag.ContinueOnError)
	only := f.Bool("only", false, "without controllers and scheduler")
	if names, err := parse(f, args); err != nil || len(names) > 0 {
		return errors.Join(err, unexpected(names))
	}
	return withControlPlane(ctx, *only, func(ctx context.Context, p *cluster.ControlPlane) error {
		return wait(ctx, p)
	})
}

// kwok runs a control plane with nodes and pods that do not exist.
func kwok(ctx context.Context, _ cluster.Dir, args []string) error {
	f := flag.NewFlagSet("kwok", flag.ContinueOnError)
	nodes := f.Int("nodes", 1000, "nodes to make")
	pods := f.Int("pods", 0, "pods to make on them")
	once := f.Bool("once", false, "end when all are there")
	if names, err := parse(f, args); err != nil || len(names) > 0 {
		return errors.Join(err, unexpected(names))
	}
	binary, err := components.Build(ctx, components.Kwok(), os.Stderr)
	if err != nil {
		return err
	}
	return withControlPlane(ctx, false, func(ctx context.Context, p *cluster.ControlPlane) error {
		c, err := crowd.Start(ctx, binary, p.Kubeconfig, os.Stderr)
		if err != nil {
			return err
		}
		defer c.Stop()
		begin := time.Now()
		if err := c.Nodes(ctx, *nodes); err != nil {
			return err
		}
		fmt.Fprintf(os.Stdout, "%d nodes ready after %.1f s\n", *nodes, time.Since(begin).Seconds())
		if *pods > 0 {
			begin = time.Now()
			if err := c.Pods(ctx, *pods); err != nil {
				return err
			}
			fmt.Fprintf(os.Stdout, "%d pods running after %.1f s\n", *pods, time.Since(begin).Seconds())
		}
		if *once {
			return nil
		}
		return wait(ctx, p)
	})
}

func unexpected(names []string) error {
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected argument %q", names[0])
}

func withControlPlane(ctx context.Context, only bool, f func(context.Context, *cluster.ControlPlane) error) error {
	binary, err := components.Build(ctx, components.Kubernetes(), os.Stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "osmoslice-apiserver-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var options []cluster.ControlPlaneOption
	if only {
		options = append(options, cluster.APIServerOnly())
	}
	begin := time.Now()
	p, err := cluster.StartControlPlane(ctx, binary, dir, options...)
	if err != nil {
		return err
	}
	defer p.Stop()
	fmt.Fprintf(os.Stderr, "control plane ready after %.1f s; export KUBECONFIG=%s\n", time.Since(begin).Seconds(), p.Kubeconfig)
	return f(ctx, p)
}

// wait ends with ctx, or earlier with the control plane.
func wait(ctx context.Context, p *cluster.ControlPlane) error {
	ended := make(chan error, 1)
	go func() { ended <- p.Ended() }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return fmt.Errorf("the control plane ended: %w", err)
	}
}
