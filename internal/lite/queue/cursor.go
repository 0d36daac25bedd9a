package queue

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
)

const (
	cursorName = "cursor"
	slotBytes  = 16
)

// cursor keeps the acknowledged sequence in two slots written in turn: a torn
// write leaves the other one.
type cursor struct {
	file *os.File
	slot int64
}

func openCursor(dir string) (*cursor, uint64, error) {
	file, err := os.OpenFile(filepath.Join(dir, cursorName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("queue: cursor: %w", err)
	}
	c := &cursor{file: file}
	var acked uint64
	for slot := range int64(2) {
		var b [slotBytes]byte
		if _, err := file.ReadAt(b[:], slot*slotBytes); err != nil {
			continue // never written
		}
		if crc32.Checksum(b[:8], castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
			continue
		}
		if v := binary.LittleEndian.Uint64(b[:]); v >= acked {
			acked, c.slot = v, 1-slot
		}
	}
	return c, acked, nil
}

func (c *cursor) write(acked uint64) error {
	var b [slotBytes]byte
	binary.LittleEndian.PutUint64(b[:], acked)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[:8], castagnoli))
	if _, err := c.file.WriteAt(b[:], c.slot*slotBytes); err != nil {
		return fmt.Errorf("queue: cursor: %w", err)
	}
	c.slot = 1 - c.slot
	return nil
}

func (c *cursor) close() error { return c.file.Close() }
