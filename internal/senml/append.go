package senml

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
)

// EncodeJSON writes the pack as SenML JSON (RFC 8428 §5).
func EncodeJSON(p Pack) ([]byte, error) { return AppendJSON(make([]byte, 0, 64*len(p)+2), p) }

// AppendJSON appends the pack as SenML JSON to dst. It refuses an empty pack,
// numbers that are not finite and text that is not UTF-8; dst is then
// answered as it was.
func AppendJSON(dst []byte, p Pack) ([]byte, error) {
	if err := checkPack(p); err != nil {
		return dst, err
	}
	w := &jsonWriter{b: append(dst, '[')}
	for i := range p {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b, w.some = append(w.b, '{'), false
		p[i].each(w)
		w.b = append(w.b, '}')
	}
	return append(w.b, ']'), nil
}

// fieldWriter writes the fields of one record in one representation.
type fieldWriter interface {
	text(l label, s string)
	number(l label, f float64)
	boolean(l label, b bool)
	data(l label, raw string)
}

// each writes the fields that are present, in the order of the examples of
// RFC 8428.
func (r *Record) each(w fieldWriter) {
	if r.BaseName != "" || r.Has&HasBaseName != 0 {
		w.text(labelBaseName, r.BaseName)
	}
	if r.BaseTime != 0 || r.Has&HasBaseTime != 0 {
		w.number(labelBaseTime, r.BaseTime)
	}
	if r.BaseUnit != "" || r.Has&HasBaseUnit != 0 {
		w.text(labelBaseUnit, r.BaseUnit)
	}
	if r.BaseValue != 0 || r.Has&HasBaseValue != 0 {
		w.number(labelBaseValue, r.BaseValue)
	}
	if r.BaseSum != 0 || r.Has&HasBaseSum != 0 {
		w.number(labelBaseSum, r.BaseSum)
	}
	if r.BaseVersion != 0 {
		w.number(labelBaseVersion, float64(r.BaseVersion))
	}
	r.eachOwn(w)
}

// eachOwn writes the fields that hold for this record alone.
func (r *Record) eachOwn(w fieldWriter) {
	if r.Name != "" {
		w.text(labelName, r.Name)
	}
	if r.Unit != "" {
		w.text(labelUnit, r.Unit)
	}
	if r.Time != 0 {
		w.number(labelTime, r.Time)
	}
	if r.UpdateTime != 0 {
		w.number(labelUpdateTime, r.UpdateTime)
	}
	switch r.Value.kind {
	case Number:
		w.number(labelValue, r.Value.num)
	case Text:
		w.text(labelString, r.Value.text)
	case Boolean:
		w.boolean(labelBool, r.Value.Bool())
	case Data:
		w.data(labelData, r.Value.text)
	}
	if r.HasSum() {
		w.number(labelSum, r.Sum)
	}
}

// checkPack refuses what neither representation can carry.
func checkPack(p Pack) error {
	if len(p) == 0 {
		return &Error{Offset: -1, Record: -1, Given: "no record", Allowed: "one record or more"}
	}
	for i := range p {
		r := &p[i]
		for _, f := range [...]float64{r.BaseTime, r.BaseValue, r.BaseSum, r.Time, r.UpdateTime, r.Sum, r.Value.num} {
			if math.IsNaN(f) || math.IsInf(f, 0) {
				return &Error{Offset: -1, Record: i, Given: strconv.FormatFloat(f, 'g', -1, 64), Allowed: "finite numbers"}
			}
		}
		for _, s := range [...]string{r.BaseName, r.BaseUnit, r.Name, r.Unit} {
			if !utf8.ValidString(s) {
				return &Error{Offset: -1, Record: i, Given: shorten(s), Allowed: "UTF-8"}
			}
		}
		if r.Value.kind == Text && !utf8.ValidString(r.Value.text) {
			return &Error{Offset: -1, Record: i, Field: "vs", Given: shorten(r.Value.text), Allowed: "UTF-8; other octets as data"}
		}
		if r.BaseVersion < 0 {
			return &Error{Offset: -1, Record: i, Field: "bver", Given: strconv.Itoa(r.BaseVersion), Allowed: "1 to 10"}
		}
	}
	return nil
}

type jsonWriter struct {
	b    []byte
	some bool
}

func (w *jsonWriter) label(l label) {
	if w.some {
		w.b = append(w.b, ',')
	}
	w.some = true
	w.b = append(w.b, '"')
	w.b = append(w.b, l.jsonName()...)
	w.b = append(w.b, '"', ':')
}

func (w *jsonWriter) text(l label, s string) {
	w.label(l)
	w.b = appendJSONString(w.b, s)
}

func (w *jsonWriter) number(l label, f float64) {
	w.label(l)
	w.b = appendJSONNumber(w.b, f)
}

func (w *jsonWriter) boolean(l label, b bool) {
	w.label(l)
	w.b = strconv.AppendBool(w.b, b)
}

func (w *jsonWriter) data(l label, raw string) {
	w.label(l)
	w.b = append(w.b, '"')
	w.b = base64.RawURLEncoding.AppendEncode(w.b, []byte(raw))
	w.b = append(w.b, '"')
}

// appendJSONNumber writes the shortest decimal that reads back equal, without
// an exponent where that stays short.
func appendJSONNumber(b []byte, f float64) []byte {
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// appendJSONString quotes valid UTF-8 (RFC 8259 §7).
func appendJSONString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
