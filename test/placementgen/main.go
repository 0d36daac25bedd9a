// Command placementgen writes placement instances of any size and seed, in the
// format that placementbench reads.
//
//	go run ./test/placementgen --family vr --nodes 1280 --out DIR
//	go run ./test/placementgen --family fogarm --nodes 60 --apps 50 --memory 4 --out DIR
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/osmoslice/osmoslice/test/placementgen/instance"
)

func main() {
	var s instance.Shape
	flag.StringVar(&s.Family, "family", "vr", "vr or fogarm")
	flag.IntVar(&s.Nodes, "nodes", 20, "nodes")
	flag.IntVar(&s.Steps, "steps", 35, "steps, the first one included")
	flag.Uint64Var(&s.Seed, "seed", 1, "seed")
	flag.Float64Var(&s.Rate, "rate", 0.1, "vr: part of the nodes and links that change per step")
	flag.IntVar(&s.MaxLinks, "max-links", 0, "vr: at most so many links change per step; 0: no limit")
	flag.IntVar(&s.Copies, "copies", 0, "vr: copies of the three-service application in one; 0: successive specifications")
	flag.IntVar(&s.Apps, "apps", 50, "fogarm: applications")
	flag.Float64Var(&s.Memory, "memory", 6, "fogarm: GB per node")
	out := flag.String("out", "", "folder to write")
	flag.Parse()
	in, err := instance.Make(s)
	if err == nil && *out == "" {
		err = fmt.Errorf("--out DIR is needed")
	}
	if err == nil {
		err = in.Write(*out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "placementgen:", err)
		os.Exit(1)
	}
}
