package slice

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// order draws a slice whose members are right.
func order(t *rapid.T) (*IoTSlice, []*Element, []*Device, []*MicroData) {
	var elements []*Element
	add := func(kind ElementKind, prefix string, n int) {
		for i := range n {
			elements = append(elements, &Element{Meta: Meta{Name: fmt.Sprint(prefix, i)}, Element: kind, Product: "p"})
		}
	}
	servers, gateways := rapid.IntRange(0, 3).Draw(t, "servers"), rapid.IntRange(1, 4).Draw(t, "gateways")
	add(Server, "srv", servers)
	add(Gateway, "gw", gateways)
	add(MicroElement, "mel", rapid.IntRange(0, 2).Draw(t, "mels"))
	for _, e := range elements {
		if e.Element == Gateway && servers > 1 {
			e.Server = fmt.Sprint("srv", rapid.IntRange(0, servers-1).Draw(t, "feeds"))
		}
	}
	var devices []*Device
	for i := range rapid.IntRange(1, 6).Draw(t, "devices") {
		devices = append(devices, &Device{Meta: Meta{Name: fmt.Sprint("dev", i)}, Protocol: "MQTT",
			Gateway: fmt.Sprint("gw", rapid.IntRange(0, gateways-1).Draw(t, "gateway"))})
	}
	flow := &MicroData{Meta: Meta{Name: "flow"}, From: "dev0", To: "gw0", DataClass: "MUD", Mode: "ACTIVE"}
	return &IoTSlice{Meta: Meta{Name: "s"}}, elements, devices, []*MicroData{flow}
}

func TestMembersThatAgreeAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := ValidateMembers(order(t)); err != nil {
			t.Fatal(err)
		}
	})
}

// Every way to break an agreeing order is told, with its path.
func TestMembersThatDisagreeAreNamed(t *testing.T) {
	breaks := map[string]func(e []*Element, d []*Device, m []*MicroData) string{
		"gateway of a device": func(_ []*Element, d []*Device, _ []*MicroData) string {
			d[0].Gateway = "nowhere"
			return "iotDevices/0/iotGateway"
		},
		"a device on a server": func(e []*Element, d []*Device, _ []*MicroData) string {
			d[0].Gateway = "mel0"
			return "iotDevices/0/iotGateway"
		},
		"server of a gateway": func(e []*Element, _ []*Device, _ []*MicroData) string {
			gateway(e).Server = "nowhere"
			return "iotGateways/0/iotServer"
		},
		"a name of its own": func(e []*Element, _ []*Device, _ []*MicroData) string {
			gateway(e).Name = "not valid"
			return "iotGateways/0/name"
		},
		"affinity to nobody": func(e []*Element, _ []*Device, _ []*MicroData) string {
			gateway(e).Placement = &PlacementPolicy{AntiAffinity: []string{"nobody"}}
			return "iotGateways/0/placementPolicy/antiAffinity/0"
		},
		"affinity to itself": func(e []*Element, _ []*Device, _ []*MicroData) string {
			gateway(e).Placement = &PlacementPolicy{Affinity: []string{"gw0"}}
			return "iotGateways/0/placementPolicy/affinity/0"
		},
		"a flow from nowhere": func(_ []*Element, _ []*Device, m []*MicroData) string {
			m[0].From = "nowhere"
			return "microData/0/from"
		},
		"a flow to one of two": func(e []*Element, d []*Device, m []*MicroData) string {
			d[len(d)-1].Name, m[0].From = "gw0", "mel9"
			m[0].To = "gw0"
			return "microData/0/to"
		},
	}
	for name, brk := range breaks {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s, e, d, m := order(t)
				field := brk(e, d, m)
				err := ValidateMembers(s, e, d, m)
				if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), field+":") {
					t.Fatalf("want %s: %v", field, err)
				}
			})
		})
	}
}

func gateway(elements []*Element) *Element {
	for _, e := range elements {
		if e.Element == Gateway {
			return e
		}
	}
	return nil
}

func TestNamesAreUniquePerKind(t *testing.T) {
	gw := func(name string) *Element { return &Element{Meta: Meta{Name: name}, Element: Gateway, Product: "p"} }
	srv := &Element{Meta: Meta{Name: "a"}, Element: Server, Product: "p"}
	if err := ValidateMembers(nil, []*Element{gw("a"), srv}, nil, nil); err != nil {
		t.Errorf("a gateway and a server may share a name: %v", err)
	}
	err := ValidateMembers(nil, []*Element{srv, gw("a"), gw("a")}, nil, nil)
	if err == nil || fault.Of(err).Params[0].Field != "iotGateways/1/name" {
		t.Errorf("two gateways of one name: %v", err)
	}
}

func TestSeveralServersNeedAName(t *testing.T) {
	e := []*Element{
		{Meta: Meta{Name: "s1"}, Element: Server, Product: "p"}, {Meta: Meta{Name: "s2"}, Element: Server, Product: "p"},
		{Meta: Meta{Name: "g"}, Element: Gateway, Product: "p"},
	}
	err := ValidateMembers(nil, e, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "s1, s2") {
		t.Errorf("which server: %v", err)
	}
	if err := ValidateMembers(nil, e[1:], nil, nil); err != nil {
		t.Errorf("the only server needs no name: %v", err)
	}
}

func TestLimitsOfMembers(t *testing.T) {
	if err := ValidateMembers(nil, make([]*Element, MaxElements+1), nil, nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	if err := ValidateMembers(nil, nil, make([]*Device, MaxDevices+1), nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}
