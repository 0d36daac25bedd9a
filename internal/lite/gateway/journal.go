package gateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// change is one line of the journal: exactly one field is set. Values are
// whole, so that replaying a line twice changes nothing.
type change struct {
	Device        *Device  `json:"device,omitempty"`
	DeleteDevice  string   `json:"delete_device,omitempty"`
	Uplink        *Uplink  `json:"uplink,omitempty"`
	DeleteUplink  bool     `json:"delete_uplink,omitempty"`
	Command       *Command `json:"command,omitempty"`
	DeleteCommand string   `json:"delete_command,omitempty"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// journal is a file of changes, each a line "<crc32c in hex> <json>".
type journal struct {
	path  string
	file  *os.File
	bytes int64 // written so far
	base  int64 // bytes after the last compaction
}

// openJournal replays the file, cutting off a torn tail.
func openJournal(path string, apply func(change)) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	j := &journal{path: path, file: file}
	in := bufio.NewReaderSize(file, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) {
				file.Close()
				return nil, fmt.Errorf("registry: %w", err)
			}
			break
		}
		c, err := parseChange(line)
		if err != nil {
			break
		}
		apply(c)
		j.bytes += int64(len(line))
	}
	if err := file.Truncate(j.bytes); err != nil {
		file.Close()
		return nil, fmt.Errorf("registry: %w", err)
	}
	if _, err := file.Seek(j.bytes, io.SeekStart); err != nil {
		file.Close()
		return nil, fmt.Errorf("registry: %w", err)
	}
	return j, nil
}

// checksum is the CRC-32C of b.
func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

var errLine = errors.New("registry: damaged line")

func parseChange(line []byte) (change, error) {
	var c change
	sum, body, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if !ok || string(sum) != fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli)) {
		return c, errLine
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return c, errLine
	}
	return c, nil
}

func appendChange(dst []byte, c change) ([]byte, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return dst, fmt.Errorf("registry: %w", err)
	}
	dst = fmt.Appendf(dst, "%08x ", crc32.Checksum(body, castagnoli))
	return append(append(dst, body...), '\n'), nil
}

// write appends changes and syncs them together.
func (j *journal) write(changes ...change) error {
	var b []byte
	var err error
	for _, c := range changes {
		if b, err = appendChange(b, c); err != nil {
			return err
		}
	}
	if _, err := j.file.Write(b); err != nil {
		// Half a line must not swallow the next one.
		_ = j.file.Truncate(j.bytes)
		_, _ = j.file.Seek(j.bytes, io.SeekStart)
		return fmt.Errorf("registry: %w", err)
	}
	j.bytes += int64(len(b))
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}

// wantsCompaction reports whether most of the file is outdated.
func (j *journal) wantsCompaction() bool { return j.bytes > 1<<20 && j.bytes > 4*j.base }

// compact replaces the file by the changes that lead to the present state.
func (j *journal) compact(all func(yield func(change) bool)) error {
	file, err := os.OpenFile(j.path+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	size, err := writeChanges(file, all)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = os.Rename(j.path+".new", j.path)
	}
	if err != nil {
		file.Close()
		return fmt.Errorf("registry: %w", err)
	}
	_ = j.file.Close()
	j.file, j.bytes, j.base = file, size, size
	if dir, err := os.Open(filepath.Dir(j.path)); err == nil {
		_ = dir.Sync()
		dir.Close()
	}
	return nil
}

// writeChanges writes changes to w and answers the bytes written.
func writeChanges(w io.Writer, all func(yield func(change) bool)) (int64, error) {
	out := bufio.NewWriterSize(w, 64<<10)
	var size int64
	var b []byte
	var err error
	for c := range all {
		if b, err = appendChange(b[:0], c); err != nil {
			return size, err
		}
		if _, err = out.Write(b); err != nil {
			return size, fmt.Errorf("registry: %w", err)
		}
		size += int64(len(b))
	}
	if err := out.Flush(); err != nil {
		return size, fmt.Errorf("registry: %w", err)
	}
	return size, nil
}

func (j *journal) close() error {
	if err := j.file.Close(); err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	return nil
}
