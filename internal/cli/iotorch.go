package cli

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// iotorch is what an iotorch.toml becomes: places and orders, and a note for
// everything that does not map, or not as it was.
type iotorch struct {
	Infrastructures []map[string]any `json:"infrastructures"`
	Slices          []map[string]any `json:"iotSlices"`
	Notes           []iotorchNote    `json:"notMapped"`

	file    map[string]map[string]map[string]any // section, name, attributes
	slices  map[string]map[string]any
	options iotorchOptions
}

type iotorchNote struct {
	Where  string `json:"where"`
	Reason string `json:"reason"`
}

// iotorchOptions say what the file cannot: which plugin reaches the clusters
// and which products stand for its charts.
type iotorchOptions struct {
	plugin, gateway, server string
	instantiate             bool
}

var orchNameRE = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// sections of the file, in the order in which they refer to each other. Its
// own documentation also writes them in the singular.
var iotorchSections = []string{"k8sclusters", "iotslices", "iotservers", "iotgateways", "iotdevices"}

// readIotorch translates an iotorch.toml. It fails only when the file is no
// TOML.
func readIotorch(raw []byte, o iotorchOptions) (*iotorch, error) {
	var doc map[string]any
	if err := toml.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	t := &iotorch{
		file: map[string]map[string]map[string]any{}, slices: map[string]map[string]any{}, options: o,
		Infrastructures: []map[string]any{}, Slices: []map[string]any{}, Notes: []iotorchNote{},
	}
	for _, key := range sortedKeys(doc) {
		t.section(key, doc[key])
	}
	t.clusters()
	t.orders()
	t.servers()
	t.gateways()
	t.devices()
	for _, name := range sortedKeys(t.slices) {
		t.Slices = append(t.Slices, t.slices[name])
	}
	return t, nil
}

func (t *iotorch) note(where, format string, args ...any) {
	t.Notes = append(t.Notes, iotorchNote{where, fmt.Sprintf(format, args...)})
}

// section sorts one top-level table into its entries. "iotserver set" of the
// seed writes a server's attributes beside the servers: those of iotservers are
// put back where they belong when there is only one server without them.
func (t *iotorch) section(key string, value any) {
	name := key
	for _, s := range iotorchSections {
		if key == strings.TrimSuffix(s, "s") {
			name = s
		}
	}
	table, ok := value.(map[string]any)
	if !ok || !strings.Contains(strings.Join(iotorchSections, " "), name) {
		if key != "title" {
			t.note(key, "is no section of iotorch")
		}
		return
	}
	if t.file[name] == nil {
		t.file[name] = map[string]map[string]any{}
	}
	stray := map[string]any{}
	for _, k := range sortedKeys(table) {
		if entry, ok := table[k].(map[string]any); ok {
			t.file[name][k] = entry
		} else {
			stray[k] = table[k]
		}
	}
	t.stray(name, stray)
}

func (t *iotorch) stray(section string, stray map[string]any) {
	if len(stray) == 0 {
		return
	}
	var bare []string
	for name, entry := range t.file[section] {
		if entry["slice"] == nil && entry["cluster"] == nil {
			bare = append(bare, name)
		}
	}
	if section == "iotservers" && len(bare) == 1 {
		for k, v := range stray {
			if t.file[section][bare[0]][k] == nil {
				t.file[section][bare[0]][k] = v
			}
		}
		t.note(section, "attributes beside the servers were taken as those of %s, which has none", bare[0])
		return
	}
	for _, k := range sortedKeys(stray) {
		t.note(section+"."+k, "stands beside the entries; whose it is cannot be told")
	}
}

// named reports whether a name can be taken over.
func (t *iotorch) named(where, name string) bool {
	if orchNameRE.MatchString(name) {
		return true
	}
	t.note(where, "the name can hold only letters, digits, '.', '_' and '-', at most 63")
	return false
}

// rest notes attributes that have no place.
func (t *iotorch) rest(where string, entry map[string]any, taken map[string]string) {
	for _, k := range sortedKeys(entry) {
		reason, known := taken[k]
		switch {
		case known && reason == "":
		case known:
			if !empty(entry[k]) {
				t.note(where+"."+k, "%s", reason)
			}
		default:
			t.note(where+"."+k, "is not known")
		}
	}
}

func attr(entry map[string]any, key string) string {
	if v := entry[key]; v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

// clusters become infrastructures: cloud when a slice says so, edge otherwise.
func (t *iotorch) clusters() {
	cloud := map[string]bool{}
	for _, s := range t.file["iotslices"] {
		cloud[attr(s, "cloud")] = true
	}
	for _, s := range t.file["iotslices"] {
		delete(cloud, attr(s, "edge")) // both: an edge that also serves as cloud
	}
	for _, name := range sortedKeys(t.file["k8sclusters"]) {
		where, c := "k8sclusters."+name, t.file["k8sclusters"][name]
		if !t.named(where, name) {
			continue
		}
		kind := "NETWORK_EDGE"
		if cloud[name] {
			kind = "CLOUD"
		}
		i := map[string]any{"name": name, "kind": kind, "plugin": t.options.plugin}
		if ip := attr(c, "ip"); ip != "" {
			i["address"] = ip
		}
		taken := map[string]string{
			"ip": "", "k8scontext": "", "helmip": "Helm 3 has no server in the cluster", "helmport": "Helm 3 has no server in the cluster",
		}
		if context := attr(c, "k8scontext"); context != "" && t.options.plugin == "kubernetes" {
			i["connection"] = map[string]any{"context": context}
		} else if context != "" {
			taken["k8scontext"] = "the plugin " + t.options.plugin + " needs no context"
		}
		t.rest(where, c, taken)
		t.Infrastructures = append(t.Infrastructures, i)
	}
}

func (t *iotorch) orders() {
	for _, name := range sortedKeys(t.file["iotslices"]) {
		where, s := "iotslices."+name, t.file["iotslices"][name]
		if !t.named(where, name) {
			continue
		}
		order := map[string]any{"name": name}
		if t.options.instantiate {
			order["instantiate"] = true
		}
		var places []string
		for _, end := range []string{"edge", "cloud"} {
			cluster := attr(s, end)
			if cluster == "" {
				continue
			}
			if t.file["k8sclusters"][cluster] == nil {
				t.note(where+"."+end, "cluster %q is not in the file", cluster)
			} else if len(places) == 0 || places[0] != cluster {
				places = append(places, cluster)
			}
		}
		if len(places) > 0 {
			order["placementPolicy"] = map[string]any{"infrastructures": places}
		}
		t.rest(where, s, map[string]string{"edge": "", "cloud": ""})
		t.slices[name] = order
	}
}
