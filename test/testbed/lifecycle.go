package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/osmoslice/osmoslice/test/testbed/cluster"
	"github.com/osmoslice/osmoslice/test/testbed/components"
)

func up(ctx context.Context, dir cluster.Dir, args []string) error {
	f := flag.NewFlagSet("up", flag.ContinueOnError)
	folder := f.String("images", "", "folder of OCI archives that every node imports")
	foreground := f.Bool("foreground", false, "stay until interrupted; the bed ends with this process")
	names, err := parse(f, args)
	if err != nil {
		return err
	}
	if err := cluster.Missing(); err != nil {
		return err
	}
	o := cluster.Options{Dir: dir, Foreground: *foreground, Log: os.Stderr}
	if o.Clusters, err = cluster.Plan(names...); err != nil {
		return err
	}
	if o.Images, err = cluster.Archives(*folder); err != nil {
		return err
	}
	if o.Executable, err = os.Executable(); err != nil {
		return err
	}
	base, err := baseImages(ctx)
	if err != nil {
		return err
	}
	o.Images = append([]string{base}, o.Images...)
	if o.Kubernetes, err = components.Build(ctx, components.Kubernetes(), os.Stderr); err != nil {
		return err
	}
	// In the foreground the bed hangs on this thread.
	runtime.LockOSThread()
	begin := time.Now()
	ended, err := cluster.Up(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "up in %.1f s; testbed run -- kubectl --context %s get pods -A\n", time.Since(begin).Seconds(), o.Clusters[0].Name)
	if !*foreground {
		return nil
	}
	select {
	case err := <-ended:
		return fmt.Errorf("the test bed ended: %w", err)
	case <-ctx.Done():
		return cluster.Down(context.WithoutCancel(ctx), dir)
	}
}

func baseImages(ctx context.Context) (string, error) {
	probe, err := components.Build(ctx, components.Probe(), os.Stderr)
	if err != nil {
		return "", err
	}
	coredns, err := components.Build(ctx, components.CoreDNS(), os.Stderr)
	if err != nil {
		return "", err
	}
	cache, err := components.CacheDir()
	if err != nil {
		return "", err
	}
	return cluster.BaseImages(cache, probe, coredns)
}

func down(ctx context.Context, dir cluster.Dir, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("down takes no arguments, got %s", strings.Join(args, " "))
	}
	return cluster.Down(ctx, dir)
}

func status(ctx context.Context, dir cluster.Dir, args []string) error {
	f := flag.NewFlagSet("status", flag.ContinueOnError)
	memory := f.Bool("memory", true, "measure the memory of each node")
	if _, err := parse(f, args); err != nil {
		return err
	}
	client, err := cluster.Dial(dir)
	if err != nil {
		return err
	}
	s, err := client.Status(ctx, *memory)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CLUSTER\tNODE\tADDRESS\tSTATE\tREADY AFTER\tMEMORY (PSS)")
	for _, c := range s.Clusters {
		for _, n := range c.Nodes {
			state, after := "starting", ""
			if len(n.Milestones) > 0 {
				last := n.Milestones[len(n.Milestones)-1]
				state, after = last.Name, fmt.Sprintf("%.1f s", last.After.Seconds())
			}
			if n.Failed != "" {
				state = "failed: " + n.Failed
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d MiB\n", c.Name, n.Name, n.Address, state, after, n.Memory>>20)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, cut := range s.WAN.Cuts {
		from := cut[1]
		if from == "" {
			from = "everything"
		}
		fmt.Fprintf(os.Stdout, "partition: %s from %s\n", cut[0], from)
	}
	for name, q := range s.WAN.Links {
		fmt.Fprintf(os.Stdout, "link %s: latency %s ± %s, loss %g, rate %d bit/s\n", name, q.Latency, q.Jitter, q.Loss, q.Rate)
	}
	return s.Failure()
}

func build(ctx context.Context, _ cluster.Dir, args []string) error {
	chosen := components.All()
	if len(args) > 0 {
		chosen = nil
		for _, name := range args {
			c, ok := components.Find(name)
			if !ok {
				return fmt.Errorf("no component %q: there are %s", name, strings.Join(components.Names(), ", "))
			}
			chosen = append(chosen, c)
		}
	}
	var all []error
	for _, c := range chosen {
		path, err := components.Build(ctx, c, os.Stderr)
		if err == nil {
			fmt.Fprintln(os.Stdout, path)
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}
