package senml

import (
	"fmt"
	"strings"
)

// Media types of the two representations (RFC 8428 §12.3).
const (
	MediaTypeJSON = "application/senml+json"
	MediaTypeCBOR = "application/senml+cbor"
)

// Version is the version of SenML this package speaks, the default of the Base
// Version field (RFC 8428 §4.4).
const Version = 10

// Fields marks fields of a Record that are present although they are zero: a
// base field that is explicitly 0 or "" replaces the one before it.
type Fields uint8

// The fields whose presence matters when they are zero.
const (
	HasBaseName Fields = 1 << iota
	HasBaseTime
	HasBaseUnit
	HasBaseValue
	HasBaseSum
	HasSum
)

// Record is one SenML record (RFC 8428 §4). Records are comparable with ==.
// A zero field is absent unless Has says otherwise.
type Record struct {
	BaseName string // bn: prefix of the names from here on
	BaseUnit string // bu: unit of records from here on that have none
	Name     string // n
	Unit     string // u: RFC 8428 §12.1, "Cel", "%RH"
	Value    Value  // v, vs, vb or vd

	BaseTime    float64 // bt: seconds, added to Time
	BaseValue   float64 // bv: added to a numeric Value
	BaseSum     float64 // bs: added to Sum
	Time        float64 // t: seconds since 1970 when ≥ 2^28, else relative to now
	UpdateTime  float64 // ut: seconds until the next reading at the latest
	Sum         float64 // s: integrated value; present when non-zero or HasSum
	BaseVersion int     // bver: 0 means Version
	Has         Fields
}

// HasSum reports whether the record carries a sum.
func (r *Record) HasSum() bool { return r.Sum != 0 || r.Has&HasSum != 0 }

// Pack is a SenML pack: its records in the order they travel.
type Pack []Record

// Limits bound what a decoder accepts. A zero field means its default.
type Limits struct {
	Bytes   int // length of the input; default 1 MiB
	Records int // records of the pack; default 10,000
	Depth   int // nesting inside values of unknown labels; default 16
	Text    int // bytes of one name, unit, string or data value; default 64 KiB
}

func (l Limits) withDefaults() Limits {
	if l.Bytes <= 0 {
		l.Bytes = 1 << 20
	}
	if l.Records <= 0 {
		l.Records = 10_000
	}
	if l.Depth <= 0 {
		l.Depth = 16
	}
	if l.Text <= 0 {
		l.Text = 64 << 10
	}
	return l
}

// Error says what is wrong with a pack and where.
type Error struct {
	Offset  int    // byte offset in the input, -1 when unknown
	Record  int    // index of the record, -1 when outside any
	Field   string // label, "v"; empty when outside any
	Given   string // what was found, shortened
	Allowed string // what would be accepted
	TooBig  bool   // a limit was exceeded (HTTP 413), not a syntax error (400)
}

// Error is one line: where, what was given, what is allowed.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("senml: ")
	if e.Record >= 0 {
		fmt.Fprintf(&b, "record %d: ", e.Record)
	}
	if e.Field != "" {
		fmt.Fprintf(&b, "%s: ", e.Field)
	}
	fmt.Fprintf(&b, "given %s, allowed: %s", e.Given, e.Allowed)
	if e.Offset >= 0 {
		fmt.Fprintf(&b, " (at byte %d)", e.Offset)
	}
	return b.String()
}

// shorten makes s fit for an error message.
func shorten(s string) string {
	const limit = 40
	if len(s) > limit {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:limit], "\uFFFD"))
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(s, "\uFFFD"))
}

// Decode reads a pack in either representation, told apart by its first byte:
// "[" or a space begins JSON and can never begin a CBOR pack.
func Decode(data []byte, limits Limits) (Pack, error) {
	if len(data) > 0 && strings.IndexByte("[ \t\r\n{", data[0]) >= 0 {
		return DecodeJSON(data, limits)
	}
	return DecodeCBOR(data, limits)
}
