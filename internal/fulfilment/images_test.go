package fulfilment_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/domains/simulated"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// telling is a simulated driver that tells of images.
type telling struct {
	*simulated.Driver
	asked  atomic.Int64
	silent atomic.Bool
	gate   atomic.Pointer[chan struct{}] // answers wait for its end
	archs  atomic.Pointer[[]string]
}

func (d *telling) Images(ctx context.Context, _ domain.Site, _ slice.Packaging) ([]domain.Image, error) {
	d.asked.Add(1)
	if d.silent.Load() {
		<-ctx.Done()
		return nil, fault.Of(ctx.Err())
	}
	if g := d.gate.Load(); g != nil {
		select {
		case <-*g:
		case <-ctx.Done():
			return nil, fault.Of(ctx.Err())
		}
	}
	return []domain.Image{{Name: "acme/x:1", Architectures: *d.archs.Load(), Known: true, From: "archive x.tar"}}, nil
}

func newTelling(w *world, archs ...string) *telling {
	w.t.Helper()
	d := &telling{Driver: w.sites}
	d.archs.Store(&archs)
	p := w.sites.Platform()
	svc, err := fulfilment.New(fulfilment.Config{
		Store: w.db, Secrets: w.vault, Limits: w.limits, Marker: store.Marker,
		Plugins:   map[string]domain.Plugin{"simulated": {Name: "simulated", Driver: d}},
		Platforms: map[string]fulfilment.Platform{"simulated": {Gateway: p, Server: p}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.svc = svc
	return d
}

func mixedSite(w *world) {
	w.t.Helper()
	v := w.site("mixed")
	w.script(v, &simulated.Script{Nodes: []simulated.NodeSpec{{Name: "a-amd", Arch: "amd64"}, {Name: "b-arm", Arch: "arm64"}}})
	if _, err := w.svc.Discover(w.ctx, v.ID); err != nil {
		w.t.Fatal(err)
	}
}

// At a site of mixed machines an element goes where its images run, and what
// runs stays although the images are others now.
func TestImagesDecideAmongTheNodesOfASite(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	d := newTelling(w, "arm64")
	mixedSite(w)
	w.run()
	sl := w.up(w.order("plant"))
	at := func(name string) string {
		for _, k := range []slice.Kind{slice.KindIoTGateway, slice.KindIoTServer} {
			page, err := w.svc.List(w.ctx, operation.Query{Kind: k, Parent: sl.ID})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Resources {
				if r.Head().Name == name {
					n, err := w.svc.Get(w.ctx, slice.KindNode, r.(*slice.Element).Run.Node)
					if err != nil {
						t.Fatal(err)
					}
					return n.Head().Name
				}
			}
		}
		return ""
	}
	if at("edge") != "b-arm" || at("cloud") != "b-arm" {
		t.Errorf("edge is at %s, cloud at %s, want both at b-arm", at("edge"), at("cloud"))
	}
	if n := d.asked.Load(); n != 2 {
		t.Errorf("asked %d times for two products", n)
	}
	archs := []string{"amd64"}
	d.archs.Store(&archs)
	o := w.order("plant")
	o.Gateways[0].Configuration = map[string]string{"NOTE": "other"}
	res, err := w.svc.Converge(w.ctx, o, fulfilment.Options{})
	w.done(res, err)
	if at("cloud") != "b-arm" {
		t.Errorf("cloud, which nobody changed, went to %s", at("cloud"))
	}
}

// A site that does not answer holds up neither previews nor orders, and that it
// did not is said.
func TestSilentSiteIsSaid(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	d := newTelling(w)
	mixedSite(w)
	d.silent.Store(true)
	w.run()
	sl := w.up(w.order("plant"))
	raw, err := w.svc.Decision(w.ctx, w.slice(sl.ID).LastOperation)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Images []struct{ Element, Note string } `json:"images"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil || len(doc.Images) != 2 {
		t.Fatalf("%v: %s", err, raw)
	}
	for _, i := range doc.Images {
		if !strings.HasPrefix(i.Note, "it is not known what the images run on") {
			t.Errorf("%s: %q", i.Element, i.Note)
		}
	}
}

// Who asks first and goes away does not leave the others without an answer.
func TestACallerThatGoesSpoilsNoAnswer(t *testing.T) {
	w := newWorld(t)
	w.tenancy()
	d := newTelling(w, "amd64", "arm64")
	mixedSite(w)
	gate := make(chan struct{})
	d.gate.Store(&gate)
	first, leave := context.WithCancel(w.ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _, _ = w.svc.CheckFeasibility(first, reserve(w.order("first"), nil), fulfilment.Options{DryRun: true}) // it left
	}()
	for late := time.Now().Add(time.Minute); d.asked.Load() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("the site is not asked")
		}
	}
	leave()
	close(gate)
	<-gone
	asked := d.asked.Load()
	w.run()
	sl := w.up(w.order("plant"))
	raw, err := w.svc.Decision(w.ctx, w.slice(sl.ID).LastOperation)
	if err != nil || strings.Contains(string(raw), "it is not known") || d.asked.Load() != asked {
		t.Errorf("asked %d times more, %v: %s", d.asked.Load()-asked, err, raw)
	}
}
