package instance

import (
	"slices"
	"testing"
)

func TestMakeWriteRead(t *testing.T) {
	for _, s := range []Shape{
		{Family: "vr", Nodes: 20, Steps: 4, Rate: 0.1, Seed: 1},
		{Family: "vr", Nodes: 40, Steps: 3, Rate: 0.5, MaxLinks: 7, Copies: 2, Seed: 2},
		{Family: "fogarm", Nodes: 9, Apps: 4, Memory: 6, Steps: 5, Seed: 3},
	} {
		made, err := Make(s)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := made.Write(dir); err != nil {
			t.Fatal(err)
		}
		read, err := Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if read.Total != s.Steps || len(read.Nodes) != len(made.Nodes) || read.Headroom != made.Headroom {
			t.Fatalf("%+v: read %d steps, %d nodes, %+v", s, read.Total, len(read.Nodes), read.Headroom)
		}
		snap, err := read.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		a, b := made.Steps(), read.Steps()
		steps := 0
		for ; ; steps++ {
			x, ok, err := a.Next()
			y, ok2, err2 := b.Next()
			if err != nil || err2 != nil || ok != ok2 {
				t.Fatalf("%v %v %v %v", err, err2, ok, ok2)
			}
			if !ok {
				break
			}
			if x.K != y.K || !slices.Equal(x.Patch.Links, y.Patch.Links) || len(x.Commits) != len(y.Commits) {
				t.Fatalf("step %d differs", x.K)
			}
			if snap, err = snap.ApplyPatch(x.Patch); err != nil {
				t.Fatal(err)
			}
		}
		if steps == 0 {
			t.Error("no steps")
		}
	}
}

func FuzzSteps(f *testing.F) {
	f.Add([]byte(`{"k":1,"nodes":[[0,1.5]],"links":[[0,1,2,3e1]]}`))
	f.Add([]byte(`{"k":1,"nodes":[[0`))
	f.Add([]byte(`{"k":-1,"x":{"y":[1]},"links":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		in := &Instance{Name: "fuzz", Family: "vr", steps: raw}
		for r := in.Steps(); ; {
			if _, ok, err := r.Next(); !ok || err != nil {
				return
			}
		}
	})
}
