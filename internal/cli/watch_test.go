package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

var braces = regexp.MustCompile(`\{[^}]*\}`)

const opID = "00000000-0000-7000-8000-0000000000aa"

// story makes the fake tell an operation's states one after the other.
func story(f *fake, onFailure string, states ...string) {
	for _, st := range states {
		state, steps, _ := strings.Cut(st, " ")
		f.on(http.MethodGet, "/lcmOpOccs/"+opID, 200, fmt.Sprintf(
			`{"id":%q,"lcmOperationType":"HEAL","operationState":%q,"onFailure":%q,"steps":[%s],`+
				`"firstRootCause":{"detail":"disk full","target":"gw1"},"leftovers":[{"targetName":"gw1","detail":"not reached"}]}`,
			opID, state, onFailure, steps))
	}
}

const (
	runningStep = `{"id":"1","action":"apply","targetName":"gw1","state":"RUNNING","progress":"pulling"}`
	failedStep  = `{"id":"1","action":"apply","targetName":"gw1","state":"WAITING","attempt":2,"error":{"detail":"no answer"}}`
	doneStep    = `{"id":"1","action":"apply","targetName":"gw1","state":"DONE","startTime":"2026-11-21T00:00:00Z","finishTime":"2026-11-21T00:00:01.5Z"}`
)

func TestWatchTellsStepsAndTheEnd(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	story(f, "rollback", "STARTING ", "PROCESSING "+runningStep, "PROCESSING "+failedStep, "COMPLETED "+doneStep)
	p.runs(0, "operation", "watch", opID)
	p.hears("HEAL STARTING", "HEAL PROCESSING", "apply        gw1", "RUNNING", "WAITING attempt 2: no answer", "DONE (1.5s)", "HEAL COMPLETED")

	for _, end := range []string{"PARTIALLY_COMPLETED", "ROLLED_BACK", "FAILED"} {
		story(f, "rollback", end)
		p.runs(exitOperation, "operation", "watch", opID).hears("ended "+end+": gw1: disk full", "left over: gw1")
	}
	story(f, "hold", "FAILED_TEMP")
	p.runs(exitOperation, "operation", "watch", opID).hears("it is held: slicectl operation retry")
	story(f, "rollback", "FAILED_TEMP", "ROLLING_BACK", "ROLLED_BACK")
	p.runs(exitOperation, "operation", "watch", opID)
	story(f, "rollback", slices.Repeat([]string{"PROCESSING " + runningStep}, 50)...)
	p.runs(exitTimeout, "operation", "watch", opID, "--timeout", "300ms").hears("is still PROCESSING")
	p.runs(exitNotFound, "operation", "watch", "00000000-0000-7000-8000-0000000000bb")
}

func TestWatchDrawsABarOnATerminal(t *testing.T) {
	f := newFake(t)
	story(f, "rollback", "PROCESSING "+runningStep, "COMPLETED "+doneStep)
	var errs bytes.Buffer
	code := Run(context.Background(), []string{"operation", "watch", opID, "--server", f.URL}, Env{
		In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &errs, Terminal: true,
		Getenv: func(k string) string { return map[string]string{"SLICECTL_API_KEY": "k-1"}[k] },
	})
	if code != 0 || !strings.Contains(errs.String(), "░] 0/1 apply gw1: pulling") || !strings.Contains(errs.String(), "█] 1/1") {
		t.Errorf("exit %d: %q", code, errs.String())
	}
}

func TestSignals(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	for _, verb := range []string{"retry", "rollback", "fail", "continue", "cancel"} {
		f.on(http.MethodPost, "/lcmOpOccs/"+opID+"/"+verb, 202, `{"id":"`+opID+`"}`)
		p.runs(0, "operation", verb, opID).sees(verb + " of operation " + opID + " accepted")
	}
	f.on(http.MethodPost, "/cancel", 202, `{}`)
	p.runs(0, "operation", "cancel", opID, "--force")
	if body := f.bods[len(f.bods)-1]; !strings.Contains(body, `"FORCEFUL"`) {
		t.Errorf("sent %s", body)
	}
	f.on(http.MethodPost, "/retry", 409, `{"status":409,"detail":"it is PROCESSING"}`)
	p.runs(exitConflict, "operation", "retry", opID).hears("it is PROCESSING")
}

func TestWaitFollowsTheOperationOfAnAcceptedChange(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	p.runs(0, "slice", "create", "s1")
	p.runs(0, "gateway", "create", "g1", "--slice", "s1")
	f.on(http.MethodPatch, "", 202, `{"id":"`+fmt.Sprint(f.rows["/iotGateways"][0]["id"])+`","name":"g1"}`, "Location", "http://h/iotslice/v1/lcmOpOccs/"+opID)
	story(f, "rollback", "PROCESSING "+runningStep, "COMPLETED "+doneStep)
	p.runs(0, "gateway", "attach", "g1", "--server", "core", "--wait").sees("gateway g1 accepted: operation " + opID).hears("HEAL COMPLETED")
	if body := f.bods[slices.IndexFunc(f.seen, func(r *http.Request) bool { return r.Method == http.MethodPatch })]; strings.TrimSpace(body) != `{"iotServer":"core"}` {
		t.Errorf("sent %s", body)
	}
}

// A stream that breaks resumes after the last event it told.
func TestEventsFollow(t *testing.T) {
	f := newFake(t)
	p := newPerson(t, f.URL)
	stream := func(ids ...int) {
		text := ": hello\n\n"
		for _, id := range ids {
			text += fmt.Sprintf("id: %d\nevent: e\ndata: {\"position\":%d,\ndata: \"notificationType\":\"T\",\"resourceName\":\"n%d\"}\n\n", id, id, id)
		}
		f.on(http.MethodGet, "/events", 200, text, "Content-Type", "text/event-stream")
	}
	stream(7, 8)
	stream(9)
	p.runs(0, "events", "--follow", "--limit", "3", "--after", "6").sees("7  ", "T n8", "T n9").hears("resuming after position 8")
	var resumed []string
	for _, r := range f.seen {
		resumed = append(resumed, r.Header.Get("Last-Event-ID")+" "+r.Header.Get("Accept"))
	}
	if want := []string{"6 text/event-stream", "8 text/event-stream"}; !slices.Equal(resumed, want) {
		t.Errorf("asked %q, want %q", resumed, want)
	}
	f.on(http.MethodGet, "/events", 410, `{"status":410,"detail":"no longer kept"}`)
	p.runs(exitNotFound, "events", "--follow", "--after", "1").hears("no longer kept")
}

func TestDiff(t *testing.T) {
	have := map[string]any{
		"id": "x", "name": "s", "priority": 1.0, "serviceProfile": map[string]any{"sst": 3.0, "dLLatency": 20.0},
		"labels": map[string]any{"a": "b"}, "virtual": false, "state": "ACTIVE",
	}
	want := map[string]any{"name": "s", "serviceProfile": map[string]any{"sst": 3, "uLLatency": 5}, "priority": 2, "instantiate": true, "virtual": false}
	got := diff("slice s", want, have)
	expect := []string{
		"~ slice s priority: 1 → 2", "~ slice s serviceProfile.uLLatency: (not set) → 5",
		"~ slice s serviceProfile.dLLatency: 20 → (not set)", `~ slice s labels: {"a":"b"} → (not set)`,
	}
	if !slices.Equal(got, expect) {
		t.Errorf("%q\nwant %q", got, expect)
	}
}

// Every path that the table makes is one of the contract's.
func TestNounsAreOfTheContract(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "swagger.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]yaml.Node `yaml:"paths"`
	}
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	methods := map[string]map[string]yaml.Node{}
	for path, m := range doc.Paths {
		methods[braces.ReplaceAllString(path, "{}")] = m
	}
	for _, n := range nouns {
		list, _ := n.path("p")
		item, _ := n.item("p", "i")
		want := map[string][]string{list: {"get"}}
		if !n.listOnly {
			want[item] = []string{"get"}
		}
		if !n.readOnly {
			want[list], want[item] = append(want[list], "post"), append(want[item], "delete")
		}
		if !n.noPatch && !n.readOnly {
			want[item] = append(want[item], "patch")
		}
		if n.converges {
			want[list] = append(want[list], "put")
		}
		for path, verbs := range want {
			for _, v := range verbs {
				if _, ok := methods[braces.ReplaceAllString(path, "{}")][v]; !ok {
					t.Errorf("%s: the contract has no %s %s", n.name, v, path)
				}
			}
		}
	}
}
