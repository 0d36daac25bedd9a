package helm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	hkube "helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
)

// digestLabel is on the record of a revision.
const digestLabel = "osmoslice.dev/digest"

// history is how many revisions of a release are kept.
const history = 5

// Client runs Helm on one cluster. It is safe for concurrent use; whoever uses
// it excludes others from the release concerned.
type Client struct {
	cluster *kube.Cluster

	mu   sync.Mutex
	caps *chartutil.Capabilities
}

// New makes the client. Nothing is asked of the cluster yet.
func New(k *kube.Cluster) *Client { return &Client{cluster: k} }

// Wish is a release as it shall be.
type Wish struct {
	Name, Namespace string
	Chart           *Chart
	Values          map[string]any
	Labels          map[string]string // of every object and pod
}

// Outcome is what was done to bring a release to its wish.
type Outcome struct {
	Steps    []Step // without Done
	Revision int
	Manifest string // of all objects, YAML documents
	// Cause is why a former attempt had failed, empty when none had.
	Cause string
}

// run is one call's use of Helm.
type run struct {
	cfg     *action.Configuration
	ctx     context.Context             //nolint:containedctx // Helm's actions take none
	secrets typedcorev1.SecretInterface // where Helm's records are; nil without a cluster
	said    []string
}

// open configures Helm for one call.
func (c *Client) open(ctx context.Context, namespace string) (*run, error) {
	g := getter{cluster: c.cluster, config: c.cluster.Within(ctx), namespace: namespace}
	core, err := kubernetes.NewForConfig(g.config)
	if err != nil {
		return nil, kube.Fault(err, "no client for Helm")
	}
	r := &run{ctx: ctx, secrets: core.CoreV1().Secrets(namespace)}
	client := hkube.New(g)
	client.Namespace = namespace
	records := driver.NewSecrets(r.secrets)
	r.cfg = &action.Configuration{RESTClientGetter: g, KubeClient: client, Releases: storage.Init(records), Log: r.say}
	client.Log, records.Log, r.cfg.Releases.Log = r.say, r.say, r.say
	r.cfg.Capabilities, err = c.capabilities()
	return r, err
}

// say keeps what Helm logs of failures: some of its errors lack the cause.
func (r *run) say(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); strings.Contains(strings.ToLower(text), "fail") {
		r.said = append(r.said, text)
	}
}

// capabilities asks once what the cluster can do.
func (c *Client) capabilities() (*chartutil.Capabilities, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.caps != nil {
		return c.caps.Copy(), nil
	}
	v, err := c.cluster.Disco.ServerVersion()
	if err != nil {
		return nil, kube.Fault(err, "the cluster does not tell its version")
	}
	apis, err := action.GetVersionSet(c.cluster.Disco)
	if err != nil {
		return nil, kube.Fault(err, "the cluster does not tell its APIs")
	}
	c.caps = &chartutil.Capabilities{APIVersions: apis, HelmVersion: chartutil.DefaultCapabilities.HelmVersion,
		KubeVersion: chartutil.KubeVersion{Version: v.GitVersion, Major: v.Major, Minor: v.Minor}}
	return c.caps.Copy(), nil
}

// State reads what is recorded of a release.
func (c *Client) State(ctx context.Context, namespace, name string) (State, error) {
	r, err := c.open(ctx, namespace)
	if err != nil {
		return nil, err
	}
	return r.state(name)
}

func (r *run) state(name string) (State, error) {
	rels, err := r.cfg.Releases.History(name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, kube.Fault(err, "the state of release %s cannot be read", name)
	}
	s := make(State, 0, len(rels))
	for _, rel := range rels {
		s = append(s, revision(rel))
	}
	slices.SortFunc(s, func(a, b Revision) int { return a.Number - b.Number })
	return s, nil
}

func revision(r *release.Release) Revision {
	out := Revision{Number: r.Version, Digest: r.Labels[digestLabel]}
	if r.Info != nil {
		out.Status, out.Description, out.Updated = Status(r.Info.Status), r.Info.Description, r.Info.LastDeployed.Time
	}
	return out
}

// Converge brings a release to the wish. An error is of the step that failed;
// the outcome says what was done before it.
func (c *Client) Converge(ctx context.Context, w Wish) (Outcome, error) {
	r, err := c.open(ctx, w.Namespace)
	if err != nil {
		return Outcome{}, err
	}
	return r.converge(w)
}

// maxSteps ends a loop that makes no progress: unlock, purge, install, and what
// another may have put between.
const maxSteps = 8

func (r *run) converge(w Wish) (Outcome, error) {
	var out Outcome
	digest := w.Chart.Digest(w.Values)
	for range maxSteps {
		s, err := r.state(w.Name)
		if err != nil {
			return out, err
		}
		if out.Cause == "" {
			out.Cause = s.FirstCause()
		}
		step := Next(s, digest)
		if step.Action == Done {
			return r.done(out, w.Name, step.Revision)
		}
		out.Steps = append(out.Steps, step)
		rel, err := r.take(step, w, digest)
		if err != nil {
			return out, r.fault(err, w.Name, step)
		}
		// Helm only logs that it could not record what it has done.
		if rel != nil && rel.Info != nil && rel.Info.Status == release.StatusDeployed && len(r.said) == 0 {
			out.Revision, out.Manifest = rel.Version, rel.Manifest
			return out, nil
		}
	}
	return out, fault.New(fault.Conflict, "release %s did not settle in %d steps", w.Name, maxSteps).Retrying(fault.Backoff)
}

func (r *run) done(out Outcome, name string, number int) (Outcome, error) {
	rel, err := r.cfg.Releases.Get(name, number)
	if err != nil {
		return out, kube.Fault(err, "release %s cannot be read", name)
	}
	out.Revision, out.Manifest = number, rel.Manifest
	return out, nil
}

// Manifest is what the newest revision of a release consists of.
func (c *Client) Manifest(ctx context.Context, namespace, name string) (manifest string, revision int, err error) {
	r, err := c.open(ctx, namespace)
	if err != nil {
		return "", 0, err
	}
	rel, err := r.cfg.Releases.Last(name)
	if err != nil {
		if errors.Is(err, driver.ErrReleaseNotFound) {
			return "", 0, fault.Absent("release", name)
		}
		return "", 0, kube.Fault(err, "release %s cannot be read", name)
	}
	return rel.Manifest, rel.Version, nil
}
