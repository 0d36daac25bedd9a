package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// person runs command lines against a service.
type person struct {
	t    *testing.T
	env  map[string]string
	in   string
	home string
	out  string
	err  string
}

func newPerson(t *testing.T, server string) *person {
	return &person{t: t, home: t.TempDir(), env: map[string]string{"SLICECTL_SERVER": server, "SLICECTL_API_KEY": "k-1"}}
}

// runs executes a command line and wants an exit code.
func (p *person) runs(code int, args ...string) *person {
	p.t.Helper()
	var out, errs bytes.Buffer
	got := Run(context.Background(), args, Env{
		In: strings.NewReader(p.in), Out: &out, Err: &errs, Home: p.home,
		Getenv: func(k string) string { return p.env[k] },
	})
	p.out, p.err = out.String(), errs.String()
	if got != code {
		p.t.Errorf("slicectl %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, p.out, p.err)
	}
	return p
}

func (p *person) sees(parts ...string) *person {
	p.t.Helper()
	for _, part := range parts {
		if !strings.Contains(p.out, part) {
			p.t.Errorf("no %q in:\n%s", part, p.out)
		}
	}
	return p
}

func (p *person) hears(parts ...string) *person {
	p.t.Helper()
	for _, part := range parts {
		if !strings.Contains(p.err, part) {
			p.t.Errorf("no %q in:\n%s", part, p.err)
		}
	}
	return p
}

func (p *person) file(name, content string) string {
	path := filepath.Join(p.home, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// Every noun lists, and what can be created goes through its whole life.
func TestEveryNoun(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	p.runs(0, "infrastructure", "create", "edge", "--kind", "FOG", "--plugin", "simulated")
	p.runs(0, "slice", "create", "s1")
	for _, n := range nouns {
		parent := []string{}
		if n.parent != "" {
			parent = []string{"--" + n.parent, map[string]string{"slice": "s1", "infrastructure": "edge"}[n.parent]}
		}
		with := func(args ...string) []string { return append(append([]string{n.name}, args...), parent...) }
		if !n.readOnly && !n.ownCreate {
			p.runs(0, with("create", "x1", "-l", "team=blue")...).sees(n.name + " x1 created")
			p.runs(0, with("get", "x1", "-o", "json")...).sees(`"team": "blue"`)
			p.runs(0, with("list")...).sees(n.columns[0].header)
			p.runs(0, with("delete", "x1")...).sees(n.name + " x1 deleted")
			p.runs(exitNotFound, with("get", "x1")...)
			p.runs(0, with("delete", "--ignore-missing", "x1")...)
		}
		if !n.readOnly && !n.noPatch && !n.ownCreate {
			p.runs(0, with("create", "x2")...)
			p.runs(0, with("update", "x2", "--set", "description=hello", "--if-match", "1")...)
			p.runs(0, with("get", "x2", "-o", "yaml")...).sees("description: hello")
		}
		p.runs(0, with("list", "-o", "json")...)
		p.runs(exitUsage, with("list", "surplus")...)
		p.runs(exitUsage, n.name, "dance").hears("has no command")
		p.runs(0, n.name, "--help")
	}
}

func TestFlagsBecomeTheBody(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	p.runs(0, "slice", "create", "s1", "--priority", "3", "--set", "serviceProfile.sst=3", "--set", "serviceProfile.accessTechnologies=[\"WIFI\"]")
	p.runs(0, "gateway", "create", "g1", "--slice", "s1", "--product", "lite-gateway", "--server", "core", "--cpu", "250",
		"--kind", "FOG,CLOUD", "--configuration", "A=b=c", "--secret-ref", "T=s", "--set", "placementPolicy.spread=node")
	p.runs(0, "device", "create", "d1", "--slice", "s1", "--gateway", "g1", "--protocol", "MQTT",
		"--magnitude", "temp:Cel", "--magnitude", "note::string", "--action", "led::boolean", "--virtual")
	want := []string{
		`{"name":"s1","priority":3,"serviceProfile":{"accessTechnologies":["WIFI"],"sst":3}}`,
		`{"configuration":{"A":"b=c"},"iotServer":"core","name":"g1","placementPolicy":{"kinds":["FOG","CLOUD"],"spread":"node"},` +
			`"product":"lite-gateway","requirements":{"cpuMilli":250},"secretRefs":{"T":"s"}}`,
		`{"actions":[{"name":"led","type":"boolean"}],"iotGateway":"g1","magnitudes":[{"name":"temp","unit":"Cel"},{"name":"note","type":"string"}],` +
			`"name":"d1","protocol":"MQTT","virtual":true}`,
	}
	var got []string
	for i, r := range f.seen {
		if r.Method == http.MethodPost {
			got = append(got, strings.TrimSpace(f.bods[i]))
			if r.Header.Get("Idempotency-Key") == "" {
				t.Errorf("%s %s has no Idempotency-Key", r.Method, r.URL)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFilesOfSeveralDocuments(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	p.runs(0, "slice", "create", "s1")
	p.in = "slice: s1\nname: a\nproduct: p\nreplicas: 0\n---\n- {slice: s1, name: b, product: p}\n- {slice: s1, name: c, product: p}\n"
	p.runs(0, "gateway", "create", "-f", "-").sees("gateway a created", "gateway c created")
	if got := f.rows["/iotGateways"][0]; got["replicas"] == nil || got["slice"] != nil {
		t.Errorf("the zero is lost, or the parent is in the body: %v", got)
	}
	p.runs(0, "gateway", "list", "--limit", "2", "-o", "json")
	var rows []map[string]any
	if err := json.Unmarshal([]byte(p.out), &rows); err != nil || len(rows) != 2 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	for name, content := range map[string]string{
		"empty": "", "scalar": "just text", "twice": "name: a\nname: b", "broken": "{", "number": "- 5", "infinite": "name: a\nreplicas: .inf",
	} {
		p.runs(exitUsage, "gateway", "create", "--slice", "s1", "-f", p.file(name, content))
	}
	p.runs(exitUsage, "gateway", "create", "--slice", "s1", "-f", filepath.Join(p.home, "absent"))
}

// Lists longer than a page come whole.
func TestListsFollowPages(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	for _, name := range strings.Fields("a b c d e f g h") {
		p.runs(0, "tenant", "create", name)
	}
	p.runs(0, "tenant", "list")
	if n := strings.Count(p.out, "\n"); n != 9 {
		t.Errorf("%d lines:\n%s", n, p.out)
	}
	p.runs(0, "tenant", "list", "--filter", "(eq,name,'c')").sees("c ")
}

func TestWrongUsageSendsNothing(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	for _, line := range []string{
		"slicee", "slice get", "slice create", "slice create a b", "slice list -o xml", "slice list --limit -1", "slice list --nope",
		"gateway create g", "node list", "node get n", "slice update s --if-match x", "slice scale s --replicas 2", "slice scale s -e a",
		"slice migrate s", "device command d led", "key create k", "secret create s", "secret create s --from-env NOT_SET",
		"secret create s --from-env A --from-file b", "import iotorch", "import iotorch absent.toml", "placement ask", "slice apply",
		"tenant create t --max-slices many", "tenant create t --suspended=perhaps", "gateway create g --slice s --configuration novalue",
		"tenant create t --set novalue", "context use nobody", "context set x", "key create k --role oss --expires soon",
		"gateway attach g", "event surplus", "event --limit -1", "slice list --timeout -1s", "infrastructure import i", "operation watch",
	} {
		p.runs(exitUsage, strings.Fields(line)...)
		if p.err == "" {
			t.Errorf("%s: says nothing", line)
		}
	}
	// Finding a parent by name is allowed to ask; nothing may have been changed.
	for _, r := range f.seen {
		if r.Method != http.MethodGet {
			t.Errorf("%s %s was sent", r.Method, r.URL)
		}
	}
}

func TestProblemsBecomeExitCodes(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	for status, code := range map[int]int{
		400: exitInvalid, 401: exitAccess, 403: exitAccess, 404: exitNotFound, 409: exitConflict, 412: exitConflict,
		422: exitInvalid, 429: exitUnreachable, 500: exitFailure, 503: exitUnreachable,
	} {
		f.on(http.MethodPost, "/tenants", status, `{"status":1,"detail":"no such luck","instance":"/x/1",
			"invalidParams":[{"name":"maxSlices","reason":"r","given":"-1","allowed":"0 or more"},{"name":"b","reason":"because"}]}`)
		p.runs(code, "tenant", "create", "t").hears("no such luck", "see /x/1", `maxSlices: given "-1", allowed: 0 or more`, "b: because")
	}
	f.on(http.MethodPost, "/tenants", 502, "<html>bad gateway</html>")
	p.runs(exitUnreachable, "tenant", "create", "t").hears("bad gateway")
	f.Close()
	p.runs(exitUnreachable, "tenant", "list").hears("does not answer")
}

func TestAmbiguousNamesAreListed(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	p.runs(0, "product", "create", "lite", "--version", "1")
	p.runs(0, "product", "create", "lite", "--version", "2")
	p.runs(exitUsage, "product", "get", "lite").hears("lite@1, lite@2")
	p.runs(0, "product", "get", "lite@2", "-o", "json").sees(`"version": "2"`)
	p.runs(exitNotFound, "product", "get", "lite@3")
	p.runs(0, "tenant", "create", "o'hara")
	p.runs(0, "tenant", "get", "o'hara")
}

func TestOutputs(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	p.runs(0, "tenant", "create", "t", "--display-name", "1.0", "--max-slices", "12345678901234567", "--set", "description=a\x1b[31mb")
	p.runs(0, "tenant", "list").sees("NAME", "DISPLAY NAME", "12345678901234567")
	p.runs(0, "tenant", "list", "-o", "wide").sees("ID")
	p.runs(0, "tenant", "get", "t", "-o", "yaml").sees(`displayName: "1.0"`, "maxSlices: 12345678901234567", "name: t")
	if strings.Contains(p.out, "{") {
		t.Errorf("flow style:\n%s", p.out)
	}
	f.rows["/tenants"][0]["displayName"] = "evil\x1b[2Jname\nrow"
	p.runs(0, "tenant", "list")
	if strings.ContainsAny(p.out, "\x1b") || strings.Count(p.out, "\n") != 2 {
		t.Errorf("what a tenant is called draws on the terminal: %q", p.out)
	}
}

func TestContexts(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, "")
	key := p.file("key", "k-1\n")
	p.env = map[string]string{}
	p.runs(exitUsage, "tenant", "list").hears("no service is known")
	p.runs(0, "context", "set", "a", "--server", f.URL, "--key-file", key)
	p.runs(0, "context", "set", "b", "--server", "https://b.example", "--tenant", "acme")
	config := filepath.Join(p.home, ".config", "slicectl", "config.yaml")
	if info, err := os.Stat(config); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	p.runs(0, "context", "list", "-o", "json").sees(`"current": true`, "b.example")
	p.runs(0, "tenant", "list")
	p.runs(exitUsage, "tenant", "list", "--context", "c").hears("allowed: a, b")
	p.runs(0, "context", "use", "b")
	p.runs(exitUsage, "tenant", "list").hears("no API key")
	p.in = "k-2\n"
	p.runs(0, "context", "set", "b", "--key-stdin")
	p.runs(0, "context", "list", "-o", "wide").sees("(kept here)")
	if strings.Contains(p.out, "k-2") {
		t.Errorf("the key is shown: %s", p.out)
	}
	p.runs(0, "tenant", "list", "--context", "a")
	p.runs(exitUsage, "context", "set", "c", "--server", "ftp://x").hears("allowed: http://")
	p.runs(0, "context", "delete", "b")
	if err := os.Chmod(config, 0o644); err != nil {
		t.Fatal(err)
	}
	p.runs(exitUsage, "tenant", "list").hears("may be read by others", "chmod 600")
	if err := os.WriteFile(config, []byte("nonsense: 1"), 0o600); err != nil || os.Chmod(config, 0o600) != nil {
		t.Fatal(err)
	}
	p.runs(exitUsage, "tenant", "list").hears("nonsense")
}

func TestKeysAndSecretsStayOutOfSight(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	p.env["PASSWORD"] = "hunter2"
	p.runs(0, "secret", "create", "s", "--from-env", "PASSWORD")
	p.in = "from stdin\n"
	p.runs(0, "secret", "create", "s2", "--from-file", "-")
	if v := f.rows["/secrets"][1]["value"]; v != "from stdin" {
		t.Errorf("value %q", v)
	}
	p.runs(0, "secret", "create", "s3", "--from-file", p.file("raw", "\xff\xfe"))
	if v := f.rows["/secrets"][2]; v["value"] != "//4=" || v["encoding"] != "base64" {
		t.Errorf("%v", v)
	}
	f.on(http.MethodPost, "/apiKeys", 201, `{"id":"00000000-0000-7000-8000-000000000009","name":"k","token":"osm_secret"}`)
	p.runs(0, "key", "create", "k", "--role", "oss").sees("token (told only now): osm_secret")
	f.on(http.MethodPost, "/apiKeys", 201, `{"id":"00000000-0000-7000-8000-000000000009","name":"k","token":"osm_secret"}`)
	to := filepath.Join(p.home, "new.key")
	p.runs(0, "key", "create", "k", "--role", "oss", "--save-to", to)
	raw, err := os.ReadFile(to)
	if err != nil || string(raw) != "osm_secret\n" || strings.Contains(p.out, "osm_secret") {
		t.Errorf("%q, %v, told %s", raw, err, p.out)
	}
	p.runs(exitUsage, "key", "create", "k", "--role", "oss", "--save-to", to).hears("exists")
}

func TestTimeoutAndInterruption(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	f := newFake(t)
	f.rules = append(f.rules, rule{http.MethodGet, "/tenants", func(http.ResponseWriter, map[string]any) { <-hang }})
	p := newPerson(t, f.URL)
	p.runs(exitTimeout, "tenant", "list", "--timeout", "50ms").hears("not done within 50ms")

	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	var errs bytes.Buffer
	got := Run(ctx, []string{"tenant", "list"}, Env{
		In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &errs,
		Getenv: func(k string) string { return p.env[k] },
	})
	if got != exitInterrupted || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit %d: %s", got, errs.String())
	}
}

func TestCompletion(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	p.runs(0, "tenant", "create", "acme")
	p.runs(0, "__complete", "tenant", "get", "").sees("acme")
	p.runs(0, "completion", "bash").sees("slicectl")
	p.runs(exitUsage, "completion", "basch").hears("did you mean bash")
	p.runs(0, "help", "exit-codes").sees("infeasible")
	p.runs(0, "version").sees("slicectl")
}
