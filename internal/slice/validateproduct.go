package slice

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// placeholderRE finds ${port:NAME} and ${listen:NAME}: the two kinds whose
// names the product itself must explain.
var placeholderRE = regexp.MustCompile(`\$\{(port|listen):([^}]*)\}`)

// Validate lists every wrong field of the catalogue entry.
func (p *Product) Validate() error {
	c := checking(KindProduct)
	p.check(c, KindProduct)
	c.pattern("version", p.Version, versionTag, false, versionAllowed)
	c.oneOf("elementKind", string(p.Element), false, string(Gateway), string(Server), string(MicroElement))
	c.pattern("platform", p.Platform, pluginName, true, pluginAllowed)
	c.must(len(p.Packaging) > 0, "packaging", "", "what it is made of for at least one driver")
	each(c, "packaging", p.Packaging, maxEntries, func(at, driver string, v Packaging) {
		c.pattern(at, driver, pluginName, false, "a driver's name, "+pluginAllowed)
		v.check(c, at)
	})
	ports := p.checkPorts(c)
	p.checkTemplates(c, ports)
	c.object("configurationSchema", p.ConfigurationSchema)
	p.Probe.check(c, "probe", ports)
	p.Requirements.check(c, "requirements")
	c.set("protocols", p.Protocols, maxList, func(f, v string) { c.oneOf(f, v, false, deviceProtocols...) })
	each(c, "images", p.Images, maxEntries, func(at, name, ref string) {
		c.pattern(at, name, wordName, false, "a name of "+wordAllowed)
		c.nonEmpty(at, ref, 512)
	})
	c.state(p.State)
	return c.err()
}

func (p *Product) checkPorts(c *checks) map[string]bool {
	seen := map[string]bool{}
	if len(p.Ports) > maxList {
		c.wrong("ports", len(p.Ports), fmt.Sprintf("at most %d entries", maxList))
		return seen
	}
	for i, port := range p.Ports {
		at := fmt.Sprintf("ports/%d", i)
		c.name(at+"/name", port.Name, false)
		c.must(!seen[port.Name], at+"/name", port.Name, "a name used once")
		seen[port.Name] = true
		c.oneOf(at+"/protocol", port.Protocol, false, "tcp", "udp")
		c.pattern(at+"/scheme", port.Scheme, pluginName, true, pluginAllowed)
		c.whole(at+"/fixed", int64(port.Fixed), 0, 65535)
	}
	return seen
}

// checkTemplates checks configuration and files, and that every port they
// speak of exists.
func (p *Product) checkTemplates(c *checks, ports map[string]bool) {
	named := func(at, text string) {
		for _, m := range placeholderRE.FindAllStringSubmatch(text, -1) {
			c.must(ports[m[2]], at, m[0], "the name of one of the product's ports")
		}
	}
	c.configuration("configuration", p.Configuration)
	each(c, "configuration", p.Configuration, maxEntries, func(at, _, v string) { named(at, v) })
	each(c, "files", p.Files, maxEntries, func(at, name, v string) {
		c.must(localPath(name), at, name, "a clean relative path inside the working directory")
		c.must(len(v) <= maxDocument, at, len(v), fmt.Sprintf("at most %d bytes", maxDocument))
		named(at, v)
	})
	each(c, "packaging", p.Packaging, maxEntries, func(at, _ string, v Packaging) {
		if v.Process == nil {
			return
		}
		for i, a := range v.Process.Args {
			named(fmt.Sprintf("%s/process/args/%d", at, i), a)
		}
	})
}

func localPath(name string) bool {
	return name != "" && len(name) <= 255 && path.Clean(name) == name && !path.IsAbs(name) &&
		name != "." && name != ".." && !strings.HasPrefix(name, "../") &&
		!strings.ContainsAny(name, "\\\x00")
}

func (v Packaging) check(c *checks, at string) {
	if p := v.Process; p != nil {
		c.must(localPath(p.Artefact) && !strings.Contains(p.Artefact, "/"),
			at+"/process/artefact", p.Artefact, "the base name of a file")
		each(c, at+"/process/sha256", p.SHA256, maxEntries, func(f, arch, sum string) {
			c.architecture(f, arch)
			c.must(sha256Hex.MatchString(sum), f, sum, "64 lower-case hexadecimal digits")
		})
		c.args(at+"/process/args", p.Args)
	}
	if h := v.Chart; h != nil {
		c.pattern(at+"/chart/name", h.Name, wordName, false, wordAllowed)
		c.pattern(at+"/chart/version", h.Version, versionTag, false, versionAllowed)
		c.object(at+"/chart/values", h.Values)
	}
	c.object(at+"/extra", v.Extra)
}

func (p *ProbeSpec) check(c *checks, at string, ports map[string]bool) {
	if p == nil {
		return
	}
	c.must(p.Port == "" || ports[p.Port], at+"/port", p.Port, "the name of one of the product's ports")
	c.must(p.Path == "" || strings.HasPrefix(p.Path, "/"), at+"/path", p.Path, "a path beginning with /")
	c.text(at+"/path", p.Path, 1024)
	c.must(p.Path == "" || p.Port != "", at+"/port", "", "the port that the path is asked at")
	c.number(at+"/intervalSeconds", p.IntervalSeconds, 0, 3600, "s")
	c.number(at+"/timeoutSeconds", p.TimeoutSeconds, 0, 3600, "s")
}
