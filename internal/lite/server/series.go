package server

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// seriesKey is what the points of a series have in common.
type seriesKey struct {
	channel, publisher, protocol, subtopic, name, unit string
}

// seriesTable gives series their short ids. Only the writer changes it; queries
// read. What a group changed is undone when the group fails.
type seriesTable struct {
	max int

	mu      sync.RWMutex
	ids     map[seriesKey]int64
	count   map[string]int // series of a channel
	journal []seriesChange // of the group that is not committed yet
}

type seriesChange struct {
	key   seriesKey
	id    int64
	added bool
}

func loadSeries(ctx context.Context, c *sql.Conn, limit int) (*seriesTable, error) {
	t := &seriesTable{max: limit, ids: map[seriesKey]int64{}, count: map[string]int{}}
	rows, err := c.QueryContext(ctx, `SELECT id, channel, publisher, protocol, subtopic, name, unit FROM series`)
	if err != nil {
		return nil, fmt.Errorf("series: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var k seriesKey
		if err := rows.Scan(&id, &k.channel, &k.publisher, &k.protocol, &k.subtopic, &k.name, &k.unit); err != nil {
			return nil, fmt.Errorf("series: %w", err)
		}
		t.ids[k] = id
		t.count[k.channel]++
	}
	return t, rows.Err()
}

// add stores series of one channel within the group's transaction, and their
// ids, which fresh answers, in added. A channel that has its number of series
// refuses them all.
func (t *seriesTable) add(ctx context.Context, c *sql.Conn, added map[seriesKey]int64, fresh func() int64) error {
	for k := range added {
		if t.count[k.channel]+len(added) > t.max {
			return fault.New(fault.Invalid, "the channel has its number of series").
				With("n", k.name, "at most "+strconv.Itoa(t.max)+" different names and units in a channel")
		}
		break
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for k := range added {
		kept, id := k.clone(), fresh()
		_, err := c.ExecContext(ctx, `INSERT INTO series(id, channel, publisher, protocol, subtopic, name, unit) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			id, k.channel, k.publisher, k.protocol, k.subtopic, k.name, k.unit)
		if err != nil {
			return err
		}
		added[k] = id
		t.set(kept, id)
		t.journal = append(t.journal, seriesChange{kept, id, true})
	}
	return nil
}

// clone keeps a series from holding on to the message its name came in.
func (k seriesKey) clone() seriesKey {
	return seriesKey{
		strings.Clone(k.channel), strings.Clone(k.publisher), strings.Clone(k.protocol),
		strings.Clone(k.subtopic), strings.Clone(k.name), strings.Clone(k.unit),
	}
}

// commit makes the changes of the group final.
func (t *seriesTable) commit() { t.journal = t.journal[:0] }

// rollback undoes the changes of a group that failed, the last one first.
func (t *seriesTable) rollback() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, change := range slices.Backward(t.journal) {
		if change.added {
			t.remove(change.key)
		} else {
			t.set(change.key, change.id)
		}
	}
	t.journal = t.journal[:0]
}

// drop forgets series whose rows the writer has deleted in this group.
func (t *seriesTable) drop(series map[int64]seriesKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, k := range series {
		if t.ids[k] == id {
			t.remove(k)
			t.journal = append(t.journal, seriesChange{k, id, false})
		}
	}
}

// set and remove change the table; the caller holds the lock.
func (t *seriesTable) set(k seriesKey, id int64) {
	t.ids[k] = id
	t.count[k.channel]++
}

func (t *seriesTable) remove(k seriesKey) {
	delete(t.ids, k)
	if t.count[k.channel]--; t.count[k.channel] <= 0 {
		delete(t.count, k.channel)
	}
}

// size is the number of series.
func (t *seriesTable) size() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.ids)
}

// orphans answers series of channels that are gone.
func (t *seriesTable) orphans(exists func(channel string) bool) map[int64]seriesKey {
	t.mu.RLock()
	defer t.mu.RUnlock()
	found := map[int64]seriesKey{}
	for k, id := range t.ids {
		if !exists(k.channel) {
			found[id] = k
		}
	}
	return found
}

// all answers the ids of all series.
func (t *seriesTable) all() []int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Collect(maps.Values(t.ids))
}

// match answers the series of a channel that f selects, with their ids.
func (t *seriesTable) match(channel string, f func(seriesKey) bool) map[int64]seriesKey {
	t.mu.RLock()
	defer t.mu.RUnlock()
	found := map[int64]seriesKey{}
	for k, id := range t.ids {
		if k.channel == channel && f(k) {
			found[id] = k
		}
	}
	return found
}
