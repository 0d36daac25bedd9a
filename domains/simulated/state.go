package simulated

import (
	"encoding/json"
	"time"

	"github.com/osmoslice/osmoslice/internal/topology"
)

// fenceKept is how long the generation of a deleted release is remembered; the
// contract asks for an hour.
const fenceKept = 2 * time.Hour

// entry is one change of a site: a line of its log. Op says which fields count.
type entry struct {
	Op      string  `json:"op"`
	Release string  `json:"release,omitempty"`
	At      int64   `json:"at,omitempty"` // Unix nanoseconds
	Record  *record `json:"record,omitempty"`
	// Generation of gen and delete.
	Generation int64 `json:"generation,omitempty"`
	// Of site and script.
	Name       string          `json:"name,omitempty"`
	Connection json.RawMessage `json:"connection,omitempty"`
	Script     *Script         `json:"script,omitempty"`
	// Of rule.
	Rule int `json:"rule,omitempty"`
	Seen int `json:"seen,omitempty"`
	Hits int `json:"hits,omitempty"`
	// Of the instance's state.
	Devices map[string]string `json:"devices,omitempty"` // name to hash
	Names   []string          `json:"names,omitempty"`
	Uplink  *uplink           `json:"uplink,omitempty"`
	Text    string            `json:"text,omitempty"`
}

// record is one deployment as the site holds it; times in Unix nanoseconds.
type record struct {
	Release    string            `json:"release"`
	Slice      string            `json:"slice"`
	Element    string            `json:"element"`
	Generation int64             `json:"generation"`
	Hash       string            `json:"hash"`
	Product    string            `json:"product,omitempty"`
	Node       string            `json:"node,omitempty"` // "": no node has room
	Wanted     string            `json:"wanted,omitempty"`
	Needs      topology.Capacity `json:"needs"`
	Ports      []string          `json:"ports,omitempty"`
	Applied    int64             `json:"applied"`
	Ready      int64             `json:"ready"`
	Gone       int64             `json:"gone,omitempty"` // being deleted, gone then
	Broken     string            `json:"broken,omitempty"`
	Hangs      bool              `json:"hangs,omitempty"`
	Restarts   int               `json:"restarts,omitempty"`
	Life       int               `json:"incarnation"`

	instance *instance
}

// uplink is where a gateway delivers; of the password only a digest.
type uplink struct {
	Protocol string `json:"protocol"`
	Address  string `json:"address"`
	Topic    string `json:"topic,omitempty"`
	ClientID string `json:"clientId,omitempty"`
	Digest   string `json:"digest,omitempty"`
}

// instance is what a simulated product knows.
type instance struct {
	devices  map[string]string // name to hash
	uplink   *uplink
	gateways map[string]int    // connected at a server: generation of the key
	keys     map[string]int    // last key generation of gateways disconnected
	commands map[string]string // id to state
}

func (r *record) state() *instance {
	if r.instance == nil {
		r.instance = &instance{
			devices: map[string]string{}, gateways: map[string]int{},
			keys: map[string]int{}, commands: map[string]string{},
		}
	}
	return r.instance
}

type fence struct {
	generation int64
	at         int64
}

// count is how often a failure rule matched and hit.
type count struct{ seen, hits int }

// state is everything a site holds. It changes only by fold.
type state struct {
	name       string
	connection json.RawMessage
	override   *Script
	born       int64
	records    map[string]*record
	fences     map[string]fence
	counts     map[int]count
	lives      int
	sweepAt    int // fences at which old ones are dropped
	wasDead    bool
}

func newState() *state {
	return &state{records: map[string]*record{}, fences: map[string]fence{}, counts: map[int]count{}, sweepAt: 1024}
}

// fold applies one entry. Unknown ones (of a newer program) are passed over.
func (s *state) fold(e *entry) {
	switch e.Op {
	case "site":
		if s.born == 0 {
			s.born = e.At
		}
		s.name, s.connection = e.Name, e.Connection
		clear(s.counts)
	case "script":
		s.override = e.Script
		clear(s.counts)
	case "rule":
		s.counts[e.Rule] = count{e.Seen, e.Hits}
	case "dead":
		s.wasDead = e.Text == "yes"
	case "apply":
		s.apply(e.Record)
	case "delete":
		s.remove(e)
	default:
		if r := s.records[e.Release]; r != nil {
			r.fold(e)
		}
	}
}

func (s *state) apply(r *record) {
	if old := s.records[r.Release]; old != nil && old.Gone == 0 {
		r.instance = old.instance
	}
	s.records[r.Release] = r
	s.lives = max(s.lives, r.Life)
	delete(s.fences, r.Release)
}

// remove forgets a release but for its fence; a release that goes slowly is
// kept until then.
func (s *state) remove(e *entry) {
	if r := s.records[e.Release]; r != nil && e.Record != nil {
		r.Gone, r.Generation = e.Record.Gone, e.Generation
	} else {
		delete(s.records, e.Release)
	}
	s.fences[e.Release] = fence{e.Generation, e.At}
	if len(s.fences) < s.sweepAt {
		return
	}
	for release, f := range s.fences {
		if f.at < e.At-int64(fenceKept) {
			delete(s.fences, release)
		}
	}
	s.sweepAt = max(1024, 2*len(s.fences))
}

func (r *record) fold(e *entry) {
	switch e.Op {
	case "gen":
		r.Generation = e.Generation
	case "place":
		r.Node, r.Ready = e.Text, e.At
	case "crash":
		r.Restarts, r.Ready = r.Restarts+1, e.At
	case "devices":
		i := r.state()
		for name, hash := range e.Devices {
			i.devices[name] = hash
		}
		for _, name := range e.Names {
			delete(i.devices, name)
		}
	case "uplink":
		r.state().uplink = e.Uplink
	case "connect":
		r.state().gateways[e.Text] = e.Seen
	case "disconnect":
		i := r.state()
		i.keys[e.Text] = i.gateways[e.Text]
		delete(i.gateways, e.Text)
	case "command":
		i := r.state()
		if len(i.commands) >= 1024 {
			clear(i.commands)
		}
		i.commands[e.Text] = e.Name
	}
}

// highest is the newest generation seen of a release.
func (s *state) highest(release string) int64 {
	g := s.fences[release].generation
	if r := s.records[release]; r != nil {
		g = max(g, r.Generation)
	}
	return g
}

// live answers the release's record, unless it is gone by now.
func (s *state) live(release string, now int64) *record {
	r := s.records[release]
	if r == nil || r.Gone > 0 && now >= r.Gone {
		return nil
	}
	return r
}

// entries is the shortest log that makes this state.
func (s *state) entries() []*entry {
	list := []*entry{{Op: "site", At: s.born, Name: s.name, Connection: s.connection}}
	if s.override != nil {
		list = append(list, &entry{Op: "script", Script: s.override})
	}
	for rule, c := range s.counts {
		list = append(list, &entry{Op: "rule", Rule: rule, Seen: c.seen, Hits: c.hits})
	}
	if s.wasDead {
		list = append(list, &entry{Op: "dead", Text: "yes"})
	}
	for release, f := range s.fences {
		if s.records[release] == nil {
			list = append(list, &entry{Op: "delete", Release: release, Generation: f.generation, At: f.at})
		}
	}
	for _, r := range s.records {
		list = append(list, r.entries()...)
	}
	return list
}

func (r *record) entries() []*entry {
	list := []*entry{{Op: "apply", Record: r}}
	if r.Gone > 0 {
		list = append(list, &entry{Op: "delete", Release: r.Release, Generation: r.Generation, At: r.Gone, Record: &record{Gone: r.Gone}})
	}
	if r.instance == nil {
		return list
	}
	add := func(e *entry) { e.Release = r.Release; list = append(list, e) }
	if len(r.instance.devices) > 0 {
		add(&entry{Op: "devices", Devices: r.instance.devices})
	}
	if r.instance.uplink != nil {
		add(&entry{Op: "uplink", Uplink: r.instance.uplink})
	}
	for gw, n := range r.instance.keys {
		add(&entry{Op: "connect", Text: gw, Seen: n})
		add(&entry{Op: "disconnect", Text: gw})
	}
	for gw, n := range r.instance.gateways {
		add(&entry{Op: "connect", Text: gw, Seen: n})
	}
	for id, st := range r.instance.commands {
		add(&entry{Op: "command", Text: id, Name: st})
	}
	return list
}
