package senml

import (
	"math"
	"strings"
)

// label is a label of RFC 8428 §4.3 by its CBOR key (§6, table 4).
type label int8

const (
	labelBaseVersion label = -1
	labelBaseName    label = -2
	labelBaseTime    label = -3
	labelBaseUnit    label = -4
	labelBaseValue   label = -5
	labelBaseSum     label = -6
	labelName        label = 0
	labelUnit        label = 1
	labelValue       label = 2
	labelString      label = 3
	labelBool        label = 4
	labelSum         label = 5
	labelTime        label = 6
	labelUpdateTime  label = 7
	labelData        label = 8
	unknownLabel     label = 127
)

// labelOf is the label of a JSON name.
func labelOf(name string) label {
	switch name {
	case "n":
		return labelName
	case "u":
		return labelUnit
	case "v":
		return labelValue
	case "t":
		return labelTime
	case "bn":
		return labelBaseName
	case "bt":
		return labelBaseTime
	case "bu":
		return labelBaseUnit
	case "vs":
		return labelString
	case "vb":
		return labelBool
	case "vd":
		return labelData
	case "s":
		return labelSum
	case "ut":
		return labelUpdateTime
	case "bv":
		return labelBaseValue
	case "bs":
		return labelBaseSum
	case "bver":
		return labelBaseVersion
	}
	return unknownLabel
}

// jsonName is the inverse of labelOf.
func (l label) jsonName() string {
	if l < labelBaseSum || l > labelData {
		return ""
	}
	return [...]string{"bs", "bv", "bu", "bt", "bn", "bver", "n", "u", "v", "vs", "vb", "s", "t", "ut", "vd"}[l-labelBaseSum]
}

// mustUnderstand reports whether a receiver that does not know the label must
// not use the pack (RFC 8428 §4.4).
func mustUnderstand(name string) bool { return strings.HasSuffix(name, "_") }

// seenLabels is the set of labels of the record being read.
type seenLabels uint32

// values is the set of the four value fields, of which one may be present.
const values seenLabels = 1<<(labelValue-labelBaseSum) | 1<<(labelString-labelBaseSum) |
	1<<(labelBool-labelBaseSum) | 1<<(labelData-labelBaseSum)

// add answers false when l, or another value field when l is one, was there.
func (s *seenLabels) add(l label) bool {
	bit := seenLabels(1) << (l - labelBaseSum)
	taken := bit
	if bit&values != 0 {
		taken = values
	}
	if *s&taken != 0 {
		return false
	}
	*s |= bit
	return true
}

// setText stores the string of a text label.
func (r *Record) setText(l label, s string) {
	switch l {
	case labelBaseName:
		r.BaseName = s
		r.mark(HasBaseName, s == "")
	case labelBaseUnit:
		r.BaseUnit = s
		r.mark(HasBaseUnit, s == "")
	case labelName:
		r.Name = s
	case labelUnit:
		r.Unit = s
	case labelString:
		r.Value = String(s)
	}
}

// setNumber stores the number of a numeric label; false when the label does
// not take that number.
func (r *Record) setNumber(l label, f float64) bool {
	switch l {
	case labelBaseVersion:
		if f < 1 || f > 1<<20 || f != math.Trunc(f) {
			return false
		}
		r.BaseVersion = int(f)
	case labelBaseTime:
		r.BaseTime = f
		r.mark(HasBaseTime, f == 0)
	case labelBaseValue:
		r.BaseValue = f
		r.mark(HasBaseValue, f == 0)
	case labelBaseSum:
		r.BaseSum = f
		r.mark(HasBaseSum, f == 0)
	case labelValue:
		r.Value = Float(f)
	case labelSum:
		r.Sum = f
		r.mark(HasSum, f == 0)
	case labelTime:
		r.Time = f
	case labelUpdateTime:
		r.UpdateTime = f
	}
	return true
}

// mark notes that a field is present although it is zero.
func (r *Record) mark(f Fields, zero bool) {
	if zero {
		r.Has |= f
	}
}
