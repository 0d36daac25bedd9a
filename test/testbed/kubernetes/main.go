// Command kubernetes is every Kubernetes program the test bed runs, in one static
// binary; the first argument (or the name it is called by) chooses:
//
//	controlplane   etcd, kube-apiserver, kube-controller-manager and
//	               kube-scheduler inside one process
//	kubelet        the node's agent
//	kube-proxy     services on a node
//	kubectl        the command line
//
// It is a module of its own so that Kubernetes' requirements stay out of the
// product's; the staging modules are replaced by their published versions.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	_ "time/tzdata"

	"github.com/spf13/cobra"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	name := filepath.Base(os.Args[0])
	command, ok := programs()[name]
	if !ok && len(os.Args) > 1 {
		name, os.Args = os.Args[1], os.Args[1:]
		command, ok = programs()[name]
	}
	if !ok {
		fmt.Fprintln(os.Stderr, "usage: kubernetes controlplane|kubelet|kube-proxy|kubectl ...")
		os.Exit(2)
	}
	os.Exit(cli.Run(command()))
}

func programs() map[string]func() *cobra.Command {
	return map[string]func() *cobra.Command{
		"controlplane": newControlPlaneCommand,
		"kubelet":      func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
		"kube-proxy":   proxy.NewProxyCommand,
		"kubectl":      kubectl.NewDefaultKubectlCommand,
	}
}
