// Command kubebench measures, inside a test bed of the clusters edge and cloud,
// what the service adds to a bare Helm SDK: from the order of a slice (a server
// in the cloud, a gateway at the edge) to its running, beside an install of the
// same releases with the same values by Helm alone, side by side, with a watch
// that sees every pod Ready. Pairs alternate in one run; compare ratios.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "kubebench: "+err.Error())
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	fs := flag.NewFlagSet("kubebench", flag.ContinueOnError)
	pairs := fs.Int("pairs", 20, "interleaved pairs; 0 leaves them out")
	crowd := fs.Int("at-once", 20, "slices ordered at once; 0 leaves that out")
	kept := fs.Int("watched", 50, "slices watched while memory is read; 0 leaves that out")
	bin := fs.String("bin", "bin", "folder of the shipped binaries")
	bed := fs.String("bed", os.Getenv("OSMOSLICE_TESTBED_DIR"), "folder of the test bed")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s, err := start(ctx, *bin, *bed)
	if err != nil {
		return err
	}
	defer s.stop()
	b := &bench{s: s, out: out, progress: progress}
	if b.bare, err = s.record(ctx); err != nil {
		return fmt.Errorf("recording the releases: %w", err)
	}
	fmt.Fprintln(out, "| what | ours | bare Helm SDK | difference | target |\n|---|---|---|---|---|")
	if err := b.pairs(ctx, *pairs); err != nil {
		return err
	}
	if err := b.atOnce(ctx, *crowd); err != nil {
		return err
	}
	return b.memory(ctx, *kept)
}

// The milli-cores of a function: what it may use, too, so that less of it starts
// slower. compared leaves room for 20 slices on a small machine, watched for 50.
const (
	compared = 50
	watched  = 30
)

// bench is one run.
type bench struct {
	s             *service
	bare          []recorded
	out, progress io.Writer
}

func (b *bench) row(what, ours, bare, difference, target string) {
	fmt.Fprintf(b.out, "| %s | %s | %s | %s | %s |\n", what, ours, bare, difference, target)
}

// pairs alternates one order with one bare install.
func (b *bench) pairs(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	var ours, bare []float64
	for i := range n {
		took, err := b.s.orderOne(ctx, fmt.Sprintf("pair-%03d", i))
		if err != nil {
			return err
		}
		plain, err := b.s.installBare(ctx, b.bare, fmt.Sprintf("bare-%03d", i))
		if err != nil {
			return err
		}
		ours, bare = append(ours, took.Seconds()), append(bare, plain.Seconds())
		fmt.Fprintf(b.progress, "pair %d: order to running %.2f s, bare %.2f s\n", i+1, took.Seconds(), plain.Seconds())
	}
	o, p := median(ours), median(bare)
	b.row(fmt.Sprintf("order to running, median of %d pairs (slowest)", n), fmt.Sprintf("%.2f s (%.2f)", o, slices.Max(ours)), fmt.Sprintf("%.2f s (%.2f)", p, slices.Max(bare)),
		fmt.Sprintf("%+.2f s, %+.0f %%", o-p, 100*(o-p)/p), "≤ max(1 s, 15 %)")
	return nil
}

// atOnce orders many slices side by side, beside as many parallel bare installs.
func (b *bench) atOnce(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	var ours, bare time.Duration
	for _, own := range []bool{true, false, false, true} { // neither has always the warmer clusters
		took, err := b.crowd(ctx, n, own)
		if err != nil {
			return err
		}
		if own {
			ours += took / 2
		} else {
			bare += took / 2
		}
	}
	b.row(fmt.Sprintf("%d slices at once, all running, mean of two", n), fmt.Sprintf("%.2f s", ours.Seconds()), fmt.Sprintf("%.2f s", bare.Seconds()),
		fmt.Sprintf("%.2f×", ours.Seconds()/bare.Seconds()), "≤ 1.3×")
	return nil
}

// crowd times n slices at once, by the service or bare, and removes them.
func (b *bench) crowd(ctx context.Context, n int, own bool) (time.Duration, error) {
	up := func(i int) error { return b.s.bareUp(ctx, b.bare, fmt.Sprintf("barecrowd-%03d", i)) }
	down := func(i int) error { return b.s.bareDown(ctx, fmt.Sprintf("barecrowd-%03d", i)) }
	if own {
		up = func(i int) error {
			_, err := b.s.order(ctx, fmt.Sprintf("crowd-%03d", i), seldom, compared)
			return err
		}
		down = func(i int) error { return b.s.remove(ctx, fmt.Sprintf("crowd-%03d", i)) }
	}
	took, err := sideBySide(n, up)
	_, gone := sideBySide(n, down)
	fmt.Fprintf(b.progress, "crowd (ours: %v): %.2f s\n", own, took.Seconds())
	return took, errors.Join(err, gone)
}

// memory reads what the service takes with many slices watched.
func (b *bench) memory(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	idle, err := b.s.rss()
	if err != nil {
		return err
	}
	if _, err := sideBySide(n, func(i int) error {
		_, err := b.s.order(ctx, fmt.Sprintf("watched-%03d", i), seldom, watched)
		return err
	}); err != nil {
		return err
	}
	full, err := b.s.rss()
	if err != nil {
		return err
	}
	if _, err := sideBySide(n, func(i int) error { return b.s.remove(ctx, fmt.Sprintf("watched-%03d", i)) }); err != nil {
		return err
	}
	b.row(fmt.Sprintf("memory of osmosliced (RSS) with %d slices watched", n), fmt.Sprintf("%d MiB", full>>10), "", fmt.Sprintf("%+d MiB", (full-idle)>>10), "reported")
	return nil
}

// sideBySide runs f n times at once and answers how long all took.
func sideBySide(n int, f func(i int) error) (time.Duration, error) {
	from := time.Now()
	failed := make(chan error, n)
	for i := range n {
		go func() { failed <- f(i) }()
	}
	var err error
	for range n {
		err = errors.Join(err, <-failed)
	}
	return time.Since(from), err
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
