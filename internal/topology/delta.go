package topology

// Delta is what changed from one revision to the next. Every entry states the
// new absolute value. Infrastructures come before nodes, nodes before links;
// removals come first.
type Delta struct {
	RemoveNodes     []string         `json:"removeNodes,omitempty"`
	RemoveLinks     [][2]string      `json:"removeLinks,omitempty"` // exact links: the group's path shows again
	Infrastructures []Infrastructure `json:"infrastructures,omitempty"`
	GroupLinks      []GroupLink      `json:"groupLinks,omitempty"`
	Nodes           []Node           `json:"nodes,omitempty"`
	Links           []Link           `json:"links,omitempty"`
	// Order, when set, is the new visit order and must name every node once.
	// Otherwise a new or changed node moves to the end of the visit order.
	Order []string `json:"order,omitempty"`
}

// Patch is a Delta of measurements by node index, for reports that arrive often
// and large. It changes capacities, availability and exact links only.
type Patch struct {
	Nodes []NodeValue
	Links []LinkValue
	Order []int32 // as Delta.Order
}

// NodeValue is a node's new measured state.
type NodeValue struct {
	Node        int32
	Capacity    Capacity
	Unavailable bool
}

// LinkValue is an exact link's new measured state.
type LinkValue struct {
	From, To int32
	Path     Path
	Down     bool
}

// Changes is which nodes and links differ between two revisions, by index. A
// nil *Changes means: unknown, treat everything as changed.
type Changes struct {
	Since uint64  // revision compared with
	Nodes []int32 // changed, added or removed nodes
	Links []Pair  // changed exact links; empty with Groups set when group paths changed
	// Groups is true when a path within or between infrastructures changed.
	Groups bool
}

// Pair is an ordered pair of node indexes.
type Pair struct{ From, To int32 }
