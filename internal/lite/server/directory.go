package server

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/osmoslice/osmoslice/internal/fault"
)

const (
	minKey      = 16       // characters of a key that is given
	maxKey      = 256      // bytes of a key
	maxName     = 1024     // bytes of a name
	maxMetadata = 16 << 10 // bytes of metadata
)

// newThing stores a thing; an empty key is drawn. A name that is taken is a
// Conflict whose Instance is the thing that has it.
func (s *Server) newThing(ctx context.Context, t thing) (thing, error) {
	if err := checkNamed(t.Name, t.Metadata); err != nil {
		return t, err
	}
	if t.Key == "" {
		t.Key = rand.Text()
	} else if err := checkKey(t.Key); err != nil {
		return t, err
	}
	t.ID = uuid.NewString()
	err := s.writer.do(ctx, change{
		apply: func(ctx context.Context, tx *sql.Conn) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO things(id, name, key, metadata, created) VALUES (?, nullif(?, ''), ?, ?, ?)`,
				t.ID, t.Name, t.Key, string(t.Metadata), time.Now().Unix())
			return taken(err, "a thing with this name or key exists")
		},
		applied: func() { s.registry.putThing(t) },
	})
	return t, s.pointAt(err, "t/", "/things/", t.Name)
}

// changeThing replaces name and metadata of a thing.
func (s *Server) changeThing(ctx context.Context, id, name string, metadata json.RawMessage) error {
	if err := checkNamed(name, metadata); err != nil {
		return err
	}
	err := s.writer.do(ctx, change{
		apply: func(ctx context.Context, tx *sql.Conn) error {
			done, err := tx.ExecContext(ctx, `UPDATE things SET name = nullif(?, ''), metadata = ? WHERE id = ?`, name, string(metadata), id)
			return affected(done, taken(err, "a thing with this name exists"), fault.Absent("thing", id))
		},
		applied: func() {
			t, _ := s.registry.thing(id)
			t.Name, t.Metadata = name, metadata
			s.registry.putThing(t)
		},
	})
	return s.pointAt(err, "t/", "/things/", name)
}

// rotateKey gives a thing another key and cuts off who uses the old one.
func (s *Server) rotateKey(ctx context.Context, id, key string) (thing, error) {
	if key == "" {
		key = rand.Text()
	} else if err := checkKey(key); err != nil {
		return thing{}, err
	}
	var t thing
	err := s.writer.do(ctx, change{
		apply: func(ctx context.Context, tx *sql.Conn) error {
			done, err := tx.ExecContext(ctx, `UPDATE things SET key = ? WHERE id = ?`, key, id)
			return affected(done, taken(err, "another thing has this key"), fault.Absent("thing", id))
		},
		applied: func() {
			t, _ = s.registry.thing(id)
			t.Key = key
			s.registry.putThing(t)
		},
	})
	if err == nil {
		s.cutOff("", id)
	}
	return t, err
}

// removeThing deletes a thing with its links and cuts it off; absent is done.
func (s *Server) removeThing(ctx context.Context, id string) error {
	err := s.writer.do(ctx, change{
		apply: func(ctx context.Context, tx *sql.Conn) error {
			return all(ctx, tx, id, `DELETE FROM things WHERE id = ?`, `DELETE FROM links WHERE thing = ?`, `DELETE FROM uplinks WHERE thing = ?`)
		},
		applied: func() {
			s.registry.dropThing(id)
			s.writer.forgetThing(id)
		},
	})
	if err == nil {
		s.cutOff("", id)
	}
	return err
}

// newChannel stores a channel; a name that is taken is a Conflict.
func (s *Server) newChannel(ctx context.Context, c channel) (channel, error) {
	if err := checkNamed(c.Name, c.Metadata); err != nil {
		return c, err
	}
	c.ID = uuid.NewString()
	err := s.writer.do(ctx, change{
		apply: func(ctx context.Context, tx *sql.Conn) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO channels(id, name, metadata, created) VALUES (?, nullif(?, ''), ?, ?)`,
				c.ID, c.Name, string(c.Metadata), time.Now().Unix())
			return taken(err, "a channel with this name exists")
		},
		applied: func() { s.registry.putChannel(c) },
	})
	return c, s.pointAt(err, "c/", "/channels/", c.Name)
}

// changeChannel replaces name and metadata of a channel.
func (s *Server) changeChannel(ctx context.Context, id, name string, metadata json.RawMessage) error {
	if err := checkNamed(name, metadata); err != nil {
		return err
	}
	err := s.writer.do(ctx, change{
		apply: func(ctx context.Context, tx *sql.Conn) error {
			done, err := tx.ExecContext(ctx, `UPDATE channels SET name = nullif(?, ''), metadata = ? WHERE id = ?`, name, string(metadata), id)
			return affected(done, taken(err, "a channel with this name exists"), fault.Absent("channel", id))
		},
		applied: func() { s.registry.putChannel(channel{ID: id, Name: name, Metadata: metadata}) },
	})
	return s.pointAt(err, "c/", "/channels/", name)
}

// removeChannel deletes a channel and cuts off who uses it; its points follow
// in the background. Absent is done.
func (s *Server) removeChannel(ctx context.Context, id string) error {
	things := s.registry.linkedThings(id)
	err := s.writer.do(ctx, change{
		apply: func(ctx context.Context, tx *sql.Conn) error {
			return all(ctx, tx, id, `DELETE FROM channels WHERE id = ?`, `DELETE FROM links WHERE channel = ?`)
		},
		applied: func() { s.registry.dropChannel(id) },
	})
	if err != nil {
		return err
	}
	s.live.revoke(id, "")
	for _, t := range things {
		s.broker.Disconnect(t)
	}
	s.sweeper.wake()
	return nil
}

// connect links a thing to a channel; repeating it changes nothing.
func (s *Server) connect(ctx context.Context, channelID, thingID string) error {
	return s.writer.do(ctx, change{
		apply: func(ctx context.Context, tx *sql.Conn) error {
			for _, end := range [][2]string{{"channel", channelID}, {"thing", thingID}} {
				var there int
				err := tx.QueryRowContext(ctx, `SELECT count(*) FROM `+end[0]+`s WHERE id = ?`, end[1]).Scan(&there)
				if err != nil {
					return err
				}
				if there == 0 {
					return fault.Absent(end[0], end[1])
				}
			}
			_, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO links(channel, thing) VALUES (?, ?)`, channelID, thingID)
			return err
		},
		applied: func() { s.registry.link(channelID, thingID) },
	})
}

// disconnect removes a link and cuts the thing off; absent is done. The whole
// MQTT session ends, since its subscriptions cannot be taken back singly; a
// thing with other channels connects again.
func (s *Server) disconnect(ctx context.Context, channelID, thingID string) error {
	err := s.writer.do(ctx, change{
		apply: func(ctx context.Context, tx *sql.Conn) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM links WHERE channel = ? AND thing = ?`, channelID, thingID)
			return err
		},
		applied: func() { s.registry.unlink(channelID, thingID) },
	})
	if err == nil {
		s.cutOff(channelID, thingID)
	}
	return err
}

// cutOff ends the live sessions of a thing, on one channel ("" for all).
func (s *Server) cutOff(channelID, thingID string) {
	s.live.revoke(channelID, thingID)
	s.broker.Disconnect(thingID)
}

// pointAt tells in a conflict which resource has the name.
func (s *Server) pointAt(err error, kind, path, name string) error {
	var known *fault.Error
	if errors.As(err, &known) && known.Kind == fault.Conflict {
		if id, ok := s.registry.named(kind, name); ok {
			known.Instance = path + id
		}
	}
	return err
}

// taken turns a broken uniqueness constraint into a Conflict.
func taken(err error, detail string) error {
	var known *sqlite.Error
	if errors.As(err, &known) && (known.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || known.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY) {
		return fault.New(fault.Conflict, "%s", detail)
	}
	return err
}

// affected answers absent when a statement found no row.
func affected(done sql.Result, err error, absent error) error {
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return absent
}

// all runs statements with one argument.
func all(ctx context.Context, tx *sql.Conn, arg string, statements ...string) error {
	for _, q := range statements {
		if _, err := tx.ExecContext(ctx, q, arg); err != nil {
			return err
		}
	}
	return nil
}

func checkNamed(name string, metadata json.RawMessage) error {
	if len(name) > maxName || !utf8.ValidString(name) {
		return fault.Field("name", name, fmt.Sprintf("UTF-8 of at most %d bytes", maxName))
	}
	if len(metadata) > maxMetadata {
		return fault.Field("metadata", strconv.Itoa(len(metadata))+" bytes", fmt.Sprintf("at most %d bytes", maxMetadata))
	}
	if len(metadata) > 0 && metadata[0] != '{' && string(metadata) != "null" {
		return fault.Field("metadata", string(metadata[:1])+"…", "a JSON object")
	}
	return nil
}

func checkKey(key string) error {
	if len(key) >= minKey && len(key) <= maxKey {
		printable := true
		for i := range len(key) {
			printable = printable && key[i] > ' ' && key[i] < 0x7f
		}
		if printable {
			return nil
		}
	}
	return fault.Field("key", "", fmt.Sprintf("%d to %d printable ASCII characters without spaces; left out, one is drawn", minKey, maxKey))
}

// loadRegistry reads who may do what.
func loadRegistry(ctx context.Context, c *sql.Conn) (*registry, error) {
	r := newRegistry()
	err := errors.Join(
		eachRow(ctx, c, `SELECT id, coalesce(name, ''), key, metadata FROM things`, func(scan func(...any) error) error {
			var t thing
			var metadata string
			err := scan(&t.ID, &t.Name, &t.Key, &metadata)
			t.Metadata = json.RawMessage(metadata)
			r.putThing(t)
			return err
		}),
		eachRow(ctx, c, `SELECT id, coalesce(name, ''), metadata FROM channels`, func(scan func(...any) error) error {
			var ch channel
			var metadata string
			err := scan(&ch.ID, &ch.Name, &metadata)
			ch.Metadata = json.RawMessage(metadata)
			r.putChannel(ch)
			return err
		}),
		eachRow(ctx, c, `SELECT channel, thing FROM links`, func(scan func(...any) error) error {
			var channelID, thingID string
			err := scan(&channelID, &thingID)
			r.link(channelID, thingID)
			return err
		}))
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return r, nil
}

func eachRow(ctx context.Context, c *sql.Conn, q string, row func(scan func(...any) error) error) error {
	rows, err := c.QueryContext(ctx, q)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
