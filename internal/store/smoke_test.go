package store

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store/pgtest"
)

func TestSmoke(t *testing.T)   { smoke(t, filepath.Join(t.TempDir(), "a.db")) }
func TestSmokePG(t *testing.T) { smoke(t, pgtest.Start(t).DSN(t)) }

func smoke(t *testing.T, path string) {
	ctx := context.Background()
	start := time.Now()
	db, err := Open(ctx, path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("open", time.Since(start))
	d := &slice.Device{Meta: slice.Meta{Tenant: "t", Name: "d1"}, Slice: "s", Gateway: "g", Protocol: "MQTT", State: "ACTIVE"}
	op := &operation.Operation{Tenant: "t", Slice: "s", Type: operation.Instantiate, State: operation.Starting, Schema: 1}
	err = db.Update(ctx, func(ctx context.Context, tx operation.Tx) error {
		if err := tx.Insert(ctx, d); err != nil {
			return err
		}
		d.State = "FAILED"
		if err := tx.Update(ctx, d); err != nil {
			return err
		}
		return tx.InsertOperation(ctx, op)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(ctx, func(ctx context.Context, tx operation.Tx) error {
		return tx.InsertOperation(ctx, &operation.Operation{Slice: "s"})
	})
	if !fault.Is(err, fault.Conflict) {
		t.Fatal(err)
	}
	t.Log(err, fault.Of(err).Instance)
	ops, err := db.Claim(ctx, "me", 1, 10, time.Second)
	if err != nil || len(ops) != 1 || ops[0].Fence != 1 {
		t.Fatal(ops, err)
	}
	ops[0].State = operation.Processing
	if err := db.Save(ctx, &ops[0], nil); err != nil {
		t.Fatal(err)
	}
	err = db.View(ctx, func(ctx context.Context, tx operation.Tx) error {
		l, err := tx.List(ctx, operation.Query{Kind: slice.KindIoTDevice, Parent: "s", Tenants: []string{"t"}, Filter: []operation.Condition{{Op: "eq", Attr: "state", Values: []string{"FAILED"}}}})
		t.Log(l[0].Head(), err)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
