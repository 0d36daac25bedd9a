package store

import (
	"encoding/json"
	"fmt"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// columns are the indexed attributes that differ by kind.
type columns struct{ version, state, ref, class, place string }

// codec is how one kind is stored: its noun's name in events, its constructor,
// its columns, and which attribute of the API each column answers for.
type codec struct {
	noun  string
	empty func() slice.Resource
	cols  func(r slice.Resource) columns
	attrs map[string]string
}

func kindOf[T any, P interface {
	*T
	slice.Resource
}](noun string, cols func(P) columns, attrs ...string) codec {
	c := codec{
		noun:  noun,
		empty: func() slice.Resource { return P(new(T)) },
		cols: func(r slice.Resource) columns {
			if p, ok := r.(P); ok {
				return cols(p)
			}
			return columns{}
		},
		attrs: map[string]string{"id": "id", "name": "name", "tenantId": "tenant"},
	}
	for i := 0; i+1 < len(attrs); i += 2 {
		c.attrs[attrs[i]] = attrs[i+1]
	}
	return c
}

func element(noun string) codec {
	return kindOf(noun, func(e *slice.Element) columns {
		c := columns{state: string(e.State), ref: e.Product, class: e.Server}
		if e.Run != nil {
			c.place = e.Run.Infrastructure
		}
		return c
	}, "state", "state", "iotSliceId", "parent", "product", "ref", "iotServer", "class", "deployment/infrastructureId", "place")
}

var codecs = map[slice.Kind]codec{
	slice.KindTenant: kindOf("Tenant", func(*slice.Tenant) columns { return columns{} }),
	slice.KindAPIKey: kindOf("ApiKey", func(k *slice.APIKey) columns {
		return columns{class: string(k.Role), ref: k.Prefix}
	}, "role", "class", "prefix", "ref"),
	slice.KindSecret: kindOf("Secret", func(s *slice.Secret) columns { return columns{ref: s.Owner} }, "ownerId", "ref"),
	slice.KindSubscription: kindOf("Subscription", func(s *slice.Subscription) columns {
		return columns{state: string(s.State), ref: s.CallbackURI}
	}, "state", "state", "callbackUri", "ref"),
	slice.KindProduct: kindOf("Product", func(p *slice.Product) columns {
		return columns{version: p.Version, state: string(p.State), ref: p.Platform, class: string(p.Element)}
	}, "version", "version", "state", "state", "platform", "ref", "elementKind", "class"),
	slice.KindInfrastructure: kindOf("Infrastructure", func(i *slice.Infrastructure) columns {
		return columns{state: string(i.State), ref: i.Plugin, class: i.Tier, place: i.Provider}
	}, "state", "state", "plugin", "ref", "kind", "class", "provider", "place"),
	slice.KindNode: kindOf("Node", func(n *slice.Node) columns {
		return columns{state: string(n.State), ref: n.Architecture, class: n.DeviceType, place: n.Origin}
	}, "state", "state", "infrastructureId", "parent", "architecture", "ref", "deviceType", "class", "origin", "place"),
	slice.KindLink: kindOf("Link", func(l *slice.Link) columns {
		return columns{ref: l.From, class: l.Level, place: l.To}
	}, "infrastructureId", "parent", "from", "ref", "level", "class", "to", "place"),
	slice.KindIoTSlice: kindOf("IoTSlice", func(s *slice.IoTSlice) columns {
		return columns{state: string(s.State), ref: s.CustomerRef, class: s.CommunicationService, place: s.NetworkSlice}
	}, "state", "state", "customerRef", "ref", "communicationServiceId", "class", "networkSliceId", "place"),
	slice.KindIoTGateway:   element("IoTGateway"),
	slice.KindIoTServer:    element("IoTServer"),
	slice.KindMicroElement: element("MicroElement"),
	slice.KindMicroData: kindOf("MicroData", func(m *slice.MicroData) columns {
		return columns{state: string(m.State), ref: m.From, class: m.DataClass, place: m.To}
	}, "state", "state", "iotSliceId", "parent", "from", "ref", "dataClass", "class", "to", "place"),
	slice.KindIoTDevice: kindOf("IoTDevice", func(d *slice.Device) columns {
		c := columns{state: string(d.State), ref: d.Gateway, class: d.Protocol}
		if d.Identity != nil {
			c.place = d.Identity.Serial
		}
		return c
	}, "state", "state", "iotSliceId", "parent", "iotGateway", "ref", "protocol", "class", "identity/serial", "place"),
	slice.KindNetworkSlice: kindOf("NetworkSlice", func(n *slice.NetworkSlice) columns {
		return columns{state: string(n.State)}
	}, "state", "state"),
	slice.KindNetworkSliceSubnet: kindOf("NetworkSliceSubnet", func(n *slice.NetworkSliceSubnet) columns {
		return columns{state: string(n.State), class: n.SubnetType}
	}, "state", "state", "networkSliceId", "parent", "networkSliceSubnetType", "class"),
	slice.KindNetworkFunction: kindOf("NetworkFunction", func(n *slice.NetworkFunction) columns {
		return columns{state: string(n.State), ref: n.NetworkSlice, class: n.FunctionType, place: n.Infrastructure}
	}, "state", "state", "networkSliceId", "ref", "networkFunctionType", "class", "infrastructureId", "place"),
	slice.KindCommunicationService: kindOf("CommunicationService", func(c *slice.CommunicationService) columns {
		return columns{state: string(c.State), ref: c.Customer, class: c.ServiceType}
	}, "state", "state", "customer", "ref", "serviceType", "class"),
	slice.KindPlacement: kindOf("Placement", func(p *slice.Placement) columns {
		return columns{state: p.Reservation, ref: p.Slice, class: p.Feasibility, place: p.Operation}
	}, "resourceReservationStatus", "state", "iotSliceId", "ref", "feasibilityResult", "class", "lcmOpOccId", "place"),
}

func codecOf(kind slice.Kind) (codec, error) {
	c, ok := codecs[kind]
	if !ok {
		return codec{}, fault.New(fault.Internal, "the store keeps no resources of kind %q", kind)
	}
	return c, nil
}

func decode(c codec, doc string) (slice.Resource, error) {
	r := c.empty()
	if err := json.Unmarshal([]byte(doc), r); err != nil {
		return nil, fault.New(fault.Internal, "a stored %s cannot be read", c.noun).Because(fmt.Errorf("decode: %w", err))
	}
	return r, nil
}

func encode(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fault.New(fault.Internal, "a resource cannot be stored").Because(err)
	}
	return string(b), nil
}
