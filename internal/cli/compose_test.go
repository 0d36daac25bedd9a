package cli

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestComposeBecomesAnOrder(t *testing.T) {
	const compose = `
name: shop
services:
  web: {image: x, command: serve --fast, environment: [A=b, "API_KEY=k"], deploy: {replicas: 2, resources: {limits: {cpus: "0.25", memory: 64M}}}}
  db: {environment: {MODE: 1}}
  'bad name': {}
`
	const needs = `
services:
  web: {hardware: 1.5, software: [ubuntu], iot: [cam], links: {db: {latency: .inf, bandwidth: 2}, web2: {latency: 1}}}
  db: {hardware: many, links: {web: {latency: 20, bandwidth: 0}}, colour: red}
  ghost: {}
`
	got, err := readCompose("x/docker-compose.yml", []byte(compose), []byte(needs), composeOptions{product: "process", products: map[string]string{"db": "postgres"}, instantiate: true})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(got.Slices)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"instantiate":true,"microData":[` +
		`{"dataClass":"MUD","from":"db","maxLatencyMs":20,"mode":"ACTIVE","name":"db-to-web","to":"web"},` +
		`{"bandwidthKbit":2000,"dataClass":"MUD","from":"web","mode":"ACTIVE","name":"web-to-db","to":"db"}],` +
		`"microElements":[{"configuration":{"MODE":"1"},"melClass":"MUS","name":"db","product":"postgres"},` +
		`{"args":["serve","--fast"],"configuration":{"A":"b"},"melClass":"MUS","name":"web","product":"process","replicas":2,` +
		`"requirements":{"cpuMilli":1500,"memoryMiB":64,"software":["ubuntu"],"things":["cam"]}}],"name":"shop"}]`
	if string(raw) != want {
		t.Errorf("%s\nwant\n%s", raw, want)
	}
	var notes []string
	for _, n := range got.Notes {
		notes = append(notes, n.Where)
	}
	if all := strings.Join(notes, " "); all != "services.bad name requirements.db.hardware requirements.db.colour services.web.image services.web.environment.API_KEY requirements.ghost requirements.web.links.web2" {
		t.Errorf("%s", all)
	}
}

// Each image becomes a catalogue entry, once; the services that have it name it
// with its version.
func TestImagesBecomeProducts(t *testing.T) {
	const compose = `
name: shop
services:
  web: {image: "registry.example:5000/team/nginx:1.25", ports: ["8080:80", {target: 443}, "53:53/udp", "3000-3005"], expose: [80]}
  twin: {image: "registry.example:5000/team/nginx:1.25"}
  other: {image: "nginx:1.25"}
  loose: {image: redis}
  pinned: {image: "redis@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
  mine: {image: "postgres:15"}
  none: {}
  odd: {image: "${IMAGE}"}
`
	got, err := readCompose("x/docker-compose.yml", []byte(compose), nil, composeOptions{products: map[string]string{"mine": "postgres-ha"}})
	if err != nil {
		t.Fatal(err)
	}
	var products, members []string
	for _, p := range got.Products {
		images, _ := p["images"].(map[string]any)
		ports, _ := json.Marshal(p["ports"])
		products = append(products, attr(p, "name")+"@"+attr(p, "version")+" "+attr(images, "main")[:5]+" "+string(ports))
	}
	list, _ := got.Slices[0]["microElements"].([]any)
	for _, v := range list {
		m, _ := v.(map[string]any)
		members = append(members, attr(m, "name")+" "+attr(m, "product")+"@"+attr(m, "productVersion"))
	}
	wantProducts := []string{
		"redis@latest redis null", "nginx@1.25 nginx null", "redis@0123456789ab redis null",
		`registry.example-5000-team-nginx@1.25 regis [{"fixed":80,"name":"tcp-80","protocol":"tcp","scheme":"tcp"},{"fixed":443,"name":"tcp-443","protocol":"tcp","scheme":"tcp"},{"fixed":53,"name":"udp-53","protocol":"udp","scheme":"udp"}]`,
	}
	if !slices.Equal(products, wantProducts) {
		t.Errorf("%q\nwant\n%q", products, wantProducts)
	}
	wantMembers := []string{
		"loose redis@latest", "mine postgres-ha@", "none process@", "odd process@", "other nginx@1.25", "pinned redis@0123456789ab",
		"twin registry.example-5000-team-nginx@1.25", "web registry.example-5000-team-nginx@1.25",
	}
	if !slices.Equal(members, wantMembers) {
		t.Errorf("%q\nwant\n%q", members, wantMembers)
	}
	var notes []string
	for _, n := range got.Notes {
		notes = append(notes, n.Where)
	}
	if all := strings.Join(notes, " "); all != "services.loose.image services.mine.image services.none services.odd.image services.web.ports[3]" {
		t.Errorf("%s", all)
	}
}

func TestSizesOfCompose(t *testing.T) {
	for text, want := range map[string]int64{"64M": 64, "1g": 1024, "512kb": 1, "1048577": 2, "1.5GiB": 1536, "2T": 2 << 20} {
		if got, ok := mebibytes(text); !ok || got != want {
			t.Errorf("%s: %d %v, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "M", "-1M", "many", "NaN", "0"} {
		if got, ok := mebibytes(text); ok {
			t.Errorf("%s: %d", text, got)
		}
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("services: {a: {}}", "services: {a: {hardware: 1}}")
	f.Add("services: {a: [1]}", "services: {a: {links: {b: 7}}}")
	f.Fuzz(func(t *testing.T, compose, needs string) {
		got, err := readCompose("c.yml", []byte(compose), []byte(needs), composeOptions{product: "process"})
		if (got == nil) == (err == nil) {
			t.Fatalf("%v %v", got, err)
		}
	})
}
