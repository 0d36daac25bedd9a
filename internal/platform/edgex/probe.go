package edgex

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/httpcall"
)

// probeResource is the one magnitude of platform.ProbeDevice.
const probeResource = "value"

// Probe posts one reading to device-rest as an HTTP device does. The device
// service learns of its device a moment after metadata: until then it answers
// 404, which passes.
func (g *Gateway) Probe(ctx context.Context, a platform.Access, value float64) error {
	results, err := g.Provision(ctx, a, []platform.Device{{
		Name: platform.ProbeDevice, Protocol: platform.HTTP, Resources: []platform.Resource{{Name: probeResource, Type: "number"}},
	}})
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		return err
	}
	path := "/api/v3/resource/" + url.PathEscape(platform.ProbeDevice) + "/" + probeResource
	return g.client.Patiently(ctx, func(ctx context.Context) error {
		ans, err := g.client.Do(ctx, a, httpcall.Call{
			Endpoint: "rest", Method: http.MethodPost, Path: path, Text: strconv.FormatFloat(value, 'g', -1, 64),
		})
		switch {
		case err != nil || ans.OK():
			return err
		case ans.Status == http.StatusNotFound || ans.Status >= 500:
			return httpcall.Passing(g.client.Refused(ans.Status, ans.Said()))
		}
		return g.client.Refused(ans.Status, ans.Said())
	})
}
