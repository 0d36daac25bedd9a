package helm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
)

// hookTimeout bounds each of a chart's hooks.
const hookTimeout = time.Minute

// take runs one step. The release is what an install or upgrade has made of it.
func (r *run) take(s Step, w Wish, digest string) (*release.Release, error) {
	switch s.Action {
	case Install:
		return r.install(w, digest)
	case Upgrade:
		return r.upgrade(w, digest)
	case Rollback:
		return nil, r.rollback(w.Name, s.Revision)
	case Unlock:
		return nil, r.unlock(w.Name, s.Revision)
	case Purge:
		return nil, r.purge(w.Name)
	case Done:
	}
	return nil, nil //nolint:nilnil // what there is, is to be looked up
}

// install makes the first revision. It does not wait for readiness, and leaves
// what it made when it fails: the next step upgrades it.
func (r *run) install(w Wish, digest string) (*release.Release, error) {
	ch, err := w.Chart.open()
	if err != nil {
		return nil, err
	}
	a := action.NewInstall(r.cfg)
	a.ReleaseName, a.Namespace, a.Labels = w.Name, w.Namespace, map[string]string{digestLabel: digest}
	a.DisableOpenAPIValidation, a.SkipCRDs, a.TakeOwnership, a.Timeout = true, true, true, hookTimeout
	a.PostRenderer = &owner{namespace: w.Namespace, labels: w.Labels, mapper: r.mapper()}
	// Helm would go on in the background after the end of a context; the requests
	// themselves end with ours.
	rel, err := a.RunWithContext(context.Background(), ch, w.Values)
	if errors.Is(err, driver.ErrReleaseExists) || apierrors.IsAlreadyExists(err) { // a record that cannot be read
		if ferr := r.forget(w.Name); ferr != nil {
			return nil, ferr
		}
	}
	return rel, err
}

// upgrade makes a new revision of whatever is there: missing objects are made,
// edited ones brought back, superfluous ones removed.
func (r *run) upgrade(w Wish, digest string) (*release.Release, error) {
	ch, err := w.Chart.open()
	if err != nil {
		return nil, err
	}
	a := action.NewUpgrade(r.cfg)
	a.Namespace, a.Labels, a.MaxHistory = w.Namespace, map[string]string{digestLabel: digest}, history
	a.DisableOpenAPIValidation, a.SkipCRDs, a.TakeOwnership, a.Timeout, a.ResetValues = true, true, true, hookTimeout, true
	a.PostRenderer = &owner{namespace: w.Namespace, labels: w.Labels, mapper: r.mapper()}
	return a.RunWithContext(context.Background(), w.Name, ch, w.Values)
}

// rollback makes a revision that is the same as a former one, from Helm's
// record: the chart need not be at hand any more.
func (r *run) rollback(name string, to int) error {
	a := action.NewRollback(r.cfg)
	a.Version, a.MaxHistory, a.Timeout = to, history, hookTimeout
	return a.Run(name)
}

// unlock marks a revision whose maker has died as failed. It touches no object.
func (r *run) unlock(name string, number int) error {
	rel, err := r.cfg.Releases.Get(name, number)
	if err != nil {
		return err
	}
	was := rel.Info.Status
	rel.SetStatus(release.StatusFailed, fmt.Sprintf("interrupted while %s (%s)", was, rel.Info.Description))
	return r.cfg.Releases.Update(rel)
}

// purge removes the objects of the newest revision and every record.
func (r *run) purge(name string) error {
	a := action.NewUninstall(r.cfg)
	a.IgnoreNotFound, a.Timeout = true, hookTimeout
	a.DeletionPropagation = "background"
	_, err := a.Run(name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil
	}
	return err
}

// forget removes records that Helm itself cannot read, and passes over: they
// stand in the way of a new one.
func (r *run) forget(name string) error {
	rels, err := r.cfg.Releases.Query(map[string]string{"name": name, "owner": "helm"})
	if err == nil && len(rels) > 0 || r.secrets == nil {
		return nil // another made one meanwhile
	}
	err = r.secrets.DeleteCollection(r.ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "owner=helm,name=" + name})
	return kube.Fault(err, "damaged records of release %s cannot be removed", name)
}

// Repair brings the objects of a release back to what its newest revision
// recorded: missing ones are made, edited ones patched.
func (c *Client) Repair(ctx context.Context, namespace, name string) error {
	r, err := c.open(ctx, namespace)
	if err != nil {
		return err
	}
	s, err := r.state(name)
	if err != nil {
		return err
	}
	last, ok := s.Last()
	if !ok || last.Status != Deployed {
		return fault.New(fault.Conflict, "release %s is not deployed: only a new apply repairs it", name)
	}
	step := Step{Action: Rollback, Revision: last.Number, Reason: "drift"}
	if err := r.rollback(name, last.Number); err != nil {
		return r.fault(err, name, step)
	}
	return nil
}

// Remove takes a release away, in whatever state it is. Absent is not an error.
// Objects end in the background.
func (c *Client) Remove(ctx context.Context, namespace, name string) error {
	r, err := c.open(ctx, namespace)
	if err != nil {
		return err
	}
	for range maxSteps {
		s, err := r.state(name)
		if err != nil {
			return err
		}
		step := Gone(s)
		if step.Action == Done {
			return nil
		}
		if err := r.purge(name); err != nil {
			return r.fault(err, name, step)
		}
	}
	return fault.New(fault.Conflict, "release %s is not gone after %d attempts", name, maxSteps).Retrying(fault.Backoff)
}

// fault says what an error of Helm's means. What Helm reports as text only is
// told apart by its words.
func (r *run) fault(err error, name string, s Step) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	if ended := context.Cause(r.ctx); ended != nil {
		return kube.Fault(ended, "release %s: %s was interrupted", name, s.Action)
	}
	text := err.Error()
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	detail := fmt.Sprintf("release %s: %s failed", name, s.Action)
	if len(r.said) > 0 && has("failed to delete release") {
		err = fmt.Errorf("%w: %s", err, strings.Join(r.said, "; "))
	}
	switch {
	case has("another operation", "cannot re-use a name", "already exists", "has no deployed releases"):
		return fault.New(fault.Conflict, "%s", detail).Because(err).Retrying(fault.Now)
	case has("don't meet the specifications of the schema", "execution error at", "parse error", "error converting YAML",
		"nil pointer evaluating", "wrong type for value", "error calling", "no matches for kind", "field is immutable", "incompatible with Kubernetes"):
		return fault.New(fault.Invalid, "%s", detail).Because(err)
	}
	return kube.Fault(err, "%s", detail)
}
