package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/osmoslice/osmoslice/test/testbed/cluster"
	"github.com/osmoslice/osmoslice/test/testbed/wan"
)

func enter(_ context.Context, dir cluster.Dir, args []string) error {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("run: a command is missing, as in: testbed run -- kubectl get nodes")
	}
	return cluster.Enter(dir, args)
}

func kubectl(_ context.Context, dir cluster.Dir, args []string) error {
	if len(args) == 0 {
		return errors.New("kubectl: a cluster is missing, as in: testbed kubectl edge get nodes")
	}
	if err := known(dir, args[0]); err != nil {
		return err
	}
	return cluster.Enter(dir, append([]string{"kubectl", "--context", args[0]}, args[1:]...))
}

func kubeconfig(_ context.Context, dir cluster.Dir, args []string) error {
	if len(args) != 1 {
		return errors.New("kubeconfig: the name of one cluster, or all")
	}
	if args[0] != "all" {
		if err := known(dir, args[0]); err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stdout, dir.Kubeconfig(args[0]))
	return nil
}

func known(dir cluster.Dir, name string) error {
	b, err := dir.Bed()
	if err != nil {
		return err
	}
	var names []string
	for _, c := range b.Clusters {
		if c.Name == name {
			return nil
		}
		names = append(names, c.Name)
	}
	return fmt.Errorf("no cluster %q: there are %s", name, strings.Join(names, ", "))
}

func images(ctx context.Context, dir cluster.Dir, args []string) error {
	if len(args) == 0 || args[0] != "load" {
		return errors.New("images: only \"images load [--cluster NAME,...] FILE...\" is possible")
	}
	f := flag.NewFlagSet("images load", flag.ContinueOnError)
	clusters := f.String("cluster", "", "only into these clusters, separated by commas")
	files, err := parse(f, args[1:])
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("images load: a file is missing")
	}
	client, err := cluster.Dial(dir)
	if err != nil {
		return err
	}
	var only []string
	if *clusters != "" {
		only = strings.Split(*clusters, ",")
	}
	return client.LoadImages(ctx, files, only...)
}

func partition(ctx context.Context, dir cluster.Dir, args []string) error {
	return cut(ctx, dir, args, (*cluster.Client).Partition)
}

func heal(ctx context.Context, dir cluster.Dir, args []string) error {
	return cut(ctx, dir, args, (*cluster.Client).Heal)
}

func cut(ctx context.Context, dir cluster.Dir, args []string, f func(*cluster.Client, context.Context, string, string) error) error {
	if len(args) != 1 && len(args) != 2 {
		return errors.New("the name of a cluster, and possibly of the one it is cut off from")
	}
	client, err := cluster.Dial(dir)
	if err != nil {
		return err
	}
	return f(client, ctx, args[0], append(args, "")[1])
}

func link(ctx context.Context, dir cluster.Dir, args []string) error {
	f := flag.NewFlagSet("link", flag.ContinueOnError)
	var q wan.Quality
	f.DurationVar(&q.Latency, "latency", 0, "one way; a round trip takes twice as long")
	f.DurationVar(&q.Jitter, "jitter", 0, "the latency varies by up to this")
	f.Float64Var(&q.Loss, "loss", 0, "share of packets lost, 0 to 1")
	rate := f.String("rate", "0", "bits per second, as in 500k, 10M or 1G; 0: unlimited")
	names, err := parse(f, args)
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return errors.New("link: the name of one cluster; without flags its link is perfect again")
	}
	if q.Rate, err = bits(*rate); err != nil {
		return fmt.Errorf("--rate: %w", err)
	}
	client, err := cluster.Dial(dir)
	if err != nil {
		return err
	}
	return client.Link(ctx, names[0], q)
}

// bits reads a number with k, M or G (powers of 1000) behind it.
func bits(s string) (int64, error) {
	unit := int64(1)
	number := s
	for suffix, u := range map[string]int64{"k": 1e3, "M": 1e6, "G": 1e9} {
		if n, ok := strings.CutSuffix(s, suffix); ok {
			number, unit = n, u
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > 1e12/unit {
		return 0, fmt.Errorf("%q: a number of bits per second is needed, as in 500k, 10M or 1G", s)
	}
	return n * unit, nil
}
