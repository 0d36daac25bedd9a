package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/osmoslice/osmoslice/test/testbed/cluster"
)

func TestDirMayStandAnywhere(t *testing.T) {
	t.Setenv(cluster.DirVariable, "/from/environment")
	for given, want := range map[string]string{
		"edge cloud":                     "/from/environment [edge cloud]",
		"--dir /d edge":                  "/d [edge]",
		"edge --dir=/d --images x":       "/d [edge --images x]",
		"edge -dir /d":                   "/d [edge]",
		"--dir /d -- env --dir /another": "/d [-- env --dir /another]",
	} {
		dir, rest, err := takeDir(strings.Fields(given))
		if got := fmt.Sprint(dir, " ", rest); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", given, got, err, want)
		}
	}
	if _, _, err := takeDir([]string{"edge", "--dir"}); err == nil {
		t.Error("--dir without a folder is accepted")
	}
	os.Unsetenv(cluster.DirVariable)
	if dir, _, err := takeDir(nil); err != nil || !strings.HasSuffix(string(dir), filepath.Join(".cache", "testbed")) {
		t.Errorf("by default %s, %v", dir, err)
	}
}

func TestBits(t *testing.T) {
	for given, want := range map[string]int64{"0": 0, "8000": 8000, "500k": 500_000, "10M": 10_000_000, "1G": 1_000_000_000} {
		if got, err := bits(given); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", given, got, err, want)
		}
	}
	for _, given := range []string{"", "k", "-1", "10m", "1.5M", "99999999999G"} {
		if _, err := bits(given); err == nil {
			t.Errorf("%q is accepted", given)
		}
	}
}

// What is wrong is said before anything is started.
func TestMistakesAreNamed(t *testing.T) {
	t.Setenv(cluster.DirVariable, t.TempDir())
	for given, want := range map[string]string{
		"":                       "commands: apiserver, build, down",
		"fly":                    `no command "fly"`,
		"status":                 "no test bed runs in",
		"kubectl edge get pods":  "no test bed runs in",
		"images save x":          "images load",
		"link edge --rate fast":  `--rate: "fast"`,
		"link":                   "the name of one cluster",
		"partition":              "the name of a cluster",
		"run":                    "a command is missing",
		"build kernel":           `no component "kernel": there are probe, coredns, kubernetes, kwok`,
		"kwok --nodes 1 surplus": `unexpected argument "surplus"`,
	} {
		err := run(t.Context(), strings.Fields(given))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("testbed %s: got %v, want an error with %q", given, err, want)
		}
	}
}
