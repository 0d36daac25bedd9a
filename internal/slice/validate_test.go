package slice

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// good answers one valid resource of each kind.
func good() map[Kind]Resource {
	m := Meta{Name: "a-1", Labels: map[string]string{"example.org/team": "blue"}}
	return map[Kind]Resource{
		KindTenant: &Tenant{Meta: m, MaxSlices: 3},
		KindProduct: &Product{
			Meta: m, Version: "1.0.0", Element: Gateway, Platform: "lite",
			Packaging: map[string]Packaging{
				"host":       {Process: &Process{Artefact: "lite-gateway", SHA256: map[string]string{"amd64": strings.Repeat("ab", 32)}, Args: []string{"--listen", "${listen:api}"}}},
				"kubernetes": {Chart: &Chart{Name: "lite-gateway", Version: "0.1.0", Values: json.RawMessage(`{"a":1}`)}},
			},
			Configuration: map[string]string{"LITE_API": "${listen:api}"}, Files: map[string]string{"conf/a.yaml": "x"},
			Ports: []Port{{Name: "api", Protocol: "tcp", Scheme: "http"}}, Probe: &ProbeSpec{Port: "api", Path: "/healthz"},
			ConfigurationSchema: json.RawMessage(`{"type":"object"}`), Protocols: []string{"MQTT", "COAP"},
		},
		KindInfrastructure: &Infrastructure{Meta: m, Tier: "DEVICE_EDGE", Plugin: "simulated", Connection: json.RawMessage(`{}`), SharedWith: []string{"*"}},
		KindNode:           &Node{Meta: m, Architecture: "arm64", IP: "10.0.0.1", MAC: "aa:bb:cc:dd:ee:ff", Location: &Geolocation{38, 15}, DeviceType: "MPU"},
		KindLink:           &Link{Meta: m, From: "n1", To: "n2", Level: "NODE", LatencyMS: 1},
		KindIoTSlice: &IoTSlice{
			Meta: m, Priority: 3, OnFailure: Hold, ServiceProfile: &ServiceProfile{SST: ptr(int64(3)), DLLatency: ptr(20.0)},
			NEST:      json.RawMessage(`{"attributes":[{"name":"Availability","value":99}]}`),
			Placement: &PlacementPolicy{Kinds: []string{"CLOUD"}, Spread: "node"},
		},
		KindIoTGateway: &Element{Meta: m, Element: Gateway, Product: "lite-gateway", Server: "srv", Requirements: &Requirements{CPU: 100, Architectures: []string{"amd64"}}},
		KindIoTServer:  &Element{Meta: m, Element: Server, Product: "lite-server", SecretRefs: map[string]string{"TOKEN": "s1"}},
		KindMicroElement: &Element{Meta: m, Element: MicroElement, Product: "process", MELClass: "MUS",
			Configuration: map[string]string{"LEVEL": "info"}, Args: []string{"-v"}},
		KindMicroData: &MicroData{Meta: m, From: "gw", To: "srv", DataClass: "MUD", Mode: "ACTIVE", RatePerSecond: 10},
		KindIoTDevice: &Device{Meta: m, Gateway: "gw", Protocol: "MQTT", Address: "10.0.0.7:1883",
			Magnitudes: []Magnitude{{Name: "temp", Unit: "Cel", Min: ptr(-40.0), Max: ptr(85.0), Aggregate: "mean", AggregateWindow: 10}},
			Actions:    []Action{{Name: "led", Type: "boolean"}},
			Identity:   &DeviceIdentity{MAC: "aa:bb:cc:dd:ee:ff", SUPI: "imsi-001010000000001", ICCID: "8939107800023416395"}},
		KindNetworkSlice:         &NetworkSlice{Meta: m},
		KindNetworkSliceSubnet:   &NetworkSliceSubnet{Meta: m, NetworkSlice: "n", SubnetType: "RAN_SLICESUBNET", RAT: []string{"NB_IOT"}},
		KindNetworkFunction:      &NetworkFunction{Meta: m, FunctionType: "VNF", Interfaces: []ExternalInterface{{Name: "n3"}}},
		KindCommunicationService: &CommunicationService{Meta: m, IoTSlices: []string{"x"}},
		KindSubscription: &Subscription{Meta: m, CallbackURI: "https://oss.example/cb",
			Auth: &CallbackAuth{AuthType: []string{"BASIC"}, UserName: "u", SecretRef: "s"}},
		KindSecret: &Secret{Meta: m, Version: 1},
		KindAPIKey: &APIKey{Meta: m, Role: TenantAdmin, Tenants: []string{"t1"}, Hash: strings.Repeat("0f", 32)},
	}
}

func TestGoodResourcesAreValid(t *testing.T) {
	for kind, r := range good() {
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if r.Kind() != kind {
			t.Errorf("%s says it is %s", kind, r.Kind())
		}
	}
}

// wrongs patches a good resource, as stored JSON, and names the only field
// that may then be told.
var wrongs = []struct {
	kind  Kind
	patch string
	field string
}{
	{KindTenant, `{"name":""}`, "name"},
	{KindTenant, `{"name":"-a"}`, "name"},
	{KindTenant, `{"name":"a/b"}`, "name"},
	{KindTenant, `{"maxSlices":-1}`, "maxSlices"},
	{KindTenant, `{"description":"a\u0000b"}`, "description"},
	{KindTenant, `{"labels":{"bad key":"x"}}`, "labels/bad key"},
	{KindTenant, `{"labels":{"a/b":"x\u0001"}}`, "labels/a~1b"},
	{KindProduct, `{"version":"1 0"}`, "version"},
	{KindProduct, `{"elementKind":"pod"}`, "elementKind"},
	{KindProduct, `{"packaging":null}`, "packaging"},
	{KindProduct, `{"packaging":{"host":{"process":{"artefact":"../sh"}}}}`, "packaging/host/process/artefact"},
	{KindProduct, `{"packaging":{"host":{"process":{"artefact":"x","sha256":{"amd64":"zz"}}}}}`, "packaging/host/process/sha256/amd64"},
	{KindProduct, `{"packaging":{"host":{"process":{"artefact":"x","args":["${port:web}"]}}}}`, "packaging/host/process/args/0"},
	{KindProduct, `{"configuration":{"X":"${listen:nope}"}}`, "configuration/X"},
	{KindProduct, `{"configuration":{"9X":"1"}}`, "configuration/9X"},
	{KindProduct, `{"files":{"/etc/passwd":"x"}}`, "files/~1etc~1passwd"},
	{KindProduct, `{"files":{"a/../../b":"x"}}`, "files/a~1..~1..~1b"},
	{KindProduct, `{"probe":{"port":"web"}}`, "probe/port"},
	{KindProduct, `{"protocols":["ZIGBEE"]}`, "protocols/0"},
	{KindProduct, `{"configurationSchema":[1]}`, "configurationSchema"},
	{KindInfrastructure, `{"kind":"MOON"}`, "kind"},
	{KindInfrastructure, `{"plugin":"Host!"}`, "plugin"},
	{KindInfrastructure, `{"connection":"x"}`, "connection"},
	{KindInfrastructure, `{"mobility":"SLOW"}`, "mobility"},
	{KindInfrastructure, `{"accessLatencyMs":-1}`, "accessLatencyMs"},
	{KindInfrastructure, `{"accessTechnologies":["6G"]}`, "accessTechnologies/0"},
	{KindNode, `{"ipAddress":"10.0.0.300"}`, "ipAddress"},
	{KindNode, `{"macAddress":"aa:bb"}`, "macAddress"},
	{KindNode, `{"geolocation":{"latitude":91}}`, "geolocation/latitude"},
	{KindNode, `{"architecture":"x86_64"}`, "architecture"},
	{KindNode, `{"cpuMilli":-1}`, "cpuMilli"},
	{KindNode, `{"deviceType":"TOASTER"}`, "deviceType"},
	{KindLink, `{"to":"n1"}`, "to"},
	{KindLink, `{"level":"RACK"}`, "level"},
	{KindLink, `{"loss":1.5}`, "loss"},
	{KindIoTSlice, `{"priority":10}`, "priority"},
	{KindIoTSlice, `{"onFailure":"explode"}`, "onFailure"},
	{KindIoTSlice, `{"nest":{"attributes":[{"name":"Availability","value":"x"}]}}`, "nest/attributes/0/value"},
	{KindIoTSlice, `{"serviceProfile":{"dLLatency":0}}`, "serviceProfile/dLLatency"},
	{KindIoTSlice, `{"serviceProfile":{"availability":100.1}}`, "serviceProfile/availability"},
	{KindIoTSlice, `{"serviceProfile":{"sst":256}}`, "serviceProfile/sst"},
	{KindIoTSlice, `{"serviceProfile":{"uEMobilityLevel":"FLYING"}}`, "serviceProfile/uEMobilityLevel"},
	{KindIoTSlice, `{"serviceProfile":{"nBIoT":{"support":"yes"}}}`, "serviceProfile/nBIoT/support"},
	{KindIoTSlice, `{"serviceProfile":{"accessTechnologies":["WIFI","WIFI"]}}`, "serviceProfile/accessTechnologies/1"},
	{KindIoTSlice, `{"serviceProfile":{"dLThptPerSlice":{"guaThpt":9,"maxThpt":8}}}`, "serviceProfile/dLThptPerSlice/guaThpt"},
	{KindIoTSlice, `{"serviceProfile":{"coverageArea":[{"convexGeoPolygon":[]}]}}`, "serviceProfile/coverageArea/0/convexGeoPolygon"},
	{KindIoTSlice, `{"serviceProfile":{"plmnInfoList":[{"plmnId":{"mcc":"1","mnc":"01"},"snssai":{"sst":3}}]}}`, "serviceProfile/plmnInfoList/0/plmnId/mcc"},
	{KindIoTSlice, `{"serviceProfile":{"plmnInfoList":[{"plmnId":{"mcc":"001","mnc":"01"},"snssai":{"sst":3,"sd":"xyz"}}]}}`, "serviceProfile/plmnInfoList/0/snssai/sd"},
	{KindIoTSlice, `{"serviceProfile":{"sliceSimultaneousUse":5}}`, "serviceProfile/sliceSimultaneousUse"},
	{KindIoTSlice, `{"serviceProfile":{"energyEfficiency":{"performance":{"kpiType":"X","req":1}}}}`, "serviceProfile/energyEfficiency/performance/kpiType"},
	{KindIoTSlice, `{"placementPolicy":{"kinds":["CLOUDY"]}}`, "placementPolicy/kinds/0"},
	{KindIoTSlice, `{"placementPolicy":{"spread":"rack"}}`, "placementPolicy/spread"},
	{KindIoTSlice, `{"placementPolicy":{"infrastructures":["a"],"deniedInfrastructures":["a"]}}`, "placementPolicy/deniedInfrastructures/0"},
	{KindIoTSlice, `{"placementPolicy":{"maxPricePerHour":-1}}`, "placementPolicy/maxPricePerHour"},
	{KindIoTGateway, `{"product":""}`, "product"},
	{KindIoTGateway, `{"melClass":"MUS"}`, "melClass"},
	{KindIoTGateway, `{"requirements":{"cpuMilli":-5}}`, "requirements/cpuMilli"},
	{KindIoTGateway, `{"replicas":-1}`, "replicas"},
	{KindIoTServer, `{"iotServer":"other"}`, "iotServer"},
	{KindIoTServer, `{"secretRefs":{"a b":"s"}}`, "secretRefs/a b"},
	{KindMicroElement, `{"melClass":"MIX"}`, "melClass"},
	{KindMicroElement, `{"args":["a\u0000"]}`, "args/0"},
	{KindMicroData, `{"to":"gw"}`, "to"},
	{KindMicroData, `{"dataClass":"X"}`, "dataClass"},
	{KindMicroData, `{"mode":""}`, "mode"},
	{KindIoTDevice, `{"protocol":"AMQP"}`, "protocol"},
	{KindIoTDevice, `{"iotGateway":""}`, "iotGateway"},
	{KindIoTDevice, `{"address":"http://u:p@h/"}`, "address"},
	{KindIoTDevice, `{"address":"h:99999"}`, "address"},
	{KindIoTDevice, `{"magnitudes":[{"name":"t","unit":"degC"}]}`, "magnitudes/0/unit"},
	{KindIoTDevice, `{"magnitudes":[{"name":"t","min":5,"max":5}]}`, "magnitudes/0/max"},
	{KindIoTDevice, `{"magnitudes":[{"name":"t"},{"name":"t"}]}`, "magnitudes/1/name"},
	{KindIoTDevice, `{"magnitudes":[{"name":"t","aggregate":"mean"}]}`, "magnitudes/0/aggregateWindowSeconds"},
	{KindIoTDevice, `{"magnitudes":[{"name":"t","type":"string","min":1}]}`, "magnitudes/0/type"},
	{KindIoTDevice, `{"magnitudes":[{"name":"t","type":"string"}],"actions":[{"name":"t","type":"boolean"}]}`, "actions/0/type"},
	{KindIoTDevice, `{"identity":{"supi":"001010000000001"}}`, "identity/supi"},
	{KindIoTDevice, `{"identity":{"iccid":"89"}}`, "identity/iccid"},
	{KindNetworkSliceSubnet, `{"networkSliceSubnetType":"X"}`, "networkSliceSubnetType"},
	{KindNetworkSliceSubnet, `{"rat":["5G"]}`, "rat/0"},
	{KindNetworkFunction, `{"networkFunctionType":"X"}`, "networkFunctionType"},
	{KindNetworkFunction, `{"externalInterfaces":[{"name":"a"},{"name":"a"}]}`, "externalInterfaces/1/name"},
	{KindCommunicationService, `{"iotSliceIds":["a","a"]}`, "iotSliceIds/1"},
	{KindNetworkSlice, `{"state":"GREAT"}`, "state"},
	{KindSubscription, `{"callbackUri":"ftp://x/"}`, "callbackUri"},
	{KindSubscription, `{"callbackUri":"/cb"}`, "callbackUri"},
	{KindSubscription, `{"callbackUri":"https://u:p@x/"}`, "callbackUri"},
	{KindSubscription, `{"authentication":{"authType":["BASIC"],"secretRef":"s"}}`, "authentication/userName"},
	{KindSubscription, `{"authentication":{"authType":["DIGEST"],"secretRef":"s"}}`, "authentication/authType/0"},
	{KindSecret, `{"version":-1}`, "version"},
	{KindAPIKey, `{"role":"root"}`, "role"},
	{KindAPIKey, `{"tenantIds":[]}`, "tenantIds"},
	{KindAPIKey, `{"role":"system-admin"}`, "tenantIds"},
	{KindAPIKey, `{"role":"oss","tenantIds":[]}`, "tenantIds"},
}

func TestWrongFieldsAreNamed(t *testing.T) {
	for _, w := range wrongs {
		r := good()[w.kind]
		clear(r.Head().Labels)
		if s, ok := r.(*Subscription); ok {
			s.Auth = nil
		}
		if s, ok := r.(*Product); ok && strings.Contains(w.patch, "packaging") {
			s.Packaging = nil
		}
		if s, ok := r.(*IoTSlice); ok {
			s.ServiceProfile, s.Placement = nil, nil
		}
		if d, ok := r.(*Device); ok { // JSON would patch its first magnitude
			d.Magnitudes, d.Actions, d.Identity = nil, nil, nil
		}
		if err := json.Unmarshal([]byte(w.patch), r); err != nil {
			t.Fatalf("%s %s: %v", w.kind, w.patch, err)
		}
		err := r.Validate()
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s %s: %v", w.kind, w.patch, err)
			continue
		}
		for _, p := range fault.Of(err).Params {
			if p.Field != w.field || p.Allowed == "" {
				t.Errorf("%s %s: told %+v, want %s", w.kind, w.patch, p, w.field)
			}
		}
	}
}

func TestEveryWrongFieldIsToldAtOnce(t *testing.T) {
	s := &IoTSlice{Meta: Meta{Name: "?"}, Priority: 11, ServiceProfile: &ServiceProfile{SST: ptr(int64(-1)), DLLatency: ptr(math.NaN())}}
	var got []string
	for _, p := range fault.Of(s.Validate()).Params {
		got = append(got, p.Field)
	}
	if want := []string{"name", "serviceProfile/dLLatency", "serviceProfile/sst", "priority"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestHostileInputGetsABoundedAnswer(t *testing.T) {
	words := make([]string, 250)
	for i := range words {
		words[i] = strings.Repeat("\x00 x", 100)
	}
	e := &Element{Meta: Meta{Name: "e"}, Element: Gateway, Product: "p", Requirements: &Requirements{Software: words, Things: words}}
	err := fault.Of(e.Validate())
	if len(err.Params) != maxParams || len(err.Error()) > 64<<10 {
		t.Errorf("%d params, %d bytes", len(err.Params), len(err.Error()))
	}
}

func TestSecretsAreNotTold(t *testing.T) {
	for _, r := range []Resource{
		&Subscription{CallbackURI: "https://user:hunter2@h/"}, &APIKey{Meta: Meta{Name: "k"}, Role: SystemAdmin, Hash: "hunter2"},
		&Subscription{CallbackURI: "https://h/", Auth: &CallbackAuth{
			AuthType: []string{"OAUTH2_CLIENT_CREDENTIALS"}, ClientID: "c", SecretRef: "s", TokenEndpoint: "https://u:hunter2@h/"}},
	} {
		if err := r.Validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%T: %v", r, err)
		}
	}
}

// Whatever JSON says, Validate answers a classified fault, never a panic.
func FuzzOrderBody(f *testing.F) {
	for kind, r := range good() {
		raw, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(kind), raw)
	}
	for _, w := range wrongs {
		f.Add(string(w.kind), []byte(w.patch))
	}
	f.Fuzz(func(t *testing.T, kind string, raw []byte) {
		r, ok := good()[Kind(kind)]
		if !ok || json.Unmarshal(raw, r) != nil {
			return
		}
		err := r.Validate()
		if err == nil {
			return
		}
		e := fault.Of(err)
		if e.Kind != fault.Invalid || len(e.Params) == 0 || len(e.Params) > maxParams {
			t.Fatalf("%v", err)
		}
		for _, p := range e.Params {
			if p.Field == "" || p.Allowed == "" {
				t.Fatalf("nameless: %+v", p)
			}
		}
	})
}

func TestIDsSortByCreation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := make([]string, rapid.IntRange(2, 200).Draw(t, "n"))
		for i := range ids {
			ids[i] = NewID()
		}
		if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
			t.Fatalf("%q", ids)
		}
		if id := ids[0]; len(id) != 36 || id[14] != '7' || !strings.ContainsRune("89ab", rune(id[19])) {
			t.Fatalf("not a version 7 UUID: %s", id)
		}
	})
}

func BenchmarkValidateDevice(b *testing.B) {
	d := good()[KindIoTDevice]
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}
