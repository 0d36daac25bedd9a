package topology

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRoomsAreInOrder compares the lists kept from change to change with ones
// made anew.
func TestRoomsAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Empty()
		for range rapid.IntRange(1, 8).Draw(t, "changes") {
			var d Delta
			for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 0, 5, rapid.ID[int]).Draw(t, "nodes") {
				id := fmt.Sprint("n", i)
				if _, ok := s.Index(id); ok && rapid.Bool().Draw(t, "remove") {
					d.RemoveNodes = append(d.RemoveNodes, id)
					continue
				}
				d.Nodes = append(d.Nodes, Node{ID: id, Kind: kinds[rapid.IntRange(0, 2).Draw(t, "kind")], Capacity: Capacity{CPU: int64(rapid.IntRange(0, 4).Draw(t, "cpu"))}})
			}
			next, err := s.Apply(d)
			if err != nil {
				t.Fatal(err)
			}
			s = next
			for k := range kinds {
				var want []Room
				for _, i := range s.Order() {
					if s.KindIndex(i) == k {
						want = append(want, Room{s.Capacity(i).CPU, i})
					}
				}
				slices.SortFunc(want, compareRoom)
				if !slices.Equal(want, s.Rooms(k)) {
					t.Fatalf("kind %d: %v, want %v", k, s.Rooms(k), want)
				}
			}
		}
	})
}
