package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxWaiting bounds the queue, in memory and on disk.
const maxWaiting = 20_000

// suffix of a message's file; its name is the message's number.
const suffix = ".senml"

// message is one that waits.
type message struct {
	number  uint64
	payload []byte
	onDisk  bool
}

// queue keeps messages in their order. With a folder, those that have to wait
// behind another are files there too and survive a restart.
type queue struct {
	dir string // "": memory only

	mu      sync.Mutex
	next    uint64
	waiting []message
}

// openQueue reads what an earlier run left.
func openQueue(dir string) (*queue, error) {
	q := &queue{dir: dir, next: 1}
	if dir == "" {
		return q, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%s: %w", queueDir, err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", queueDir, err)
	}
	for _, f := range files {
		number, err := strconv.ParseUint(strings.TrimSuffix(f.Name(), suffix), 10, 64)
		if err != nil || !strings.HasSuffix(f.Name(), suffix) {
			continue // half written, or not ours
		}
		payload, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", queueDir, err)
		}
		q.waiting = append(q.waiting, message{number, payload, true})
		q.next = max(q.next, number+1)
	}
	slices.SortFunc(q.waiting, func(a, b message) int { return cmp.Compare(a.number, b.number) })
	return q, nil
}

func (q *queue) file(number uint64) string {
	return filepath.Join(q.dir, strconv.FormatUint(number, 10)+suffix)
}

// push adds a message; dropped says that the oldest gave way to it. An error
// says that it waits in memory only.
func (q *queue) push(payload []byte) (dropped bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := message{number: q.next, payload: payload}
	q.next++
	if q.dir != "" && len(q.waiting) > 0 {
		m.onDisk, err = true, q.write(m)
	}
	q.waiting = append(q.waiting, m)
	if len(q.waiting) > maxWaiting {
		q.forget(q.waiting[0])
		q.waiting = q.waiting[1:]
		return true, err
	}
	return false, err
}

// write makes the file whole or not at all.
func (q *queue) write(m message) error {
	half := filepath.Join(q.dir, "half")
	if err := os.WriteFile(half, m.payload, 0o600); err != nil {
		return err
	}
	return os.Rename(half, q.file(m.number))
}

func (q *queue) forget(m message) {
	if m.onDisk {
		_ = os.Remove(q.file(m.number)) // one that stays is sent once more after a restart
	}
}

// first is the message that waits longest.
func (q *queue) first() (message, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return message{}, false
	}
	return q.waiting[0], true
}

// keep writes what waits in memory only; before the end of a run, and when the
// server does not take messages.
func (q *queue) keep() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.waiting {
		if m := &q.waiting[i]; q.dir != "" && !m.onDisk {
			m.onDisk = q.write(*m) == nil
		}
	}
}

// done removes a message that was delivered.
func (q *queue) done(m message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 && q.waiting[0].number == m.number {
		m = q.waiting[0]
		q.waiting = q.waiting[1:]
		q.forget(m)
	}
}

// len is how many wait.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
