package cli

// noun is one kind of resource: everything its commands need to know.
type noun struct {
	name    string   // of the command: "gateway"
	aliases []string // "gw"
	what    string   // for people: "an IoT gateway"
	// collection is the API's: "iotGateways".
	collection string
	// parent is "" at the top, or the noun below which it is created ("slice",
	// "infrastructure"). A nested one is also read below its parent.
	parent string
	nested bool
	// converges tells that PUT on the collection takes the whole desired state.
	converges bool
	cascades  bool // DELETE takes cascade
	shared    bool // others' may be seen and used: names, and lists of what can be made, are of all the key may see
	// bringsAbout tells that an update without a change is an operation.
	bringsAbout bool
	// read-only nouns are only listed and read.
	readOnly bool
	listOnly bool
	// noPatch ones cannot be changed; ownCreate ones are created by a command
	// of their own among verbs.
	noPatch   bool
	ownCreate bool
	columns   []column
	fields    []field
	// refs are attributes that hold ids of another noun, where names may stand
	// on the command line and in files.
	refs map[string]string
}

// column is one column of a table: a header and the path of the value. Wide
// ones show with -o wide only.
type column struct {
	header, path string
	wide         bool
}

// field is a flag that sets one value of the body.
type field struct {
	flag, path string
	kind       fieldKind
	usage      string
}

type fieldKind int

// The kinds of flags.
const (
	str    fieldKind = iota
	num              // a number
	yes              // a boolean
	words            // repeated or comma-separated
	pairs            // key=value, repeated
	object           // a JSON or YAML object
	items            // name[:unit[:type]], repeated
)

// common columns of everything with a Meta.
func withMeta(columns ...column) []column {
	all := append([]column{{"NAME", "name", false}}, columns...)
	return append(all, column{"ID", "id", true}, column{"TENANT", "tenantId", true},
		column{"REVISION", "revision", true}, column{"CREATED", "createdAt", true})
}

// path is where the collection is; the parent's id comes first.
func (n *noun) path(parentID string) (string, []string) {
	switch {
	case n.parent == "infrastructure":
		return "/infrastructures/{parent}/" + n.collection, []string{parentID}
	case n.parent == "slice" && parentID != "":
		return "/iotSlices/{parent}/" + n.collection, []string{parentID}
	}
	return "/" + n.collection, nil
}

// item is where one resource is.
func (n *noun) item(parentID, id string) (string, []string) {
	if !n.nested {
		return "/" + n.collection + "/{id}", []string{id}
	}
	path, ids := n.path(parentID)
	return path + "/{id}", append(ids, id)
}

func nounOf(name string) *noun {
	for _, n := range nouns {
		if n.name == name {
			return n
		}
	}
	return nil
}
