package queue

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// Kinds of entries.
const (
	kindData     = 1
	kindSnapshot = 2
	kindDrop     = 3 // first is the sequence up to which everything was given up
	kindSkip     = 4 // first follows a gap of n numbers that were never given
)

const (
	headerBytes = 8
	// maxEntry bounds what a length field is believed.
	maxEntry = 64 << 20
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errDamaged = errors.New("queue: damaged entry")
)

// entry is one decoded entry; meta and payload alias the buffer it came from.
type entry struct {
	kind    byte
	first   uint64
	n       int
	meta    []byte
	payload []byte
	size    int64 // on disk, header included
}

// appendEntry encodes an entry to dst.
func appendEntry(dst []byte, kind byte, first uint64, n int, meta, payload []byte) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, kind)
	dst = binary.AppendUvarint(dst, first)
	dst = binary.AppendUvarint(dst, uint64(n))
	dst = binary.AppendUvarint(dst, uint64(len(meta)))
	dst = append(dst, meta...)
	dst = append(dst, payload...)
	body := dst[at+headerBytes:]
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(body)))
	binary.LittleEndian.PutUint32(dst[at+4:], crc32.Checksum(body, castagnoli))
	return dst
}

// readEntry reads the next entry from r into buf, which it may grow and
// answers for the next call. io.EOF is a clean end; errDamaged anything else
// that is not a whole entry.
func readEntry(r io.Reader, buf []byte) (entry, []byte, error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return entry{}, buf, io.EOF
		}
		return entry{}, buf, errDamaged
	}
	length := binary.LittleEndian.Uint32(header[:])
	if length == 0 || length > maxEntry {
		return entry{}, buf, errDamaged
	}
	if cap(buf) < int(length) {
		// Grown step by step: a damaged length must not cost its size.
		var err error
		if buf, err = readGrowing(r, int(length)); err != nil {
			return entry{}, buf, errDamaged
		}
	} else {
		buf = buf[:length]
		if _, err := io.ReadFull(r, buf); err != nil {
			return entry{}, buf, errDamaged
		}
	}
	if crc32.Checksum(buf, castagnoli) != binary.LittleEndian.Uint32(header[4:]) {
		return entry{}, buf, errDamaged
	}
	e, err := parseBody(buf)
	e.size = int64(length) + headerBytes
	return e, buf, err
}

func readGrowing(r io.Reader, length int) ([]byte, error) {
	const step = 1 << 20
	buf := make([]byte, 0, min(length, step))
	for len(buf) < length {
		at := len(buf)
		buf = append(buf, make([]byte, min(step, length-at))...)
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return nil, err
		}
	}
	return buf, nil
}

func parseBody(b []byte) (entry, error) {
	e := entry{kind: b[0]}
	b = b[1:]
	var fields [3]uint64
	for i := range fields {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return e, errDamaged
		}
		fields[i], b = v, b[n:]
	}
	if fields[2] > uint64(len(b)) || fields[1] > maxEntry || fields[0] > 1<<62 {
		return e, errDamaged
	}
	e.first, e.n = fields[0], int(fields[1])
	e.meta, e.payload = b[:fields[2]], b[fields[2]:]
	return e, nil
}
