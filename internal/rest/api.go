package rest

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-openapi/loads"
	"github.com/go-openapi/runtime"

	"github.com/osmoslice/osmoslice/api/restapi"
	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/rest/shape"
)

// api is the implementation of the generated operations.
type api struct {
	deps      Deps
	log       *slog.Logger
	generated *operations.OsmosliceAPI
	shapes    map[string]*shape.Shape // of every definition
	rates     *rates
}

// New answers the handler of /iotslice/v1, /swagger.json and /docs. It fails when
// an operation of swagger.yaml has no handler.
func New(d Deps) (http.Handler, error) {
	a, err := newAPI(d)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.HandlerFunc(a.nowhere))
	a.generated.Init()
	// Not Serve: it adds a page that loads its script from elsewhere.
	mux.Handle(basePath+"/", a.generated.Context().RoutesHandler(a.guard))
	mux.Handle("/iotslice/api_versions", http.RedirectHandler(basePath+"/api_versions", http.StatusPermanentRedirect))
	mux.Handle("/swagger.json", document(restapi.SwaggerJSON))
	mux.Handle("/docs", http.RedirectHandler("/docs/", http.StatusPermanentRedirect))
	mux.Handle("/docs/", http.StripPrefix("/docs", pages()))
	return a.edge(mux), nil
}

func newAPI(d Deps) (*api, error) {
	if d.BodyBytes == 0 {
		d.BodyBytes = 8 << 20
	}
	if d.Patience == 0 {
		d.Patience = time.Minute
	}
	if d.Clock == nil {
		d.Clock = time.Now
	}
	a := &api{deps: d, log: d.Log, rates: newRates(d.RatePerSecond, d.RateBurst, d.Clock)}
	if a.log == nil {
		a.log = slog.Default()
	}
	doc, err := loads.Embedded(restapi.SwaggerJSON, restapi.FlatSwaggerJSON)
	if err != nil {
		return nil, fmt.Errorf("the embedded swagger.json: %w", err)
	}
	a.shapes = shape.All(doc.Spec().Definitions)
	o := operations.NewOsmosliceAPI(doc)
	o.Logger = func(string, ...any) {}
	o.ServeError = a.serveError
	o.JSONConsumer = runtime.ConsumerFunc(a.consume)
	o.TextEventStreamProducer = runtime.ProducerFunc(func(io.Writer, any) error { return nil }) // the handler writes
	o.BearerAuthenticator = a.authenticator
	a.generated = o
	a.assign(o)
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return a, nil
}

// assign sets the handler of every operation; one function per tag.
func (a *api) assign(o *operations.OsmosliceAPI) {
	for _, tag := range []func(*operations.OsmosliceAPI){
		a.versions, a.tenants, a.products, a.infrastructures, a.inventory, a.simulations, a.nodes, a.links,
		a.iotSlices, a.tasks, a.iotServers, a.iotGateways, a.microElements, a.microData, a.iotDevices,
		a.bulk, a.commands, a.networkSlices, a.networkSliceSubnets, a.networkFunctions, a.communicationServices,
		a.placements, a.lcmOpOccs, a.subscriptions, a.events, a.auditRecords, a.secrets, a.apiKeys,
	} {
		tag(o)
	}
}

func (a *api) nowhere(w http.ResponseWriter, r *http.Request) {
	a.serveError(w, r, fault.New(fault.NotFound, "path %s was not found", r.URL.EscapedPath()))
}
