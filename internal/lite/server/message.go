package server

import (
	"context"
	"errors"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/senml"
)

// message is one accepted message: a pack, resolved but in its order, and where
// it came from.
type message struct {
	channel, publisher, protocol, subtopic string

	batch   batch
	pack    senml.Pack
	arrival int64 // number of the last point, once it is stored
}

// store writes one message within the group's transaction. A message that is
// refused gets its outcome; an error ends the group.
func (w *writer) store(ctx context.Context, m *message, outcome *error) error {
	if !w.admit(m, outcome) {
		return nil
	}
	ids, err := w.intern(ctx, m)
	if err != nil {
		var refused *fault.Error
		if errors.As(err, &refused) {
			*outcome = refused
			return nil
		}
		return err
	}
	for i := range m.pack {
		if ids[i] != 0 {
			w.group = append(w.group, w.arrived(ids[i], &m.pack[i]))
			continue
		}
		if err := w.commandState(ctx, m.channel, &m.pack[i]); err != nil {
			return err
		}
	}
	w.stored += len(m.pack)
	m.arrival = w.arrival
	return w.advanceUplink(ctx, m)
}

// arrived gives a record its number.
func (w *writer) arrived(series int64, r *senml.Record) seriesPoint {
	p := seriesPoint{series, point{value: r.Value, sum: r.Sum, ut: r.UpdateTime, hasSum: r.HasSum()}}
	p.at = position{senml.Instant(r.Time).UnixMicro(), w.fresh()}
	switch r.Value.Kind() {
	case senml.Text:
		// It would hold on to the whole message.
		p.value = senml.String(strings.Clone(r.Value.Text()))
	case senml.Data:
		p.value = senml.Bytes(r.Value.Bytes())
	}
	return p
}

// intern answers the series of each record, 0 for states of commands. It comes
// before any point is written, and refuses before it adds a series: a refusal
// leaves nothing.
func (w *writer) intern(ctx context.Context, m *message) ([]int64, error) {
	ids := w.ids[:0]
	key := seriesKey{channel: m.channel, publisher: m.publisher, protocol: m.protocol, subtopic: m.subtopic}
	var added map[seriesKey]int64
	for i := range m.pack {
		key.name, key.unit = m.pack[i].Name, m.pack[i].Unit
		id, known := w.series.ids[key] // the writer reads its own map without the lock
		if !known && !isCommandState(&m.pack[i]) {
			if added == nil {
				added = map[seriesKey]int64{}
			}
			added[key] = 0
		}
		ids = append(ids, id)
	}
	w.ids = ids
	if len(added) == 0 {
		return ids, nil
	}
	if err := w.series.add(ctx, w.db.write, added, w.fresh); err != nil {
		return nil, err
	}
	for i := range ids {
		if ids[i] == 0 {
			key.name, key.unit = m.pack[i].Name, m.pack[i].Unit
			ids[i] = added[key]
		}
	}
	return ids, nil
}

// fresh is the next arrival number. Series and points draw from one counter,
// so neither is ever given twice, whatever was deleted in between.
func (w *writer) fresh() int64 {
	w.arrival++
	return w.arrival
}

// storeFault classifies a failure of the database.
func storeFault(err error) *fault.Error {
	var classified *fault.Error
	if errors.As(err, &classified) {
		return classified
	}
	var known *sqlite.Error
	if errors.As(err, &known) {
		switch known.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			return fault.New(fault.NoSpace, "the disk is full").Retrying(fault.Backoff).Because(err)
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR:
			return fault.New(fault.Unavailable, "the database does not take writes").Retrying(fault.Backoff).Because(err)
		}
	}
	return fault.New(fault.Internal, "the database failed").Retrying(fault.Backoff).Because(err)
}

// isNoTransaction reports whether a ROLLBACK found that SQLite had rolled back
// by itself.
func isNoTransaction(err error) bool {
	return strings.Contains(err.Error(), "no transaction is active")
}
