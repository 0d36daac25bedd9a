package rest

import (
	"net/http"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	"github.com/osmoslice/osmoslice/api/restapi/operations/versions"
)

// apiVersions is models.APIVersionInformation as it is written.
type apiVersions struct {
	URIPrefix string       `json:"uriPrefix"`
	Versions  []apiVersion `json:"apiVersions"`
}

type apiVersion struct {
	Version    string `json:"version"`
	Deprecated bool   `json:"isDeprecated"`
}

// versions assigns the one operation that needs no key.
func (a *api) versions(o *operations.OsmosliceAPI) {
	o.VersionsGetAPIVersionsHandler = versions.GetAPIVersionsHandlerFunc(func(p versions.GetAPIVersionsParams) middleware.Responder {
		return a.json(p.HTTPRequest, http.StatusOK, apiVersions{URIPrefix: basePath, Versions: []apiVersion{{Version: version}}})
	})
}
