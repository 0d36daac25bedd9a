package senml

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// cborDecoder walks one CBOR data item. Definite strings are substrings of s.
type cborDecoder struct {
	s      string
	i      int
	record int
	field  string
	limits Limits
}

// indefinite is the count of an array, map or string that ends with a break.
const indefinite = math.MaxUint64

// head is the start of a data item (RFC 8949 §3).
type head struct {
	major byte
	info  byte   // the low five bits
	n     uint64 // argument; indefinite when info is 31
}

// DecodeCBOR reads a SenML CBOR pack (RFC 8428 §6) within the limits:
// definite and indefinite lengths, integers, floats of 16, 32 and 64 bits and
// decimal fractions (tag 4), labels as integers or, for the others, text.
func DecodeCBOR(data []byte, limits Limits) (Pack, error) {
	limits = limits.withDefaults()
	if err := checkSize(len(data), limits); err != nil {
		return nil, err
	}
	d := cborDecoder{s: string(data), record: -1, limits: limits}
	return d.pack()
}

func (d *cborDecoder) pack() (Pack, error) {
	h, err := d.untagged()
	if err != nil {
		return nil, err
	}
	if h.major != majorArray {
		return nil, d.fail("major type "+strconv.Itoa(int(h.major)), "an array of records")
	}
	if h.n != indefinite && h.n > uint64(d.limits.Records) {
		return nil, d.tooBig(fmt.Sprintf("%d records", h.n), fmt.Sprintf("at most %d records", d.limits.Records))
	}
	// A promise of more records than the input can hold reserves nothing.
	p := make(Pack, 0, min(h.n, uint64(len(d.s)/8+1), uint64(d.limits.Records)))
	for n := uint64(0); ; n++ {
		done, err := d.ended(h, n)
		if err != nil {
			return nil, err
		}
		if done {
			break
		}
		if len(p) == d.limits.Records {
			return nil, d.tooBig(fmt.Sprintf("more than %d records", len(p)), fmt.Sprintf("at most %d records", d.limits.Records))
		}
		d.record, d.field = len(p), ""
		p = append(p, Record{})
		if err := d.object(&p[len(p)-1]); err != nil {
			return nil, err
		}
	}
	d.record, d.field = -1, ""
	if len(p) == 0 {
		return nil, d.fail("no record", "one record or more")
	}
	if d.i < len(d.s) {
		return nil, d.fail("bytes after the array", "one array of records")
	}
	return p, nil
}

// ended reports whether n items are all of h's, consuming a break.
func (d *cborDecoder) ended(h head, n uint64) (bool, error) {
	if h.n != indefinite {
		return n == h.n, nil
	}
	if d.i >= len(d.s) {
		return false, d.fail("the end of the input", "an item or a break")
	}
	if d.s[d.i] != 0xff {
		return false, nil
	}
	d.i++
	return true, nil
}

// object reads one record.
func (d *cborDecoder) object(r *Record) error {
	h, err := d.untagged()
	if err != nil {
		return err
	}
	if h.major != majorMap {
		return d.fail("major type "+strconv.Itoa(int(h.major)), "a map (a record)")
	}
	var seen seenLabels
	for n := uint64(0); ; n++ {
		d.field = ""
		done, err := d.ended(h, n)
		if err != nil || done {
			return err
		}
		l, err := d.label()
		if err != nil {
			return err
		}
		if l == unknownLabel {
			if err := d.skip(0); err != nil {
				return err
			}
			continue
		}
		if !seen.add(l) {
			return d.fail("a second time", "each label once, and one of v, vs, vb, vd")
		}
		if err := d.member(r, l); err != nil {
			return err
		}
	}
}

// label reads a key: an integer of table 4, or the text of an extension.
func (d *cborDecoder) label() (label, error) {
	h, err := d.head()
	if err != nil {
		return unknownLabel, err
	}
	switch h.major {
	case majorUint, majorNegint:
		if h.major == majorUint && h.n <= uint64(labelData) {
			d.field = label(h.n).jsonName()
			return label(h.n), nil
		}
		if h.major == majorNegint && h.n < uint64(-labelBaseSum) {
			d.field = label(-1 - int64(h.n)).jsonName()
			return label(-1 - int64(h.n)), nil
		}
		return unknownLabel, nil
	case majorText:
		name, err := d.chunks(h)
		if err != nil {
			return unknownLabel, err
		}
		d.field = name
		if mustUnderstand(name) {
			return unknownLabel, d.fail("a label that must be understood", "labels of RFC 8428")
		}
		if labelOf(name) != unknownLabel {
			return unknownLabel, d.fail("as text", "its integer key (RFC 8428 table 4)")
		}
		return unknownLabel, nil
	}
	return unknownLabel, d.fail("major type "+strconv.Itoa(int(h.major)), "an integer or text label")
}

// member reads the value of one label into r.
func (d *cborDecoder) member(r *Record, l label) error {
	h, err := d.untaggedExcept(tagDecimal)
	if err != nil {
		return err
	}
	switch l {
	case labelBaseName, labelBaseUnit, labelName, labelUnit, labelString, labelData:
		want := byte(majorText)
		if l == labelData {
			want = majorBytes
		}
		if h.major != want {
			return d.fail("major type "+strconv.Itoa(int(h.major)), "major type "+strconv.Itoa(int(want)))
		}
		s, err := d.chunks(h)
		if err != nil {
			return err
		}
		if l == labelData {
			r.Value = Value{kind: Data, text: s}
		}
		r.setText(l, s)
		return nil
	case labelBool:
		if h.major != majorSimple || h.info != 20 && h.info != 21 {
			return d.fail("another type", "true or false")
		}
		r.Value = Bool(h.info == 21)
		return nil
	}
	f, err := d.number(h)
	if err != nil {
		return err
	}
	if !r.setNumber(l, f) {
		return d.fail(strconv.FormatFloat(f, 'g', -1, 64), "a positive integer")
	}
	return nil
}

func (d *cborDecoder) fail(given, allowed string) *Error {
	field := d.field
	if len(field) > 40 {
		field = field[:40] + "…"
	}
	return &Error{Offset: d.i, Record: d.record, Field: field, Given: given, Allowed: allowed}
}

func (d *cborDecoder) tooBig(given, allowed string) error {
	e := d.fail(given, allowed)
	e.TooBig = true
	return e
}

// text answers s if it is UTF-8.
func (d *cborDecoder) text(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", d.fail("text that is not UTF-8", "UTF-8 (RFC 8949 §3.1)")
	}
	return s, nil
}
