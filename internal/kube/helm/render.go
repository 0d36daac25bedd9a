package helm

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// renderedFor is the Kubernetes version that charts are rendered for where no
// cluster is asked.
const renderedFor = "v1.36.3"

// Render answers the objects of a release as YAML documents, without a cluster:
// templates that look something up find nothing.
func Render(fsys fs.FS, dir, release, namespace string, values map[string]any) (string, error) {
	c, err := readChart(fsys, dir)
	if err != nil {
		return "", err
	}
	i := action.NewInstall(&action.Configuration{Log: func(string, ...any) {}})
	i.DryRun, i.ClientOnly, i.Replace = true, true, true
	i.ReleaseName, i.Namespace = release, namespace
	if i.KubeVersion, err = chartutil.ParseKubeVersion(renderedFor); err != nil {
		return "", fault.New(fault.Internal, "Kubernetes version %s", renderedFor).Because(err)
	}
	r, err := i.Run(c, values)
	if err != nil {
		return "", fault.New(fault.Invalid, "chart %s cannot be rendered", path.Base(dir)).Because(err)
	}
	return r.Manifest, nil
}

// readChart reads the chart in a directory of fsys; an absent one is NotFound.
func readChart(fsys fs.FS, dir string) (*chart.Chart, error) {
	var all []*loader.BufferedFile
	err := fs.WalkDir(fsys, dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(fsys, p)
		all = append(all, &loader.BufferedFile{Name: strings.TrimPrefix(p, path.Clean(dir)+"/"), Data: raw})
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Absent("chart", path.Base(dir))
	}
	if err != nil {
		return nil, fault.New(fault.Internal, "chart %s cannot be read", path.Base(dir)).Because(err)
	}
	c, err := loader.LoadFiles(all)
	if err != nil {
		return nil, fault.New(fault.Invalid, "chart %s is not valid", path.Base(dir)).Because(err)
	}
	return c, nil
}

// Installer installs single charts with the rights of a person, as the helm
// command does; the releases of slices are the Client's.
type Installer struct {
	Config *rest.Config
	Charts fs.FS
	Wait   time.Duration // until all is ready; 5 min
}

// Install installs a release or upgrades it, and waits until it is ready. A
// first installation that fails is taken back.
func (n Installer) Install(ctx context.Context, dir, release, namespace string, values map[string]any) error {
	c, err := readChart(n.Charts, dir)
	if err != nil {
		return err
	}
	cfg, err := n.open(namespace)
	if err != nil {
		return err
	}
	wait := n.Wait
	if wait == 0 {
		wait = 5 * time.Minute
	}
	_, err = cfg.Releases.Last(release)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		i := action.NewInstall(cfg)
		i.ReleaseName, i.Namespace, i.Wait, i.Atomic, i.Timeout = release, namespace, true, true, wait
		_, err = i.RunWithContext(ctx, c, values)
	} else if err == nil {
		u := action.NewUpgrade(cfg)
		u.Namespace, u.Wait, u.Atomic, u.Timeout, u.MaxHistory = namespace, true, true, wait, 5
		_, err = u.RunWithContext(ctx, release, c, values)
	}
	if err != nil {
		return fault.New(fault.Unavailable, "release %s cannot be installed", release).Because(err)
	}
	return nil
}

// Uninstall removes a release; absent is no error.
func (n Installer) Uninstall(release, namespace string) (removed bool, err error) {
	cfg, err := n.open(namespace)
	if err != nil {
		return false, err
	}
	u := action.NewUninstall(cfg)
	u.Wait, u.Timeout, u.DeletionPropagation = true, 2*time.Minute, "foreground"
	_, err = u.Run(release)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fault.New(fault.Unavailable, "release %s cannot be removed", release).Because(err)
	}
	return true, nil
}

func (n Installer) open(namespace string) (*action.Configuration, error) {
	cfg := &action.Configuration{}
	g := &personal{config: n.Config, namespace: namespace}
	if err := cfg.Init(g, namespace, "secrets", func(string, ...any) {}); err != nil {
		return nil, fault.New(fault.Internal, "Helm cannot be set up").Because(err)
	}
	return cfg, nil
}

// personal is Helm's way to a cluster by a configuration.
type personal struct {
	config    *rest.Config
	namespace string
}

func (g *personal) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }

func (g *personal) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	d, err := discovery.NewDiscoveryClientForConfig(g.config)
	if err != nil {
		return nil, err
	}
	return memory.NewMemCacheClient(d), nil
}

func (g *personal) ToRESTMapper() (meta.RESTMapper, error) {
	d, err := g.ToDiscoveryClient()
	if err != nil {
		return nil, err
	}
	return restmapper.NewDeferredDiscoveryRESTMapper(d), nil
}

func (g *personal) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	return clientcmd.NewDefaultClientConfig(*api.NewConfig(), &clientcmd.ConfigOverrides{Context: api.Context{Namespace: g.namespace}})
}
