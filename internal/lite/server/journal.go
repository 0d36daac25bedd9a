package server

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// The journal holds one row per group: its points, one after the other, as
//
//	uvarint series, varint time (µs, against the point before), uvarint id
//	(against the point before), one byte kind | flags, the value, sum, ut
//
// A number, sum and ut are 8 bytes, text and data a uvarint and their bytes, a
// boolean is in the byte.
const (
	journalKind  = 7
	journalTruth = 1 << 3
	journalSum   = 1 << 4
	journalUT    = 1 << 5
)

var errJournal = errors.New("a row of the journal is damaged")

// appendJournal appends points to b.
func appendJournal(b []byte, points []seriesPoint) []byte {
	var before position
	for i := range points {
		p := &points[i]
		b = binary.AppendUvarint(b, uint64(p.series))
		b = binary.AppendVarint(b, p.at.time-before.time)
		b = binary.AppendVarint(b, p.at.id-before.id)
		before = p.at
		b = append(b, p.flags())
		switch p.value.Kind() {
		case senml.Number:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(p.value.Float()))
		case senml.Text, senml.Data:
			b = binary.AppendUvarint(b, uint64(len(p.value.Text())))
			b = append(b, p.value.Text()...)
		}
		if p.hasSum {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(p.sum))
		}
		if p.ut != 0 {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(p.ut))
		}
	}
	return b
}

func (p *point) flags() byte {
	f := byte(p.value.Kind())
	if p.value.Bool() {
		f |= journalTruth
	}
	if p.hasSum {
		f |= journalSum
	}
	if p.ut != 0 {
		f |= journalUT
	}
	return f
}

// journalReader reads what appendJournal wrote.
type journalReader struct {
	b  []byte
	ok bool
}

func (r *journalReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	return r.advance(v, n)
}

func (r *journalReader) varint() int64 {
	v, n := binary.Varint(r.b)
	return int64(r.advance(uint64(v), n))
}

func (r *journalReader) advance(v uint64, n int) uint64 {
	if n <= 0 {
		r.ok, r.b = false, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *journalReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.ok, r.b = false, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *journalReader) float() float64 {
	raw := r.bytes(8)
	if raw == nil {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(raw))
}

// readJournal reads the points of one row.
func readJournal(row []byte) ([]seriesPoint, error) {
	r := journalReader{b: row, ok: true}
	var out []seriesPoint
	var before position
	for len(r.b) > 0 {
		p := seriesPoint{series: int64(r.uvarint())}
		p.at = position{before.time + r.varint(), before.id + r.varint()}
		before = p.at
		flags := r.bytes(1)
		if !r.ok {
			return nil, errJournal
		}
		switch senml.Kind(flags[0] & journalKind) {
		case senml.None:
		case senml.Number:
			p.value = senml.Float(r.float())
		case senml.Text:
			p.value = senml.String(string(r.bytes(r.uvarint())))
		case senml.Boolean:
			p.value = senml.Bool(flags[0]&journalTruth != 0)
		case senml.Data:
			p.value = senml.Bytes(r.bytes(r.uvarint()))
		default:
			return nil, errJournal
		}
		if p.hasSum = flags[0]&journalSum != 0; p.hasSum {
			p.sum = r.float()
		}
		if flags[0]&journalUT != 0 {
			p.ut = r.float()
		}
		if !r.ok {
			return nil, errJournal
		}
		out = append(out, p)
	}
	return out, nil
}
