package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/osmoslice/osmoslice/internal/kube"
)

// recorded is what the service installed of one slice at one cluster: its
// releases, as Helm recorded them, and the Secrets and the account they need.
type recorded struct {
	cluster  string
	releases []*release.Release
	secrets  []corev1.Secret
	accounts []corev1.ServiceAccount
	labels   map[string]string
}

// record orders a slice and remembers what it is made of.
func (s *service) record(ctx context.Context) ([]recorded, error) {
	id, err := s.order(ctx, "recorded", soon, compared)
	if err != nil {
		return nil, err
	}
	var out []recorded
	for name, k := range s.clusters {
		spaces, err := k.Core.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: "osmoslice.dev/slice=" + id})
		if err != nil {
			return nil, err
		}
		for _, ns := range spaces.Items {
			r := recorded{cluster: name, labels: map[string]string{}}
			for key, v := range ns.Labels {
				if strings.HasPrefix(key, "pod-security") {
					r.labels[key] = v
				}
			}
			if err := r.read(ctx, k, ns.Name); err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	return out, s.remove(ctx, "recorded")
}

func (r *recorded) read(ctx context.Context, k *kube.Cluster, namespace string) error {
	records := driver.NewSecrets(k.Core.CoreV1().Secrets(namespace))
	var err error
	r.releases, err = storage.Init(records).ListDeployed()
	if err != nil {
		return err
	}
	secrets, err := k.Core.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, x := range secrets.Items {
		if x.Labels["owner"] != "helm" && x.Labels["app.kubernetes.io/managed-by"] != "Helm" {
			r.secrets = append(r.secrets, corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: x.Name, Labels: x.Labels}, Type: x.Type, Data: x.Data})
		}
	}
	accounts, err := k.Core.CoreV1().ServiceAccounts(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, x := range accounts.Items {
		if x.Name != "default" && x.Labels["app.kubernetes.io/managed-by"] != "Helm" {
			r.accounts = append(r.accounts, corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: x.Name, Labels: x.Labels}, AutomountServiceAccountToken: x.AutomountServiceAccountToken})
		}
	}
	if len(r.releases) == 0 {
		return fmt.Errorf("no release in %s", namespace)
	}
	return nil
}

// installBare times one bare install, and removes it again.
func (s *service) installBare(ctx context.Context, what []recorded, name string) (time.Duration, error) {
	from := time.Now()
	if err := s.bareUp(ctx, what, name); err != nil {
		return 0, err
	}
	took := time.Since(from)
	return took, s.bareDown(ctx, name)
}

// bareUp installs what was recorded into namespaces of its own, every release
// at once, and waits until each has its pods Ready.
func (s *service) bareUp(ctx context.Context, what []recorded, namespace string) error {
	var all []func() error
	for _, r := range what {
		k := s.clusters[r.cluster]
		if err := r.furnish(ctx, k, namespace); err != nil {
			return err
		}
		for _, rel := range r.releases {
			all = append(all, func() error { return install(ctx, k, rel, namespace) })
		}
	}
	_, err := sideBySide(len(all), func(i int) error { return all[i]() })
	return err
}

func (r *recorded) furnish(ctx context.Context, k *kube.Cluster, namespace string) error {
	core := k.Core.CoreV1()
	_, err := core.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: r.labels}}, metav1.CreateOptions{})
	for i := range r.secrets {
		_, e := core.Secrets(namespace).Create(ctx, r.secrets[i].DeepCopy(), metav1.CreateOptions{})
		err = errors.Join(err, e)
	}
	for i := range r.accounts {
		_, e := core.ServiceAccounts(namespace).Create(ctx, r.accounts[i].DeepCopy(), metav1.CreateOptions{})
		err = errors.Join(err, e)
	}
	return err
}

// install is the whole of what somebody with the SDK alone would do.
func install(ctx context.Context, k *kube.Cluster, rel *release.Release, namespace string) error {
	g := getter{k, namespace}
	cfg := &action.Configuration{}
	if err := cfg.Init(g, namespace, "secret", func(string, ...any) {}); err != nil {
		return err
	}
	i := action.NewInstall(cfg)
	i.ReleaseName, i.Namespace, i.Timeout = rel.Name, namespace, 5*time.Minute
	c := &chart.Chart{Metadata: rel.Chart.Metadata, Templates: rel.Chart.Templates, Values: rel.Chart.Values, Schema: rel.Chart.Schema, Files: rel.Chart.Files}
	if _, err := i.RunWithContext(ctx, c, rel.Config); err != nil {
		return err
	}
	return ready(ctx, k, namespace, "app.kubernetes.io/instance="+rel.Name)
}

// ready watches the pods of a release until each is Ready.
func ready(ctx context.Context, k *kube.Cluster, namespace, selector string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	w, err := k.Core.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		p, ok := e.Object.(*corev1.Pod)
		if !ok {
			continue
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
	}
	return fmt.Errorf("%s in %s: not ready: %w", selector, namespace, context.Cause(ctx))
}

// bareDown removes the namespaces of a bare install.
func (s *service) bareDown(ctx context.Context, namespace string) error {
	for _, k := range s.clusters {
		err := k.Core.CoreV1().Namespaces().Delete(ctx, namespace, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return until(ctx, 5*time.Minute, soon, func() error {
		left, err := s.namespaces(ctx, "kubernetes.io/metadata.name="+namespace)
		if err == nil && left > 0 {
			err = fmt.Errorf("namespace %s is not gone", namespace)
		}
		return err
	})
}

// namespaces counts those of a selector in both clusters.
func (s *service) namespaces(ctx context.Context, selector string) (n int, err error) {
	for _, k := range s.clusters {
		l, err := k.Core.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return 0, err
		}
		n += len(l.Items)
	}
	return n, nil
}

// getter gives Helm a cluster's connections.
type getter struct {
	k         *kube.Cluster
	namespace string
}

func (g getter) ToRESTConfig() (*rest.Config, error) { return g.k.Within(context.Background()), nil }
func (g getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return g.k.Disco, nil
}
func (g getter) ToRESTMapper() (meta.RESTMapper, error) { return g.k.Mapper, nil }
func (g getter) ToRawKubeConfigLoader() clientcmd.ClientConfig {
	return clientcmd.NewDefaultClientConfig(*api.NewConfig(), &clientcmd.ConfigOverrides{Context: api.Context{Namespace: g.namespace}})
}
