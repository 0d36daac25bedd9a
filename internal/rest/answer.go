package rest

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/go-openapi/runtime"
	"github.com/go-openapi/runtime/middleware"

	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// basePath is swagger.yaml's.
const basePath = "/iotslice/v1"

// answer is a whole response: JSON of a noun, not of a generated model, so that
// a resource is encoded once.
type answer struct {
	status   int
	body     []byte // nil: none
	etag     string
	location string
	link     string
}

var _ middleware.Responder = answer{}

// WriteResponse writes the answer. The media type was negotiated before.
func (n answer) WriteResponse(w http.ResponseWriter, _ runtime.Producer) {
	h := w.Header()
	if n.etag != "" {
		h["Etag"] = []string{n.etag}
	}
	if n.location != "" {
		h["Location"] = []string{n.location}
	}
	if n.link != "" {
		h["Link"] = []string{n.link}
	}
	if n.body == nil {
		h.Del("Content-Type")
		w.WriteHeader(n.status)
		return
	}
	h["Content-Length"] = []string{strconv.Itoa(len(n.body))}
	w.WriteHeader(n.status)
	_, _ = w.Write(n.body)
}

// fail answers an error as a Problem.
func (a *api) fail(r *http.Request, err error) middleware.Responder {
	return middleware.ResponderFunc(func(w http.ResponseWriter, _ runtime.Producer) { a.serveError(w, r, err) })
}

// json answers any value.
func (a *api) json(r *http.Request, status int, v any) middleware.Responder {
	body, err := json.Marshal(v)
	if err != nil {
		return a.fail(r, err)
	}
	return answer{status: status, body: body}
}

// etagOf is the strong entity tag of a revision (RFC 9110 §8.8.3).
func etagOf(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// location is where a resource is read.
func location(x slice.Resource) string {
	kind, id := string(x.Kind()), x.Head().ID
	if k := x.Kind(); k == slice.KindNode || k == slice.KindLink {
		return basePath + "/infrastructures/" + x.Parent() + "/" + kind + "/" + id
	}
	return basePath + "/" + kind + "/" + id
}

func operationLocation(id string) string { return basePath + "/lcmOpOccs/" + id }

// planned are the kinds whose answer can carry a plan and credentials.
func planned(k slice.Kind) bool {
	switch k {
	case slice.KindIoTSlice, slice.KindIoTGateway, slice.KindIoTServer, slice.KindMicroElement, slice.KindMicroData, slice.KindIoTDevice:
		return true
	}
	return false
}

// changed answers a mutating use case that ends with a resource.
func (a *api) changed(r *http.Request, res fulfilment.Result, err error) middleware.Responder {
	if err != nil {
		return a.fail(r, err)
	}
	if res.Resource == nil {
		return a.removed(r, res, nil)
	}
	n := answer{status: http.StatusOK}
	if n.body, err = json.Marshal(res.Resource); err != nil {
		return a.fail(r, err)
	}
	if res.Preview != nil {
		if planned(res.Resource.Kind()) {
			n.body, err = splice(n.body, "dryRunPlan", plan(res.Preview))
		}
		if err != nil {
			return a.fail(r, err)
		}
		return n
	}
	n.etag = etagOf(res.Resource.Head().Revision)
	switch {
	case res.Operation != nil:
		n.status, n.location = http.StatusAccepted, operationLocation(res.Operation.ID)
	case res.Created:
		n.status, n.location = http.StatusCreated, location(res.Resource)
	}
	return a.telling(r, n, res.Credentials)
}

// telling adds credentials to an answer.
func (a *api) telling(r *http.Request, n answer, made []fulfilment.Credential) middleware.Responder {
	if len(made) == 0 {
		return n
	}
	callOf(r).secret = true
	out := make([]credential, 0, len(made))
	for _, c := range made {
		out = append(out, credential{Resource: c.Resource, Name: c.Name, Ref: c.Ref, Value: c.Value})
	}
	body, err := splice(n.body, "credentials", out)
	if err != nil {
		return a.fail(r, err)
	}
	n.body = body
	return n
}

// credential is models.Credential as it is written.
type credential struct {
	Resource string `json:"resourceId,omitempty"`
	Name     string `json:"name,omitempty"`
	Ref      string `json:"secretRef,omitempty"`
	Value    string `json:"value"`
}

// removed answers a delete.
func (a *api) removed(r *http.Request, res fulfilment.Result, err error) middleware.Responder {
	switch {
	case err != nil:
		return a.fail(r, err)
	case res.Preview != nil:
		return a.json(r, http.StatusOK, plan(res.Preview))
	case res.Operation != nil:
		return a.accepted(r, res.Operation)
	}
	return answer{status: http.StatusNoContent}
}

// splice adds a field to the end of a JSON object.
func splice(object []byte, name string, v any) ([]byte, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(object)+len(name)+len(value)+4)
	out = append(out, object[:len(object)-1]...)
	if len(object) > 2 {
		out = append(out, ',')
	}
	out = append(out, '"')
	out = append(out, name...)
	out = append(out, '"', ':')
	out = append(out, value...)
	return append(out, '}'), nil
}
