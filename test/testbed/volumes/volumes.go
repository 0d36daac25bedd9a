// Package volumes provisions persistent volumes on one node: a claim whose first
// pod was scheduled to the node gets a "local" volume, a folder below one root; a
// volume whose claim was deleted is deleted with its folder.
//
// Each node runs its own Provision: the scheduler writes the node it chose onto
// the claim (the class waits for the first consumer), so that exactly one acts.
// Every step is idempotent: a volume is named after its claim's UID, and its
// folder is made before it.
package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

const (
	provisionerKey   = "volume.kubernetes.io/storage-provisioner"
	selectedNodeKey  = "volume.kubernetes.io/selected-node"
	provisionedByKey = "pv.kubernetes.io/provisioned-by"
	nodeKey          = "testbed.osmoslice.io/node"
)

type provisioner struct {
	client kubernetes.Interface
	node   string
	name   string
	root   string
}

// Provision serves claims of storage classes with that provisioner on the node
// until ctx ends; folders are below root. What fails is tried again.
func Provision(ctx context.Context, client kubernetes.Interface, node, name, root string) error {
	p := &provisioner{client: client, node: node, name: name, root: root}
	factory := informers.NewSharedInformerFactory(client, 10*time.Second)
	claims := factory.Core().V1().PersistentVolumeClaims().Informer()
	existing := factory.Core().V1().PersistentVolumes().Informer()
	failed := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "volumes: %s: %v; tried again within 10 s\n", what, err)
		}
	}
	claim := func(o any) {
		if c, ok := o.(*corev1.PersistentVolumeClaim); ok && p.mine(c) {
			failed(c.Namespace+"/"+c.Name, p.create(ctx, c))
		}
	}
	volume := func(o any) {
		if v, ok := o.(*corev1.PersistentVolume); ok && p.released(v) {
			failed(v.Name, p.remove(ctx, v))
		}
	}
	for informer, f := range map[cache.SharedIndexInformer]func(any){claims: claim, existing: volume} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: f, UpdateFunc: func(_, o any) { f(o) },
		}); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
	return ctx.Err()
}

func (p *provisioner) mine(c *corev1.PersistentVolumeClaim) bool {
	return c.Annotations[provisionerKey] == p.name && c.Annotations[selectedNodeKey] == p.node &&
		c.Spec.VolumeName == "" && c.DeletionTimestamp == nil
}

func (p *provisioner) released(v *corev1.PersistentVolume) bool {
	return v.Annotations[provisionedByKey] == p.name && v.Annotations[nodeKey] == p.node &&
		v.Status.Phase == corev1.VolumeReleased && v.DeletionTimestamp == nil &&
		v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete
}

func (p *provisioner) create(ctx context.Context, c *corev1.PersistentVolumeClaim) error {
	if c.Spec.VolumeMode != nil && *c.Spec.VolumeMode != corev1.PersistentVolumeFilesystem {
		return fmt.Errorf("volumeMode %s: only Filesystem is provisioned here", *c.Spec.VolumeMode)
	}
	if c.Spec.StorageClassName == nil {
		return errors.New("the claim names no storage class")
	}
	class, err := p.client.StorageV1().StorageClasses().Get(ctx, *c.Spec.StorageClassName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	policy := corev1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		policy = *class.ReclaimPolicy
	}
	v := p.volumeOf(c, policy)
	// Any user of the pod may write, as on a freshly made disk after fsGroup.
	if err := os.MkdirAll(v.Spec.Local.Path, 0o777); err != nil {
		return err
	}
	if err := os.Chmod(v.Spec.Local.Path, 0o777); err != nil {
		return err
	}
	_, err = p.client.CoreV1().PersistentVolumes().Create(ctx, v, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (p *provisioner) volumeOf(c *corev1.PersistentVolumeClaim, policy corev1.PersistentVolumeReclaimPolicy) *corev1.PersistentVolume {
	name := "pvc-" + string(c.UID)
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{provisionedByKey: p.name, nodeKey: p.node}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: c.Spec.Resources.Requests[corev1.ResourceStorage]},
			AccessModes:                   c.Spec.AccessModes,
			StorageClassName:              *c.Spec.StorageClassName,
			PersistentVolumeReclaimPolicy: policy,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: filepath.Join(p.root, name)}},
			ClaimRef: &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: c.Namespace, Name: c.Name, UID: c.UID},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{p.node}}},
			}}}},
		},
	}
}

// remove deletes the folder first: a volume that is gone names none.
func (p *provisioner) remove(ctx context.Context, v *corev1.PersistentVolume) error {
	path := v.Spec.Local.Path
	if filepath.Dir(path) != p.root || !strings.HasPrefix(filepath.Base(path), "pvc-") {
		return fmt.Errorf("%s is no folder made here", path)
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	err := p.client.CoreV1().PersistentVolumes().Delete(ctx, v.Name, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
