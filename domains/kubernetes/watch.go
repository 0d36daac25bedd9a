package kubernetes

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
)

const (
	// watchGather collects the changes of a release: a start makes a dozen.
	watchGather = 150 * time.Millisecond
	// watchStale is how often Watch looks whether its connection is still the site's.
	watchStale = 5 * time.Second
)

// watchedRef is what a record tells a watcher.
type watchedRef struct {
	Slice      string `json:"slice"`
	Element    string `json:"element"`
	Generation int64  `json:"generation"`
}

// watchedKinds are those whose changes may change what Observe tells. Only
// their metadata is fetched and kept: every change has a new resourceVersion.
var watchedKinds = []schema.GroupVersionResource{
	{Version: "v1", Resource: "pods"}, {Version: "v1", Resource: "services"}, {Version: "v1", Resource: "configmaps"},
	{Group: "apps", Version: "v1", Resource: "deployments"}, {Group: "apps", Version: "v1", Resource: "statefulsets"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
}

// furnitureKinds are those of a namespace's furniture.
var furnitureKinds = []schema.GroupVersionResource{
	{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}, {Version: "v1", Resource: "resourcequotas"},
	{Version: "v1", Resource: "limitranges"}, {Version: "v1", Resource: "serviceaccounts"},
}

// Watch tells changes of the site's releases: their objects, pods and records.
// A cluster that does not answer is tried again with growing pauses, and all
// that was missed is told then. It ends with its context, or when the site's
// connection has changed.
func (d *Driver) Watch(ctx context.Context, s domain.Site, changed chan<- domain.Ref) error {
	m, err := d.member(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client, err := metadata.NewForConfig(m.k.Within(ctx))
	if err != nil {
		return kube.Fault(err, "no client to watch with")
	}
	w := &watching{m: m, refs: map[string]domain.Ref{}, pending: map[string]domain.Ref{}, wake: make(chan struct{}, 1)}
	factory := metadatainformer.NewFilteredSharedInformerFactory(client, 0, metav1.NamespaceAll, func(o *metav1.ListOptions) {
		o.LabelSelector = labelRelease + "," + labelSite + "=" + labelValue(s.ID)
	})
	for _, kind := range watchedKinds {
		inf := factory.ForResource(kind).Informer()
		if err := inf.SetTransform(slim); err != nil {
			return fault.New(fault.Internal, "cannot watch").Because(err)
		}
		if _, err := inf.AddEventHandler(w.handler(kind.Resource)); err != nil {
			return fault.New(fault.Internal, "cannot watch").Because(err)
		}
	}
	around := metadatainformer.NewFilteredSharedInformerFactory(client, 0, metav1.NamespaceAll, func(o *metav1.ListOptions) {
		o.LabelSelector = "!" + labelRelease + "," + labelSite + "=" + labelValue(s.ID)
	})
	for _, kind := range furnitureKinds {
		inf := around.ForResource(kind).Informer()
		if err := inf.SetTransform(slim); err != nil {
			return fault.New(fault.Internal, "cannot watch").Because(err)
		}
		if _, err := inf.AddEventHandler(w.aroundHandler(kind.Resource)); err != nil {
			return fault.New(fault.Internal, "cannot watch").Because(err)
		}
	}
	for _, f := range []metadatainformer.SharedInformerFactory{factory, around} {
		f.Start(ctx.Done())
		defer f.Shutdown()
	}
	defer cancel()
	return w.run(ctx, changed)
}

// slim drops what a watcher does not need.
func slim(o any) (any, error) {
	if p, ok := o.(*metav1.PartialObjectMetadata); ok {
		p.ManagedFields, p.OwnerReferences, p.Finalizers = nil, nil, nil
		p.Annotations = map[string]string{annotRef: p.Annotations[annotRef]}
		maps.DeleteFunc(p.Labels, func(k, _ string) bool {
			return k != labelRelease && k != labelSlice && k != labelElement && k != labelState
		})
	}
	return o, nil
}

// watching is one call of Watch.
type watching struct {
	m    *member
	wake chan struct{}

	mu      sync.Mutex
	refs    map[string]domain.Ref // by release, as the records tell
	pending map[string]domain.Ref // to be told
}

func (w *watching) handler(kind string) cache.ResourceEventHandler {
	tell := func(o any, edited bool) {
		if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if p, ok := o.(*metav1.PartialObjectMetadata); ok {
			w.noticed(kind, p, edited && kind != "pods" && kind != "configmaps")
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { tell(o, false) },
		DeleteFunc: func(o any) { tell(o, true) },
		UpdateFunc: func(a, b any) {
			old, ok := a.(*metav1.PartialObjectMetadata)
			now, both := b.(*metav1.PartialObjectMetadata)
			if ok && both && kind == "configmaps" && old.Annotations[annotRef] == now.Annotations[annotRef] && old.Labels[labelState] == now.Labels[labelState] {
				return // a holder's sign of life, or its end
			}
			if ok && both && old.ResourceVersion != now.ResourceVersion {
				tell(b, old.Generation != now.Generation || now.Generation == 0)
			}
		},
	}
}

// aroundHandler hears of a namespace's furniture. A quota's status changes with
// every pod, so its edits are left to the comparison that is due each minute.
func (w *watching) aroundHandler(kind string) cache.ResourceEventHandler {
	tell := func(o any) {
		if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if p, ok := o.(*metav1.PartialObjectMetadata); ok {
			w.unfurnished(p.Labels[labelSlice])
		}
	}
	return cache.ResourceEventHandlerFuncs{
		DeleteFunc: tell,
		UpdateFunc: func(a, b any) {
			old, ok := a.(*metav1.PartialObjectMetadata)
			now, both := b.(*metav1.PartialObjectMetadata)
			if ok && both && kind != "resourcequotas" && old.ResourceVersion != now.ResourceVersion {
				tell(b)
			}
		},
	}
}

// unfurnished says of every release of a slice that what is around it changed.
func (w *watching) unfurnished(slice string) {
	w.mu.Lock()
	for release, ref := range w.refs {
		if labelValue(ref.Slice) == slice {
			w.pending[release] = ref
			w.m.look.spoken(release)
		}
	}
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// noticed takes one change. Labels tell whose it is; a record tells it exactly.
// What was edited or deleted may be drift.
func (w *watching) noticed(kind string, p *metav1.PartialObjectMetadata, edited bool) {
	release := p.Labels[labelRelease]
	w.mu.Lock()
	ref, known := w.refs[release]
	var told watchedRef
	if kind == "configmaps" && json.Unmarshal([]byte(p.Annotations[annotRef]), &told) == nil {
		ref = domain.Ref{Site: w.m.site, Slice: told.Slice, Element: told.Element, Release: release, Generation: told.Generation}
		w.refs[release] = ref
	} else if !known {
		ref = domain.Ref{Site: w.m.site, Slice: p.Labels[labelSlice], Element: p.Labels[labelElement], Release: release}
	}
	w.pending[release] = ref
	w.mu.Unlock()
	if edited {
		w.m.look.spoken(release)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run tells what was noticed, each release once per gathering.
func (w *watching) run(ctx context.Context, changed chan<- domain.Ref) error {
	stale := time.NewTicker(watchStale)
	defer stale.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-stale.C:
			if !w.m.d.current(w.m) {
				return nil
			}
			continue
		case <-w.wake:
		}
		gather := time.NewTimer(watchGather)
		select {
		case <-ctx.Done():
			gather.Stop()
			return nil
		case <-gather.C:
		}
		w.mu.Lock()
		pending := w.pending
		w.pending = map[string]domain.Ref{}
		w.mu.Unlock()
		for _, ref := range pending {
			select {
			case changed <- ref:
			case <-ctx.Done():
				return nil
			}
		}
	}
}
