package placement

// Explanation says why one element is where it is, or why it is nowhere.
type Explanation struct {
	Demand  string `json:"demand"`
	Element string `json:"element"`
	Node    string `json:"node,omitempty"` // chosen; empty when waiting
	From    string `json:"from,omitempty"` // where it was
	Kept    bool   `json:"kept,omitempty"` // it stays because it still holds
	Reason  string `json:"reason"`         // one sentence
	Terms   Terms  `json:"terms"`          // the chosen node's cost
	// Candidates is how many nodes there are, Fitting how many satisfy every
	// constraint beside the rest of the plan.
	Candidates int         `json:"candidates"`
	Fitting    int         `json:"fitting"`
	Rejected   []Rejection `json:"rejected,omitempty"` // by constraint, most frequent first
	Runners    []Runner    `json:"runners,omitempty"`  // the next best that fit, cheapest first
	// Relaxation is the smallest single change that would give a node to an
	// element that has none.
	Relaxation *Relaxation `json:"relaxation,omitempty"`
}

// Rejection is why nodes are no candidates, summarised per constraint. Nearest
// is the node that misses it by least.
type Rejection struct {
	Constraint string   `json:"constraint"` // cpu, memory, storage, software, things, arch, image, kind, ..., latency, bandwidth, link
	Count      int      `json:"count"`
	Nodes      []string `json:"nodes,omitempty"` // the first few
	Nearest    Miss     `json:"nearest"`
}

// Miss is one constraint that one node does not satisfy.
type Miss struct {
	Node       string  `json:"node"`
	Constraint string  `json:"constraint"`
	Peer       string  `json:"peer,omitempty"`     // the other node of a link
	Required   string  `json:"required"`           // with unit
	Available  string  `json:"available"`          // with unit
	By         float64 `json:"by,omitempty"`       // how much is missing, in the constraint's unit
	Relative   float64 `json:"relative,omitempty"` // By as a fraction of what is required
}

// Runner is a node that fits but costs more, or as much.
type Runner struct {
	Node  string  `json:"node"`
	Terms Terms   `json:"terms"`
	More  float64 `json:"more"` // cost above the chosen node's
}

// Relaxation is a single change to a demand or node that makes it fit.
type Relaxation struct {
	Element    string  `json:"element"`
	Node       string  `json:"node"`
	Constraint string  `json:"constraint"`
	Change     string  `json:"change"`          // a sentence: "give node-3 500 more milli-cores"
	Flows      []int   `json:"flows,omitempty"` // Demand.Flows to change, by position; none: the element changes
	Value      float64 `json:"value,omitempty"` // the new bound or capacity, in the constraint's unit
	Verified   bool    `json:"verified"`        // deciding again with the change placed the demand
}

// Bottleneck is the constraint that binds when a demand does not fit.
type Bottleneck struct {
	Element    string `json:"element,omitempty"`
	Constraint string `json:"constraint"`
	Required   string `json:"required,omitempty"`
	Available  string `json:"available,omitempty"`
	Detail     string `json:"detail"`
	alone      bool   // the element could have no node even if nothing else were placed
}
