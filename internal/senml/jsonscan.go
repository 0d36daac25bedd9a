package senml

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// space skips insignificant whitespace (RFC 8259 §2).
func (d *jsonDecoder) space() {
	for d.i < len(d.s) {
		switch d.s[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

// literal consumes word if it stands at the cursor.
func (d *jsonDecoder) literal(word string) bool {
	if strings.HasPrefix(d.s[d.i:], word) {
		d.i += len(word)
		return true
	}
	return false
}

// text reads a string (RFC 8259 §7).
func (d *jsonDecoder) text(allowed string) (string, error) {
	if d.i >= len(d.s) || d.s[d.i] != '"' {
		return "", d.fail(d.glimpse(), allowed)
	}
	start := d.i + 1
	for i := start; i < len(d.s); i++ {
		switch c := d.s[i]; {
		case c == '"':
			d.i = i + 1
			return d.bounded(d.s[start:i])
		case c == '\\':
			return d.escaped(start, i)
		case c < 0x20:
			d.i = i
			return "", d.fail("a control character", "control characters escaped")
		}
	}
	d.i = len(d.s)
	return "", d.fail("the end of the input", `a closing quote`)
}

func (d *jsonDecoder) bounded(s string) (string, error) {
	if len(s) > d.limits.Text {
		return "", d.tooBig(fmt.Sprintf("%d bytes of text", len(s)), fmt.Sprintf("at most %d bytes", d.limits.Text))
	}
	return s, nil
}

// escaped reads on a string that has a backslash at i.
func (d *jsonDecoder) escaped(start, i int) (string, error) {
	b := make([]byte, 0, i-start+16)
	b = append(b, d.s[start:i]...)
	for i < len(d.s) {
		c := d.s[i]
		switch {
		case c == '"':
			d.i = i + 1
			return d.bounded(string(b))
		case c < 0x20:
			d.i = i
			return "", d.fail("a control character", "control characters escaped")
		case c != '\\':
			b = append(b, c)
			i++
		default:
			var ok bool
			if b, i, ok = unescape(b, d.s, i+1); !ok {
				d.i = i
				return "", d.fail("a wrong escape", `\" \\ \/ \b \f \n \r \t or \uXXXX, surrogates in pairs`)
			}
		}
		if len(b) > d.limits.Text {
			d.i = i
			return d.bounded(string(b))
		}
	}
	d.i = len(d.s)
	return "", d.fail("the end of the input", `a closing quote`)
}

// unescape appends what the escape behind the backslash before i stands for.
// A lone surrogate is refused: it is not a character (RFC 8259 §8.2).
func unescape(b []byte, s string, i int) (out []byte, next int, ok bool) {
	if i >= len(s) {
		return b, i, false
	}
	if at := strings.IndexByte(`"\/bfnrt`, s[i]); at >= 0 {
		return append(b, "\"\\/\b\f\n\r\t"[at]), i + 1, true
	}
	if s[i] != 'u' {
		return b, i, false
	}
	r, ok := hex4(s, i+1)
	if !ok {
		return b, i, false
	}
	i += 5
	if utf16.IsSurrogate(r) {
		if i+1 >= len(s) || s[i] != '\\' || s[i+1] != 'u' {
			return b, i, false
		}
		low, ok := hex4(s, i+2)
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return b, i, false
		}
		i += 6
	}
	return utf8.AppendRune(b, r), i, true
}

func hex4(s string, i int) (rune, bool) {
	if i+4 > len(s) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(s[i : i+4]) {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// number reads a number (RFC 8259 §6) that a double can hold.
func (d *jsonDecoder) number() (float64, error) {
	end := scanNumber(d.s, d.i)
	if end == d.i {
		return 0, d.fail(d.glimpse(), "a number")
	}
	text := d.s[d.i:end]
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, d.fail(shorten(text), "a number that a double can hold")
	}
	d.i = end
	return f, nil
}

// scanNumber answers the end of the number at i, or i when there is none.
func scanNumber(s string, i int) int {
	start := i
	if i < len(s) && s[i] == '-' {
		i++
	}
	digits := digitsAt(s, i)
	if digits == 0 || digits > 1 && s[i] == '0' {
		return start
	}
	i += digits
	if i < len(s) && s[i] == '.' {
		digits = digitsAt(s, i+1)
		if digits == 0 {
			return start
		}
		i += 1 + digits
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		digits = digitsAt(s, i)
		if digits == 0 {
			return start
		}
		i += digits
	}
	return i
}

func digitsAt(s string, i int) int {
	n := 0
	for i+n < len(s) && s[i+n] >= '0' && s[i+n] <= '9' {
		n++
	}
	return n
}

// skip passes over the value of an unknown label.
func (d *jsonDecoder) skip(depth int) error {
	if depth > d.limits.Depth {
		return d.tooBig("deep nesting", fmt.Sprintf("at most %d levels", d.limits.Depth))
	}
	d.space()
	if d.i >= len(d.s) {
		return d.fail(d.glimpse(), "a value")
	}
	switch d.s[d.i] {
	case '{', '[':
		return d.skipGroup(depth)
	case '"':
		_, err := d.text("a string")
		return err
	case 't', 'f', 'n':
		if d.literal("true") || d.literal("false") || d.literal("null") {
			return nil
		}
		return d.fail(d.glimpse(), "a value")
	}
	end := scanNumber(d.s, d.i)
	if end == d.i {
		return d.fail(d.glimpse(), "a value")
	}
	d.i = end
	return nil
}

func (d *jsonDecoder) skipGroup(depth int) error {
	closing := d.s[d.i] + 2 // '{'+2 is '}', '['+2 is ']'
	d.i++
	d.space()
	if d.i < len(d.s) && d.s[d.i] == closing {
		d.i++
		return nil
	}
	for {
		if closing == '}' {
			d.space()
			if _, err := d.text("a label"); err != nil {
				return err
			}
			if err := d.expect(':', `":"`); err != nil {
				return err
			}
		}
		if err := d.skip(depth + 1); err != nil {
			return err
		}
		more, err := d.more(closing)
		if err != nil || !more {
			return err
		}
	}
}
