package cli

import (
	"encoding/json"
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
	if all := strings.Join(notes, " "); all != "services.bad name requirements.db.hardware requirements.db.colour services.web.environment.API_KEY services.web.image requirements.ghost requirements.web.links.web2" {
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
