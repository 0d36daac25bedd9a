package topology

import (
	"cmp"
	"slices"
)

// Room is a node with its gross CPU capacity.
type Room struct {
	CPU  int64
	Node int32
}

// Rooms lists the present nodes of a kind, by its position in Kinds(): the
// largest CPU capacity first, equals by index. It must not be changed.
func (s *Snapshot) Rooms(kind int) []Room {
	if kind >= len(s.rooms) {
		return nil
	}
	return s.rooms[kind]
}

func compareRoom(a, b Room) int {
	return cmp.Or(cmp.Compare(b.CPU, a.CPU), cmp.Compare(a.Node, b.Node))
}

// setRooms moves the touched nodes to where they belong now, kind by kind; a
// kind of which no node was touched shares its list with the base.
func (e *edit) setRooms() {
	if len(e.change.Nodes) == 0 {
		return
	}
	added, dirty := make([][]Room, len(kinds)), make([]bool, len(kinds))
	for _, i := range e.change.Nodes {
		if int(i) < e.base.size && e.base.at(i).node != nil {
			dirty[e.base.at(i).kind] = true
		}
		if x := e.at(i); x.node != nil {
			dirty[x.kind] = true
			added[x.kind] = append(added[x.kind], Room{x.capacity.CPU, i})
		}
	}
	rooms := make([][]Room, len(kinds))
	copy(rooms, e.rooms)
	for k := range rooms {
		if dirty[k] {
			rooms[k] = e.mergeRooms(rooms[k], added[k])
		}
	}
	e.rooms = rooms
}

func (e *edit) mergeRooms(old, added []Room) []Room {
	slices.SortFunc(added, compareRoom)
	out := make([]Room, 0, len(old)+len(added))
	for _, r := range old {
		if e.touched[r.Node] {
			continue
		}
		for len(added) > 0 && compareRoom(added[0], r) < 0 {
			out, added = append(out, added[0]), added[1:]
		}
		out = append(out, r)
	}
	return append(out, added...)
}
