package cli

import (
	"fmt"
	"strings"
)

// member makes a server or gateway of its slice.
func (t *iotorch) member(section, name, product string) (order, element map[string]any) {
	where, entry := section+"."+name, t.file[section][name]
	if !t.named(where, name) {
		return nil, nil
	}
	order = t.slices[attr(entry, "slice")]
	if order == nil {
		t.note(where, "belongs to slice %q, which is not in the file", attr(entry, "slice"))
		return nil, nil
	}
	element = map[string]any{"name": name, "product": product}
	cluster := attr(entry, "cluster")
	if t.file["k8sclusters"][cluster] != nil {
		element["placementPolicy"] = map[string]any{"infrastructures": []string{cluster}}
		widen(order, cluster)
	} else if cluster != "" {
		t.note(where+".cluster", "cluster %q is not in the file", cluster)
	}
	return order, element
}

// widen lets a slice use the place of one of its members.
func widen(order map[string]any, cluster string) {
	policy, _ := order["placementPolicy"].(map[string]any)
	if policy == nil {
		return
	}
	places, _ := policy["infrastructures"].([]string)
	for _, p := range places {
		if p == cluster {
			return
		}
	}
	policy["infrastructures"] = append(places, cluster)
}

func add(order map[string]any, list string, m map[string]any) {
	items, _ := order[list].([]any)
	order[list] = append(items, any(m))
}

func (t *iotorch) servers() {
	for _, name := range sortedKeys(t.file["iotservers"]) {
		order, element := t.member("iotservers", name, t.options.server)
		if order == nil {
			continue
		}
		t.rest("iotservers."+name, t.file["iotservers"][name], map[string]string{
			"cluster": "", "slice": "", "serverip": "addresses are found out, not stored",
			"helmpath": "the product says which chart it is",
			"username": "credentials are not taken over: the service makes its own, or keep them with slicectl secret create",
			"password": "credentials are not taken over: the service makes its own, or keep them with slicectl secret create",
		})
		add(order, "iotServers", element)
	}
}

func (t *iotorch) gateways() {
	for _, name := range sortedKeys(t.file["iotgateways"]) {
		where, entry := "iotgateways."+name, t.file["iotgateways"][name]
		order, element := t.member("iotgateways", name, t.options.gateway)
		if order == nil {
			continue
		}
		if server := attr(entry, "server"); server != "" {
			if s := t.file["iotservers"][server]; s != nil && attr(s, "slice") == attr(entry, "slice") {
				element["iotServer"] = server
			} else {
				t.note(where+".server", "server %q is not in the gateway's slice", server)
			}
		}
		t.rest(where, entry, map[string]string{
			"cluster": "", "slice": "", "server": "", "gatewayip": "addresses are found out, not stored",
			"exporterip": "addresses are found out, not stored", "helmpath": "the product says which chart it is",
			"servertopic": "made anew when the gateway is attached", "servertopicuser": "made anew when the gateway is attached",
			"servertopicpassword": "made anew when the gateway is attached",
		})
		add(order, "iotGateways", element)
	}
}

func (t *iotorch) devices() {
	for _, name := range sortedKeys(t.file["iotdevices"]) {
		where, entry := "iotdevices."+name, t.file["iotdevices"][name]
		if !t.named(where, name) {
			continue
		}
		gateway := attr(entry, "gateway")
		gw := t.file["iotgateways"][gateway]
		order := t.slices[attr(gw, "slice")]
		if gw == nil || order == nil {
			t.note(where+".gateway", "gateway %q is in no slice of the file", gateway)
			continue
		}
		device := map[string]any{"name": name, "iotGateway": gateway, "protocol": t.protocol(where, entry)}
		switch f := strings.ToUpper(attr(entry, "format")); f {
		case "":
		case "SENML":
			device["format"] = "SENML_JSON"
		default:
			t.note(where+".format", "format %q is not known; every format is accepted instead", f)
		}
		if m := t.magnitudes(where, entry["resources"]); len(m) > 0 {
			device["magnitudes"] = m
		}
		t.rest(where, entry, map[string]string{"gateway": "", "protocol": "", "format": "", "resources": ""})
		add(order, "iotDevices", device)
	}
}

func (t *iotorch) protocol(where string, entry map[string]any) string {
	p := strings.ToUpper(attr(entry, "protocol"))
	switch p {
	case "MQTT", "HTTP", "COAP":
		return p
	case "":
		t.note(where+".protocol", "is missing; MQTT is taken")
	default:
		t.note(where+".protocol", "protocol %q is not known; MQTT is taken", p)
	}
	return "MQTT"
}

func (t *iotorch) magnitudes(where string, resources any) []any {
	list, _ := resources.([]any)
	var out []any
	for _, r := range list {
		name := fmt.Sprint(r)
		if t.named(where+".resources", name) {
			out = append(out, map[string]any{"name": name})
		}
	}
	return out
}
