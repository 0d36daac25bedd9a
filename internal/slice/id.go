package slice

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"
)

// lastID keeps ids of one process in the order they were made, also within a
// millisecond and when the clock steps back (RFC 9562 §6.2, method 3: the 12
// bits of rand_a extend the timestamp to about a quarter microsecond).
var lastID struct {
	sync.Mutex
	stamp uint64
}

// NewID makes a UUID version 7 (RFC 9562 §5.7): ids sort by creation.
func NewID() string {
	now := time.Now()
	stamp := uint64(now.UnixMilli())<<12 | uint64(now.Nanosecond()%1e6)*4096/1e6
	lastID.Lock()
	if stamp <= lastID.stamp {
		stamp = lastID.stamp + 1
	}
	lastID.stamp = stamp
	lastID.Unlock()

	var b [16]byte
	_, _ = rand.Read(b[8:]) // crypto/rand.Read never fails
	binary.BigEndian.PutUint64(b[:8], stamp>>12<<16|0x7000|stamp&0xfff)
	b[8] = b[8]&0x3f | 0x80
	var out [36]byte
	hex.Encode(out[:8], b[:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:], b[10:])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}
