package senml

import "strconv"

// Kind is which of the four value fields a record has.
type Kind uint8

// The kinds of a Value.
const (
	None    Kind = iota // no value field: the record has a sum only
	Number              // v
	Text                // vs
	Boolean             // vb
	Data                // vd
)

// String is the kind's name: "none", "number", "string", "boolean" or "data".
func (k Kind) String() string {
	switch k {
	case None:
		return "none"
	case Number:
		return "number"
	case Text:
		return "string"
	case Boolean:
		return "boolean"
	case Data:
		return "data"
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Value is the value of a record: at most one of the four fields. The zero
// Value is None. Values are comparable with ==.
type Value struct {
	kind Kind
	num  float64
	text string
}

// Float is a numeric value (v).
func Float(f float64) Value { return Value{kind: Number, num: f} }

// String is a string value (vs).
func String(s string) Value { return Value{kind: Text, text: s} }

// Bool is a boolean value (vb).
func Bool(b bool) Value {
	if b {
		return Value{kind: Boolean, num: 1}
	}
	return Value{kind: Boolean}
}

// Bytes is a data value (vd); b is copied.
func Bytes(b []byte) Value { return Value{kind: Data, text: string(b)} }

// Kind says which field the value is.
func (v Value) Kind() Kind { return v.kind }

// Float is the number of a Number, 1 or 0 for a Boolean, else 0.
func (v Value) Float() float64 { return v.num }

// Text is the string of a Text or the raw octets of a Data value, else "".
func (v Value) Text() string { return v.text }

// Bool is the truth of a Boolean, else false.
func (v Value) Bool() bool { return v.kind == Boolean && v.num != 0 }

// Bytes is a copy of the octets of a Data value, nil for the other kinds.
func (v Value) Bytes() []byte {
	if v.kind != Data {
		return nil
	}
	return []byte(v.text)
}

// Any is the value as float64, string, bool or []byte; nil for None.
func (v Value) Any() any {
	switch v.kind {
	case Number:
		return v.num
	case Text:
		return v.text
	case Boolean:
		return v.Bool()
	case Data:
		return []byte(v.text)
	}
	return nil
}

// ValueOf is the Value of a float64, string, bool or []byte; false for any
// other type.
func ValueOf(a any) (Value, bool) {
	switch a := a.(type) {
	case float64:
		return Float(a), true
	case string:
		return String(a), true
	case bool:
		return Bool(a), true
	case []byte:
		return Bytes(a), true
	}
	return Value{}, false
}
