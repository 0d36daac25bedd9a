package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/internal/placement"
	"github.com/osmoslice/osmoslice/test/placementgen/instance"
)

// want is one decision of FogBrainX (SWI-Prolog 9.0.4) on an instance; p is
// its placement, newest first.
type want struct {
	K    int    `json:"k"`
	App  string `json:"app"`
	Mode string `json:"mode"`
	Res  string `json:"res"`
	Mig  int    `json:"mig"`
	P    string `json:"p"`
}

func wants(t *testing.T, name string) []want {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "expected", name+".jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []want
	for sc := bufio.NewScanner(z); sc.Scan(); {
		var w want
		if err := json.Unmarshal(sc.Bytes(), &w); err != nil {
			t.Fatal(err)
		}
		out = append(out, w)
	}
	if len(out) == 0 {
		t.Fatal("no expected decisions")
	}
	return out
}

// compare replays an instance under the fogbrain model and compares every
// decision, order of services included.
func compare(t *testing.T, dir string, full, heuristic bool, expected []want) {
	t.Helper()
	in, err := instance.Read(filepath.Join("testdata", dir))
	if err != nil {
		t.Fatal(err)
	}
	s := settings{silent: true, full: full, options: placement.Options{Model: placement.ModelFogBrain, Heuristic: heuristic, Budget: 1 << 40, Backstop: -1}}
	next, bad := 0, 0
	sum, err := replay(in, s, func(l line) error {
		w := expected[next]
		next++
		if got := strings.Join(l.order, ","); l.K != w.K || l.Result != w.Res || got != w.P || l.Migrations != w.Mig {
			if bad++; bad <= 3 {
				t.Errorf("step %d: %s %d migrations\n got %s\nwant %s (%d migrations)", w.K, l.Result, l.Migrations, got, w.P, w.Mig)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if next != len(expected) || bad > 0 || sum.Violations > 0 || sum.Overcommits > 0 {
		t.Errorf("%d decisions of %d, %d differ; violations %v; overcommits %d", next, len(expected), bad, sum.Found, sum.Overcommits)
	}
}

func pick(all []want, keep func(want) bool) (out []want) {
	for _, w := range all {
		if keep(w) {
			out = append(out, w)
		}
	}
	return out
}

// TestPeerVR compares with the peer on one application over a changing network:
// continuous reasoning and placing from nothing, both of its placers.
func TestPeerVR(t *testing.T) {
	for _, dir := range []string{"vr_20", "vr_40", "vr_80", "vr_160", "vrrep_20", "vrrep_40", "vrrep_80"} {
		for placer, heuristic := range map[string]bool{"placer": false, "hplacer": true} {
			all := wants(t, dir+"_"+placer)
			t.Run(dir+"/"+placer+"/continuous", func(t *testing.T) {
				t.Parallel()
				compare(t, dir, false, heuristic, pick(all, func(w want) bool { return w.Mode != "nocr" }))
			})
			t.Run(dir+"/"+placer+"/full", func(t *testing.T) {
				t.Parallel()
				compare(t, dir, true, heuristic, pick(all, func(w want) bool { return w.Mode == "nocr" }))
			})
		}
	}
}

// TestPeerFogArm compares with the peer on many applications in one ledger.
func TestPeerFogArm(t *testing.T) {
	for _, n := range []string{"15", "30"} {
		t.Run(n+"/continuous", func(t *testing.T) {
			t.Parallel()
			compare(t, "fogarm_"+n, false, false, wants(t, "fa_"+n+"_cr_ledger_placer"))
		})
		t.Run(n+"/full", func(t *testing.T) {
			t.Parallel()
			compare(t, "fogarm_"+n, true, false, wants(t, "fa_"+n+"_ex_ledger_placer"))
		})
	}
}
