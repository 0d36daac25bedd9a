package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"

	"github.com/edgexfoundry/go-mod-bootstrap/v4/config"
	_ "github.com/lib/pq" // the driver
)

// database keeps JSON documents by kind and name, in a schema of the service's.
type database struct {
	db    *sql.DB
	table string
}

// openDatabase needs the extension that EdgeX's keeper needs, so a server without
// contrib is refused here as there.
func openDatabase(ctx context.Context, info config.Database, user, password string) (*database, error) {
	name := os.Getenv("EDGEX_DBNAME")
	if name == "" {
		name = "edgex_db"
	}
	dsn := url.URL{
		Scheme: "postgres", User: url.UserPassword(user, password), Path: name, RawQuery: "sslmode=disable&connect_timeout=5",
		Host: net.JoinHostPort(info.Host, strconv.Itoa(info.Port)),
	}
	db, err := sql.Open("postgres", dsn.String())
	if err != nil {
		return nil, err
	}
	schema := `"` + service + `"`
	d := &database{db: db, table: schema + ".documents"}
	// One service at a time: extensions are the whole database's.
	_, err = db.ExecContext(ctx, fmt.Sprintf(`BEGIN; SELECT pg_advisory_xact_lock(4002);
		CREATE EXTENSION IF NOT EXISTS "uuid-ossp"; CREATE SCHEMA IF NOT EXISTS %s;
		CREATE TABLE IF NOT EXISTS %s (kind text, name text, body jsonb NOT NULL, made bigserial, PRIMARY KEY (kind, name)); COMMIT`, schema, d.table))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("database %s at %s as %s: %w", name, dsn.Host, user, err), db.Close())
	}
	return d, nil
}

func (d *database) put(ctx context.Context, kind, name string, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = d.db.ExecContext(ctx, "INSERT INTO "+d.table+" (kind, name, body) VALUES ($1, $2, $3) ON CONFLICT (kind, name) DO UPDATE SET body = $3", kind, name, string(b))
	return err
}

// get answers whether there is one.
func (d *database) get(ctx context.Context, kind, name string, into any) (bool, error) {
	var b []byte
	err := d.db.QueryRowContext(ctx, "SELECT body FROM "+d.table+" WHERE kind = $1 AND name = $2", kind, name).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(b, into)
}

func (d *database) remove(ctx context.Context, kind, name string) error {
	_, err := d.db.ExecContext(ctx, "DELETE FROM "+d.table+" WHERE kind = $1 AND name = $2", kind, name)
	return err
}

// list answers all of a kind, newest last.
func list[T any](ctx context.Context, d *database, kind string) ([]T, error) {
	rows, err := d.db.QueryContext(ctx, "SELECT body FROM "+d.table+" WHERE kind = $1 ORDER BY made", kind)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		var b []byte
		var one T
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}
