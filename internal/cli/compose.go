package cli

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// composeOptions say what a compose file and its requirements cannot.
type composeOptions struct {
	name        string            // of the slice; "": the file's, or its folder's
	product     string            // of the microElements; "": one for each image
	products    map[string]string // of some, by service
	memory      bool              // a unit of hardware is a GiB of memory, not a core
	instantiate bool
}

// composing translates one application of FogArm: a compose file and the
// requirements of its services.
type composing struct {
	*taken
	o        composeOptions
	services map[string]any
	needs    map[string]any
	order    map[string]any
	flows    map[string]bool
}

// readCompose translates docker-compose.yml and requirements.yml into one order.
// It fails only when one of them is not what it is called.
func readCompose(file string, compose, requirements []byte, o composeOptions) (*taken, error) {
	doc, err := yamlObject(file, compose)
	if err != nil {
		return nil, err
	}
	c := &composing{taken: newTaken(), o: o, flows: map[string]bool{}}
	var ok bool
	if c.services, ok = doc["services"].(map[string]any); !ok || len(c.services) == 0 {
		return nil, fmt.Errorf("%s: services: given nothing, allowed: the services by name", file)
	}
	if len(requirements) > 0 {
		needs, err := yamlObject("the requirements", requirements)
		if err != nil {
			return nil, err
		}
		if c.needs, ok = needs["services"].(map[string]any); !ok {
			return nil, fmt.Errorf("the requirements: services: given %v, allowed: requirements by service", needs["services"])
		}
	}
	c.slice(file, doc)
	for _, name := range sortedKeys(c.services) {
		c.service(name)
	}
	for _, name := range sortedKeys(c.needs) {
		c.links(name)
	}
	c.Slices = append(c.Slices, c.order)
	return c.taken, nil
}

func yamlObject(what string, raw []byte) (map[string]any, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if err := doc.Decode(&map[string]any{}); err != nil {
		return nil, fmt.Errorf("%s: given no object, allowed: one", what)
	}
	v := map[string]any{}
	return v, doc.Decode(&v)
}

func (c *composing) slice(file string, doc map[string]any) {
	name := first(c.o.name, attr(doc, "name"), filepath.Base(filepath.Dir(file)))
	if !orchNameRE.MatchString(name) {
		name = "compose"
	}
	c.order = map[string]any{"name": name}
	if c.o.instantiate {
		c.order["instantiate"] = true
	}
	c.maps("%s → slice %s", filepath.Base(file), name)
	for _, k := range sortedKeys(doc) {
		switch k {
		case "services", "name", "version":
		case "networks":
			c.note(k, "flows between members say who talks to whom; links in the requirements become microData")
		case "volumes", "configs", "secrets":
			c.note(k, "is not taken over; a product says what its functions keep, secrets are kept with slicectl secret create")
		default:
			c.note(k, "is not known")
		}
	}
}

// service becomes a microElement.
func (c *composing) service(name string) {
	where := "services." + name
	entry, _ := c.services[name].(map[string]any)
	if !c.named(where, name) {
		return
	}
	product, version := c.product(where, name, entry)
	m := map[string]any{"name": name, "product": product, "melClass": "MUS"}
	if version != "" {
		m["productVersion"] = version
	}
	if config := c.environment(where, entry["environment"]); len(config) > 0 {
		m["configuration"] = config
	}
	if args := wordsOf(entry["command"]); len(args) > 0 {
		m["args"] = args
	}
	need := map[string]any{}
	c.resources(where, entry, m, need)
	c.requirements(name, need)
	if len(need) > 0 {
		m["requirements"] = need
	}
	c.rest(where, entry, version != "")
	c.maps("%s → microElement %s (%s)%s", where, name, m["product"], needing(need))
	add(c.order, "microElements", m)
}

func needing(need map[string]any) string {
	var parts []string
	for _, k := range sortedKeys(need) {
		parts = append(parts, fmt.Sprintf("%s %v", k, need[k]))
	}
	if len(parts) == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}

// environment is a map, or a list of NAME=VALUE.
func (c *composing) environment(where string, env any) map[string]any {
	out := map[string]any{}
	put := func(name, value string) {
		for _, word := range []string{"PASSWORD", "SECRET", "TOKEN", "KEY"} {
			if strings.Contains(strings.ToUpper(name), word) {
				c.note(where+".environment."+name, "looks like a secret and is not taken over: keep it with slicectl secret create and name it in secretRefs")
				return
			}
		}
		out[name] = value
	}
	switch env := env.(type) {
	case map[string]any:
		for _, k := range sortedKeys(env) {
			put(k, attr(env, k))
		}
	case []any:
		for _, e := range env {
			name, value, _ := strings.Cut(fmt.Sprint(e), "=")
			put(name, value)
		}
	}
	return out
}

// wordsOf is a command: a list, or words in a line.
func wordsOf(v any) []any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = fmt.Sprint(v[i])
		}
		return out
	case string:
		var out []any
		for _, w := range strings.Fields(v) {
			out = append(out, w)
		}
		return out
	}
	return nil
}

// resources takes deploy's replicas and limits.
func (c *composing) resources(where string, entry, m, need map[string]any) {
	deploy, _ := entry["deploy"].(map[string]any)
	if n, ok := deploy["replicas"].(int); ok && n > 1 {
		m["replicas"] = n
	}
	all, _ := deploy["resources"].(map[string]any)
	for _, which := range []string{"reservations", "limits"} { // limits win: they are what it may take
		r, _ := all[which].(map[string]any)
		if v := attr(r, "cpus"); v != "" {
			if cores, err := strconv.ParseFloat(v, 64); err == nil && cores > 0 && cores < 1e6 {
				need["cpuMilli"] = int64(math.Ceil(cores * 1000))
			} else {
				c.note(where+".deploy.resources."+which+".cpus", "given %s, allowed: cores", v)
			}
		}
		if v := attr(r, "memory"); v != "" {
			if mib, ok := mebibytes(v); ok {
				need["memoryMiB"] = mib
			} else {
				c.note(where+".deploy.resources."+which+".memory", "given %s, allowed: a size as 512M", v)
			}
		}
	}
	for _, k := range sortedKeys(deploy) {
		if k != "replicas" && k != "resources" {
			c.note(where+".deploy."+k, "is not taken over: placement is asked for by placementPolicy and requirements")
		}
	}
}

// mebibytes reads a size of compose: 50M, 1gb, 1024k, octets alone.
func mebibytes(text string) (int64, bool) {
	t := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(strings.TrimSpace(text)), "b"), "i")
	unit := 1.0
	if n := len(t); n > 0 {
		if k := strings.IndexByte("kmgt", t[n-1]); k >= 0 {
			unit, t = math.Pow(1024, float64(k+1)), t[:n-1]
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(t), 64)
	mib := math.Ceil(v * unit / (1 << 20))
	return int64(mib), err == nil && mib > 0 && mib < 1e12
}

// requirements of FogArm win over compose's resources.
func (c *composing) requirements(name string, need map[string]any) {
	where := "requirements." + name
	r, _ := c.needs[name].(map[string]any)
	if r == nil {
		if c.needs != nil {
			c.note(where, "is missing; the product's own requirements hold")
		}
		return
	}
	if v := attr(r, "hardware"); v != "" {
		units, err := strconv.ParseFloat(v, 64)
		switch {
		case err != nil || !(units >= 0) || units > 1e6:
			c.note(where+".hardware", "given %s, allowed: a number, 0 or more", v)
		case units > 0 && c.o.memory:
			need["memoryMiB"] = int64(math.Ceil(units * 1024))
		case units > 0:
			need["cpuMilli"] = int64(math.Ceil(units * 1000))
		}
	}
	for key, as := range map[string]string{"software": "software", "iot": "things"} {
		if list := wordsOf(r[key]); len(list) > 0 {
			need[as] = list
		}
	}
	for _, k := range sortedKeys(r) {
		switch k {
		case "hardware", "software", "iot", "links":
		default:
			c.note(where+"."+k, "is not known")
		}
	}
}

// links become microData from a service to its peer.
func (c *composing) links(name string) {
	r, _ := c.needs[name].(map[string]any)
	links, _ := r["links"].(map[string]any)
	if _, there := c.services[name]; !there {
		c.note("requirements."+name, "is of no service in the compose file")
		return
	}
	for _, peer := range sortedKeys(links) {
		where := "requirements." + name + ".links." + peer
		if _, there := c.services[peer]; !there {
			c.note(where, "leads to no service in the compose file")
			continue
		}
		l, _ := links[peer].(map[string]any)
		flow := map[string]any{"name": name + "-to-" + peer, "from": name, "to": peer, "dataClass": "MUD", "mode": "ACTIVE"}
		bounds := ""
		if v, ok := c.bound(where+".latency", l["latency"]); ok {
			flow["maxLatencyMs"] = v
			bounds += fmt.Sprintf(", at most %g ms", v)
		}
		if v, ok := c.bound(where+".bandwidth", l["bandwidth"]); ok {
			flow["bandwidthKbit"] = int64(math.Ceil(v * 1000))
			bounds += fmt.Sprintf(", %g Mbit/s", v)
		}
		c.maps("%s → microData %s%s", where, flow["name"], bounds)
		add(c.order, "microData", flow)
	}
}

// bound is a number above 0; inf and 0 bind nothing.
func (c *composing) bound(where string, v any) (float64, bool) {
	text := fmt.Sprint(v)
	if v == nil || strings.Contains(strings.ToLower(text), "inf") {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0) || f > 1e9 {
		c.note(where, "given %s, allowed: a number, 0 or more, or inf", text)
		return 0, false
	}
	return f, f > 0
}

// rest notes what of a service has no place. Its image and ports have one when a
// product was made of them.
func (c *composing) rest(where string, entry map[string]any, made bool) {
	reasons := map[string]string{
		"build":          "a product says what is run; building is not done here",
		"ports":          "the product says which ports it has; addresses are found out, not stored",
		"expose":         "the product says which ports it has",
		"depends_on":     "members start beside each other; flows between them become microData when the requirements have links",
		"volumes":        "the product says what its functions keep",
		"networks":       "flows between members say who talks to whom",
		"restart":        "what crashes is brought back always",
		"healthcheck":    "the product says how it is probed",
		"entrypoint":     "the product says what is run",
		"container_name": "releases are named by the service",
		"secrets":        "keep them with slicectl secret create and name them in secretRefs",
	}
	for _, k := range sortedKeys(entry) {
		switch k {
		case "environment", "command", "deploy", "image":
		case "ports", "expose":
			if !made {
				c.note(where+"."+k, "%s", reasons[k])
			}
		default:
			c.note(where+"."+k, "%s", first(reasons[k], "is not taken over"))
		}
	}
}
