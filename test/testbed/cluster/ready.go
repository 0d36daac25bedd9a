package cluster

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

func (n *node) serverReady(ctx context.Context) error {
	answer, err := n.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Raw()
	if err == nil && string(answer) != "ok" {
		err = fmt.Errorf("/readyz: %s", answer)
	}
	return err
}

// nodeReady is whether a pod could start: the node, and what every pod needs.
func (n *node) nodeReady(ctx context.Context) error {
	node, err := n.client.CoreV1().Nodes().Get(ctx, n.Node.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
			return fmt.Errorf("not ready: %s", c.Message)
		}
	}
	if len(node.Status.Conditions) == 0 {
		return errors.New("no condition reported yet")
	}
	return defaultAccount(ctx, n.client)
}

func (n *node) dnsReady(ctx context.Context) error {
	d, err := n.client.AppsV1().Deployments(metav1.NamespaceSystem).Get(ctx, "coredns", metav1.GetOptions{})
	if err == nil && d.Status.ReadyReplicas == 0 {
		err = errors.New("no CoreDNS is ready")
	}
	return err
}

// defaultAccount is whether the account is there that every pod needs.
func defaultAccount(ctx context.Context, client kubernetes.Interface) error {
	_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	return err
}
