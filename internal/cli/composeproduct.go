package cli

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/osmoslice/osmoslice/charts"
)

// imageRE is a reference of an image: where it is, its tag, its digest.
var imageRE = regexp.MustCompile(`^((?:[a-zA-Z0-9][a-zA-Z0-9.-]*(?::[0-9]+)?/)?[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*)(?::([A-Za-z0-9][A-Za-z0-9._-]{0,62}))?(?:@sha256:([0-9a-f]{64}))?$`)

// chartOfImages is the chart that runs any image.
const chartOfImages = "microelement"

// product answers the catalogue entry that runs a service: the one that was named,
// or one made of its image.
func (c *composing) product(where, name string, entry map[string]any) (product, version string) {
	if p := first(c.o.products[name], c.o.product); p != "" {
		if attr(entry, "image") != "" {
			c.note(where+".image", "the product %s says what is run", p)
		}
		return p, ""
	}
	image := attr(entry, "image")
	if image == "" {
		c.note(where, "has no image; product process is taken, whose executable configuration ARTEFACT names")
		return "process", ""
	}
	m := imageRE.FindStringSubmatch(image)
	if m == nil {
		c.note(where+".image", "given %s, allowed: an image as registry.example/team/name:tag; product process is taken, name another with --product-of", image)
		return "process", ""
	}
	version = m[2]
	switch {
	case version == "" && m[3] != "":
		version = m[3][:12]
	case version == "":
		version = "latest"
		c.note(where+".image", "%s has no tag: what is run may change under product version latest", image)
	}
	p := c.productOf(image, m[1], version)
	c.ports(where, entry, p)
	return attr(p, "name"), version
}

// productOf answers the entry of an image, made when it is the first to ask. Images
// that only differ in where they come from get the whole path for a name.
func (c *composing) productOf(image, path, version string) map[string]any {
	short := path[strings.LastIndexByte(path, '/')+1:]
	whole := strings.Map(func(r rune) rune {
		if r == '/' || r == ':' {
			return '-'
		}
		return r
	}, path)
	name := short
	for _, p := range c.Products {
		images, _ := p["images"].(map[string]any)
		if images["main"] == image {
			return p
		}
		if p["name"] == short && p["version"] == version {
			name = whole
		}
	}
	p := map[string]any{
		"name": name[max(0, len(name)-63):], "version": version, "elementKind": "microElement", "description": "image " + image,
		"images":       map[string]any{"main": image},
		"requirements": map[string]any{"cpuMilli": 50, "memoryMiB": 64},
		"packaging": map[string]any{
			"kubernetes": map[string]any{"chart": map[string]any{"name": chartOfImages, "version": chartVersion(chartOfImages),
				"values": map[string]any{"images": map[string]any{"main": map[string]any{"reference": image}}}}},
			"simulated": map[string]any{"process": map[string]any{"artefact": short}},
		},
	}
	c.Products = append(c.Products, p)
	c.maps("image %s → product %s %s", image, p["name"], version)
	return p
}

// chartVersion is the version of a chart that comes with the service.
func chartVersion(name string) string {
	var c struct{ Version string }
	raw, err := fs.ReadFile(charts.Files(), name+"/Chart.yaml")
	if err != nil || yaml.Unmarshal(raw, &c) != nil {
		return ""
	}
	return c.Version
}

// ports a service publishes or exposes become ports of its product.
func (c *composing) ports(where string, entry, product map[string]any) {
	for _, key := range []string{"ports", "expose"} {
		list, _ := entry[key].([]any)
		for i, v := range list {
			number, protocol, ok := portOf(v)
			if !ok {
				c.note(fmt.Sprintf("%s.%s[%d]", where, key, i), "given %v, allowed: one port of the container, as 8080:80/tcp", v)
				continue
			}
			have, _ := product["ports"].([]any)
			p := map[string]any{"name": fmt.Sprintf("%s-%d", protocol, number), "protocol": protocol, "scheme": protocol, "fixed": number}
			if !slices.ContainsFunc(have, func(h any) bool { return attr(h.(map[string]any), "name") == p["name"] }) {
				product["ports"] = append(have, p)
			}
		}
	}
}

// portOf reads a port of compose: 80, "8080:80", "127.0.0.1:8080:80/udp", or an
// object with a target.
func portOf(v any) (number int, protocol string, ok bool) {
	protocol = "tcp"
	text := fmt.Sprint(v)
	if m, long := v.(map[string]any); long {
		text = attr(m, "target")
		protocol = first(attr(m, "protocol"), protocol)
	} else if port, p, given := strings.Cut(text, "/"); given {
		text, protocol = port, p
	}
	number, err := strconv.Atoi(text[strings.LastIndexByte(text, ':')+1:])
	return number, protocol, err == nil && number > 0 && number < 1<<16 && (protocol == "tcp" || protocol == "udp")
}
