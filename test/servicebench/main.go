// Command servicebench measures the service beside its own SQL replayed bare,
// in one process and one run: accepted orders and reads through the whole HTTP
// stack, whole slices on simulated sites, growth, restart, a dead site among
// many, and memory. It prints one Markdown table; figures of two machines do
// not compare, the ratios do.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"
)

// scale sets how much is done; -quick shrinks everything for a look.
type scale struct {
	orders, reads, rounds, clients int
	slices                         int
	few, many                      int // existing slices before and after growth
	fewDevices, manyDevices        int
	sites                          int
}

var whole = scale{orders: 1500, reads: 6000, rounds: 5, clients: 16, slices: 1000, few: 100, many: 10000, fewDevices: 1000, manyDevices: 100000, sites: 100}

var quick = scale{orders: 200, reads: 1000, rounds: 3, clients: 16, slices: 100, few: 50, many: 500, fewDevices: 500, manyDevices: 5000, sites: 20}

// part is one measurement; it adds rows.
type part struct {
	name string
	run  func(ctx context.Context, b *bench) error
}

var parts = []part{
	{"orders", orders}, {"reads", reads}, {"lists", lists}, {"slices", slicesPart}, {"growth", growth}, {"dead", deadSite}, {"memory", memory},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "servicebench: "+err.Error())
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	fs := flag.NewFlagSet("servicebench", flag.ContinueOnError)
	small := fs.Bool("quick", false, "a small run, for a look")
	only := fs.String("only", "", "comma separated parts: orders, reads, lists, slices, growth, dead, memory")
	cpu := fs.String("cpuprofile", "", "file to write a CPU profile of the run to")
	bin := fs.String("bin", "bin", "folder of the shipped binaries, for memory")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *cpu != "" {
		f, err := os.Create(*cpu)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	dir, err := os.MkdirTemp("", "osmoslice-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, bin: *bin, s: whole, progress: progress}
	if *small {
		b.s = quick
	}
	for _, p := range parts {
		if *only != "" && !strings.Contains(","+*only+",", ","+p.name+",") {
			continue
		}
		fmt.Fprintf(progress, "… %s\n", p.name)
		if err := p.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return b.print(out)
}

// bench collects the rows.
type bench struct {
	dir, bin string
	s        scale
	n        int // folders given out
	rows     [][5]string
	progress io.Writer
}

// row adds a result: what, ours, the peer or limit, the ratio, the target.
func (b *bench) row(what, ours, peer, ratio, target string) {
	b.rows = append(b.rows, [5]string{what, ours, peer, ratio, target})
	fmt.Fprintf(b.progress, "  %s: %s | %s | %s | %s\n", what, ours, peer, ratio, target)
}

func (b *bench) print(out io.Writer) error {
	if _, err := fmt.Fprintln(out, "| what | ours | beside it | ratio | target |\n|---|---|---|---|---|"); err != nil {
		return err
	}
	for _, r := range b.rows {
		if _, err := fmt.Fprintln(out, "| "+strings.Join(r[:], " | ")+" |"); err != nil {
			return err
		}
	}
	return nil
}

// folder answers a new empty folder.
func (b *bench) folder() (string, error) {
	b.n++
	dir := fmt.Sprintf("%s/%d", b.dir, b.n)
	return dir, os.Mkdir(dir, 0o700)
}
