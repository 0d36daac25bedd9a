package kubernetes

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osmoslice/osmoslice/internal/kube"
)

const (
	lastLines = 3
	lastBytes = 2048
	// blotted is the least length of a value that is blotted out: shorter ones
	// occur by chance.
	blotted = 8
)

// lastWords reads the last lines of containers that ended without a message of
// their own, by pod and name. What cannot be read is left out.
func (m *member) lastWords(ctx context.Context, pods []corev1.Pod) map[string]string {
	out := map[string]string{}
	for i := range pods {
		p := &pods[i]
		for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			end, previous := c.State.Terminated, false
			if end == nil {
				end, previous = c.LastTerminationState.Terminated, true
			}
			if c.Ready || len(out) >= lastLines || end == nil || end.ExitCode == 0 || end.Message != "" {
				continue
			}
			lines, bytes := int64(lastLines), int64(lastBytes)
			raw, err := m.k.Core.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{
				Container: c.Name, Previous: previous, TailLines: &lines, LimitBytes: &bytes}).DoRaw(ctx)
			if err == nil {
				out[p.Name+"/"+c.Name] = strings.TrimSpace(string(raw))
			}
		}
	}
	return out
}

// secretsOf lists the values of a release's configuration, longest first: what a
// function says of itself may hold them.
func (m *member) secretsOf(ctx context.Context, r *record) ([]string, error) {
	s, err := m.k.Core.CoreV1().Secrets(r.Namespace).Get(ctx, r.Release+"-config", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, kube.Fault(err, "the configuration of release %s cannot be read", r.Release)
	}
	var out []string
	for _, v := range s.Data {
		if text := strings.TrimSpace(string(v)); len(text) >= blotted && len(text) < 4096 {
			out = append(out, text)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out, nil
}

// blot takes secrets out of a text and makes it one line.
func blot(text string, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "•••")
	}
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " / ")
}
