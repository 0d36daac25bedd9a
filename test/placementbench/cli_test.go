package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"--data", "testdata/vr_20", "--model", "fogbrain", "--json", "--steps", "3"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, l := range lines[:3] {
		var got map[string]any
		if err := json.Unmarshal([]byte(l), &got); err != nil {
			t.Fatal(err)
		}
		keys := []string{"app", "cpu_us", "gap", "k", "lower_bound", "migrations", "placement", "result"}
		if found := slices.Sorted(maps.Keys(got)); !slices.Equal(found, keys) {
			t.Errorf("%v, want %v", found, keys)
		}
	}
	if !strings.Contains(lines[3], `"overcommits":0`) {
		t.Errorf("summary %s", lines[3])
	}
	for _, args := range [][]string{{}, {"--data", "testdata/nowhere"}, {"--data", "testdata/vr_20", "--model", "x"}, {"--data", "testdata/vr_20", "--mode", "x"}, {"--data", "testdata/vr_20", "--strategy", "x"}} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}

// TestDefaultStrategy replays every instance with ours: nothing overcommitted,
// nothing the checker objects to, all served, at rest when asked again, and no
// more migrations than proven necessary beyond what placement allows.
func TestDefaultStrategy(t *testing.T) {
	for _, dir := range []string{"vr_20", "vr_40", "vr_80", "vr_160", "vrrep_20", "vrrep_40", "vrrep_80", "fogarm_15", "fogarm_30"} {
		for _, mode := range []string{"continuous", "full"} {
			t.Run(dir+"/"+mode, func(t *testing.T) {
				t.Parallel()
				var out bytes.Buffer
				if err := run([]string{"--data", "testdata/" + dir, "--mode", mode, "--json"}, &out, io.Discard); err != nil {
					t.Fatal(err)
				}
				lines := strings.Split(strings.TrimSpace(out.String()), "\n")
				var last struct{ Summary summary }
				if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
					t.Fatal(err)
				}
				s := last.Summary
				if s.Violations+s.Overcommits+s.Infeasible+s.Restless > 0 || s.Steps == 0 {
					t.Errorf("%+v", s)
				}
				if mode == "continuous" && s.MigrationsServed < s.MigrationsBound {
					t.Errorf("%d migrations below the proven bound %d", s.MigrationsServed, s.MigrationsBound)
				}
			})
		}
	}
}
