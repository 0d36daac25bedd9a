package senml

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// jsonDecoder walks one JSON text. Strings without escapes are substrings of
// s, so a pack costs one copy of its input and one slice of records.
type jsonDecoder struct {
	s      string
	i      int
	record int
	field  string
	limits Limits
}

// DecodeJSON reads a SenML JSON pack (RFC 8428 §5) within the limits.
func DecodeJSON(data []byte, limits Limits) (Pack, error) {
	limits = limits.withDefaults()
	if err := checkSize(len(data), limits); err != nil {
		return nil, err
	}
	if !utf8.Valid(data) {
		return nil, &Error{Offset: invalidOffset(data), Record: -1, Given: "bytes that are not UTF-8", Allowed: "UTF-8 (RFC 8259 §8.1)"}
	}
	d := jsonDecoder{s: string(data), record: -1, limits: limits}
	return d.pack()
}

func checkSize(n int, l Limits) error {
	if n <= l.Bytes {
		return nil
	}
	return &Error{Offset: -1, Record: -1, Given: fmt.Sprintf("%d bytes", n), Allowed: fmt.Sprintf("at most %d bytes", l.Bytes), TooBig: true}
}

// invalidOffset is where data stops being UTF-8.
func invalidOffset(data []byte) int {
	at := 0
	for at < len(data) {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
	return at
}

func (d *jsonDecoder) pack() (Pack, error) {
	if err := d.expect('[', "an array of records"); err != nil {
		return nil, err
	}
	var p Pack
	for {
		d.record, d.field = len(p), ""
		if len(p) == d.limits.Records {
			return nil, d.tooBig(fmt.Sprintf("more than %d records", len(p)), fmt.Sprintf("at most %d records", d.limits.Records))
		}
		if p == nil {
			p = make(Pack, 0, d.guessRecords())
		}
		p = append(p, Record{})
		if err := d.object(&p[len(p)-1]); err != nil {
			return nil, err
		}
		d.record = -1
		more, err := d.more(']')
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
	}
	d.space()
	if d.i < len(d.s) {
		return nil, d.fail("text after the array", "one array of records")
	}
	return p, nil
}

// guessRecords estimates the number of records from what is left of the
// input, so that the slice seldom grows; it never exceeds a small multiple of
// the input.
func (d *jsonDecoder) guessRecords() int { return min(d.limits.Records, 1+(len(d.s)-d.i)/48) }

// object reads one record.
func (d *jsonDecoder) object(r *Record) error {
	if err := d.expect('{', "a record object"); err != nil {
		return err
	}
	d.space()
	if d.i < len(d.s) && d.s[d.i] == '}' {
		d.i++
		return nil
	}
	var seen seenLabels
	for {
		d.field = ""
		d.space()
		label, err := d.text("a label")
		if err != nil {
			return err
		}
		d.field = label
		if err := d.expect(':', `":"`); err != nil {
			return err
		}
		d.space()
		if err := d.member(r, label, &seen); err != nil {
			return err
		}
		more, err := d.more('}')
		if err != nil || !more {
			return err
		}
	}
}

// member reads the value of one label into r.
func (d *jsonDecoder) member(r *Record, label string, seen *seenLabels) error {
	l := labelOf(label)
	if l == unknownLabel {
		if mustUnderstand(label) {
			return d.fail("a label that must be understood", "labels of RFC 8428")
		}
		return d.skip(0)
	}
	if !seen.add(l) {
		return d.fail("a second time", "each label once, and one of v, vs, vb, vd")
	}
	switch l {
	case labelBaseName, labelBaseUnit, labelName, labelUnit, labelString, labelData:
		s, err := d.text("a string")
		if err != nil {
			return err
		}
		if l == labelData {
			return d.data(r, s)
		}
		r.setText(l, s)
		return nil
	case labelBool:
		b, err := d.boolean()
		r.Value = Bool(b)
		return err
	}
	f, err := d.number()
	if err != nil {
		return err
	}
	if !r.setNumber(l, f) {
		return d.fail(strconv.FormatFloat(f, 'g', -1, 64), "a positive integer")
	}
	return nil
}

// data reads base64url without padding (RFC 8428 §5).
func (d *jsonDecoder) data(r *Record, s string) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return d.fail(shorten(s), "base64url without padding (RFC 4648 §5)")
	}
	r.Value = Value{kind: Data, text: string(raw)}
	return nil
}

func (d *jsonDecoder) boolean() (bool, error) {
	switch {
	case d.literal("true"):
		return true, nil
	case d.literal("false"):
		return false, nil
	}
	return false, d.fail(d.glimpse(), "true or false")
}

// more reads "," (true) or the closing byte (false).
func (d *jsonDecoder) more(closing byte) (bool, error) {
	d.space()
	if d.i < len(d.s) {
		switch d.s[d.i] {
		case ',':
			d.i++
			return true, nil
		case closing:
			d.i++
			return false, nil
		}
	}
	return false, d.fail(d.glimpse(), `"," or "`+string(rune(closing))+`"`)
}

func (d *jsonDecoder) expect(c byte, allowed string) error {
	d.space()
	if d.i < len(d.s) && d.s[d.i] == c {
		d.i++
		return nil
	}
	return d.fail(d.glimpse(), allowed)
}

// glimpse shows what stands at the cursor.
func (d *jsonDecoder) glimpse() string {
	if d.i >= len(d.s) {
		return "the end of the input"
	}
	return shorten(d.s[d.i:min(len(d.s), d.i+12)])
}

func (d *jsonDecoder) fail(given, allowed string) *Error {
	field := d.field
	if len(field) > 40 {
		field = field[:40] + "…"
	}
	return &Error{Offset: d.i, Record: d.record, Field: field, Given: given, Allowed: allowed}
}

func (d *jsonDecoder) tooBig(given, allowed string) error {
	e := d.fail(given, allowed)
	e.TooBig = true
	return e
}
