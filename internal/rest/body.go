package rest

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-openapi/strfmt"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/rest/shape"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/models"
)

// consume is the generated layer's JSON consumer: names and types are checked by
// path before the model decodes the body. A free-form body (a merge patch) is
// checked by its handler, who knows what it is a patch of.
func (a *api) consume(r io.Reader, into any) error {
	var body []byte
	if b, ok := r.(*bodyReader); ok {
		body = b.data
	} else {
		var err error
		if body, err = io.ReadAll(r); err != nil {
			return err
		}
	}
	if patch, ok := into.(*any); ok {
		*patch = struct{}{}
		return nil
	}
	of, ok := a.shapes[reflect.TypeOf(into).Elem().Name()]
	if !ok {
		return fault.New(fault.Internal, "no definition is called %s", reflect.TypeOf(into).Elem().Name())
	}
	if err := shape.Check(of, body, "body"); err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// noun decodes the body, which the generated layer has found valid, into a noun.
func noun[T any](r *http.Request) (*T, error) {
	v := new(T)
	if body := callOf(r).body; len(body) > 0 {
		if err := json.Unmarshal(body, v); err != nil {
			return nil, fault.New(fault.Invalid, "the body is not valid").Because(err).With("body", "", "the fields and types of the definition")
		}
	}
	return v, nil
}

// validatable is a generated model.
type validatable interface {
	Validate(formats strfmt.Registry) error
}

// modelOf is the generated model and the definition of what can be patched.
var modelOf = map[slice.Kind]struct {
	definition string
	new        func() validatable
}{
	slice.KindTenant:               {"Tenant", func() validatable { return new(models.Tenant) }},
	slice.KindProduct:              {"Product", func() validatable { return new(models.Product) }},
	slice.KindInfrastructure:       {"Infrastructure", func() validatable { return new(models.Infrastructure) }},
	slice.KindNode:                 {"Node", func() validatable { return new(models.Node) }},
	slice.KindLink:                 {"Link", func() validatable { return new(models.Link) }},
	slice.KindIoTSlice:             {"IoTSlice", func() validatable { return new(models.IoTSlice) }},
	slice.KindIoTGateway:           {"IoTGateway", func() validatable { return new(models.IoTGateway) }},
	slice.KindIoTServer:            {"IoTServer", func() validatable { return new(models.IoTServer) }},
	slice.KindMicroElement:         {"MicroElement", func() validatable { return new(models.MicroElement) }},
	slice.KindMicroData:            {"MicroData", func() validatable { return new(models.MicroData) }},
	slice.KindIoTDevice:            {"IoTDevice", func() validatable { return new(models.IoTDevice) }},
	slice.KindNetworkSlice:         {"NetworkSlice", func() validatable { return new(models.NetworkSlice) }},
	slice.KindNetworkSliceSubnet:   {"NetworkSliceSubnet", func() validatable { return new(models.NetworkSliceSubnet) }},
	slice.KindNetworkFunction:      {"NetworkFunction", func() validatable { return new(models.NetworkFunction) }},
	slice.KindCommunicationService: {"CommunicationService", func() validatable { return new(models.CommunicationService) }},
	slice.KindSubscription:         {"Subscription", func() validatable { return new(models.Subscription) }},
	slice.KindSecret:               {"Secret", func() validatable { return new(models.Secret) }},
	slice.KindPlacement:            {"Placement", func() validatable { return new(models.Placement) }},
	slice.KindAPIKey:               {"APIKey", func() validatable { return new(models.APIKey) }},
}

// mergePatch checks a merge patch (RFC 7396) by the definition of what it
// changes, and answers the use case's Patch: apply it, validate the whole as the
// generated layer validates a body.
func (a *api) mergePatch(kind slice.Kind, patch []byte) (fulfilment.Patch, error) {
	m := modelOf[kind]
	if err := shape.Check(a.shapes[m.definition], patch, "body"); err != nil {
		return nil, err
	}
	if string(patch) == "null" || len(patch) == 0 {
		return nil, fault.Field("body", "null", "an object with the fields to change")
	}
	return func(x slice.Resource) error {
		before, err := json.Marshal(x)
		if err != nil {
			return err
		}
		after, err := jsonpatch.MergePatch(before, patch)
		if err != nil {
			return fault.New(fault.Malformed, "the merge patch cannot be applied").Because(err).With("body", "", "a merge patch (RFC 7396)")
		}
		if err := a.become(x, after, m.new()); err != nil {
			return err
		}
		if s, ok := x.(*slice.IoTSlice); ok {
			return patchedNEST(s, patch)
		}
		return nil
	}, nil
}

// become makes x what doc says, when doc is valid.
func (a *api) become(x slice.Resource, doc []byte, m validatable) error {
	if int64(len(doc)) > a.deps.BodyBytes {
		return fault.New(fault.TooLarge, "the resource would be larger than %d bytes", a.deps.BodyBytes).With("body", "", "a smaller resource")
	}
	if err := json.Unmarshal(doc, m); err != nil {
		return fault.New(fault.Invalid, "the resource would not be valid").Because(err).With("body", "", "the fields and types of the definition")
	}
	if err := m.Validate(strfmt.Default); err != nil {
		if f := validation(err); f != nil {
			return f
		}
		return err
	}
	fresh := reflect.New(reflect.TypeOf(x).Elem())
	if err := json.Unmarshal(doc, fresh.Interface()); err != nil {
		return fault.New(fault.Invalid, "the resource would not be valid").Because(err).With("body", "", "the fields and types of the definition")
	}
	is, was := fresh.Interface().(slice.Resource).Head(), x.Head()
	if is.Tenant != was.Tenant {
		return fault.Field("tenantId", is.Tenant, "nothing else: a resource keeps its owner")
	}
	reflect.ValueOf(x).Elem().Set(fresh.Elem())
	return nil
}
