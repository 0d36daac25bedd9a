package placement

import (
	"time"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// Model selects the feasibility rules.
type Model string

// The models. Both place on direct links only; fogbrain replays the peer.
const (
	ModelOsmoslice Model = "osmoslice"
	ModelFogBrain  Model = "fogbrain"
)

// Options is how to decide. The zero value is the default of everything.
type Options struct {
	Model    Model    // default osmoslice
	Strategy string   // a key of Strategies; default "osmotic" (fogbrain under ModelFogBrain)
	Budget   int64    // search steps; default DefaultBudget
	Seed     uint64   // breaks ties of the local search
	Weights  *Weights // default DefaultWeights()
	Headroom Headroom // kept free on every node and link in use
	// Replace re-places everything: nothing is kept for its own sake.
	Replace bool
	// Heuristic makes the fogbrain strategy use the peer's heuristic placer.
	Heuristic bool
	// FactsAreFree says that capacities are what is free now beyond what the
	// given demands hold, as FogBrainX facts are: holdings are credited, not
	// deducted.
	FactsAreFree bool
	// Returns is how many elements, not displaced, may go back to a node that
	// suits them better by more than Weights.Hysteresis. A caller sets it when
	// load has been low for long enough; 0 moves nothing for preference.
	Returns int
	// Explain fills Decision.Explanations.
	Explain bool
	// Backstop ends a search by the clock when its budget did not; default
	// 10 × the time the budget takes. Negative: none. Decision.Backstop says when.
	Backstop time.Duration
}

// Headroom is what stays free on each node and link that is used.
type Headroom struct {
	Node          topology.Capacity
	BandwidthKbit int64
}

// DefaultBudget is the search steps (one candidate node looked at) of a
// decision: about 10 ms on one core of a small cloud machine.
const DefaultBudget = 20_000

const defaultBackstop = 100 * time.Millisecond

// Weights are the prices of the objective; the cost of a decision is their sum.
// The defaults make it lexicographic in practice: waiting, moves, preference,
// then traffic, balance, energy and price.
type Weights struct {
	Waiting    float64 `json:"waiting"`    // per demand left waiting
	Move       float64 `json:"move"`       // per element moved
	Preference float64 `json:"preference"` // per unit of Preferences
	Traffic    float64 `json:"traffic"`    // per flow between different nodes
	Balance    float64 `json:"balance"`    // per squared utilisation of a node, summed over CPU, memory and storage
	Energy     float64 `json:"energy"`     // per watt
	Price      float64 `json:"price"`      // per price unit and hour
	// Hysteresis is how much cost a return must save (Options.Returns).
	Hysteresis float64 `json:"hysteresis"`
	// LatencyBoundMS: an element with a flow bound at or below it wants the edge.
	LatencyBoundMS float64 `json:"latencyBoundMs"`
	// Preferences by node kind, 0 best, for elements bound by latency and others.
	LatencyBound map[topology.Kind]float64 `json:"latencyBound"`
	Relaxed      map[topology.Kind]float64 `json:"relaxed"`
}

// DefaultWeights is the default objective.
func DefaultWeights() Weights {
	return Weights{
		Waiting: 1e6, Move: 1000, Preference: 10, Traffic: 0.5, Balance: 1, Energy: 0.001, Price: 0.1,
		Hysteresis: 5, LatencyBoundMS: 50,
		LatencyBound: map[topology.Kind]float64{topology.DeviceEdge: 0, topology.NetworkEdge: 1, topology.Fog: 2, topology.Cloud: 4, topology.Access: 1, topology.Transport: 3, topology.Core: 3},
		Relaxed:      map[topology.Kind]float64{topology.Cloud: 0, topology.Core: 0, topology.Fog: 1, topology.Transport: 1, topology.NetworkEdge: 2, topology.Access: 2, topology.DeviceEdge: 3},
	}
}
