package host

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
)

// TestSchema: the schema and the driver refuse the same connection data.
func TestSchema(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Plugin(Options{}).Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("host.json", doc); err != nil {
		t.Fatal(err)
	}
	sch, err := c.Compile("host.json")
	if err != nil {
		t.Fatal(err)
	}
	for raw, ok := range map[string]bool{
		`{}`: true,
		`{"hostId":"a","advertise":"edge.example.org","listen":"::","ports":{"from":1,"to":65535},"kind":"FOG","capacity":{"cpu":1},"latencyMs":2.5}`: true,
		`{"advertise":"","listen":"","artefacts":"","capacity":{"cpu":0}}`:                                                                            true,
		`{"advertise":"a b"}`:             false,
		`{"advertise":"http://x"}`:        false,
		`{"listen":"1.2.3.4 "}`:           false,
		`{"ports":{"from":0,"to":9}}`:     false,
		`{"ports":{"from":1,"to":65536}}`: false,
		`{"ports":{"from":1}}`:            false,
		`{"ports":[]}`:                    false,
		`{"kind":"MOON"}`:                 false,
		`{"capacity":{"cpu":-1}}`:         false,
		`{"capacity":{"cpu":1.5}}`:        false,
		`{"capacity":{"gpu":1}}`:          false,
		`{"latencyMs":-1}`:                false,
		`{"latencyMs":"1"}`:               false,
		`{"hostId":7}`:                    false,
		`{"password":"x"}`:                false,
		`[]`:                              false,
		`"x"`:                             false,
		`{"capacity":{"memory":99e99}}`:   false,
		`{"hostId":"` + strings.Repeat("x", 129) + `"}`: false,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := sch.Validate(v); (err == nil) != ok {
			t.Errorf("schema: %s: %v, want ok %v", raw, err, ok)
		}
		_, err = connect(domain.Site{Connection: json.RawMessage(raw)}, nil)
		if (err == nil) != ok {
			t.Errorf("driver: %s: %v, want ok %v", raw, err, ok)
		}
		if f := fault.Of(err); f != nil && (f.Kind != fault.Invalid || f.Retry != fault.Never || len(f.Params) == 0) {
			t.Errorf("driver: %s: %v names no field", raw, err)
		}
	}
}

func TestArtefactFoldersAreAllowed(t *testing.T) {
	f := newFixture(t)
	dir, _ := artefact(t)
	f.site.Connection = json.RawMessage(fmt.Sprintf(`{"artefacts":%q}`, dir))
	f.o.ArtefactDir = t.TempDir()
	f.d = New(f.o)
	refused(t, f.d.Check(f.ctx(t), f.site), fault.Invalid, fault.Never, "connection/artefacts", "allows")
	f.o.ArtefactDirs = []string{dir + "/"}
	f.d = New(f.o)
	d := f.Deployment("allowed")
	f.apply(t, d)
	f.ready(t, d)
}

func TestHostID(t *testing.T) {
	d := New(Options{Dir: t.TempDir()})
	id, err := d.HostID()
	if err != nil || len(id) != 16 {
		t.Fatalf("%q, %v", id, err)
	}
	if raw, err := os.ReadFile("/etc/machine-id"); err == nil && strings.Contains(string(raw), id) {
		t.Error("the machine id itself is told")
	}
	again, err := New(Options{Dir: t.TempDir()}).HostID()
	if _, merr := os.Stat("/etc/machine-id"); merr == nil && (err != nil || again != id) {
		t.Errorf("%q became %q, %v", id, again, err)
	}
	machineID = filepath.Join(t.TempDir(), "absent")
	defer func() { machineID = "/etc/machine-id" }()
	made := New(Options{Dir: t.TempDir()})
	first, err := made.HostID()
	second, err2 := New(made.o).HostID()
	kept, err3 := New(Options{Dir: made.o.Dir}).HostID()
	if err != nil || err2 != nil || err3 != nil || len(first) != 16 || first == id || first != second || first != kept {
		t.Errorf("made %q, then %q and %q; %v %v %v", first, second, kept, err, err2, err3)
	}
	site := domain.Site{ID: "s", Name: "roof", Connection: json.RawMessage(`{"hostId":"elsewhere"}`)}
	_, err = d.Observe(t.Context(), domain.Ref{Site: site, Release: "r"})
	refused(t, err, fault.Unavailable, fault.Backoff, `"roof"`, `"elsewhere"`, id)
}
