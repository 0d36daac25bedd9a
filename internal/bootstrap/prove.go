package bootstrap

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/kube"
)

const proofWait = 30 * time.Second

// prove asks the cluster, as the service will: a namespace of its own is
// granted, one of another name and one without the restricted standard are
// refused. Nothing is made (dry run). Policies come into force a little after
// they are stored, so it is asked again for a while.
func prove(ctx context.Context, identity *Cluster, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, proofWait)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := proof(ctx, identity, o)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

func proof(ctx context.Context, identity *Cluster, o Options) error {
	ask := func(name, standard string) error {
		_, err := identity.Core.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{"app.kubernetes.io/managed-by": owner, "pod-security.kubernetes.io/enforce": standard},
		}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	// Its own comes first: while the rights are not in force either, a refusal of
	// the others would prove nothing.
	if err := ask(o.Prefix+"probe", "restricted"); err != nil && !apierrors.IsAlreadyExists(err) {
		return kube.Fault(err, "the service's identity cannot make a namespace of its own")
	}
	for _, wrong := range []struct{ name, standard, what string }{
		{"not-" + o.Prefix + "probe", "restricted", "a namespace that does not begin with " + o.Prefix},
		{o.Prefix + "probe", "privileged", "a namespace for privileged pods"},
	} {
		switch err := ask(wrong.name, wrong.standard); {
		case err == nil:
			return fault.New(fault.Conflict, "the policy %s is not in force: the service's identity may make %s", o.identity(), wrong.what)
		case !apierrors.IsForbidden(err):
			return kube.Fault(err, "the cluster does not answer as service account %s", o.identity())
		}
	}
	return nil
}
