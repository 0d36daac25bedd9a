package rest

import (
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	communicationservices "github.com/osmoslice/osmoslice/api/restapi/operations/communication_services"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// communicationServices assigns the operations on communication services.
func (a *api) communicationServices(o *operations.OsmosliceAPI) {
	o.CommunicationServicesListCommunicationServicesHandler = communicationservices.ListCommunicationServicesHandlerFunc(func(p communicationservices.ListCommunicationServicesParams, _ any) middleware.Responder {
		return a.list(p.HTTPRequest, slice.KindCommunicationService, "", "", p.Limit)
	})
	o.CommunicationServicesCreateCommunicationServiceHandler = communicationservices.CreateCommunicationServiceHandlerFunc(func(p communicationservices.CreateCommunicationServiceParams, _ any) middleware.Responder {
		x, err := noun[slice.CommunicationService](p.HTTPRequest)
		return a.create(p.HTTPRequest, x, err, p.DryRun)
	})
	o.CommunicationServicesGetCommunicationServiceHandler = communicationservices.GetCommunicationServiceHandlerFunc(func(p communicationservices.GetCommunicationServiceParams, _ any) middleware.Responder {
		return a.read(p.HTTPRequest, slice.KindCommunicationService, p.CommunicationServiceID)
	})
	o.CommunicationServicesPatchCommunicationServiceHandler = communicationservices.PatchCommunicationServiceHandlerFunc(func(p communicationservices.PatchCommunicationServiceParams, _ any) middleware.Responder {
		return a.patch(p.HTTPRequest, slice.KindCommunicationService, p.CommunicationServiceID, p.DryRun)
	})
	o.CommunicationServicesDeleteCommunicationServiceHandler = communicationservices.DeleteCommunicationServiceHandlerFunc(func(p communicationservices.DeleteCommunicationServiceParams, _ any) middleware.Responder {
		return a.remove(p.HTTPRequest, slice.KindCommunicationService, p.CommunicationServiceID, p.DryRun, nil)
	})
}
