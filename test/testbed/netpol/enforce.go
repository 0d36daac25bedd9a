package netpol

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// settle is how long Enforce waits after a change for those that come with it.
const settle = 10 * time.Millisecond

// maxRefusals is how often in a row a table may be refused before Enforce gives
// up: a node that enforces nothing must not look healthy.
const maxRefusals = 10

// Enforce keeps the node's rules as the cluster's policies say, until ctx ends
// or apply fails for good.
func Enforce(ctx context.Context, client kubernetes.Interface, node string, apply func(context.Context, string) error) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods()
	namespaces := factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, i := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { note() }, UpdateFunc: func(any, any) { note() }, DeleteFunc: func(any) { note() },
		}); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("watch of %s: %w", kind, ctx.Err())
		}
	}
	render := func() (string, error) {
		w := World{Node: node}
		var errs [3]error
		w.Pods, errs[0] = pods.Lister().List(labels.Everything())
		w.Namespaces, errs[1] = namespaces.Lister().List(labels.Everything())
		w.Policies, errs[2] = policies.Lister().List(labels.Everything())
		if err := errors.Join(errs[:]...); err != nil {
			return "", err
		}
		return Render(w)
	}
	note()
	return follow(ctx, changed, render, apply)
}

// follow applies what render answers after each change, when it differs.
func follow(ctx context.Context, changed <-chan struct{}, render func() (string, error), apply func(context.Context, string) error) error {
	current, refusals := "", 0
	timer := time.NewTimer(0)
	<-timer.C
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			timer.Reset(settle)
			continue
		case <-timer.C:
		}
		table, err := render()
		if err == nil && table != current {
			err = apply(ctx, table)
		}
		if err != nil {
			refusals++
			if refusals == maxRefusals {
				return err
			}
			timer.Reset(time.Second)
			continue
		}
		current, refusals = table, 0
	}
}

// Apply gives a table to the kernel, in this network namespace.
func Apply(ctx context.Context, table string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(table)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}
