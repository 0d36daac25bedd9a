// Package products_test runs orders of other makers' products, EdgeX and
// Mainflux, through the service's use cases and the real adapters: a driver
// "installs" a product by starting the fake that answers as it was recorded.
package products_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform/edgex/edgextest"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux/mainfluxtest"
	"github.com/osmoslice/osmoslice/internal/topology"
)

// driver installs fakes.
type driver struct {
	// gate stands before every fake of a product, by its name.
	gate map[string]func(http.Handler) http.Handler

	mu      sync.Mutex
	running map[string]*instance
}

type instance struct {
	d      domain.Deployment
	edgex  *edgextest.Fake
	flux   *mainfluxtest.Fake
	access map[string]string
}

func (i *instance) close() {
	if i.edgex != nil {
		_ = i.edgex.Close()
	}
	if i.flux != nil {
		_ = i.flux.Close()
	}
}

// Nodes answers one large node.
func (*driver) Nodes(_ context.Context, s domain.Site) ([]topology.Node, error) {
	return []topology.Node{{ID: s.ID + "-node-1", Infrastructure: s.ID, Name: "node-1", Kind: topology.Cloud, Arch: "amd64", Capacity: topology.Capacity{CPU: 64000, Memory: 65536, Storage: 1 << 20}}}, nil
}

// Apply starts what is not there yet.
func (v *driver) Apply(_ context.Context, d domain.Deployment) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if i := v.running[d.Release]; i != nil {
		i.d = d
		return nil
	}
	i := &instance{d: d}
	var err error
	switch d.Product {
	case "edgex":
		if i.edgex, err = edgextest.New(edgextest.Options{Wrap: v.gate["edgex"]}); err == nil {
			i.access = i.edgex.Access().Endpoints
		}
	case "mainflux":
		email, password, _ := strings.Cut(string(d.Files["admin"]), ":")
		i.flux, err = mainfluxtest.New(mainfluxtest.Options{AdminEmail: email, AdminPassword: password, Wrap: v.gate["mainflux"]})
		if err == nil {
			i.access = i.flux.Access("").Endpoints
		}
	default:
		return fault.New(fault.Invalid, "no fake of %q", d.Product)
	}
	if err != nil {
		return fault.New(fault.Unavailable, "the fake does not start").Because(err)
	}
	v.running[d.Release] = i
	return nil
}

// Delete stops.
func (v *driver) Delete(_ context.Context, ref domain.Ref) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if i := v.running[ref.Release]; i != nil {
		i.close()
		delete(v.running, ref.Release)
	}
	return nil
}

// Observe answers what runs.
func (v *driver) Observe(_ context.Context, ref domain.Ref) (domain.Status, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	st := domain.Status{Phase: domain.Absent, ObservedAt: time.Now()}
	if i := v.running[ref.Release]; i != nil {
		st.Phase, st.Endpoints, st.Node, st.Hash, st.Generation = domain.Ready, i.access, "node-1", i.d.Hash, i.d.Generation
	}
	return st, nil
}

// count answers how many instances of a product run, and one of them.
func (v *driver) count(product string) (n int, one *instance) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, i := range v.running {
		if i.d.Product == product {
			n, one = n+1, i
		}
	}
	return n, one
}

func (v *driver) closeAll() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, i := range v.running {
		i.close()
	}
}
