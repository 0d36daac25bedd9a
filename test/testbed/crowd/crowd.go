// Package crowd fills a cluster with nodes that do not exist and pods on them,
// played by kwok, for tests of scale.
package crowd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// label marks what a crowd makes; kwok plays the nodes that have it.
const label = "testbed.osmoslice.io/crowd"

// A Crowd is kwok at work on one cluster.
type Crowd struct {
	client kubernetes.Interface
	log    io.Writer
	dir    string
	stop   func()
	ended  chan error
}

// Start starts kwok (the binary of the component) on a cluster. It ends by Stop,
// and at the latest with this process.
func Start(ctx context.Context, binary, kubeconfig string, log io.Writer) (*Crowd, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 2000, 4000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "osmoslice-crowd-")
	if err != nil {
		return nil, err
	}
	c := &Crowd{client: client, log: log, dir: dir, stop: func() {}, ended: make(chan error, 1)}
	stages, err := exec.CommandContext(ctx, binary, "stages").Output()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "stages.yaml"), stages, 0o644)
	}
	if err == nil {
		err = c.start(binary, kubeconfig)
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("kwok: %w", err)
	}
	return c, nil
}

func (c *Crowd) start(binary, kubeconfig string) error {
	log, err := os.Create(filepath.Join(c.dir, "kwok.log"))
	if err != nil {
		return err
	}
	started := make(chan error)
	go func() {
		defer log.Close()
		runtime.LockOSThread() // its death signal hangs on this thread
		cmd := exec.Command(binary, "--kubeconfig", kubeconfig, "--config", filepath.Join(c.dir, "stages.yaml"),
			"--manage-nodes-with-label-selector", label, "--node-lease-duration-seconds", "40", "--cidr", "10.240.0.0/12")
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		c.stop = func() { _ = cmd.Process.Kill() }
		started <- nil
		c.ended <- cmd.Wait()
	}()
	return <-started
}

// Stop ends kwok; nodes and pods stay in the cluster as they are.
func (c *Crowd) Stop() {
	c.stop()
	c.ended <- <-c.ended
	os.RemoveAll(c.dir)
}

// Nodes makes n nodes and waits until all are ready. They bear the taint kwok, so
// that only pods that tolerate it come to them.
func (c *Crowd) Nodes(ctx context.Context, n int) error {
	capacity := corev1.ResourceList{"cpu": resource.MustParse("32"), "memory": resource.MustParse("256Gi"), "pods": resource.MustParse("110")}
	err := each(ctx, n, func(i int) error {
		name := fmt.Sprintf("crowd-%05d", i)
		_, err := c.client.CoreV1().Nodes().Create(ctx, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{label: "true", corev1.LabelHostname: name}},
			Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: "kwok", Effect: corev1.TaintEffectNoSchedule}}},
			Status:     corev1.NodeStatus{Capacity: capacity, Allocatable: capacity},
		}, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	return c.await(ctx, "nodes ready", n, func() (int, error) {
		all, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: label, ResourceVersion: "0"})
		if err != nil {
			return 0, err
		}
		ready := 0
		for _, node := range all.Items {
			for _, condition := range node.Status.Conditions {
				if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		return ready, nil
	})
}

// Pods makes n pods in the namespace default and waits until all run.
func (c *Crowd) Pods(ctx context.Context, n int) error {
	request := corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")}
	err := each(ctx, n, func(i int) error {
		_, err := c.client.CoreV1().Pods(metav1.NamespaceDefault).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("crowd-%06d", i), Labels: map[string]string{label: "true"}},
			Spec: corev1.PodSpec{NodeSelector: map[string]string{label: "true"},
				Tolerations: []corev1.Toleration{{Key: "kwok", Operator: corev1.TolerationOpExists}},
				Containers:  []corev1.Container{{Name: "none", Image: "none", Resources: corev1.ResourceRequirements{Requests: request}}}},
		}, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	return c.await(ctx, "pods running", n, func() (int, error) {
		all, err := c.client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: label, FieldSelector: "status.phase=Running"})
		if err != nil {
			return 0, err
		}
		return len(all.Items), nil
	})
}

func (c *Crowd) await(ctx context.Context, what string, n int, count func() (int, error)) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	printed := time.Now()
	for {
		got, err := count()
		if err == nil && got >= n {
			return nil
		}
		if time.Since(printed) > 5*time.Second {
			printed = time.Now()
			fmt.Fprintf(c.log, "%d of %d %s\n", got, n, what)
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%d of %d %s", got, n, what), err, ctx.Err())
		case err := <-c.ended:
			c.ended <- err
			b, _ := os.ReadFile(filepath.Join(c.dir, "kwok.log"))
			lines := strings.Split(strings.TrimSpace(string(b)), "\n")
			return fmt.Errorf("kwok ended: %w: %s", err, strings.Join(lines[max(0, len(lines)-5):], "\n"))
		case <-tick.C:
		}
	}
}

// each calls f for 0 to n-1, sixteen at a time; what exists already is made.
func each(ctx context.Context, n int, f func(int) error) error {
	next := make(chan int)
	failed := make(chan error, n)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := range next {
				if err := f(i); err != nil && !apierrors.IsAlreadyExists(err) {
					failed <- err
				}
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil || len(failed) > 0 {
			break
		}
		next <- i
	}
	close(next)
	workers.Wait()
	close(failed)
	return errors.Join(ctx.Err(), <-failed)
}
