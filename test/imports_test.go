// Package test holds what is checked of the project as a whole.
package test

import (
	"go/build"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/osmoslice/osmoslice/"

// arrows is the allow-list of docs/architecture.md: which packages of this
// module a package may import directly. "x/..." stands for x and all below it;
// the longest matching key counts.
var arrows = map[string][]string{
	"cmd/osmosliced":           {"internal/app", "internal/config", "internal/version"},
	"cmd/slicectl":             {"internal/cli", "internal/version"},
	"cmd/lite-gateway":         {"internal/lite/gateway", "internal/version"},
	"cmd/lite-server":          {"internal/lite/server", "internal/lite/stream", "internal/version"},
	"api/restapi/...":          {"api/restapi/...", "models"},
	"api/client/...":           {"api/client/...", "models"},
	"models":                   {},
	"internal/version":         {},
	"internal/config":          {},
	"internal/fault":           {},
	"internal/actor":           {"internal/slice"},
	"internal/slice":           {"internal/fault"},
	"internal/topology":        {"internal/fault"},
	"internal/telemetry":       {"internal/fault"},
	"internal/senml":           {},
	"internal/domain":          {nouns},
	"internal/platform":        {nouns},
	"internal/operation":       {nouns, ports},
	"internal/placement":       {nouns, "internal/placement/assignment"},
	"internal/placement/...":   {nouns, "internal/placement"},
	"internal/placement/check": {nouns, "internal/placement"},
	"internal/fulfilment/...":  {nouns, ports, engines, "internal/fulfilment/..."},
	"internal/store/...":       {nouns, ports, engines, "internal/store/..."},
	"internal/secret":          {nouns, ports, "internal/operation"},
	"internal/event/...":       {nouns, ports, "internal/operation", "internal/event/..."},
	"internal/rest/...":        {nouns, ports, engines, "internal/fulfilment/...", "internal/rest/...", "models", "api/restapi/..."},
	"internal/kube/...":        {nouns, "internal/kube/..."},
	"internal/bundle/...":      {nouns, "internal/bundle/..."},
	"internal/imageindex/...":  {nouns, "internal/bundle/oci"},
	"internal/supervise":       {nouns},
	"internal/mqtt":            {nouns},
	"internal/lite/...":        {nouns, "internal/lite/...", "internal/mqtt"},
	"internal/platform/...":    {nouns, "internal/platform", "internal/platform/...", "internal/mqtt"},
	"domains/host":             {nouns, "internal/domain", "internal/supervise"},
	"domains/kubernetes":       {nouns, "internal/domain", "internal/kube/..."},
	"domains/simulated":        {nouns, "internal/domain", "internal/platform"},
	"domains/domaintest":       {nouns, "internal/domain"},
	"charts":                   {},
	// The importer is pure: a foreign text in, nouns out; the command line shows them.
	"internal/cli/...":   {nouns, "internal/cli/...", "api/client/...", "models", "internal/version", "internal/bootstrap", "internal/bundle", "charts", "internal/placement", "internal/placement/importer"},
	"internal/bootstrap": {nouns, "internal/kube/..."},
	"internal/bundle":    {nouns, "internal/bundle/oci", "internal/kube/helm"},
	"internal/app":       {"internal/...", "domains/...", "charts", "!internal/cli", "!api/..."},
	"test/...":           {"..."},
}

const (
	nouns   = "(nouns)"
	ports   = "(ports)"
	engines = "(engines)"
)

var groups = map[string][]string{
	nouns:   {"internal/slice", "internal/topology", "internal/telemetry", "internal/fault", "internal/senml", "internal/actor"},
	ports:   {"internal/domain", "internal/platform"},
	engines: {"internal/operation", "internal/placement", "internal/placement/check"},
}

// forbidden is what a command's whole closure must not contain.
var forbidden = map[string][]string{
	"cmd/lite-gateway": {"modernc.org/sqlite", "github.com/go-openapi/...", "k8s.io/...", "helm.sh/..."},
	"cmd/lite-server":  {"github.com/go-openapi/...", "k8s.io/...", "helm.sh/...", "github.com/lib/pq"},
	"cmd/slicectl":     {module + "internal/store", module + "internal/fulfilment", "modernc.org/sqlite"},
	"cmd/osmosliced":   {module + "api/client/...", module + "internal/lite/..."},
}

func TestArrowsPointDown(t *testing.T) {
	root := ".."
	for _, dir := range packages(t, root) {
		allowed, ok := allowedFor(dir)
		if !ok {
			t.Errorf("%s: no entry in the table of arrows; say what it may import", dir)
			continue
		}
		pkg, err := build.ImportDir(filepath.Join(root, dir), 0)
		if err != nil {
			if _, none := err.(*build.NoGoError); none { //nolint:errorlint // go/build documents the concrete type
				continue
			}
			t.Errorf("%s: %v", dir, err)
			continue
		}
		for _, imp := range pkg.Imports {
			if own, ok := strings.CutPrefix(imp, module); ok && !anyMatch(allowed, own) {
				t.Errorf("%s imports %s: the arrow points up or sideways", dir, own)
			}
		}
	}
}

func TestCommandsStaySmall(t *testing.T) {
	for cmd, deny := range forbidden {
		for imp, via := range closure(t, module+cmd) {
			if anyMatch(deny, imp) {
				t.Errorf("%s contains %s, through %s", cmd, imp, via)
			}
		}
	}
}

// TestOneSeamToHelm: only internal/kube/helm knows the Helm SDK, and only
// internal/kube and those that act on clusters through it know client-go.
func TestOneSeamToHelm(t *testing.T) {
	root := ".."
	for _, dir := range packages(t, root) {
		pkg, err := build.ImportDir(filepath.Join(root, dir), 0)
		if err != nil {
			continue // told by the other tests
		}
		for _, imp := range pkg.Imports {
			// The bench has the bare SDK for a peer.
			if match("helm.sh/...", imp) && dir != "internal/kube/helm" && dir != "test/kubebench" {
				t.Errorf("%s imports %s: only internal/kube/helm may", dir, imp)
			}
			if match("k8s.io/...", imp) && !match("internal/kube/...", dir) && !slices.Contains([]string{"domains/kubernetes", "internal/bootstrap"}, dir) && !match("test/...", dir) {
				t.Errorf("%s imports %s: only internal/kube, internal/bootstrap and domains/kubernetes may", dir, imp)
			}
		}
	}
}

func packages(t *testing.T, root string) (dirs []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		rel = filepath.ToSlash(rel)
		if rel != "." && (strings.HasPrefix(path.Base(rel), ".") || path.Base(rel) == "testdata" || path.Base(rel) == "node_modules") {
			return filepath.SkipDir
		}
		if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil && rel != "." {
			return filepath.SkipDir // a nested module has its own graph
		}
		if m, _ := filepath.Glob(filepath.Join(p, "*.go")); len(m) > 0 && rel != "." {
			dirs = append(dirs, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) < 10 {
		t.Fatalf("found only %v: not the project's root?", dirs)
	}
	return dirs
}

func allowedFor(dir string) (allowed []string, ok bool) {
	best := ""
	for key := range arrows {
		if match(key, dir) && len(key) > len(best) {
			best = key
		}
	}
	if _, exact := arrows[dir]; exact {
		best = dir
	}
	for _, a := range arrows[best] {
		if g, isGroup := groups[a]; isGroup {
			allowed = append(allowed, g...)
		} else {
			allowed = append(allowed, a)
		}
	}
	return allowed, best != ""
}

func anyMatch(patterns []string, p string) bool {
	for _, pat := range patterns {
		if deny, not := strings.CutPrefix(pat, "!"); not && match(deny, p) {
			return false
		}
	}
	return slices.ContainsFunc(patterns, func(pat string) bool { return match(pat, p) })
}

func match(pattern, p string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return p == base || strings.HasPrefix(p, base+"/")
	}
	return pattern == p
}

// closure maps every package that pkg contains to one that imports it.
func closure(t *testing.T, pkg string) map[string]string {
	t.Helper()
	seen := map[string]string{pkg: ""}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		own, ok := strings.CutPrefix(queue[0], module)
		if !ok {
			continue // a foreign package's own imports are its module's affair
		}
		p, err := build.ImportDir(filepath.Join("..", own), 0)
		if err != nil {
			t.Errorf("%s: %v", own, err)
			continue
		}
		for _, imp := range p.Imports {
			if _, known := seen[imp]; !known {
				seen[imp] = queue[0]
				queue = append(queue, imp)
			}
		}
	}
	return seen
}
