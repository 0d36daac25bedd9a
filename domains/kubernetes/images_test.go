package kubernetes

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osmoslice/osmoslice/charts"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// library is an ImageIndex that knows some images.
type library struct {
	mu    sync.Mutex
	known map[string][]string
	asked map[string]string // reference to "registry" or "archive", and the credentials
}

func (l *library) FullName(ref string) (string, error) {
	if strings.Contains(ref, " ") {
		return "", errors.New("no reference")
	}
	if strings.Count(ref, "/") < 2 {
		ref = "docker.io/" + ref
	}
	return ref, nil
}

func (l *library) Architectures(_ context.Context, ref string, creds []byte, ask bool) ([]string, string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[ref] = fmt.Sprintf("%v %s", ask, creds)
	if archs, ok := l.known[ref]; ok {
		return archs, "registry r", nil
	}
	return nil, "", fault.New(fault.Unavailable, "nobody knows it")
}

// nodesOnly is an API server that lists nodes.
func nodesOnly(t *testing.T, connection string, nodes ...corev1.Node) domain.Site {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/nodes" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}, Items: nodes})
	}))
	t.Cleanup(s.Close)
	site := someSite(connection)
	site.Secrets["kubeconfig"] = []byte(strings.ReplaceAll(someKubeconfig, "'https://127.0.0.1:1'",
		"'"+s.URL+"', certificate-authority-data: "+base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))))
	return site
}

func nodeWith(name, arch string, images ...string) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.NodeInfo.Architecture = arch
	n.Status.Images = []corev1.ContainerImage{{Names: images}}
	return n
}

func microelement(image string) slice.Packaging {
	return slice.Packaging{Chart: &slice.Chart{Name: "microelement", Version: "0.1.0",
		Values: json.RawMessage(`{"images":{"main":{"reference":"` + image + `"}}}`)}}
}

func TestImagesAreToldWithWhatIsKnown(t *testing.T) {
	l := &library{asked: map[string]string{}, known: map[string][]string{
		"docker.io/acme/pi:1": {"arm64"}, "docker.io/acme/moved:1": {"arm64"}}}
	d := New(Options{Charts: []fs.FS{charts.Files()}, Images: l})
	site := nodesOnly(t, `{}`, nodeWith("n1", "amd64", "docker.io/acme/local:1", "docker.io/acme/moved:1"), nodeWith("n2", "amd64", "docker.io/acme/local:1"))
	for image, want := range map[string]domain.Image{
		"acme/pi:1":    {Name: "docker.io/acme/pi:1", Architectures: []string{"arm64"}, Known: true, From: "registry r"},
		"acme/local:1": {Name: "docker.io/acme/local:1", Architectures: []string{"amd64"}, From: "on node n1, n2", Unknown: "nobody knows it"},
		"acme/moved:1": {Name: "docker.io/acme/moved:1", Architectures: []string{"amd64", "arm64"}, Known: true, From: "registry r, on node n1"},
		"acme/none:1":  {Name: "docker.io/acme/none:1", Unknown: "nobody knows it"},
	} {
		got, err := d.Images(t.Context(), site, microelement(image))
		if err != nil || len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v, want %+v", image, got, err, want)
		}
	}
}

// Only the site's own mirror is asked, with its own credentials, unless the
// operator lets any registry be.
func TestOnlyTheMirrorIsAsked(t *testing.T) {
	for _, c := range []struct {
		any    bool
		mirror string
		pack   slice.Packaging
		want   string
	}{
		{false, "mirror.example/iot", slice.Packaging{Chart: &slice.Chart{Name: "lite-gateway", Version: "0.1.0"}}, "true"},
		{false, "", microelement("elsewhere.example/x/y:1"), "false"},
		{true, "", microelement("elsewhere.example/x/y:1"), "true"},
	} {
		l := &library{asked: map[string]string{}}
		d := New(Options{Charts: []fs.FS{charts.Files()}, Images: l, AskRegistries: c.any})
		if _, err := d.Images(t.Context(), nodesOnly(t, `{"imageRegistry":"`+c.mirror+`","pullSecret":"registry"}`), c.pack); err != nil {
			t.Fatal(err)
		}
		if len(l.asked) != 1 {
			t.Fatalf("asked of %v", l.asked)
		}
		for ref, how := range l.asked {
			if !strings.HasPrefix(how, c.want+` {"auths"`) {
				t.Errorf("%s: %s, want %s", ref, how, c.want)
			}
		}
	}
}

// Every built-in product chart tells its images without an order's values.
func TestChartsNameTheirImages(t *testing.T) {
	for chart, least := range map[string]int{"edgex": 8, "mainflux": 6, "lite-gateway": 1, "lite-server": 1, "influxdb": 1, "grafana": 1} {
		m := someMember(t, `{"imageRegistry":"mirror.example:5000"}`)
		raw, err := fs.ReadFile(charts.Files(), chart+"/Chart.yaml")
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(raw), "\nversion: ")
		version, _, _ := strings.Cut(after, "\n")
		names, err := m.named(slice.Packaging{Chart: &slice.Chart{Name: chart, Version: version}})
		if err != nil || len(names) < least {
			t.Errorf("%s: %v, %v, want at least %d", chart, names, err, least)
			continue
		}
		for _, n := range names {
			if !strings.HasPrefix(n, "mirror.example:5000/") {
				t.Errorf("%s: %s is not from the mirror", chart, n)
			}
		}
	}
}

// A cluster that does not answer leaves what archives and registries say.
func TestImagesOfASilentCluster(t *testing.T) {
	l := &library{asked: map[string]string{}, known: map[string][]string{"docker.io/acme/pi:1": {"arm64"}}}
	d := New(Options{Charts: []fs.FS{charts.Files()}, Images: l})
	site := someSite(`{}`)
	got, err := d.Images(t.Context(), site, microelement("acme/pi:1"))
	if err != nil || len(got) != 1 || !got[0].Known {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = d.Images(t.Context(), site, microelement("acme/x:1")); err != nil || len(got) != 1 || !strings.Contains(got[0].Unknown, "nodes") {
		t.Errorf("%+v, %v, want the cluster's silence told", got, err)
	}
}
