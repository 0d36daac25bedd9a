package slice

import (
	"regexp"
)

// Bounds of what one resource may carry.
const (
	maxDescription = 4096
	maxLabels      = 64
	maxList        = 256
	maxEntries     = 256
	maxValue       = 64 << 10
	maxDocument    = 256 << 10
)

// Names of what people order are short: they become SenML names, MQTT topic
// levels and environment variables. Names that machines give (nodes, secrets,
// links) may be longer.
var (
	nameRE     = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	longNameRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@>-]{0,252}$`)
	labelKeyRE = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,251}[A-Za-z0-9])?$`)
	configRE   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,126}$`)
	wordRE     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,126}$`)
	versionRE  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+_-]{0,62}$`)
	pluginRE   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	hexRE      = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

const (
	nameAllowed     = "1 to 63 letters, digits, '.', '_' or '-', beginning and ending with a letter or digit"
	longNameAllowed = "1 to 253 letters, digits or any of ._:/@>-, beginning with a letter or digit"
	labelKeyAllowed = "1 to 253 letters, digits or any of ._/-, beginning and ending with a letter or digit"
	configAllowed   = "1 to 127 letters, digits or any of _.-, beginning with a letter or '_'"
	wordAllowed     = "1 to 127 letters, digits or any of ._:/+=-, beginning with a letter or digit"
	versionAllowed  = "1 to 63 letters, digits or any of .+_-, beginning with a letter or digit"
	pluginAllowed   = "1 to 63 lower-case letters, digits or '-', beginning with a letter"
	refAllowed      = "the id or name of one"
)

// ValidName reports whether a person may give this name to a slice or member.
func ValidName(name string) bool { return nameRE.MatchString(name) }

// meta checks what every resource has. Ids and owners are the store's.
func (m *Meta) check(c *checks, k Kind) {
	switch k {
	case KindNode, KindLink, KindSecret, KindAPIKey, KindPlacement:
		c.pattern("name", m.Name, longNameRE, k == KindLink || k == KindPlacement, longNameAllowed)
	case KindSubscription:
		c.pattern("name", m.Name, longNameRE, true, longNameAllowed)
	default:
		c.pattern("name", m.Name, nameRE, false, nameAllowed)
	}
	c.text("description", m.Description, maxDescription)
	c.labels("labels", m.Labels)
}

func (c *checks) labels(field string, labels map[string]string) {
	each(c, field, labels, maxLabels, func(at, key, v string) {
		c.pattern(at, key, labelKeyRE, false, "a key of "+labelKeyAllowed)
		c.text(at, v, 253)
	})
}

// name checks the name of another member; ref an id or name of anything.
func (c *checks) name(field, v string, optional bool) {
	c.pattern(field, v, nameRE, optional, nameAllowed)
}

func (c *checks) ref(field, v string, optional bool) {
	c.pattern(field, v, longNameRE, optional, refAllowed+": "+longNameAllowed)
}

func (c *checks) words(field string, list []string) {
	c.set(field, list, maxList, func(at, v string) { c.pattern(at, v, wordRE, false, wordAllowed) })
}

func (c *checks) names(field string, list []string) {
	c.set(field, list, maxList, func(at, v string) { c.name(at, v, false) })
}

func (c *checks) refs(field string, list []string) {
	c.set(field, list, maxList, func(at, v string) { c.ref(at, v, false) })
}

func (c *checks) configuration(field string, m map[string]string) {
	each(c, field, m, maxEntries, func(at, key, v string) {
		c.pattern(at, key, configRE, false, "a name of "+configAllowed)
		c.text(at, v, maxValue)
	})
}

func (c *checks) secretRefs(field string, m map[string]string) {
	each(c, field, m, maxEntries, func(at, key, v string) {
		c.pattern(at, key, configRE, false, "a name of "+configAllowed)
		c.ref(at, v, false)
	})
}

// state accepts what the service writes, and nothing before it has.
func (c *checks) state(s State) {
	c.oneOf("state", string(s), true, string(Designed), string(Active), string(Inactive),
		string(Failed), string(Orphaned), string(Terminated))
}
