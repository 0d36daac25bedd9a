package acceptance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/store/pgtest"
)

// twoReplicas starts two services on one PostgreSQL, one key file and one
// simulated world.
func twoReplicas(t *testing.T) (db *pgtest.Server, a, b *service) {
	t.Helper()
	db = pgtest.Start(t)
	shared := t.TempDir()
	args := []string{
		"--data-dsn", db.DSN(t), "--data-keyfile", filepath.Join(shared, "secret.key"), "--simulated-dir", filepath.Join(shared, "world"),
		"--operations-lease", "5s", "--host-enabled=false",
	}
	a = start(t, args...)
	b = &service{t: t, dir: filepath.Join(t.TempDir(), "data"), bin: a.bin, args: args, log: &syncBuffer{}, key: a.key}
	t.Cleanup(func() {
		b.kill()
		if t.Failed() {
			t.Logf("the second replica said:\n%s", b.log)
		}
	})
	b.launch()
	return db, a, b
}

// slow makes a tenant with one simulated site whose functions take a while.
func (s *service) slow(milliseconds int) (tenant string) {
	s.t.Helper()
	tenant = s.tenant("acme")
	s.must(http.StatusCreated, "POST", "/infrastructures", object{
		"name": "sim", "tenantId": tenant, "kind": "CLOUD", "plugin": "simulated",
		"connection": object{"latencyMs": object{"ready": milliseconds}},
	})
	return tenant
}

func pair(tenant, name string) object {
	return object{
		"name": name, "tenantId": tenant, "instantiate": true,
		"iotServers":  []object{{"name": "core", "product": "lite-server"}},
		"iotGateways": []object{{"name": "edge", "product": "lite-gateway", "iotServer": "core"}},
	}
}

func TestReplicaTakesOverFromAKilledOne(t *testing.T) {
	_, a, b := twoReplicas(t)
	tenant := a.slow(1500)
	var ops []string
	for i := range 20 {
		_, op := a.submit(pair(tenant, fmt.Sprintf("slice-%02d", i)))
		ops = append(ops, op)
	}
	// A key made on one replica is good on the other; so is what was ordered.
	b.eventually(90*time.Second, "operations in progress", func() error {
		for _, op := range ops {
			if st := b.must(http.StatusOK, "GET", op, nil).object(t).str("operationState"); st == "PROCESSING" {
				return nil
			}
		}
		return fmt.Errorf("none is PROCESSING")
	})
	a.kill()
	from := time.Now()
	for _, op := range ops {
		b.completes(op)
	}
	// Two functions of 1.5 s each follow one another; the lease is 5 s.
	took := time.Since(from)
	t.Logf("20 slices completed %v after the kill", took.Round(10*time.Millisecond))
	if took > time.Minute {
		t.Errorf("takeover and the rest took %v", took)
	}
	var slices []object
	if err := json.Unmarshal(b.must(http.StatusOK, "GET", "/iotSlices", nil).body, &slices); err != nil {
		t.Fatal(err)
	}
	for _, s := range slices {
		if s.str("state") != "ACTIVE" {
			t.Errorf("slice %s is %s", s.str("name"), s.str("state"))
		}
	}
}

func TestDatabaseGoneAndBack(t *testing.T) {
	db, a, _ := twoReplicas(t)
	tenant := a.slow(500)
	_, before := a.submit(pair(tenant, "before"))
	db.Stop(t)
	a.eventually(90*time.Second, "a clear answer without the database", func() error {
		ans, err := a.call("POST", "/iotSlices", pair(tenant, "during"))
		if err != nil {
			return err
		}
		if ans.status != http.StatusServiceUnavailable {
			return fmt.Errorf("status %d: %s", ans.status, ans.body)
		}
		return nil
	})
	if resp, err := http.Get(a.url + "/readyz"); err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz without the database: %v %v", resp, err)
	}
	db.Again(t)
	a.eventually(90*time.Second, "serving again", func() error {
		ans, err := a.call("GET", "/iotSlices", nil)
		if err == nil && ans.status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", ans.status, ans.body)
		}
		return err
	})
	a.completes(before)
	_, after := a.submit(pair(tenant, "after"))
	a.completes(after)
}
