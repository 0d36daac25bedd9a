package kubernetes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// ImageIndex tells what images run on, from archives and registries.
type ImageIndex interface {
	// FullName is a reference with its registry, repository and tag.
	FullName(reference string) (string, error)
	// Architectures answers every GOARCH word a reference is there for, and who
	// says so. The registry is asked only if allowed, with the credentials of
	// a .dockerconfigjson (nil: none).
	Architectures(ctx context.Context, reference string, dockerConfig []byte, askRegistry bool) (archs []string, from string, err error)
}

var _ domain.ImageTeller = (*Driver)(nil)

// Images tells what the images of a chart run on: what an archive of the
// operator's or the site's registry says, and the nodes that have it already.
func (d *Driver) Images(ctx context.Context, s domain.Site, p slice.Packaging) ([]domain.Image, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Of(err)
	}
	m, err := d.member(s)
	if err != nil {
		return nil, err
	}
	names, err := m.named(p)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, nil
	}
	out := make([]domain.Image, len(names))
	var there map[string][]nodeImage
	var unseen error
	var asked sync.WaitGroup
	asked.Go(func() { there, unseen = m.present(ctx) })
	for i, n := range names {
		asked.Go(func() { out[i] = m.looked(ctx, n) })
	}
	asked.Wait()
	for i := range out {
		addPresent(&out[i], there[out[i].Name], unseen)
	}
	return out, nil
}

// looked is what archives and the registry say of an image. Only the site's own
// mirror is asked, or what the operator allows.
func (m *member) looked(ctx context.Context, name string) domain.Image {
	out := domain.Image{Name: name}
	if m.d.o.Images == nil {
		out.Unknown = "this service has neither archives nor a registry to look at"
		return out
	}
	ask := m.d.o.AskRegistries
	if mirror := strings.TrimSuffix(m.c.ImageRegistry, "/"); mirror != "" && strings.HasPrefix(name, mirror+"/") {
		ask = true
	}
	var pull []byte
	if p := m.c.PullSecret; p != "" {
		pull = m.site.Secrets[p]
	}
	archs, from, err := m.d.o.Images.Architectures(ctx, name, pull, ask)
	if err != nil {
		out.Unknown = fault.Of(err).Error()
		return out
	}
	out.Architectures, out.From, out.Known = archs, from, true
	return out
}

// addPresent adds the nodes that have an image: it runs on them.
func addPresent(out *domain.Image, nodes []nodeImage, unseen error) {
	var archs, names []string
	for _, n := range nodes {
		if !slices.Contains(out.Architectures, n.arch) {
			archs, names = append(archs, n.arch), append(names, n.node)
		}
	}
	if unseen != nil && !out.Known {
		out.Unknown += "; " + fault.Of(unseen).Error()
	}
	if len(archs) == 0 {
		return
	}
	const most = 3
	if len(names) > most {
		names = append(names[:most], "…")
	}
	out.Architectures = slices.Concat(out.Architectures, archs)
	slices.Sort(out.Architectures)
	out.Architectures = slices.Compact(out.Architectures)
	by := "on node " + strings.Join(names, ", ")
	if out.From != "" {
		by = out.From + ", " + by
	}
	out.From = by
}

// nodeImage is that a node has an image.
type nodeImage struct{ node, arch string }

// present finds the nodes that have images, by the images' names.
func (m *member) present(ctx context.Context) (map[string][]nodeImage, error) {
	list, err := m.k.Core.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0",
		LabelSelector: labels.SelectorFromSet(m.c.NodeSelector).String()})
	if err != nil {
		return nil, kube.Fault(err, "the nodes cannot be listed")
	}
	return present(list.Items), nil
}

func present(nodes []corev1.Node) map[string][]nodeImage {
	out := map[string][]nodeImage{}
	for i := range nodes {
		n := &nodes[i]
		for _, img := range n.Status.Images {
			for _, name := range img.Names {
				out[name] = append(out[name], nodeImage{n.Name, n.Status.NodeInfo.Architecture})
			}
		}
	}
	return out
}

// named answers the full names of the images that a chart's containers would
// have at this site.
func (m *member) named(p slice.Packaging) ([]string, error) {
	if p.Chart == nil {
		return nil, nil
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", p.Chart.Name, p.Chart.Version, p.Chart.Values))
	key := hex.EncodeToString(sum[:])
	if names, ok := m.names.get(key); ok {
		return names, nil
	}
	c, err := m.d.chart(p.Chart)
	if err != nil {
		return nil, err
	}
	w := &wish{dep: domain.Deployment{Ref: domain.Ref{Slice: "images", Release: "images"}, Packaging: p}, namespace: m.namespace("images")}
	if err := w.fill(m, p.Chart, nil, []any{}, []any{}); err != nil {
		return nil, err
	}
	text, err := c.Render(w.dep.Release, w.namespace, w.values)
	if err != nil {
		return nil, err
	}
	objects, err := kube.Objects(text)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for i := range objects {
		containers(objects[i].Object, found)
	}
	names := []string{}
	for _, ref := range slices.Sorted(maps.Keys(found)) {
		full := ref
		if x := m.d.o.Images; x != nil {
			if full, err = x.FullName(ref); err != nil {
				return nil, err
			}
		}
		names = append(names, full)
	}
	m.names.put(key, names)
	return names, nil
}

// containers collects the images of all containers below v.
func containers(v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, below := range v {
			list, ok := below.([]any)
			if ok && (key == "containers" || key == "initContainers") {
				for _, c := range list {
					if m, _ := c.(map[string]any); m != nil {
						if image, _ := m["image"].(string); image != "" {
							into[image] = true
						}
					}
				}
			}
			containers(below, into)
		}
	case []any:
		for _, below := range v {
			containers(below, into)
		}
	}
}

// nameCache remembers what charts name: rendering one takes milliseconds.
type nameCache struct {
	mu sync.Mutex
	m  map[string][]string
}

func (c *nameCache) get(key string) ([]string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	names, ok := c.m[key]
	return names, ok
}

func (c *nameCache) put(key string, names []string) {
	const most = 256
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= most {
		c.m = map[string][]string{}
	}
	c.m[key] = names
}
