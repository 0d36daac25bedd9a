package server

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/senml"
)

const (
	// commandMark stands in the names of records by which a gateway tells how
	// far a command came: <prefix><gateway>:command:<id>.
	commandMark = ":command:"
	// keepCommands is how long the state of a command is kept.
	keepCommands = 7 * 24 * time.Hour
	maxCommandID = 128
	// defaultTTL is how long a command without ttl is worth sending, as with
	// the gateway.
	defaultTTL = 60 * time.Second
	maxTTL     = 24 * time.Hour
)

// isCommandState reports whether r tells the state of a command. Such records
// have a name each: as series they would fill the channel.
func isCommandState(r *senml.Record) bool {
	return r.Value.Kind() == senml.Text && strings.Contains(r.Name, commandMark) && len(r.Value.Text()) <= 32
}

// commandState stores what a gateway tells of a command; a final state stays.
func (w *writer) commandState(ctx context.Context, channel string, r *senml.Record) error {
	_, id, _ := strings.Cut(r.Name, commandMark)
	_, err := w.db.write.ExecContext(ctx, `INSERT INTO commands(channel, id, state, updated) VALUES (?, ?, ?, ?)
		ON CONFLICT(channel, id) DO UPDATE SET state = excluded.state, updated = excluded.updated
		WHERE commands.state NOT IN ('DELIVERED', 'FAILED', 'EXPIRED')`,
		channel, id, r.Value.Text(), w.options.Now().UnixMicro())
	return err
}

// command is one value for a resource of a device, as gateways take it
// (docs/lite-gateway.md, Down).
type command struct {
	ID       string          `json:"id"`
	Device   string          `json:"device"`
	Resource string          `json:"resource"`
	Value    json.RawMessage `json:"value,omitempty"`
	Data     *string         `json:"data,omitempty"`
	TTL      string          `json:"ttl,omitempty"`
	State    string          `json:"state,omitempty"`
}

// send publishes a command to the gateways of a channel, now and whenever one
// subscribes until the command expires: gateways know it again by its id. One
// with an id that is known is not sent again; its state is answered.
func (s *Server) send(ctx context.Context, channelID string, c command) (command, error) {
	ttl, err := c.check()
	if err != nil {
		return c, err
	}
	if c.ID == "" {
		c.ID = rand.Text()
	}
	c.State = ""
	payload, err := json.Marshal(c)
	if err != nil {
		return c, fault.New(fault.Malformed, "the command cannot be written").Because(err)
	}
	known, now := false, s.options.Now()
	err = s.writer.do(ctx, change{apply: func(ctx context.Context, tx *sql.Conn) error {
		done, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO commands(channel, id, state, updated, expires, payload) VALUES (?, ?, 'PENDING', ?, ?, ?)`,
			channelID, c.ID, now.UnixMicro(), now.Add(ttl).UnixMicro(), payload)
		if err == nil {
			var n int64
			n, err = done.RowsAffected()
			known = n == 0
		}
		return err
	}})
	if err != nil {
		return c, err
	}
	if known {
		return s.commandByID(ctx, channelID, c.ID)
	}
	s.metrics.commands.Inc()
	c.State = "PENDING"
	if err := s.broker.Publish(commandTopic(channelID), payload, 1, ""); err != nil {
		return c, fault.New(fault.Unavailable, "the command was not published").Retrying(fault.Backoff).Because(err)
	}
	return c, nil
}

// commandTopic is where the gateways of a channel listen.
func commandTopic(channelID string) string { return "channels/" + channelID + "/commands" }

// check answers how long the command is worth sending.
func (c *command) check() (time.Duration, error) {
	switch {
	case len(c.ID) > maxCommandID || c.ID != "" && !senml.ValidName(c.ID):
		return 0, fault.Field("id", c.ID, fmt.Sprintf("at most %d letters, digits and - . _", maxCommandID))
	case !senml.ValidName(c.Device):
		return 0, fault.Field("device", c.Device, "the name of a device")
	case !senml.ValidName(c.Resource):
		return 0, fault.Field("resource", c.Resource, "the name of a resource of the device")
	case (len(c.Value) == 0) == (c.Data == nil):
		return 0, fault.Field("value", string(c.Value), "either value (number, string or boolean) or data (base64)")
	}
	if len(c.Value) > 0 && strings.ContainsAny(string(c.Value[:1]), "{[n") {
		return 0, fault.Field("value", string(c.Value), "a number, string or boolean")
	}
	if c.TTL == "" {
		return defaultTTL, nil
	}
	ttl, err := time.ParseDuration(c.TTL)
	if err != nil || ttl < time.Second || ttl > maxTTL {
		return 0, fault.Field("ttl", c.TTL, "1s to 24h")
	}
	return ttl, nil
}

// commandByID answers how far a command came, as its gateway last told.
func (s *Server) commandByID(ctx context.Context, channelID, id string) (command, error) {
	c := command{ID: id}
	var expires int64
	err := s.db.read.QueryRowContext(ctx, `SELECT state, expires FROM commands WHERE channel = ? AND id = ?`, channelID, id).Scan(&c.State, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return c, fault.Absent("command", id)
	}
	if err != nil {
		return c, storeFault(err)
	}
	// No gateway took it while it was worth sending; one that did tells.
	if c.State == "PENDING" && expires > 0 && s.options.Now().UnixMicro() > expires+2*defaultTTL.Microseconds() {
		c.State = "EXPIRED"
	}
	return c, nil
}

// sweepCommands forgets commands that are long over.
func (sw *sweeper) sweepCommands(ctx context.Context) error {
	before := sw.server.options.Now().Add(-keepCommands).UnixMicro()
	return sw.server.writer.do(ctx, change{apply: func(ctx context.Context, tx *sql.Conn) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM commands WHERE updated < ? OR channel NOT IN (SELECT id FROM channels)`, before)
		return err
	}})
}
