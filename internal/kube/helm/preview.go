package helm

import (
	"context"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"
)

// Preview is a release as it is, and as a wish would make it.
type Preview struct {
	Before, After         string         // manifests; Before is empty where nothing is installed
	ValuesNow, ValuesThen map[string]any // Helm's values
	First                 Step           // what would be done first
}

// Preview renders a wish as an install or upgrade would, with what the cluster
// has at hand, and changes nothing.
func (c *Client) Preview(ctx context.Context, w Wish) (Preview, error) {
	r, err := c.open(ctx, w.Namespace)
	if err != nil {
		return Preview{}, err
	}
	return r.preview(w)
}

func (r *run) preview(w Wish) (Preview, error) {
	s, err := r.state(w.Name)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{ValuesThen: w.Values, First: Next(s, w.Chart.Digest(w.Values))}
	if last, ok := s.Last(); ok && p.First.Action != Purge {
		rel, err := r.cfg.Releases.Get(w.Name, last.Number)
		if err != nil {
			return p, r.fault(err, w.Name, p.First)
		}
		p.Before, p.ValuesNow = rel.Manifest, rel.Config
	}
	rel, err := r.render(w)
	if err != nil {
		return p, r.fault(err, w.Name, p.First)
	}
	p.After = rel.Manifest
	return p, nil
}

// render is an install that ends before it begins.
func (r *run) render(w Wish) (*release.Release, error) {
	ch, err := w.Chart.open()
	if err != nil {
		return nil, err
	}
	a := action.NewInstall(r.cfg)
	a.ReleaseName, a.Namespace, a.DryRun, a.DryRunOption = w.Name, w.Namespace, true, "server"
	a.DisableOpenAPIValidation, a.SkipCRDs, a.TakeOwnership = true, true, true
	a.PostRenderer = &owner{namespace: w.Namespace, labels: w.Labels, mapper: r.mapper()}
	if r.cfg.RESTClientGetter == nil { // no cluster to look things up in
		a.DryRunOption = "client"
	}
	return a.RunWithContext(context.Background(), ch, w.Values)
}
