{{/*
Shared by the product charts: names, labels, images, security, scheduling,
probes and kept secrets. Every chart carries the same copy; a test compares.
Arguments are a dict with "root" (the chart's context) and what each names.
*/}}

{{/* A release's name has at most 53 characters, a component's at most 9. */}}
{{- define "osmo.name" -}}
{{ .root.Release.Name }}-{{ .component }}
{{- end }}

{{- define "osmo.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of pods: they stay the same when chart or product change. */}}
{{- define "osmo.podLabels" -}}
{{ include "osmo.selector" . }}
app.kubernetes.io/part-of: osmoslice
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
osmoslice.dev/release: {{ .root.Release.Name }}
{{- with .root.Values.osmoslice }}
{{- range $key := list "slice" "element" "tenant" }}
{{- with get $.root.Values.osmoslice $key }}
osmoslice.dev/{{ $key }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "osmo.labels" -}}
{{ include "osmo.podLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* "image": {repository, tag, digest}; the mirror replaces docker.io. */}}
{{- define "osmo.image" -}}
{{- $mirror := .root.Values.image.registry | default "docker.io" | trimSuffix "/" -}}
{{ $mirror }}/{{ .image.repository }}:{{ .image.tag }}{{ with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* What holds for a pod as a whole; "uid" and "gid" are the image's. */}}
{{- define "osmo.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid }}
  runAsGroup: {{ .gid }}
  fsGroup: {{ .gid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . | quote }}
{{- end }}
{{- end }}
{{- $selector := dict }}
{{- with .root.Values.architecture }}{{ $_ := set $selector "kubernetes.io/arch" . }}{{ end }}
{{- $selector = merge $selector (.root.Values.nodeSelector | default dict) }}
{{- with $selector }}
nodeSelector:
{{- range $key, $value := . }}
  {{ $key }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- with .root.Values.nodeName }}
{{/* An affinity, not spec.nodeName: the scheduler must see the pod, or volumes
     that wait for their first consumer are never bound. */}}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchFields:
            - {key: metadata.name, operator: In, values: [{{ . | quote }}]}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}

{{- define "osmo.container" -}}
image: {{ include "osmo.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Resources by the chart's size: "class" names a row of sizes.<size>. */}}
{{- define "osmo.resources" -}}
resources:
{{ toYaml (get (get .root.Values.sizes .root.Values.size) .class) | indent 2 }}
{{- end }}

{{/* "check" is a probe's action in YAML. Starting may take two minutes on a
     slow board; after that, liveness is patient and readiness is not. */}}
{{- define "osmo.probes" -}}
startupProbe:
{{ .check | indent 2 }}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 120
readinessProbe:
{{ .check | indent 2 }}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
livenessProbe:
{{ .check | indent 2 }}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 4
{{- end }}

{{/* Configuration written by whoever installs, as the environment. */}}
{{- define "osmo.envFrom" -}}
{{- with .root.Values.config }}
{{- if and .env .secretName }}
envFrom:
  - secretRef: {name: {{ .secretName | quote }}, optional: true}
{{- end }}
{{- end }}
{{- end }}

{{/* A generated secret, base64: what the cluster has already is kept, so that
     an upgrade changes no password. */}}
{{- define "osmo.kept" -}}
{{- $old := (lookup "v1" "Secret" .root.Release.Namespace .secret).data | default dict -}}
{{- if hasKey $old .key }}{{ get $old .key }}{{ else }}{{ randAlphaNum 32 | b64enc }}{{ end }}
{{- end }}

{{/* Annotations of the pods: a change of the configuration restarts them. */}}
{{- define "osmo.podAnnotations" -}}
{{- with .root.Values.config }}
{{- with .hash }}
annotations:
  osmoslice.dev/config: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "osmo.annotations" -}}
{{- with .root.Values.osmoslice }}
{{- if or .hash .generation .elementName }}
annotations:
{{- with .hash }}
  osmoslice.dev/hash: {{ . | quote }}
{{- end }}
{{- with .elementName }}
  osmoslice.dev/element-name: {{ . | quote }}
{{- end }}
{{- with .generation }}
  osmoslice.dev/generation: {{ . | int64 | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A Service of one component. "ports" is a list of {name, port, target,
     protocol, scheme}; with "expose" others outside the cluster reach it. */}}
{{- define "osmo.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "osmo.name" . }}
  labels:
{{ include "osmo.labels" . | indent 4 }}
{{- if .expose }}
    osmoslice.dev/expose: "true"
{{- end }}
spec:
  type: {{ if .expose }}{{ .root.Values.expose.type }}{{ else }}ClusterIP{{ end }}
  selector:
{{ include "osmo.selector" . | indent 4 }}
  ports:
{{- range .ports }}
    - name: {{ .name }}
      port: {{ .port | int }}
      targetPort: {{ .target | default .port | int }}
      protocol: {{ .protocol | default "TCP" }}
      appProtocol: {{ .scheme }}
{{- end }}
{{- end }}

{{/* Only pods of the release reach a store; "also" is a further pod label. */}}
{{- define "osmo.guard" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "osmo.name" . }}
  labels:
{{ include "osmo.labels" . | indent 4 }}
spec:
  podSelector:
    matchLabels:
{{ include "osmo.selector" . | indent 6 }}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app.kubernetes.io/instance: {{ .root.Release.Name }}
        - podSelector:
            matchLabels:
              osmoslice.dev/reads: {{ .root.Release.Name }}
      ports:
{{- range .ports }}
        - {protocol: TCP, port: {{ .port | int }}}
{{- end }}
{{- range .open }}
    - ports:
        - {protocol: TCP, port: {{ . | int }}}
{{- end }}
{{- end }}

{{/* A volume that keeps data: a claim, or the node's disk for trials. */}}
{{- define "osmo.storage" -}}
{{- if .root.Values.storage.persistent }}
persistentVolumeClaim: {claimName: {{ include "osmo.name" . }}}
{{- else }}
emptyDir: {sizeLimit: {{ .root.Values.storage.size }}}
{{- end }}
{{- end }}

{{- define "osmo.claim" -}}
{{- if .root.Values.storage.persistent -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "osmo.name" . }}
  labels:
{{ include "osmo.labels" . | indent 4 }}
spec:
  accessModes: [ReadWriteOnce]
{{- with .root.Values.storageClass }}
  storageClassName: {{ . | quote }}
{{- end }}
  resources:
    requests: {storage: {{ .root.Values.storage.size }}}
{{- end }}
{{- end }}
