package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/spf13/cobra"
)

// applyCommand creates or converges by name: a diff first, then the change.
func (s *session) applyCommand(n *noun) *cobra.Command {
	file := ""
	c := &cobra.Command{
		Use: "apply -f FILE", Short: "Create or converge by name, with the differences shown",
		Long: "The file is the whole desired state; the name is the key. What is absent is created, what differs is\n" +
			"changed, members that the file does not name are removed. The same file again changes nothing.",
		Args: args(0, 0, "no argument, but -f FILE"),
	}
	c.Flags().StringVarP(&file, "file", "f", "", "file with the desired state, YAML or JSON, several separated by ---; - is standard input")
	change := changeFlagsOn(c, false)
	placement := ""
	if n.name == "slice" {
		c.Flags().StringVar(&placement, "placement", "", "run exactly the plan of this kept placement, by id or name, or be told what changed")
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if file == "" {
			return usagef("-f FILE is missing: what shall be?")
		}
		bodies, err := s.readBodies(file)
		if err != nil {
			return err
		}
		for _, b := range bodies {
			if name, _ := b["name"].(string); name == "" {
				return usagef("%s: name is missing in one of the resources; it is the key", file)
			}
		}
		if placement != "" {
			if len(bodies) > 1 {
				return usagef("--placement is for one slice; %s holds %d", file, len(bodies))
			}
			id, err := s.placementID(cmd.Context(), placement)
			if err != nil {
				return err
			}
			bodies[0]["placementId"], bodies[0]["instantiate"] = id, true
		}
		for _, b := range bodies {
			if err := s.converge(cmd.Context(), n, b, change); err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

func (s *session) converge(ctx context.Context, n *noun, body map[string]any, change *changeFlags) error {
	short, cancel := s.within(ctx, callTimeout)
	defer cancel()
	w, err := s.wire()
	if err != nil {
		return err
	}
	path, _ := n.path("")
	dry, err := w.do(short, (&changeFlags{dryRun: true}).on(call{method: http.MethodPut, path: path, body: body}))
	if err != nil {
		return err
	}
	verb := "applied"
	if !s.structured() {
		differs, err := s.showDiff(short, n, body)
		if err != nil {
			return err
		}
		if !differs {
			verb = "unchanged"
		}
	}
	if change.dryRun {
		if s.structured() {
			if err := s.printDocument(dry.body); err != nil {
				return err
			}
		}
		return s.showPlan(ctx, n, "converged", dry.body)
	}
	row, err := s.submit(ctx, n, verb, func(context.Context) (call, error) {
		return call{method: http.MethodPut, path: path, body: body}, nil
	})
	if err != nil || !s.structured() {
		return err
	}
	return s.printOne(n.columns, row)
}

// memberLists are the parts of an order that are resources of their own.
var memberLists = []string{"iotServers", "iotGateways", "microElements", "microData", "iotDevices"}

// owned are the attributes that only the service sets.
var owned = []string{
	"id", "tenantId", "iotSliceId", "elementKind", "state", "cause", "deployment", "previousDeployment", "revision",
	"createdAt", "updatedAt", "infrastructureIds", "currentOperationId", "lastOperationId", "instantiatedAt", "unmapped",
	"credentialsRef", "provisionedHash", "secret", "checkedAt", "instantiate", "placementId", "dryRunPlan",
}

// showDiff prints what differs between the file and what is stored, and reports
// whether anything does.
func (s *session) showDiff(ctx context.Context, n *noun, body map[string]any) (bool, error) {
	name := cell(body["name"])
	ref := name
	if v, ok := body["version"].(string); ok && n.name == "product" {
		ref += "@" + v
	}
	row, err := s.byName(ctx, n, "", ref)
	if exitCode(err) == exitNotFound {
		fmt.Fprintf(s.Out, "+ %s %s\n", n.name, name)
		s.countMembers(body)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	now, err := decoded(row)
	if err != nil {
		return false, err
	}
	current, _ := now.(map[string]any)
	lines := diff(n.name+" "+name, without(body, memberLists), current)
	if n.name == "slice" {
		more, err := s.memberDiff(ctx, cell(current["id"]), body)
		if err != nil {
			return false, err
		}
		lines = append(lines, more...)
	}
	for _, l := range lines {
		fmt.Fprintln(s.Out, l)
	}
	if len(lines) == 0 {
		fmt.Fprintf(s.Out, "= %s %s: no difference\n", n.name, name)
	}
	return len(lines) > 0, nil
}

func (s *session) countMembers(body map[string]any) {
	for _, list := range memberLists {
		items, _ := body[list].([]any)
		for _, item := range items {
			m, _ := item.(map[string]any)
			fmt.Fprintf(s.Out, "+ %s %s\n", list, cell(m["name"]))
		}
	}
}

func without(m map[string]any, keys []string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if !slices.Contains(keys, k) {
			out[k] = v
		}
	}
	return out
}

// memberDiff compares every list of members by name.
func (s *session) memberDiff(ctx context.Context, sliceID string, body map[string]any) ([]string, error) {
	var lines []string
	w, err := s.wire()
	if err != nil {
		return nil, err
	}
	for _, list := range memberLists {
		rows, err := w.list(ctx, call{path: "/iotSlices/{id}/" + list, ids: []string{sliceID}}, 0)
		if err != nil {
			return nil, err
		}
		have := map[string]map[string]any{}
		for _, row := range rows {
			v, err := decoded(row)
			if err != nil {
				return nil, err
			}
			m, _ := v.(map[string]any)
			have[cell(m["name"])] = m
		}
		items, _ := body[list].([]any)
		for _, item := range items {
			m, _ := item.(map[string]any)
			name := cell(m["name"])
			if old, known := have[name]; known {
				lines = append(lines, diff(list+" "+name, m, old)...)
				delete(have, name)
			} else {
				lines = append(lines, "+ "+list+" "+name)
			}
		}
		for _, name := range sortedKeys(have) {
			lines = append(lines, "- "+list+" "+name)
		}
	}
	return lines, nil
}

// diff tells each attribute that the file sets otherwise than it is, or that it
// no longer sets.
func diff(subject string, want, have map[string]any) []string {
	var lines []string
	for _, k := range sortedKeys(want) {
		if !slices.Contains(owned, k) || k == "credentialsRef" {
			lines = append(lines, changed(subject, k, want[k], have[k])...)
		}
	}
	for _, k := range sortedKeys(have) {
		if _, set := want[k]; !set && !slices.Contains(owned, k) && !empty(have[k]) {
			lines = append(lines, fmt.Sprintf("~ %s %s: %s → (not set)", subject, k, compact(have[k])))
		}
	}
	return lines
}

func changed(subject, path string, want, have any) []string {
	w, both := want.(map[string]any)
	h, ok := have.(map[string]any)
	if both && ok {
		var lines []string
		for _, k := range sortedKeys(w) {
			lines = append(lines, changed(subject, path+"."+k, w[k], h[k])...)
		}
		for _, k := range sortedKeys(h) {
			if _, set := w[k]; !set && !empty(h[k]) {
				lines = append(lines, fmt.Sprintf("~ %s %s.%s: %s → (not set)", subject, path, k, compact(h[k])))
			}
		}
		return lines
	}
	if same(want, have) || empty(want) && empty(have) {
		return nil
	}
	return []string{fmt.Sprintf("~ %s %s: %s → %s", subject, path, compact(have), compact(want))}
}

// same compares by value: 1.0 and 1 are one number.
func same(a, b any) bool { return reflect.DeepEqual(settled(a), settled(b)) }

func settled(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if json.Unmarshal(raw, &out) != nil {
		return v
	}
	return out
}

func empty(v any) bool {
	switch v := settled(v).(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func compact(v any) string {
	if v == nil {
		return "(not set)"
	}
	raw, err := json.Marshal(v)
	if err != nil || len(raw) > 120 {
		return "…"
	}
	return clean(string(raw))
}
