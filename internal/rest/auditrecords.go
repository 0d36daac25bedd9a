package rest

import (
	"net/http"

	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	auditrecords "github.com/osmoslice/osmoslice/api/restapi/operations/audit_records"
	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
)

// auditRecords assigns the reading of the audit trail.
func (a *api) auditRecords(o *operations.OsmosliceAPI) {
	o.AuditRecordsListAuditRecordsHandler = auditrecords.ListAuditRecordsHandlerFunc(func(p auditrecords.ListAuditRecordsParams, _ any) middleware.Responder {
		return a.listAudits(p.HTTPRequest, p.Limit)
	})
}

func (a *api) listAudits(r *http.Request, limit *int64) middleware.Responder {
	s, err := parseSelector(r, a.shapes["AuditRecord"])
	if err != nil {
		return a.fail(r, err)
	}
	q, err := a.query(r, "", limit)
	if err != nil {
		return a.fail(r, err)
	}
	aq, err := auditQuery(q)
	if err != nil {
		return a.fail(r, err)
	}
	if aq.Tenants == nil {
		aq.Tenants = tenantsOf(r)
	}
	found, next, err := a.deps.Audit.Audits(r.Context(), aq)
	if err != nil {
		return a.fail(r, err)
	}
	return page(a, r, found, next, s)
}

// tenantsOf are the owners whose things a call may see; nil for all.
func tenantsOf(r *http.Request) []string {
	who := actor.Of(r.Context())
	if who.All() {
		return nil
	}
	return append([]string{}, who.Tenants...)
}

// auditQuery takes the filters that the trail has an index for.
func auditQuery(q operation.Query) (AuditQuery, error) {
	out := AuditQuery{Tenants: q.Tenants, After: q.After, Limit: q.Limit}
	for _, c := range q.Filter {
		var into *string
		switch c.Attr {
		case "resourceId":
			into = &out.Resource
		case "actorId":
			into = &out.Actor
		case "action":
			into = &out.Action
		case "resourceKind":
			into = (*string)(&out.Kind)
		}
		if into == nil || c.Op != "eq" || *into != "" || c.Values[0] == "" {
			return out, fault.New(fault.Malformed, "the filter cannot be applied to audit records").
				With("filter", c.Op+","+c.Attr, "(eq,A,value), once each, with A one of resourceId, actorId, action, resourceKind")
		}
		*into = c.Values[0]
	}
	return out, nil
}
