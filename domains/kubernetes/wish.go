package kubernetes

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube/helm"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// Where charts mount a function's data and files: what ${dir} and ${file:NAME}
// stand for.
const (
	dataDir  = "/data"
	filesDir = "/etc/osmoslice"
)

// firstPort is the number of a function's first port that has none of its own.
const firstPort = 20000

// wish is a deployment made ready for a cluster. Making it asks nobody.
type wish struct {
	dep       domain.Deployment
	namespace string
	chart     *helm.Chart
	values    map[string]any
	labels    map[string]string // of every object
	secret    map[string][]byte // of <release>-config
	pull      []byte            // .dockerconfigjson, nil: none
}

// plan makes the wish, or refuses what can be known to be wrong beforehand.
func (m *member) plan(dep domain.Deployment) (*wish, error) {
	if dep.Hash == "" {
		return nil, fault.Field("hash", "", "the SHA-256 of the deployment")
	}
	pack := dep.Packaging.Chart
	if pack == nil {
		return nil, fault.Field("packaging/chart", "", "a chart with name and version")
	}
	w := &wish{dep: dep, namespace: m.namespace(dep.Slice)}
	var err error
	if w.chart, err = m.d.chart(pack); err != nil {
		return nil, err
	}
	numbers, err := portNumbers(dep.Ports)
	if err != nil {
		return nil, err
	}
	r := &rendering{numbers: numbers, files: dep.Files}
	if err := w.check(numbers); err != nil {
		return nil, err
	}
	files, err := w.secrets(r)
	if err != nil {
		return nil, err
	}
	args := make([]any, 0, len(dep.Args))
	for _, a := range dep.Args {
		args = append(args, r.text("args", a))
	}
	if r.err != nil {
		return nil, r.err
	}
	w.labels = map[string]string{
		"app.kubernetes.io/instance": dep.Release, "app.kubernetes.io/managed-by": "Helm",
		labelSite: labelValue(m.site.ID), labelSlice: labelValue(dep.Slice), labelElement: labelValue(dep.Element),
		labelTenant: labelValue(dep.Tenant), labelRelease: dep.Release,
	}
	if p := m.c.PullSecret; p != "" {
		w.pull = m.site.Secrets[p]
	}
	return w, w.fill(m, pack, numbers, files, args)
}

// chart finds a chart of the wanted version.
func (d *Driver) chart(p *slice.Chart) (*helm.Chart, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := p.Name + "-" + p.Version
	if c := d.charts[key]; c != nil {
		return c, nil
	}
	if p.Name == "" || path.Base(p.Name) != p.Name || strings.HasPrefix(p.Name, ".") {
		return nil, fault.Field("packaging/chart/name", p.Name, "the name of a chart")
	}
	var there []string
	for _, fsys := range slices.Backward(d.o.Charts) {
		for _, dir := range []string{key, p.Name} {
			c, err := helm.Load(fsys, dir)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if c.Version == p.Version {
				d.charts[key] = c
				return c, nil
			}
			there = append(there, c.Version)
		}
	}
	if len(there) == 0 {
		return nil, fault.New(fault.NotFound, "there is no chart %q", p.Name).With("packaging/chart/name", p.Name, "a chart that is built in or in the operator's chart folder")
	}
	return nil, fault.New(fault.NotFound, "chart %q is not there in version %s", p.Name, p.Version).With("packaging/chart/version", p.Version, strings.Join(there, ", "))
}

// portNumbers chooses the number of every port: the fixed one, or one that
// depends on its place alone.
func portNumbers(ports []slice.Port) (map[string]int, error) {
	out, taken := map[string]int{}, map[string]string{}
	for i, p := range ports {
		at := fmt.Sprintf("ports/%d", i)
		if _, twice := out[p.Name]; twice || p.Name == "" {
			return nil, fault.Field(at+"/name", p.Name, "a name used once")
		}
		if len(validation.IsDNS1123Label(p.Name)) > 0 {
			return nil, fault.Field(at+"/name", p.Name, "at most 63 characters of [a-z0-9-], the name of a Service's port")
		}
		if p.Protocol != "tcp" && p.Protocol != "udp" {
			return nil, fault.Field(at+"/protocol", p.Protocol, "tcp, udp")
		}
		if p.Fixed < 0 || p.Fixed > 65535 {
			return nil, fault.Field(at+"/fixed", strconv.Itoa(p.Fixed), "0 to 65535")
		}
		n := p.Fixed
		if n == 0 {
			n = firstPort + i
		}
		key := fmt.Sprintf("%s/%d", p.Protocol, n)
		if other := taken[key]; other != "" {
			return nil, fault.Field(at+"/fixed", strconv.Itoa(n), "a number that port "+other+" does not have")
		}
		taken[key], out[p.Name] = p.Name, n
	}
	return out, nil
}

func (w *wish) check(numbers map[string]int) error {
	d := w.dep
	if d.Replicas < 0 {
		return fault.Field("replicas", strconv.Itoa(d.Replicas), "0 (one) or more")
	}
	if r := d.Resources; r.CPU < 0 || r.Memory < 0 || r.Storage < 0 {
		return fault.Field("resources", fmt.Sprint(r), "0 (no limit) or more")
	}
	if p := d.Probe; p.Port != "" && numbers[p.Port] == 0 {
		return fault.Field("probe/port", p.Port, "the name of one of the ports")
	} else if p.Path != "" && (!strings.HasPrefix(p.Path, "/") || strings.ContainsAny(p.Path, " \r\n")) {
		return fault.Field("probe/path", p.Path, "a path beginning with /")
	}
	return nil
}

// rendering fills in the placeholders that only the driver knows.
type rendering struct {
	numbers map[string]int
	files   map[string][]byte
	err     error
}

var placeholder = regexp.MustCompile(`\$\{(port|listen|file):([^}]*)\}|\$\{dir\}`)

func (r *rendering) text(field, in string) string {
	return placeholder.ReplaceAllStringFunc(in, func(whole string) string {
		m := placeholder.FindStringSubmatch(whole)
		switch m[1] {
		case "file":
			if _, ok := r.files[m[2]]; ok {
				return path.Join(filesDir, m[2])
			}
		case "":
			return dataDir
		default:
			if n := r.numbers[m[2]]; n != 0 {
				if m[1] == "listen" {
					return "0.0.0.0:" + strconv.Itoa(n)
				}
				return strconv.Itoa(n)
			}
		}
		if r.err == nil {
			r.err = fault.Field(field, whole, "a placeholder that names one of the ports or files")
		}
		return whole
	})
}

var (
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	notKey    = regexp.MustCompile(`[^A-Za-z0-9._-]`)
	maxSecret = 1 << 20
)

// secrets makes the content of the configuration Secret, and how its files are
// called.
func (w *wish) secrets(r *rendering) (files []any, err error) {
	w.secret = map[string][]byte{}
	size := 0
	for _, k := range slices.Sorted(maps.Keys(w.dep.Env)) {
		if !envName.MatchString(k) {
			return nil, fault.Field("env", k, "a name of letters, digits and _.-")
		}
		w.secret[k] = []byte(r.text("env/"+k, w.dep.Env[k]))
		size += len(k) + len(w.secret[k])
	}
	files = []any{}
	for _, name := range slices.Sorted(maps.Keys(w.dep.Files)) {
		if path.Clean(name) != name || path.IsAbs(name) || name == "." || name == ".." || strings.HasPrefix(name, "../") {
			return nil, fault.Field("files", name, "a clean relative path")
		}
		key := "file." + notKey.ReplaceAllString(name, "_")
		for n := 1; w.secret[key] != nil; n++ {
			key = fmt.Sprintf("file.%s.%d", notKey.ReplaceAllString(name, "_"), n)
		}
		w.secret[key] = []byte(r.text("files/"+name, string(w.dep.Files[name])))
		size += len(w.secret[key])
		files = append(files, map[string]any{"key": key, "path": name})
	}
	if size > maxSecret {
		return nil, fault.Field("files", fmt.Sprintf("%d bytes with the environment", size), fmt.Sprintf("at most %d bytes", maxSecret))
	}
	return files, nil
}

// secretHash changes when the configuration does.
func (w *wish) secretHash() string {
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(w.secret)) {
		fmt.Fprintf(h, "%s\x00%d\x00", k, len(w.secret[k]))
		h.Write(w.secret[k])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (w *wish) secretName() string { return w.dep.Release + "-config" }

// pullSecretName is that of a slice's registry credentials.
const pullSecretName = "osmoslice-pull"

// fill makes the chart's values: the packaging's own, below what the driver
// writes for every chart.
func (w *wish) fill(m *member, pack *slice.Chart, numbers map[string]int, files, args []any) error {
	own := map[string]any{}
	if len(pack.Values) > 0 {
		if err := json.Unmarshal(pack.Values, &own); err != nil {
			return fault.Field("packaging/chart/values", string(pack.Values), "a JSON object")
		}
	}
	d := w.dep
	ports := make([]any, 0, len(d.Ports))
	for _, p := range d.Ports {
		ports = append(ports, map[string]any{"name": p.Name, "port": int64(numbers[p.Name]), "protocol": strings.ToUpper(p.Protocol), "scheme": p.Scheme})
	}
	pullSecrets := []any{}
	if w.pull != nil {
		pullSecrets = append(pullSecrets, pullSecretName)
	}
	values := map[string]any{
		"osmoslice": map[string]any{"slice": labelValue(d.Slice), "element": labelValue(d.Element), "elementName": d.Labels["osmoslice/name"],
			"tenant": labelValue(d.Tenant), "product": d.Product, "version": d.Version, "generation": d.Generation, "hash": d.Hash},
		"config":   map[string]any{"secretName": w.secretName(), "hash": w.secretHash(), "env": len(d.Env) > 0, "files": files},
		"replicas": int64(max(d.Replicas, 1)), "ports": ports, "args": args,
		"expose":       map[string]any{"type": m.c.Exposure},
		"image":        map[string]any{"registry": m.c.ImageRegistry, "pullPolicy": m.c.ImagePullPolicy, "pullSecrets": pullSecrets},
		"nodeName":     d.NodeName,
		"resources":    resources(d.Resources),
		"probe":        probe(d.Probe),
		"storage":      map[string]any{},
		"architecture": "",
	}
	if m.c.StorageClass != "" {
		values["storageClass"] = m.c.StorageClass
	}
	if len(m.c.NodeSelector) > 0 {
		values["nodeSelector"] = anyMap(m.c.NodeSelector)
	}
	if s := d.Resources.Storage; s > 0 {
		values["storage"] = map[string]any{"size": fmt.Sprintf("%dMi", s)}
	}
	w.values = merge(own, values)
	return nil
}

func resources(r domain.Resources) map[string]any {
	q := map[string]any{}
	if r.CPU > 0 {
		q["cpu"] = fmt.Sprintf("%dm", r.CPU)
	}
	if r.Memory > 0 {
		q["memory"] = fmt.Sprintf("%dMi", r.Memory)
	}
	if len(q) == 0 {
		return map[string]any{}
	}
	return map[string]any{"limits": q, "requests": maps.Clone(q)}
}

func probe(p domain.Probe) map[string]any {
	if p.Port == "" {
		return map[string]any{}
	}
	out := map[string]any{"port": p.Port, "path": p.Path}
	if p.Interval > 0 {
		out["intervalSeconds"] = max(1, int64(p.Interval.Seconds()))
	}
	if p.Timeout > 0 {
		out["timeoutSeconds"] = max(1, int64(p.Timeout.Seconds()))
	}
	return out
}

func anyMap(m map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// merge lays over on base: maps are merged, all else replaced; an empty text or
// map of over leaves what base has.
func merge(base, over map[string]any) map[string]any {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range over {
		had, has := out[k]
		a, both := had.(map[string]any)
		b, isMap := v.(map[string]any)
		switch {
		case both && isMap:
			out[k] = merge(a, b)
		case has && v == "":
		default:
			out[k] = v
		}
	}
	return out
}

var labelPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// labelValue is id where it can be a label's value, else the only name for it.
func labelValue(id string) string {
	if id == "" || labelPattern.MatchString(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "x" + hex.EncodeToString(sum[:16])
}

// namespace is where a slice's functions are.
func (m *member) namespace(sliceID string) string {
	id := strings.ReplaceAll(strings.ToLower(sliceID), "-", "")
	if len(validation.IsDNS1123Label(id)) > 0 || len(id) > 63-len(m.c.NamespacePrefix) || id == "records" {
		sum := sha256.Sum256([]byte(sliceID))
		id = "x" + hex.EncodeToString(sum[:15])
	}
	return m.c.NamespacePrefix + id
}
