package kubernetes

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	lastLines = 3
	lastBytes = 2048
	// blotted is the least length of a value that is blotted out: shorter ones
	// occur by chance.
	blotted = 8
)

// lastWords reads the last lines of containers that ended, by pod and name,
// secrets blotted out. What cannot be read is left out.
func (m *member) lastWords(ctx context.Context, r *record, pods []corev1.Pod) map[string]string {
	out := map[string]string{}
	var hide []string
	for i := range pods {
		p := &pods[i]
		for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			ended := c.State.Terminated != nil && c.State.Terminated.ExitCode != 0
			if c.Ready || len(out) >= lastLines || !ended && c.LastTerminationState.Terminated == nil {
				continue
			}
			lines, bytes := int64(lastLines), int64(lastBytes)
			raw, err := m.k.Core.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{
				Container: c.Name, Previous: !ended, TailLines: &lines, LimitBytes: &bytes}).DoRaw(ctx)
			if err != nil {
				continue
			}
			if hide == nil {
				hide = m.secretsOf(ctx, r)
			}
			out[p.Name+"/"+c.Name] = blot(strings.TrimSpace(string(raw)), hide)
		}
	}
	return out
}

// secretsOf lists the values of a release's configuration that nobody may read.
// When they cannot be read no output is told at all: "" hides everything.
func (m *member) secretsOf(ctx context.Context, r *record) []string {
	s, err := m.k.Core.CoreV1().Secrets(r.Namespace).Get(ctx, r.Release+"-config", metav1.GetOptions{})
	if err != nil {
		return []string{""}
	}
	out := []string{}
	for _, v := range s.Data {
		if text := strings.TrimSpace(string(v)); len(text) >= blotted && len(text) < 4096 {
			out = append(out, text)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out
}

func blot(text string, secrets []string) string {
	for _, s := range secrets {
		if s == "" {
			return "(its output is not told: the secrets in it cannot be known)"
		}
		text = strings.ReplaceAll(text, s, "•••")
	}
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), " / ")
}
