// Command placementbench decides placement instances step by step and reports
// what each decision was, what it cost and how long it took.
//
//	go run ./test/placementbench --data DIR [--model fogbrain|osmoslice]
//	    [--mode continuous|full] [--strategy NAME] [--json]
//
// DIR is an instance folder (see test/placementgen/instance) or holds several.
// With --json it prints one line per decision and one summary per instance:
//
//	{"k":3,"app":"vrApp","result":"yes","placement":{"s1":"n4"},"migrations":0,
//	 "cpu_us":2.1,"lower_bound":12.07,"gap":0}
//
// Times are CPU time of the deciding thread. Ingest (reading the report and
// applying it), decide (with cost, bound and gap) and explain are timed apart,
// and deciding again when nothing has changed beside them. Every decision is
// verified by placement/check; its findings make the command fail.
//
//	go run ./test/placementbench --table
//
// makes instances of growing size and prints ours beside the fogbrain strategy.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/test/placementgen/instance"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "placementbench:", err)
		os.Exit(1)
	}
}

// settings are the command's flags.
type settings struct {
	data    string
	full    bool
	json    bool
	table   bool
	steps   int
	large   bool
	options placement.Options
	silent  bool // explain nothing
}

func parse(args []string, stderr io.Writer) (s settings, err error) {
	f := flag.NewFlagSet("placementbench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&s.data, "data", "", "instance folder, or a folder of such")
	model := f.String("model", "osmoslice", "fogbrain or osmoslice")
	mode := f.String("mode", "continuous", "continuous, or full: everything placed again at every step")
	f.StringVar(&s.options.Strategy, "strategy", "", fmt.Sprintf("one of %v; default that of the model", placement.StrategyNames()))
	f.BoolVar(&s.options.Heuristic, "heuristic", false, "fogbrain: its heuristic placer")
	f.Int64Var(&s.options.Budget, "budget", 0, "search steps per decision; default the engine's")
	f.BoolVar(&s.json, "json", false, "one JSON line per decision")
	f.BoolVar(&s.table, "table", false, "make instances of growing size and compare the strategies")
	f.BoolVar(&s.large, "large", false, "with --table: up to 20,000 nodes")
	f.IntVar(&s.steps, "steps", 0, "at most so many steps; 0: all")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	switch *model {
	case "fogbrain", "osmoslice":
		s.options.Model = placement.Model(*model)
	default:
		return s, fmt.Errorf("--model %q: allowed are fogbrain and osmoslice", *model)
	}
	switch *mode {
	case "continuous":
	case "full":
		s.full = true
	default:
		return s, fmt.Errorf("--mode %q: allowed are continuous and full", *mode)
	}
	if _, ok := placement.Strategies[s.options.Strategy]; s.options.Strategy != "" && !ok {
		return s, fmt.Errorf("--strategy %q: allowed are %v", s.options.Strategy, placement.StrategyNames())
	}
	if s.data == "" && !s.table {
		return s, errors.New("--data DIR is needed (or --table)")
	}
	return s, nil
}

func run(args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if s.table {
		return tables(s, stdout)
	}
	dirs, err := folders(s.data)
	if err != nil {
		return err
	}
	broken := 0
	for _, dir := range dirs {
		in, err := instance.Read(dir)
		if err != nil {
			return err
		}
		sum, err := replay(in, s, emitter(s, stdout))
		if err != nil {
			return err
		}
		broken += sum.Violations
		if err := writeSummary(stdout, s, sum); err != nil {
			return err
		}
	}
	if broken > 0 {
		return fmt.Errorf("the checker found %d violations", broken)
	}
	return nil
}

// folders lists the instance folders at or directly below dir.
func folders(dir string) ([]string, error) {
	found := func(d string) bool {
		for _, n := range []string{"base.json", "base.json.gz"} {
			if _, err := os.Stat(filepath.Join(d, n)); err == nil {
				return true
			}
		}
		return false
	}
	if found(dir) {
		return []string{dir}, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if d := filepath.Join(dir, e.Name()); e.IsDir() && found(d) {
			out = append(out, d)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no instance (base.json) in it", dir)
	}
	slices.Sort(out)
	return out, nil
}

func emitter(s settings, w io.Writer) func(line) error {
	if !s.json {
		return func(line) error { return nil }
	}
	e := json.NewEncoder(w)
	return func(l line) error { return e.Encode(l) }
}
