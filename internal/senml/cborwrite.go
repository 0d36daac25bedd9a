package senml

import (
	"encoding/binary"
	"math"
)

// EncodeCBOR writes the pack as SenML CBOR (RFC 8428 §6).
func EncodeCBOR(p Pack) ([]byte, error) { return AppendCBOR(make([]byte, 0, 48*len(p)+4), p) }

// AppendCBOR appends the pack as SenML CBOR to dst, with definite lengths, the
// integer keys of RFC 8428 table 4 and the shortest form of each number. It
// refuses what AppendJSON refuses.
func AppendCBOR(dst []byte, p Pack) ([]byte, error) {
	if err := checkPack(p); err != nil {
		return dst, err
	}
	w := &cborWriter{b: appendHead(dst, majorArray, uint64(len(p)))}
	count := new(fieldCounter)
	for i := range p {
		*count = 0
		p[i].each(count)
		w.b = appendHead(w.b, majorMap, uint64(*count))
		p[i].each(w)
	}
	return w.b, nil
}

// The major types of CBOR (RFC 8949 §3.1).
const (
	majorUint   = 0
	majorNegint = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorTag    = 6
	majorSimple = 7
)

// fieldCounter counts the fields that are present.
type fieldCounter int

func (c *fieldCounter) text(label, string)    { *c++ }
func (c *fieldCounter) number(label, float64) { *c++ }
func (c *fieldCounter) boolean(label, bool)   { *c++ }
func (c *fieldCounter) data(label, string)    { *c++ }

type cborWriter struct{ b []byte }

func (w *cborWriter) text(l label, s string) {
	w.b = appendInt(w.b, int64(l))
	w.b = appendHead(w.b, majorText, uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *cborWriter) number(l label, f float64) {
	w.b = appendInt(w.b, int64(l))
	w.b = appendCBORNumber(w.b, f)
}

func (w *cborWriter) boolean(l label, b bool) {
	w.b = appendInt(w.b, int64(l))
	if b {
		w.b = append(w.b, 0xf5)
	} else {
		w.b = append(w.b, 0xf4)
	}
}

func (w *cborWriter) data(l label, raw string) {
	w.b = appendInt(w.b, int64(l))
	w.b = appendHead(w.b, majorBytes, uint64(len(raw)))
	w.b = append(w.b, raw...)
}

func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, majorNegint, uint64(^n))
	}
	return appendHead(b, majorUint, uint64(n))
}

// appendCBORNumber writes an integer as such, else the shortest float that
// holds f exactly (RFC 8949 §4.1).
func appendCBORNumber(b []byte, f float64) []byte {
	const exact = 1 << 53
	if f == math.Trunc(f) && math.Abs(f) <= exact && !(f == 0 && math.Signbit(f)) {
		return appendInt(b, int64(f))
	}
	f32 := float32(f)
	if float64(f32) != f {
		return binary.BigEndian.AppendUint64(append(b, 0xfb), math.Float64bits(f))
	}
	if half, ok := toHalf(f32); ok {
		return binary.BigEndian.AppendUint16(append(b, 0xf9), half)
	}
	return binary.BigEndian.AppendUint32(append(b, 0xfa), math.Float32bits(f32))
}

// toHalf answers f as a normal IEEE 754 binary16 if that holds it exactly.
func toHalf(f float32) (uint16, bool) {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	exponent := int(bits>>23&0xff) - 127
	mantissa := bits & 0x7fffff
	if f == 0 {
		return sign, true
	}
	if exponent < -14 || exponent > 15 || mantissa&0x1fff != 0 {
		return 0, false
	}
	return sign | uint16(exponent+15)<<10 | uint16(mantissa>>13), true
}

// fromHalf is the value of a binary16 (RFC 8949 appendix D).
func fromHalf(h uint16) float64 {
	exponent := int(h >> 10 & 0x1f)
	mantissa := float64(h & 0x3ff)
	var f float64
	switch exponent {
	case 0:
		f = math.Ldexp(mantissa, -24)
	case 31:
		if f = math.Inf(1); mantissa != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(mantissa+1024, exponent-25)
	}
	if h&0x8000 != 0 {
		return -f
	}
	return f
}
