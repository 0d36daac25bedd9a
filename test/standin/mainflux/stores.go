package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	_ "github.com/lib/pq" // the driver

	"github.com/osmoslice/osmoslice/internal/platform/mainflux/mainfluxtest"
)

const patience = 5 * time.Second

// database opens the one that the variables of a prefix name. The extensions are
// those that Mainflux's migrations ask for.
func (h *house) database(prefix string, statements ...string) (*sql.DB, error) {
	dsn := url.URL{
		Scheme: "postgres", User: url.UserPassword(h.env[prefix+"_USER"], h.env[prefix+"_PASS"]),
		Host: net.JoinHostPort(h.env[prefix+"_HOST"], h.env[prefix+"_PORT"]), Path: h.env[prefix],
		RawQuery: "connect_timeout=5&sslmode=" + h.env[prefix+"_SSL_MODE"],
	}
	db, err := sql.Open("postgres", dsn.String())
	if err != nil {
		return nil, err
	}
	h.ends = append(h.ends, db.Close)
	for _, s := range append([]string{"CREATE EXTENSION IF NOT EXISTS ltree", "CREATE EXTENSION IF NOT EXISTS pgcrypto"}, statements...) {
		if _, err := db.ExecContext(h.ctx, s); err != nil {
			return nil, fmt.Errorf("failed to connect to postgres %s: %w", dsn.Redacted(), err)
		}
	}
	return db, nil
}

// kept has a fake's users or things in the service's database, from now on.
type kept struct {
	db   *sql.DB
	fake *mainfluxtest.Fake
}

func (h *house) kept(prefix string, fake *mainfluxtest.Fake) (*kept, error) {
	db, err := h.database(prefix, "CREATE TABLE IF NOT EXISTS standin (id int PRIMARY KEY, state jsonb NOT NULL)")
	if err != nil {
		return nil, err
	}
	k := &kept{db, fake}
	return k, k.load(h.ctx)
}

// load takes over what is there, which another replica may have changed.
func (k *kept) load(ctx context.Context) error {
	var raw []byte
	err := k.db.QueryRowContext(ctx, "SELECT state FROM standin WHERE id = 1").Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = k.fake.Restore(raw)
	}
	return err
}

func (k *kept) save(ctx context.Context) error {
	raw, err := k.fake.State()
	if err == nil {
		_, err = k.db.ExecContext(ctx, "INSERT INTO standin (id, state) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET state = $1", string(raw))
	}
	return err
}

// redis sends one command and wants an answer that is no error.
func redis(address string, words ...string) error {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && strings.HasPrefix(line, "-") {
		err = errors.New(strings.TrimSpace(line))
	}
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// bus is a connection to NATS, in the little of its protocol that is needed.
type bus struct {
	c net.Conn
	r *bufio.Reader
}

// connect dials NATS and greets it.
func (h *house) connect() (*bus, error) {
	address, ok := strings.CutPrefix(h.env["MF_NATS_URL"], "nats://")
	if !ok {
		return nil, fmt.Errorf("MF_NATS_URL %q: allowed: nats://host:port", h.env["MF_NATS_URL"])
	}
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, fmt.Errorf("failed to connect to NATS: %w", err)
	}
	b := &bus{c, bufio.NewReader(c)}
	h.ends = append(h.ends, c.Close)
	if err := b.ask("CONNECT {\"verbose\":false,\"pedantic\":false}\r\n"); err != nil {
		return nil, fmt.Errorf("failed to connect to NATS at %s: %w", address, err)
	}
	return b, nil
}

// ask sends lines and waits until the server has taken them.
func (b *bus) ask(lines string) error {
	if err := b.c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(b.c, lines+"PING\r\n"); err != nil {
		return err
	}
	for {
		line, err := b.r.ReadString('\n')
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(line, "PONG"):
			return nil
		case strings.HasPrefix(line, "-ERR"):
			return errors.New(strings.TrimSpace(line))
		case strings.HasPrefix(line, "PING"):
			if _, err := io.WriteString(b.c, "PONG\r\n"); err != nil {
				return err
			}
		}
	}
}

// publish sends one message to the channel's subject.
func (b *bus) publish(m mainfluxtest.Message) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return b.ask(fmt.Sprintf("PUB channels.%s %d\r\n%s\r\n", m.Channel, len(raw), raw))
}

// subscribe calls take for every message of a subject, until the connection ends.
func (b *bus) subscribe(subject string, take func(mainfluxtest.Message) error) error {
	if err := b.ask("SUB " + subject + " 1\r\n"); err != nil {
		return err
	}
	if err := b.c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	for {
		line, err := b.r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("NATS: %w", err)
		}
		words := strings.Fields(line)
		if strings.HasPrefix(line, "PING") {
			if _, err := io.WriteString(b.c, "PONG\r\n"); err != nil {
				return err
			}
		}
		if len(words) < 4 || words[0] != "MSG" {
			continue
		}
		size, err := strconv.Atoi(words[len(words)-1])
		if err != nil {
			return err
		}
		raw := make([]byte, size+2)
		if _, err := io.ReadFull(b.r, raw); err != nil {
			return err
		}
		var m mainfluxtest.Message
		if err := json.Unmarshal(raw[:size], &m); err != nil {
			return err
		}
		if err := take(m); err != nil {
			return err
		}
	}
}
