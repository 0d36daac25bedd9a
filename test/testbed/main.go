// Command testbed runs real Kubernetes clusters on this machine; see docs/testbed.md.
//
//	testbed up [--dir DIR] [--images DIR] [--foreground] NAME[:NODES]...
//	testbed status | down
//	testbed run -- COMMAND...              inside the bed's network
//	testbed kubectl NAME ARGUMENTS...
//	testbed kubeconfig NAME                the path of a cluster's
//	testbed images load FILE...
//	testbed partition|heal NAME [NAME]
//	testbed link NAME [--latency D] [--jitter D] [--loss SHARE] [--rate BITS]
//	testbed build                          compile what the rest needs
//	testbed apiserver                      a control plane alone, without root
//	testbed kwok [--nodes N] [--pods N]    a control plane with nodes that do not exist
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/osmoslice/osmoslice/test/testbed/cluster"
	"github.com/osmoslice/osmoslice/test/testbed/components"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "testbed: "+err.Error())
		stop()
		os.Exit(1)
	}
}

// A command gets the bed's folder and its own arguments.
type command func(ctx context.Context, dir cluster.Dir, args []string) error

func commands() map[string]command {
	return map[string]command{
		"up": up, "down": down, "status": status, "run": enter, "kubectl": kubectl, "kubeconfig": kubeconfig,
		"images": images, "partition": partition, "heal": heal, "link": link, "build": build,
		"apiserver": apiserver, "kwok": kwok,
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return usage()
	}
	if done, err := inner(ctx, args); done {
		return err
	}
	f, ok := commands()[args[0]]
	if !ok {
		return fmt.Errorf("no command %q; %w", args[0], usage())
	}
	dir, rest, err := takeDir(args[1:])
	if err != nil {
		return err
	}
	return f(ctx, dir, rest)
}

func usage() error {
	return fmt.Errorf("usage: testbed COMMAND [--dir DIR] ...; commands: %s (docs/testbed.md)", strings.Join(slices.Sorted(maps.Keys(commands())), ", "))
}

// inner are the commands by which the bed starts its own processes.
func inner(ctx context.Context, args []string) (done bool, err error) {
	switch {
	case args[0] == "keep" && len(args) == 2:
		return true, cluster.Keep(ctx, cluster.Dir(args[1]), cluster.Dir(args[1]).Bin()+"/testbed")
	case args[0] == "init" && len(args) > 1:
		return true, cluster.Init(args[1:])
	case args[0] == "supervise" && len(args) == 3:
		return true, cluster.Supervise(ctx, cluster.Dir(args[1]), args[2], cluster.Dir(args[1]).Bin()+"/testbed")
	case args[0] == "node" && len(args) == 1:
		return true, cluster.RunNode(ctx, os.Stdin, os.Stdout)
	}
	return false, nil
}

// takeDir takes --dir out of the arguments before "--"; it may stand anywhere.
// Without it the folder is $OSMOSLICE_TESTBED_DIR, else .cache/testbed of the
// sources.
func takeDir(args []string) (cluster.Dir, []string, error) {
	var rest []string
	chosen := os.Getenv(cluster.DirVariable)
	for i := 0; i < len(args); i++ {
		value, isDir := strings.CutPrefix(strings.TrimPrefix(args[i], "-"), "-dir=")
		switch {
		case args[i] == "--":
			rest = append(rest, args[i:]...)
			i = len(args)
		case args[i] == "--dir" || args[i] == "-dir":
			if i+1 == len(args) {
				return "", nil, errors.New("--dir: a folder is missing")
			}
			i++
			chosen = args[i]
		case isDir:
			chosen = value
		default:
			rest = append(rest, args[i])
		}
	}
	if chosen == "" {
		root, err := components.ModuleRoot()
		if err != nil {
			return "", nil, fmt.Errorf("%w; or give --dir", err)
		}
		chosen = filepath.Join(root, ".cache", "testbed")
	}
	chosen, err := filepath.Abs(chosen)
	return cluster.Dir(chosen), rest, err
}

// parse reads flags that may stand before, between and after names.
func parse(f *flag.FlagSet, args []string) (names []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			return names, nil
		}
		names = append(names, f.Arg(0))
		args = f.Args()[1:]
	}
}
