package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestIotorchMaps(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "iotorch.toml"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := readIotorch(raw, iotorchOptions{plugin: "kubernetes", gateway: "edgex", server: "mainflux"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"i": got.Infrastructures, "s": got.Slices})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"i":[` +
		`{"address":"192.168.1.105","connection":{"context":"pc"},"kind":"NETWORK_EDGE","name":"pc","plugin":"kubernetes"},` +
		`{"address":"192.168.1.160","connection":{"context":"rpi"},"kind":"NETWORK_EDGE","name":"rpi","plugin":"kubernetes"}],` +
		`"s":[{"iotDevices":[` +
		`{"format":"SENML_JSON","iotGateway":"iotgw1","magnitudes":[{"name":"temperature"},{"name":"humidity"}],"name":"dev1","protocol":"MQTT"},` +
		`{"iotGateway":"iotgw1","name":"dev2","protocol":"MQTT"}],` +
		`"iotGateways":[{"iotServer":"iotserver1","name":"iotgw1","placementPolicy":{"infrastructures":["rpi"]},"product":"edgex"}],` +
		`"iotServers":[{"name":"iotserver1","placementPolicy":{"infrastructures":["pc"]},"product":"mainflux"}],` +
		`"name":"slice1","placementPolicy":{"infrastructures":["rpi","pc"]}},` +
		`{"name":"slice2","placementPolicy":{"infrastructures":["pc"]}}]}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	var notes strings.Builder
	for _, n := range got.Notes {
		notes.WriteString(n.Where + ": " + n.Reason + "\n")
	}
	for _, want := range []string{
		"iotservers: attributes beside the servers were taken as those of iotserver1", "k8sclusters.pc.helmport: ",
		"iotslices.slice2.cloud: cluster \"nowhere\" is not in the file", "iotservers.iotserver1.password: credentials are not taken over",
		"iotgateways.lost: belongs to slice \"slice9\"", "iotgateways.iotgw1.servertopicpassword: made anew",
		"iotdevices.dev2.protocol: is missing; MQTT is taken", "iotdevices.bad name: the name", "things: is no section",
	} {
		if !strings.Contains(notes.String(), want) {
			t.Errorf("no note %q in:\n%s", want, notes.String())
		}
	}
	if strings.Contains(notes.String()+string(text), "hunter2") {
		t.Error("a password is told")
	}
}

func TestIotorchSingularSections(t *testing.T) {
	got, err := readIotorch([]byte("[iotslices]\n[iotslice.test]\nedge = \"e\"\n[k8scluster.e]\nip = \"127.0.0.1\"\n"), iotorchOptions{plugin: "simulated"})
	if err != nil || len(got.Slices) != 1 || len(got.Infrastructures) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestImportIotorchCommand(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	file := filepath.Join("testdata", "iotorch.toml")
	p.runs(0, "import", "iotorch", file).sees("iotslices.slice1 → slice slice1", "! iotgateways.lost", "iotgw1 (edgex, feeds iotserver1)").
		hears("nothing was changed")
	p.runs(0, "import", "iotorch", file, "-o", "json").sees(`"notMapped"`)
	if len(f.seen) != 0 {
		t.Errorf("%d requests without --apply", len(f.seen))
	}
	p.runs(exitUsage, "import", "iotorch", p.file("broken.toml", "[["))
}

// Whatever the file says, reading it ends with an answer.
func FuzzIotorch(f *testing.F) {
	raw, err := os.ReadFile(filepath.Join("testdata", "iotorch.toml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("iotslices = 3\n[iotdevices.a]\nresources = \"x\"\n[iotgateway]\nslice = [1]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := readIotorch(raw, iotorchOptions{plugin: "p", gateway: "g", server: "s"})
		if err != nil {
			return
		}
		if _, err := json.Marshal(got); err != nil {
			t.Fatal(err)
		}
	})
}
