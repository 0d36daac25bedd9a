package netpol

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// A policy that comes is applied, one that goes is taken back.
func TestEnforceFollowsTheCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := world(t)
	client := fake.NewClientset(w.Pods[0], w.Namespaces[0])
	applied := make(chan string, 16)
	ended := make(chan error, 1)
	go func() {
		ended <- Enforce(ctx, client, "here", func(_ context.Context, table string) error { applied <- table; return nil })
	}()
	next := func(isolated bool) {
		t.Helper()
		for {
			select {
			case table := <-applied:
				if strings.Contains(table, "ingress_10_1_1_2") == isolated {
					return
				}
			case <-ctx.Done():
				t.Fatalf("no table with isolated=%t came", isolated)
			}
		}
	}
	next(false)
	policies := client.NetworkingV1().NetworkPolicies("shop")
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "deny", Namespace: "shop"}}
	if _, err := policies.Create(ctx, p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	next(true)
	if err := policies.Delete(ctx, "deny", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	next(false)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v, want canceled", err)
	}
}

// A table that is refused is tried again, and in the end the node says so.
func TestFollowGivesUpWhenRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := make(chan struct{}, 1)
		changed <- struct{}{}
		tries := 0
		refused := errors.New("refused")
		err := follow(t.Context(), changed, func() (string, error) { return "table", nil },
			func(context.Context, string) error { tries++; return refused })
		if !errors.Is(err, refused) || tries != maxRefusals {
			t.Errorf("ended with %v after %d tries, want %v after %d", err, tries, refused, maxRefusals)
		}
	})
}
