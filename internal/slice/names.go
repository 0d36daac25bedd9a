package slice

import "strings"

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
// links) may be longer. They are matched by hand: an order of a hundred
// thousand devices has a million of them.
var (
	shortName  = matcher{first: alnum, rest: alnum + "._-", last: alnum, most: 63}
	longName   = matcher{first: alnum, rest: alnum + "._:/@>-", most: 253}
	labelKey   = matcher{first: alnum, rest: alnum + "._/-", last: alnum, most: 253}
	configName = matcher{first: letters + "_", rest: alnum + "_.-", most: 127}
	wordName   = matcher{first: alnum, rest: alnum + "._:/+=-", most: 127}
	versionTag = matcher{first: alnum, rest: alnum + ".+_-", most: 63}
	pluginName = matcher{first: lower, rest: lower + digits09 + "-", most: 63}
	sha256Hex  = matcher{first: digits09 + "abcdef", rest: digits09 + "abcdef", most: 64, least: 64}
)

const (
	lower    = "abcdefghijklmnopqrstuvwxyz"
	letters  = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits09 = "0123456789"
	alnum    = letters + digits09
)

// matcher is a set of texts: so many characters of rest, the first of first,
// the last (when it says) of last.
type matcher struct {
	first, rest, last string
	most, least       int
}

// MatchString reports whether text is in the set.
func (m matcher) MatchString(text string) bool {
	n := len(text)
	if n == 0 || n > m.most || n < m.least || strings.IndexByte(m.first, text[0]) < 0 {
		return false
	}
	if m.last != "" && strings.IndexByte(m.last, text[n-1]) < 0 {
		return false
	}
	for i := 1; i < n; i++ {
		if strings.IndexByte(m.rest, text[i]) < 0 {
			return false
		}
	}
	return true
}

// shape is a matcher or a regular expression.
type shape interface{ MatchString(string) bool }

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
func ValidName(name string) bool { return shortName.MatchString(name) }

// meta checks what every resource has. Ids and owners are the store's.
func (m *Meta) check(c *checks, k Kind) {
	switch k {
	case KindNode, KindLink, KindSecret, KindAPIKey, KindPlacement:
		c.pattern("name", m.Name, longName, k == KindLink || k == KindPlacement, longNameAllowed)
	case KindSubscription:
		c.pattern("name", m.Name, longName, true, longNameAllowed)
	default:
		c.pattern("name", m.Name, shortName, false, nameAllowed)
	}
	c.text("description", m.Description, maxDescription)
	c.labels("labels", m.Labels)
}

func (c *checks) labels(field string, labels map[string]string) {
	each(c, field, labels, maxLabels, func(at, key, v string) {
		c.pattern(at, key, labelKey, false, "a key of "+labelKeyAllowed)
		c.text(at, v, 253)
	})
}

// name checks the name of another member; ref an id or name of anything.
func (c *checks) name(field, v string, optional bool) {
	c.pattern(field, v, shortName, optional, nameAllowed)
}

func (c *checks) ref(field, v string, optional bool) {
	c.pattern(field, v, longName, optional, refAllowed+": "+longNameAllowed)
}

func (c *checks) words(field string, list []string) {
	c.set(field, list, maxList, func(at, v string) { c.pattern(at, v, wordName, false, wordAllowed) })
}

func (c *checks) names(field string, list []string) {
	c.set(field, list, maxList, func(at, v string) { c.name(at, v, false) })
}

func (c *checks) refs(field string, list []string) {
	c.set(field, list, maxList, func(at, v string) { c.ref(at, v, false) })
}

func (c *checks) configuration(field string, m map[string]string) {
	each(c, field, m, maxEntries, func(at, key, v string) {
		c.pattern(at, key, configName, false, "a name of "+configAllowed)
		c.text(at, v, maxValue)
	})
}

func (c *checks) secretRefs(field string, m map[string]string) {
	each(c, field, m, maxEntries, func(at, key, v string) {
		c.pattern(at, key, configName, false, "a name of "+configAllowed)
		c.ref(at, v, false)
	})
}

// state accepts what the service writes, and nothing before it has.
func (c *checks) state(s State) {
	c.oneOf("state", string(s), true, string(Designed), string(Active), string(Inactive),
		string(Failed), string(Orphaned), string(Terminated))
}
