package helm

import (
	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// renderedFor is the Kubernetes version that charts are rendered for where no
// cluster is asked.
const renderedFor = "v1.36.3"

// Render answers the objects of a release as YAML documents, without a cluster:
// templates that look something up find nothing, and what a chart generates is
// new each time.
func (c *Chart) Render(release, namespace string, values map[string]any) (string, error) {
	ch, err := c.open()
	if err != nil {
		return "", err
	}
	i := action.NewInstall(&action.Configuration{Log: func(string, ...any) {}})
	i.DryRun, i.ClientOnly, i.Replace = true, true, true
	i.ReleaseName, i.Namespace = release, namespace
	if i.KubeVersion, err = chartutil.ParseKubeVersion(renderedFor); err != nil {
		return "", fault.New(fault.Internal, "Kubernetes version %s", renderedFor).Because(err)
	}
	r, err := i.Run(ch, values)
	if err != nil {
		return "", fault.New(fault.Invalid, "chart %s cannot be rendered", c.Name).Because(err)
	}
	return r.Manifest, nil
}
