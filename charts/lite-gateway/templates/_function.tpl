{{/*
One function as one Deployment, one Service of all its ports and, where it keeps
data, one claim. Shared by the charts of our own products; a test compares.
*/}}

{{- define "function.component" -}}main{{- end }}

{{/* The number of a port by name. */}}
{{- define "function.port" -}}
{{- $name := .name }}
{{- range .root.Values.ports }}{{ if eq .name $name }}{{ .port | int }}{{ end }}{{ end }}
{{- end }}

{{- define "function.check" -}}
{{- $number := include "function.port" (dict "root" . "name" .Values.probe.port) }}
{{- if .Values.probe.path -}}
httpGet: {path: {{ .Values.probe.path | quote }}, port: {{ $number }}}
{{- else -}}
tcpSocket: {port: {{ $number }}}
{{- end }}
{{- end }}

{{- define "function.image" -}}
{{- $mirror := .Values.image.registry | trimSuffix "/" -}}
{{- with .Values.images.main -}}
{{- if .reference -}}
{{ with $mirror }}{{ . }}/{{ end }}{{ .reference }}
{{- else -}}
{{ $mirror | default "docker.io" }}/{{ .repository }}:{{ .tag }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "function.probes" -}}
{{- if .Values.probe.port }}
startupProbe:
{{ include "function.check" . | indent 2 }}
  periodSeconds: 1
  timeoutSeconds: {{ .Values.probe.timeoutSeconds | default 2 | int }}
  failureThreshold: 120
readinessProbe:
{{ include "function.check" . | indent 2 }}
  periodSeconds: {{ .Values.probe.intervalSeconds | default 5 | int }}
  timeoutSeconds: {{ .Values.probe.timeoutSeconds | default 3 | int }}
  failureThreshold: 3
livenessProbe:
{{ include "function.check" . | indent 2 }}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 4
{{- end }}
{{- end }}

{{- define "function.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
- name: data
{{- if .Values.storage.persistent }}
  persistentVolumeClaim: {claimName: {{ include "osmo.name" (dict "root" . "component" "main") }}}
{{- else }}
  emptyDir: {sizeLimit: {{ .Values.storage.size }}}
{{- end }}
{{- with .Values.config.files }}
- name: files
  secret:
    secretName: {{ $.Values.config.secretName | quote }}
    defaultMode: 0440
    items:
{{- range . }}
      - {key: {{ .key | quote }}, path: {{ .path | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "function.all" -}}
{{- $c := dict "root" . "component" "main" }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "osmo.name" $c }}
  labels:
{{ include "osmo.labels" $c | indent 4 }}
{{ include "osmo.annotations" $c | indent 2 }}
spec:
  replicas: {{ .Values.replicas | int }}
  progressDeadlineSeconds: 300
  revisionHistoryLimit: 2
{{- if .Values.storage.persistent }}
  strategy: {type: Recreate}
{{- else }}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
{{- end }}
  selector:
    matchLabels:
{{ include "osmo.selector" $c | indent 6 }}
  template:
    metadata:
      labels:
{{ include "osmo.podLabels" $c | indent 8 }}
{{ include "osmo.podAnnotations" $c | indent 6 }}
    spec:
{{ include "osmo.pod" (dict "root" . "uid" .Values.uid "gid" .Values.uid) | indent 6 }}
      terminationGracePeriodSeconds: {{ .Values.graceSeconds | int }}
      containers:
        - name: main
          image: {{ include "function.image" . | quote }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          terminationMessagePolicy: FallbackToLogsOnError
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            runAsNonRoot: true
            capabilities: {drop: [ALL]}
            seccompProfile: {type: RuntimeDefault}
{{- with .Values.command }}
          command:
{{ toYaml . | indent 12 }}
{{- end }}
{{- with concat .Values.commandArgs .Values.args }}
          args:
{{ toYaml . | indent 12 }}
{{- end }}
{{ include "osmo.envFrom" $c | indent 10 }}
          env:
            - {name: HOME, value: /data}
            - {name: TMPDIR, value: /tmp}
{{- with .Values.ports }}
          ports:
{{- range . }}
            - {containerPort: {{ .port | int }}, protocol: {{ .protocol | default "TCP" }}}
{{- end }}
{{- end }}
{{ include "function.probes" . | indent 10 }}
          resources:
{{ toYaml .Values.resources | indent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            - {name: data, mountPath: /data}
{{- if .Values.config.files }}
            - {name: files, mountPath: /etc/osmoslice, readOnly: true}
{{- end }}
      volumes:
{{ include "function.volumes" . | indent 8 }}
{{- if .Values.ports }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
  labels:
{{ include "osmo.labels" $c | indent 4 }}
    osmoslice.dev/expose: "true"
spec:
  type: {{ .Values.expose.type }}
  selector:
{{ include "osmo.selector" $c | indent 4 }}
  ports:
{{- range .Values.ports }}
    - name: {{ .name }}
      port: {{ .port | int }}
      targetPort: {{ .port | int }}
      protocol: {{ .protocol | default "TCP" }}
{{- with .scheme }}
      appProtocol: {{ . }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.storage.persistent }}
---
{{ include "osmo.claim" $c }}
{{- end }}
{{- end }}
