package senml

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	// tagDecimal is the tag of a decimal fraction (RFC 8949 §3.4.4).
	tagDecimal = 4
	// noTag excepts no tag from being passed over.
	noTag = math.MaxUint64
	// maxTags bounds the tags in front of one item.
	maxTags = 4
)

// head reads the start of a data item.
func (d *cborDecoder) head() (head, error) {
	if d.i >= len(d.s) {
		return head{}, d.fail("the end of the input", "a data item")
	}
	first := d.s[d.i]
	h := head{major: first >> 5, info: first & 31}
	size := 0
	switch {
	case h.info < 24:
		h.n = uint64(h.info)
	case h.info < 28:
		size = 1 << (h.info - 24)
	case h.info == 31 && h.major >= majorBytes && h.major <= majorMap:
		h.n = indefinite
	default:
		return head{}, d.fail(fmt.Sprintf("byte %#02x", first), "a well-formed data item (RFC 8949 §3)")
	}
	if d.i+1+size > len(d.s) {
		return head{}, d.fail("the end of the input", "a data item")
	}
	if size > 0 {
		var argument [8]byte
		copy(argument[8-size:], d.s[d.i+1:d.i+1+size])
		h.n = binary.BigEndian.Uint64(argument[:])
		if h.n == indefinite && h.major != majorSimple && h.major > majorNegint {
			return head{}, d.fail("a length of 2^64-1", "a length within the input")
		}
	}
	d.i += 1 + size
	return h, nil
}

// untagged reads a head behind any tags, whose meaning does not matter here.
func (d *cborDecoder) untagged() (head, error) { return d.untaggedExcept(noTag) }

// untaggedExcept is untagged, but stops at the tag keep.
func (d *cborDecoder) untaggedExcept(keep uint64) (head, error) {
	for range maxTags + 1 {
		h, err := d.head()
		if err != nil || h.major != majorTag || h.n == keep {
			return h, err
		}
	}
	return head{}, d.tooBig("many tags", fmt.Sprintf("at most %d tags", maxTags))
}

// chunks reads the bytes of a byte or text string, definite or in chunks.
func (d *cborDecoder) chunks(h head) (string, error) {
	if h.n != indefinite {
		return d.chunk(h, 0)
	}
	var b strings.Builder
	for {
		done, err := d.ended(h, 0)
		if err != nil {
			return "", err
		}
		if done {
			return b.String(), nil
		}
		part, err := d.head()
		if err != nil {
			return "", err
		}
		if part.major != h.major || part.n == indefinite {
			return "", d.fail("another chunk", "definite chunks of the same type")
		}
		s, err := d.chunk(part, b.Len())
		if err != nil {
			return "", err
		}
		b.WriteString(s)
	}
}

// chunk reads one definite string; before is what its string has already.
func (d *cborDecoder) chunk(h head, before int) (string, error) {
	if h.n > uint64(d.limits.Text-before) {
		return "", d.tooBig("a longer string", fmt.Sprintf("at most %d bytes", d.limits.Text))
	}
	end := d.i + int(h.n)
	if end > len(d.s) {
		return "", d.fail("the end of the input", "the rest of a string")
	}
	s := d.s[d.i:end]
	d.i = end
	if h.major == majorText {
		return d.text(s)
	}
	return s, nil
}

// number is the value of an integer, float or decimal fraction.
func (d *cborDecoder) number(h head) (float64, error) {
	var f float64
	switch {
	case h.major == majorUint:
		return float64(h.n), nil
	case h.major == majorNegint:
		return -1 - float64(h.n), nil
	case h.major == majorSimple && h.info == 25:
		f = fromHalf(uint16(h.n))
	case h.major == majorSimple && h.info == 26:
		f = float64(math.Float32frombits(uint32(h.n)))
	case h.major == majorSimple && h.info == 27:
		f = math.Float64frombits(h.n)
	case h.major == majorTag && h.n == tagDecimal:
		return d.decimal()
	default:
		return 0, d.fail("another type", "a number")
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, d.fail(strconv.FormatFloat(f, 'g', -1, 64), "a finite number")
	}
	return f, nil
}

// decimal reads [exponent, mantissa] (RFC 8949 §3.4.4), correctly rounded.
func (d *cborDecoder) decimal() (float64, error) {
	pair, err := d.head()
	if err != nil {
		return 0, err
	}
	if pair.major != majorArray || pair.n != 2 {
		return 0, d.fail("another type", "a decimal fraction [exponent, mantissa]")
	}
	var parts [2]string
	for i := range parts {
		h, err := d.head()
		if err != nil {
			return 0, err
		}
		if h.major > majorNegint || h.n > math.MaxInt64 {
			return 0, d.fail("another type", "an integer of 64 bits")
		}
		n := int64(h.n)
		if h.major == majorNegint {
			n = ^n
		}
		parts[i] = strconv.FormatInt(n, 10)
	}
	f, err := strconv.ParseFloat(parts[1]+"e"+parts[0], 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, d.fail(parts[1]+"e"+parts[0], "a number that a double can hold")
	}
	return f, nil
}

// skip passes over the value of an unknown label.
func (d *cborDecoder) skip(depth int) error {
	if depth > d.limits.Depth {
		return d.tooBig("deep nesting", fmt.Sprintf("at most %d levels", d.limits.Depth))
	}
	h, err := d.untagged()
	if err != nil {
		return err
	}
	var items int
	switch h.major {
	case majorBytes, majorText:
		_, err := d.chunks(h)
		return err
	case majorArray:
		items = 1
	case majorMap:
		items = 2
	default:
		return nil
	}
	for n := uint64(0); ; n++ {
		done, err := d.ended(h, n)
		if err != nil || done {
			return err
		}
		for range items {
			if err := d.skip(depth + 1); err != nil {
				return err
			}
		}
	}
}
