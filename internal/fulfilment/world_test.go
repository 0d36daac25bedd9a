package fulfilment_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/domains/simulated"
	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/secret"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// world is a service on a real store with simulated sites.
type world struct {
	t       testing.TB
	db      *store.DB
	vault   *secret.Vault
	sites   *simulated.Driver
	svc     *fulfilment.Service
	ctx     context.Context // a system-admin's
	tenant  *slice.Tenant
	limits  operation.Limits
	stopped []func()
}

// lease is short, so that what a killed runner held is taken over soon.
const lease = 1500 * time.Millisecond

// quick limits let tests see the end of operations soon.
func quick() operation.Limits {
	return operation.Limits{
		Attempts: 3, BackoffBase: 5 * time.Millisecond, BackoffMax: 20 * time.Millisecond,
		StepTimeout: 2 * time.Minute, Total: 10 * time.Minute, Rollback: 3 * time.Minute, Hold: time.Hour,
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return openWorld(t, t.TempDir(), quick())
}

func openWorld(t testing.TB, dir string, limits operation.Limits) *world {
	t.Helper()
	return openWorldOn(t, filepath.Join(dir, "osmoslice.db"), dir, limits)
}

// openWorldOn is openWorld on the database of a DSN.
func openWorldOn(t testing.TB, dsn, dir string, limits operation.Limits) *world {
	t.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, dsn, store.Options{Synchronous: "NORMAL"})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := secret.LoadKeys(filepath.Join(dir, "secret.key"))
	if err != nil {
		if keys, err = secret.CreateKeys(filepath.Join(dir, "secret.key")); err != nil {
			t.Fatal(err)
		}
	}
	sites, err := simulated.New(simulated.Options{Dir: filepath.Join(dir, "sites")})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, vault: secret.New(keys, db), sites: sites, limits: limits}
	w.ctx = actor.With(ctx, actor.Service("test"))
	w.svc = w.service()
	if _, err := w.svc.Bootstrap(ctx, "", func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, stop := range w.stopped {
			stop()
		}
		_ = db.Close()
	})
	return w
}

// close stops everything and gives the files free.
func (w *world) close() {
	w.t.Helper()
	for _, stop := range w.stopped {
		stop()
	}
	w.stopped = nil
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// agree checks that the sites hold exactly what the store says, that the ledger
// says the same, and that no operation is open.
func (w *world) agree() {
	w.t.Helper()
	w.noneOpen()
	r := recorded{releases: map[string]string{}, uses: map[string]int64{}}
	var held map[string]string
	err := w.db.Read(w.ctx, func(ctx context.Context, tx operation.Tx) error {
		if err := r.read(ctx, tx); err != nil {
			return err
		}
		if err := w.ledgerAgrees(ctx, tx, &r); err != nil {
			return err
		}
		var err error
		held, err = w.heldBySites(ctx, tx)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for release, e := range r.releases {
		if held[release] == "" && e != "tombstone" {
			w.t.Errorf("the store says %s runs as %s, no site holds it", e, release)
		}
	}
	for release, at := range held {
		if r.releases[release] == "" {
			w.t.Errorf("site %s holds %s, the store knows nothing of it", at, release)
		}
	}
}

// noneOpen checks that no operation is open. A store may answer with a count that
// is a moment old.
func (w *world) noneOpen() {
	w.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		n := 0
		err := w.db.Read(w.ctx, func(ctx context.Context, tx operation.Tx) (err error) {
			n, err = tx.Open(ctx)
			return err
		})
		if err == nil && n == 0 {
			return
		}
		if err != nil || time.Now().After(deadline) {
			w.t.Errorf("%d operations are open, error %v", n, err)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// recorded is what the store says is deployed.
type recorded struct {
	releases   map[string]string // by release: the element's name, or "tombstone"
	uses       map[string]int64  // memory by node
	tombstones []operation.Tombstone
}

func (r *recorded) read(ctx context.Context, tx operation.Tx) error {
	for _, k := range []slice.Kind{slice.KindIoTGateway, slice.KindIoTServer, slice.KindMicroElement} {
		rs, err := tx.List(ctx, operation.Query{Kind: k, Limit: 1000})
		if err != nil {
			return err
		}
		for _, x := range rs {
			e := x.(*slice.Element)
			for _, d := range []*slice.Deployment{e.Run, e.Previous} {
				if d != nil {
					r.releases[d.Release] = e.Name
					r.uses[d.Node] += d.Requirements.Memory
				}
			}
		}
	}
	var err error
	r.tombstones, err = tx.Tombstones(ctx, "", 1000)
	for _, t := range r.tombstones {
		r.releases[t.Release] = "tombstone"
		for _, u := range t.Uses {
			r.uses[u.Node] -= u.Memory
		}
	}
	return err
}

// ledgerAgrees checks every row of the ledger against those that hold something.
func (w *world) ledgerAgrees(ctx context.Context, tx operation.Tx, r *recorded) error {
	w.t.Helper()
	rows, _, err := tx.Ledger(ctx, 0)
	if err != nil {
		return err
	}
	ways := map[[2]string]int64{}
	holders, err := w.holders(ctx, tx, r.tombstones, r.uses)
	if err != nil {
		return err
	}
	for _, id := range holders {
		hs, err := tx.Holdings(ctx, id)
		if err != nil {
			return err
		}
		for _, h := range hs {
			ways[[2]string{h.From, h.To}] += h.Kbit
		}
	}
	for _, row := range rows {
		if row.To != "" {
			if pair := [2]string{row.Node, row.To}; row.Kbit != ways[pair] {
				w.t.Errorf("the ledger has %d kbit/s from %s to %s, the holders %d", row.Kbit, row.Node, row.To, ways[pair])
			}
			continue
		}
		if row.Memory != r.uses[row.Node] {
			w.t.Errorf("the ledger has %d MiB on node %s, the members %d", row.Memory, row.Node, r.uses[row.Node])
		}
	}
	return nil
}

// heldBySites lists the releases on all sites, each with its site's name.
func (w *world) heldBySites(ctx context.Context, tx operation.Tx) (map[string]string, error) {
	held := map[string]string{}
	sites, err := tx.List(ctx, operation.Query{Kind: slice.KindInfrastructure, Limit: 1000})
	if err != nil {
		return nil, err
	}
	for _, v := range sites {
		refs, err := w.sites.List(ctx, domain.Site{ID: v.Head().ID, Name: v.Head().Name})
		if err != nil {
			return nil, err
		}
		for _, ref := range refs {
			held[ref.Release] = v.Head().Name
		}
	}
	return held, nil
}

// holders are those that may hold bandwidth; what placements hold of nodes is
// added to uses.
func (w *world) holders(ctx context.Context, tx operation.Tx, ts []operation.Tombstone, uses map[string]int64) ([]string, error) {
	var ids []string
	for _, t := range ts {
		ids = append(ids, t.ID)
	}
	for _, k := range []slice.Kind{slice.KindIoTSlice, slice.KindPlacement} {
		rs, err := tx.List(ctx, operation.Query{Kind: k, Limit: 1000})
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			ids = append(ids, r.Head().ID)
			if x, ok := r.(*slice.Placement); ok && x.Held {
				for _, a := range x.Assignments {
					uses[a.Node] += a.Requirements.Memory
				}
			}
		}
	}
	return ids, nil
}

func (w *world) service() *fulfilment.Service {
	w.t.Helper()
	p := w.sites.Platform()
	svc, err := fulfilment.New(fulfilment.Config{
		Store: w.db, Secrets: w.vault, Limits: w.limits, Marker: store.Marker,
		Plugins:   map[string]domain.Plugin{"simulated": {Name: "simulated", Driver: w.sites}},
		Platforms: map[string]fulfilment.Platform{"simulated": {Gateway: p, Server: p}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return svc
}

// run starts a runner, and answers how to stop it.
func (w *world) run() (stop func()) {
	w.t.Helper()
	r, err := operation.NewRunner(operation.RunnerConfig{Store: w.db, Executor: w.svc, Lease: lease, Drain: 5 * time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	over := false
	stop = func() {
		if !over {
			over = true
			cancel()
			<-done
		}
	}
	w.stopped = append([]func(){stop}, w.stopped...)
	return stop
}

// tenancy makes a tenant and an infrastructure it may use, with one node.
func (w *world) tenancy(sites ...string) {
	w.t.Helper()
	res, err := w.svc.Create(w.ctx, &slice.Tenant{Meta: slice.Meta{Name: "acme"}}, fulfilment.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.tenant = res.Resource.(*slice.Tenant)
	for _, name := range sites {
		w.site(name)
	}
}

func (w *world) site(name string) *slice.Infrastructure {
	w.t.Helper()
	v := &slice.Infrastructure{Meta: slice.Meta{Name: name}, SharedWith: []string{"*"}, Tier: "DEVICE_EDGE", Plugin: "simulated"}
	res, err := w.svc.Create(w.ctx, v, fulfilment.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return res.Resource.(*slice.Infrastructure)
}

func (w *world) order(name string) fulfilment.SliceOrder {
	o := fulfilment.SliceOrder{Slice: slice.IoTSlice{Meta: slice.Meta{Name: name, Tenant: w.tenant.ID}}, Instantiate: true}
	o.Gateways = []slice.Element{{Meta: slice.Meta{Name: "edge"}, Product: "lite-gateway"}}
	o.Servers = []slice.Element{{Meta: slice.Meta{Name: "cloud"}, Product: "lite-server"}}
	o.Devices = []slice.Device{{Meta: slice.Meta{Name: "sensor"}, Gateway: "edge", Protocol: "MQTT",
		Magnitudes: []slice.Magnitude{{Name: "temperature", Unit: "Cel"}}}}
	return o
}

// ended waits until an operation is final.
func (w *world) ended(id string) *operation.Operation {
	w.t.Helper()
	return w.until(id, func(op *operation.Operation) bool { return op.State.Final() })
}

func (w *world) until(id string, is func(*operation.Operation) bool) *operation.Operation {
	w.t.Helper()
	deadline := time.Now().Add(3 * time.Minute)
	for {
		op, err := w.svc.Operation(w.ctx, id)
		if err != nil {
			w.t.Fatal(err)
		}
		if is(op) {
			return op
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("operation is still %s: %+v", op.State, op.Steps)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (w *world) slice(id string) *slice.IoTSlice {
	w.t.Helper()
	r, err := w.svc.Get(w.ctx, slice.KindIoTSlice, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r.(*slice.IoTSlice)
}
