package senml

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// relativeBound separates relative from absolute times: a resolved time below
// 2^28 seconds is relative to now (RFC 8428 §4.5.3).
const relativeBound = 1 << 28

// MaxTime is the latest time a resolved record may have, in seconds since
// 1970: the end of the year 9999.
const MaxTime = 253402300799

// base is the state of the base fields while walking a pack.
type base struct {
	name, unit       string
	time, value, sum float64
	hasValue, hasSum bool
}

// apply takes over the base fields that r sets (RFC 8428 §4.1: a base field
// holds for its record and those after it, up to the next that sets it).
func (b *base) apply(r *Record) {
	if r.BaseName != "" || r.Has&HasBaseName != 0 {
		b.name = r.BaseName
	}
	if r.BaseUnit != "" || r.Has&HasBaseUnit != 0 {
		b.unit = r.BaseUnit
	}
	if r.BaseTime != 0 || r.Has&HasBaseTime != 0 {
		b.time = r.BaseTime
	}
	if r.BaseValue != 0 || r.Has&HasBaseValue != 0 {
		b.value, b.hasValue = r.BaseValue, true
	}
	if r.BaseSum != 0 || r.Has&HasBaseSum != 0 {
		b.sum, b.hasSum = r.BaseSum, true
	}
}

// Resolve answers the pack in resolved form (RFC 8428 §4.6): base fields
// applied and gone, relative times added to now, records in chronological
// order. A missing value or sum whose base field is present counts as zero. p
// is not changed. Errors are *Error: a name outside §4.5.1, no value, two
// versions, a version above Version, a time outside the years 1970 to 9999.
func Resolve(p Pack, now time.Time) (Pack, error) {
	out, err := ResolveInOrder(p, now)
	byTime := func(a, b Record) int { return cmp.Compare(a.Time, b.Time) }
	if err == nil && !slices.IsSortedFunc(out, byTime) {
		slices.SortStableFunc(out, byTime)
	}
	return out, err
}

// ResolveInOrder is Resolve, but leaves the records in the order of p: for
// receivers to whom the position of a record in its pack means something.
func ResolveInOrder(p Pack, now time.Time) (Pack, error) {
	if err := checkVersions(p); err != nil {
		return nil, err
	}
	names, err := joinNames(p)
	if err != nil {
		return nil, err
	}
	nowSeconds := float64(now.UnixNano()) / 1e9
	out := make(Pack, len(p))
	var b base
	at := 0
	for i := range p {
		b.apply(&p[i])
		length := len(b.name) + len(p[i].Name)
		name := names[at : at+length]
		at += length
		if err := checkName(name, i); err != nil {
			return nil, err
		}
		r, err := b.resolve(&p[i], name, nowSeconds, i)
		if err != nil {
			return nil, err
		}
		out[i] = r
	}
	return out, nil
}

// resolve answers r with the base fields b applied.
func (b *base) resolve(r *Record, name string, now float64, i int) (Record, error) {
	out := Record{Name: name, Unit: r.Unit, Value: r.Value, UpdateTime: r.UpdateTime, BaseVersion: r.BaseVersion}
	if out.BaseVersion == Version {
		out.BaseVersion = 0
	}
	if out.Unit == "" {
		out.Unit = b.unit
	}
	switch {
	case r.Value.kind == Number:
		out.Value.num += b.value
	case r.Value.kind == None && b.hasValue:
		out.Value = Float(b.value)
	}
	if r.HasSum() || b.hasSum {
		out.Sum, out.Has = r.Sum+b.sum, HasSum
	}
	if out.Value.kind == None && !out.HasSum() {
		return out, &Error{Offset: -1, Record: i, Field: "v", Given: "no value", Allowed: "one of v, vs, vb, vd, or s"}
	}
	if bad := out.Value.num + out.Sum; math.IsInf(bad, 0) || math.IsNaN(bad) {
		return out, &Error{Offset: -1, Record: i, Field: "v", Given: "a value that is not finite with its base value", Allowed: "a finite number"}
	}
	out.Time = r.Time + b.time
	if out.Time < relativeBound {
		out.Time += now
	}
	if !(out.Time >= 0 && out.Time <= MaxTime) {
		return out, &Error{
			Offset: -1, Record: i, Field: "t", Given: strconv.FormatFloat(out.Time, 'g', -1, 64),
			Allowed: "a time between the years 1970 and 9999",
		}
	}
	return out, nil
}

// joinNames answers all resolved names one after the other in one string, so
// that a pack costs one allocation for them.
func joinNames(p Pack) (string, error) {
	var b base
	var names strings.Builder
	total := 0
	for pass := range 2 {
		b = base{}
		for i := range p {
			b.apply(&p[i])
			if pass == 0 {
				total += len(b.name) + len(p[i].Name)
				if total > maxNames {
					return "", &Error{Offset: -1, Record: i, Field: "bn", Given: "names of " + strconv.Itoa(total) + " bytes",
						Allowed: "at most " + strconv.Itoa(maxNames) + " bytes of names in a pack", TooBig: true}
				}
				continue
			}
			names.WriteString(b.name)
			names.WriteString(p[i].Name)
		}
		if pass == 0 {
			names.Grow(total)
		}
	}
	return names.String(), nil
}

// maxNames bounds the bytes of all resolved names of a pack together: a long
// base name over many records would else multiply a small input.
const maxNames = 8 << 20

// checkVersions refuses versions above ours and packs of several versions
// (RFC 8428 §4.4).
func checkVersions(p Pack) error {
	version := 0
	for i := range p {
		v := p[i].BaseVersion
		switch {
		case v == 0:
			continue
		case v < 0 || v > Version:
			return &Error{Offset: -1, Record: i, Field: "bver", Given: strconv.Itoa(v), Allowed: "1 to 10"}
		case version != 0 && v != version:
			return &Error{Offset: -1, Record: i, Field: "bver", Given: strconv.Itoa(v), Allowed: "the version of the records before it"}
		}
		version = v
	}
	return nil
}

// nameBytes holds the characters of a name (RFC 8428 §4.5.1): 1 begins one, 2
// continues one.
var nameBytes = func() (t [256]uint8) {
	for c := range 256 {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			t[c] = 3
		case strings.IndexByte("-:./_", byte(c)) >= 0:
			t[c] = 2
		}
	}
	return t
}()

// ValidName reports whether name can be the full name of a record: letters,
// digits and - : . / _, beginning with a letter or digit (RFC 8428 §4.5.1).
func ValidName(name string) bool {
	if name == "" || nameBytes[name[0]]&1 == 0 {
		return false
	}
	for i := 1; i < len(name); i++ {
		if nameBytes[name[i]] == 0 {
			return false
		}
	}
	return true
}

func checkName(name string, i int) error {
	if ValidName(name) {
		return nil
	}
	return &Error{
		Offset: -1, Record: i, Field: "n", Given: shorten(name),
		Allowed: "letters, digits and - : . / _, beginning with a letter or digit",
	}
}

// CheckTime refuses a resolved pack with a time before now-past or after
// now+future: a device whose clock is years off. A zero duration does not
// bound that side.
func CheckTime(p Pack, now time.Time, past, future time.Duration) error {
	nowSeconds := float64(now.UnixNano()) / 1e9
	for i := range p {
		age := nowSeconds - p[i].Time
		if past > 0 && age > past.Seconds() || future > 0 && -age > future.Seconds() {
			return &Error{
				Offset: -1, Record: i, Field: "t", Given: FormatTime(p[i].Time),
				Allowed: "at most " + past.String() + " past and " + future.String() + " ahead of now (0s: unbounded)",
			}
		}
	}
	return nil
}

// FormatTime is a resolved time as RFC 3339 with microseconds, in UTC.
func FormatTime(seconds float64) string {
	return Instant(seconds).Format("2006-01-02T15:04:05.999999Z07:00")
}

// Instant is a resolved time as a time.Time in UTC, rounded to microseconds,
// which is about what a double holds today.
func Instant(seconds float64) time.Time {
	return time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC()
}

// Seconds is t as a SenML time, rounded to microseconds.
func Seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
