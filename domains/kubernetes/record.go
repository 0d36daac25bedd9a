package kubernetes

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// progress is how far the wish of a record has come.
type progress string

const (
	applying progress = "applying"
	applied  progress = "applied"
	deleting progress = "deleting"
	deleted  progress = "deleted" // a tombstone: only the generation counts
)

// record is what a cluster remembers of one release, in a ConfigMap of its name.
type record struct {
	Version    int              `json:"version"` // of this document: 1
	Generation int64            `json:"generation"`
	Progress   progress         `json:"progress"`
	Hash       string           `json:"hash,omitempty"`
	Site       string           `json:"site"`
	Slice      string           `json:"slice"`
	Element    string           `json:"element"`
	Release    string           `json:"release"`
	Tenant     string           `json:"tenant,omitempty"`
	Namespace  string           `json:"namespace,omitempty"`
	Node       string           `json:"node,omitempty"`
	Chart      string           `json:"chart,omitempty"` // name-version
	Ports      []slice.Port     `json:"ports,omitempty"`
	Resources  domain.Resources `json:"resources"` // of all replicas together
	Inventory  []object         `json:"inventory,omitempty"`
	Cause      string           `json:"cause,omitempty"` // why Helm last failed
	At         time.Time        `json:"at"`              // of the last change of Progress
	Holder     string           `json:"holder,omitempty"`

	version string // resourceVersion
}

// object names one object of a release.
type object struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// Labels of ours.
const (
	labelSite    = "osmoslice.dev/site"
	labelSlice   = "osmoslice.dev/slice"
	labelElement = "osmoslice.dev/element"
	labelTenant  = "osmoslice.dev/tenant"
	labelRelease = "osmoslice.dev/release"
	labelExpose  = "osmoslice.dev/expose"
	labelState   = "osmoslice.dev/state" // of records: live or deleted
	labelSpace   = "osmoslice.dev/namespace"
	annotRef     = "osmoslice.dev/ref" // of records: what a watcher must know
	recordKey    = "record"
)

func (m *member) records() string { return m.c.NamespacePrefix + "records" }

// read answers a release's record, nil when there is none.
func (m *member) read(ctx context.Context, release string) (*record, error) {
	cm, err := m.k.Core.CoreV1().ConfigMaps(m.records()).Get(ctx, release, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // absence is an answer
	}
	if err != nil {
		return nil, kube.Fault(err, "the record of release %s cannot be read", release)
	}
	return parse(cm)
}

func parse(cm *corev1.ConfigMap) (*record, error) {
	r := &record{}
	if err := json.Unmarshal([]byte(cm.Data[recordKey]), r); err != nil {
		// A person's edit, or another's object: what was begun is begun again.
		r = &record{Progress: applying, Release: cm.Name, Site: cm.Labels[labelSite], Namespace: cm.Labels[labelSpace]}
	}
	if r.Version > 1 {
		return nil, fault.New(fault.Unavailable, "the record of release %s has version %d, this service knows version 1", cm.Name, r.Version)
	}
	r.version = cm.ResourceVersion
	return r, nil
}

func (r *record) ref(s domain.Site) domain.Ref {
	return domain.Ref{Site: s, Slice: r.Slice, Element: r.Element, Release: r.Release, Generation: r.Generation}
}

// configMap is how a record is stored.
func (m *member) configMap(r *record) (*corev1.ConfigMap, error) {
	r.Version, r.Site = 1, m.site.ID
	state := "live"
	if r.Progress == deleted {
		state = "deleted"
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fault.New(fault.Internal, "a record cannot be written").Because(err)
	}
	ref, err := json.Marshal(watchedRef{Slice: r.Slice, Element: r.Element, Generation: r.Generation})
	if err != nil {
		return nil, fault.New(fault.Internal, "a record cannot be written").Because(err)
	}
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: r.Release, Namespace: m.records(), ResourceVersion: r.version,
		Labels: map[string]string{labelSite: labelValue(m.site.ID), labelRelease: r.Release, labelState: state,
			labelSpace: r.Namespace, "app.kubernetes.io/managed-by": kube.FieldOwner},
		Annotations: map[string]string{annotRef: string(ref)},
	}, Data: map[string]string{recordKey: string(b)}}, nil
}

// write stores a record, if it is still the one that was read.
func (m *member) write(ctx context.Context, r *record) error {
	cm, err := m.configMap(r)
	if err != nil {
		return err
	}
	maps := m.k.Core.CoreV1().ConfigMaps(m.records())
	if r.version == "" {
		cm, err = maps.Create(ctx, cm, metav1.CreateOptions{FieldManager: kube.FieldOwner})
		if apierrors.IsNotFound(err) { // the namespace
			if err = m.makeRecords(ctx); err == nil {
				return m.write(ctx, r)
			}
			return err
		}
	} else {
		cm, err = maps.Update(ctx, cm, metav1.UpdateOptions{FieldManager: kube.FieldOwner})
	}
	if err != nil {
		return kube.Fault(err, "the record of release %s cannot be written", r.Release)
	}
	r.version = cm.ResourceVersion
	return nil
}

func (m *member) makeRecords(ctx context.Context) error {
	_, err := m.k.Core.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: m.records(), Labels: map[string]string{"app.kubernetes.io/managed-by": kube.FieldOwner,
			"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{FieldManager: kube.FieldOwner})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return kube.Fault(err, "namespace %s cannot be made", m.records())
}

// list reads the records of this site with further labels.
func (m *member) list(ctx context.Context, selector string) ([]*record, error) {
	if selector != "" {
		selector = "," + selector
	}
	var out []*record
	opts := metav1.ListOptions{LabelSelector: labelSite + "=" + labelValue(m.site.ID) + selector, Limit: 500}
	for {
		page, err := m.k.Core.CoreV1().ConfigMaps(m.records()).List(ctx, opts)
		if err != nil {
			return nil, kube.Fault(err, "the records cannot be listed")
		}
		for i := range page.Items {
			r, err := parse(&page.Items[i])
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
		if opts.Continue = page.Continue; opts.Continue == "" {
			return out, nil
		}
	}
}

// guard refuses a generation older than the highest seen for the release.
func guard(ref domain.Ref, r *record) error {
	if r != nil && ref.Generation < r.Generation {
		return fault.New(fault.Conflict, "release %s: generation %d is older than %d, which was seen already", ref.Release, ref.Generation, r.Generation)
	}
	return nil
}

// List tells every deployment at the site, those half made or half deleted too.
func (d *Driver) List(ctx context.Context, s domain.Site) ([]domain.Ref, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Of(err)
	}
	m, err := d.member(s)
	if err != nil {
		return nil, err
	}
	rs, err := m.list(ctx, labelState+"=live")
	if err != nil {
		return nil, err
	}
	refs := make([]domain.Ref, 0, len(rs))
	for _, r := range rs {
		refs = append(refs, r.ref(s))
	}
	return refs, nil
}
