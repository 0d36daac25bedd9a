package bootstrap

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Service is what osmosliced is told.
type Service interface {
	// KeepSecret stores a value under a name, a new version of a taken one.
	KeepSecret(ctx context.Context, name string, value []byte) error
	// DropSecret deletes it; absent is no error.
	DropSecret(ctx context.Context, name string) (dropped bool, err error)
	// Register creates the infrastructure or makes it be as body says.
	Register(ctx context.Context, body map[string]any) error
	// Forget deletes it; absent is no error. It is refused while functions run
	// there.
	Forget(ctx context.Context, name string) (forgotten bool, err error)
}

// Work is one cluster to be prepared for one service.
type Work struct {
	Cluster  *Cluster
	Service  Service
	Releases Releases // nil: no add-on that is a chart
	// Say tells a person what was done; nil tells nobody.
	Say func(format string, args ...any)
}

func (w Work) say(format string, args ...any) {
	if w.Say != nil {
		w.Say(format, args...)
	}
}

// Run prepares the cluster and registers it. It can be repeated: after a
// failure, to renew the token, or to change an option.
func (w Work) Run(ctx context.Context, o Options) error {
	o, err := o.Complete()
	if err != nil {
		return err
	}
	if err := w.Cluster.version(); err != nil {
		return err
	}
	if err := w.applyAll(ctx, Objects(o)); err != nil {
		return err
	}
	token, until, err := w.Cluster.token(ctx, o)
	if err != nil {
		return err
	}
	identity, err := w.Cluster.as(token)
	if err != nil {
		return err
	}
	if err := prove(ctx, identity, o); err != nil {
		return err
	}
	w.say("service account %s may act in namespaces %s… only; its token holds until %s", o.identity(), o.Prefix, until.UTC().Format(time.RFC3339))
	for _, name := range o.Addons {
		if err := w.install(ctx, name); err != nil {
			return fault.New(fault.Of(err).Kind, "add-on %s", name).Because(err)
		}
	}
	config, err := kubeconfig(w.Cluster.config, o, token)
	if err != nil {
		return err
	}
	if err := w.Service.KeepSecret(ctx, o.SecretName(), config); err != nil {
		return err
	}
	w.say("secret %s holds the kubeconfig", o.SecretName())
	if err := w.Service.Register(ctx, o.Infrastructure()); err != nil {
		return err
	}
	w.say("infrastructure %s is registered", o.Name)
	return nil
}

func (w Work) applyAll(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, u := range objects {
		created, err := w.Cluster.apply(ctx, u)
		if err != nil {
			return err
		}
		verb := "unchanged or brought up to date"
		if created {
			verb = "made"
		}
		w.say("%s %s %s", u.GetKind(), u.GetName(), verb)
	}
	return nil
}

// Undo takes the infrastructure out of the service and everything that Run made
// out of the cluster, add-ons included. It refuses while slices have namespaces
// there.
func (w Work) Undo(ctx context.Context, o Options) error {
	o, err := o.Complete()
	if err != nil {
		return err
	}
	records, err := w.idle(ctx, o)
	if err != nil {
		return err
	}
	forgotten, err := w.Service.Forget(ctx, o.Name)
	if err != nil {
		return err
	}
	w.tell(forgotten, "infrastructure", o.Name)
	dropped, err := w.Service.DropSecret(ctx, o.SecretName())
	if err != nil {
		return err
	}
	w.tell(dropped, "secret", o.SecretName())
	for _, name := range Addons() {
		if err := w.uninstall(ctx, name); err != nil {
			return fault.New(fault.Of(err).Kind, "add-on %s", name).Because(err)
		}
	}
	objects := append(Objects(o), records...)
	for i := len(objects) - 1; i >= 0; i-- {
		removed, err := w.Cluster.remove(ctx, objects[i])
		if err != nil {
			return err
		}
		w.tell(removed, objects[i].GetKind(), objects[i].GetName())
	}
	return nil
}

func (w Work) tell(did bool, kind, name string) {
	if did {
		w.say("%s %s removed", kind, name)
	}
}

// idle refuses while there are namespaces of slices; those that hold only the
// plugin's records are answered.
func (w Work) idle(ctx context.Context, o Options) (records []*unstructured.Unstructured, err error) {
	spaces, err := w.Cluster.spaces(ctx, o.Prefix)
	if err != nil {
		return nil, err
	}
	var busy []string
	for _, ns := range spaces {
		switch {
		case ns.Name == o.Prefix+"records":
			u := object("v1", "Namespace", "", ns.Name, nil)
			u.SetLabels(map[string]string{"app.kubernetes.io/managed-by": owner})
			records = append(records, u)
		case ns.Status.Phase != corev1.NamespaceTerminating:
			busy = append(busy, ns.Name)
		}
	}
	if len(busy) > 0 {
		return nil, fault.New(fault.Conflict, "there are slices in this cluster: namespaces %s; terminate them first", strings.Join(busy, ", "))
	}
	return records, nil
}

// Preview is everything that Run would bring into the cluster, and the
// registration, as YAML documents. Nothing is asked of cluster or service; a
// token cannot be shown, for there is none yet.
func Preview(o Options, r Releases) (string, error) {
	o, err := o.Complete()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	write := func(title string, v any) error {
		raw, err := yaml.Marshal(v)
		if err != nil {
			return fault.New(fault.Internal, "an object cannot be written").Because(err)
		}
		fmt.Fprintf(&b, "--- # %s\n%s", title, raw)
		return nil
	}
	for _, u := range Objects(o) {
		if err := write("in the cluster", u.Object); err != nil {
			return "", err
		}
	}
	for _, name := range o.Addons {
		objects, err := preview(name, r)
		if err != nil {
			return "", err
		}
		for _, u := range objects {
			if err := write("add-on "+name, u.Object); err != nil {
				return "", err
			}
		}
	}
	err = write("at the service; secret "+o.SecretName()+" holds a kubeconfig of the service account", o.Infrastructure())
	return b.String(), err
}
