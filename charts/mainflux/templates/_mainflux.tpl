{{/*
The services of Mainflux, as data. "ports" come first to last: the first is
probed with GET /version unless "tcp" is set; a port with "expose" is on the
Service that others reach, under the port's name. "database" gives the
connection under that prefix; "fixed" services have one replica.
*/}}
{{- define "mainflux.services" -}}
{{- $n := dict }}
{{- range list "auth" "things" "nats" "redis" "broker" "db" }}
{{- $_ := set $n . (include "osmo.name" (dict "root" $ "component" .)) }}
{{- end -}}
auth:
  ports:
    - {name: auth, port: 8189, scheme: http, expose: true}
    - {name: grpc, port: 8181, scheme: grpc}
  database: {prefix: MF_AUTH_DB, name: auth}
  env: {MF_AUTH_LOG_LEVEL: {{ .Values.logLevel }}, MF_AUTH_HTTP_PORT: "8189", MF_AUTH_GRPC_PORT: "8181"}
  secrets: {MF_AUTH_SECRET: auth}
users:
  ports: [{name: users, port: 8180, scheme: http, expose: true}]
  database: {prefix: MF_USERS_DB, name: users}
  env: {MF_USERS_LOG_LEVEL: {{ .Values.logLevel }}, MF_USERS_HTTP_PORT: "8180", MF_EMAIL_TEMPLATE: /files/email.tmpl}
  secrets: {MF_USERS_ADMIN_EMAIL: admin-email, MF_USERS_ADMIN_PASSWORD: admin-password}
  files: true
things:
  ports:
    - {name: things, port: 8182, scheme: http, expose: true}
    - {name: auth-http, port: 8989, scheme: http}
    - {name: grpc, port: 8183, scheme: grpc}
  database: {prefix: MF_THINGS_DB, name: things}
  env:
    MF_THINGS_LOG_LEVEL: {{ .Values.logLevel }}
    MF_THINGS_HTTP_PORT: "8182"
    MF_THINGS_AUTH_HTTP_PORT: "8989"
    MF_THINGS_AUTH_GRPC_PORT: "8183"
    MF_THINGS_CACHE_URL: {{ $n.redis }}:6379
    MF_THINGS_ES_URL: {{ $n.redis }}:6379
http:
  ports: [{name: http, port: 8185, scheme: http, expose: true}]
  env: {MF_HTTP_ADAPTER_LOG_LEVEL: {{ .Values.logLevel }}, MF_HTTP_ADAPTER_PORT: "8185"}
mqtt:
  ports: [{name: mqtt, port: 1883, scheme: tcp, expose: true}]
  tcp: true
  fixed: true
  env:
    MF_MQTT_ADAPTER_LOG_LEVEL: {{ .Values.logLevel }}
    MF_MQTT_ADAPTER_MQTT_PORT: "1883"
    MF_MQTT_ADAPTER_MQTT_TARGET_HOST: {{ $n.broker }}
    MF_MQTT_ADAPTER_MQTT_TARGET_PORT: "1884"
    MF_MQTT_ADAPTER_MQTT_TARGET_HEALTH_CHECK: ""
    MF_MQTT_ADAPTER_WS_PORT: "8080"
    MF_MQTT_ADAPTER_WS_TARGET_HOST: {{ $n.broker }}
    MF_MQTT_ADAPTER_WS_TARGET_PORT: "1884"
    MF_MQTT_ADAPTER_ES_URL: {{ $n.redis }}:6379
    MF_AUTH_CACHE_URL: {{ $n.redis }}:6379
coap:
  ports:
    - {name: health, port: 5683, scheme: http}
    - {name: coap, port: 5683, scheme: coap, protocol: UDP, expose: true}
  fixed: true
  env: {MF_COAP_ADAPTER_LOG_LEVEL: {{ .Values.logLevel }}, MF_COAP_ADAPTER_PORT: "5683"}
writer:
  ports: [{name: writer, port: 9104, scheme: http}]
  database: {prefix: MF_POSTGRES_WRITER_DB, name: messages}
  fixed: true
  env:
    MF_POSTGRES_WRITER_LOG_LEVEL: {{ .Values.logLevel }}
    MF_POSTGRES_WRITER_PORT: "9104"
    MF_POSTGRES_WRITER_CONFIG_PATH: /files/config.toml
    MF_POSTGRES_WRITER_TRANSFORMER: senml
  files: true
reader:
  ports: [{name: reader, port: 9204, scheme: http, expose: true}]
  database: {prefix: MF_POSTGRES_READER_DB, name: messages}
  env: {MF_POSTGRES_READER_LOG_LEVEL: {{ .Values.logLevel }}, MF_POSTGRES_READER_PORT: "9204"}
{{- end }}

{{/* What all of them are told: the defaults of the programs are other ports. */}}
{{- define "mainflux.env" -}}
- {name: MF_NATS_URL, value: "nats://{{ include "osmo.name" (dict "root" . "component" "nats") }}:4222"}
- {name: MF_AUTH_GRPC_URL, value: "{{ include "osmo.name" (dict "root" . "component" "auth") }}:8181"}
- {name: MF_AUTH_GRPC_TIMEOUT, value: 5s}
- {name: MF_THINGS_AUTH_GRPC_URL, value: "{{ include "osmo.name" (dict "root" . "component" "things") }}:8183"}
- {name: MF_THINGS_AUTH_GRPC_TIMEOUT, value: 5s}
- {name: MF_JAEGER_URL, value: ""}
{{- end }}

{{- define "mainflux.files" -}}
config.toml: |
  [subjects]
  filter = ["channels.>"]
email.tmpl: |
  To: {{ "{{range $index, $v := .To}}{{if $index}},{{end}}{{$v}}{{end}}" }}
  From: {{ "{{.From}}" }}
  Subject: {{ "{{.Subject}}" }}
  {{ "{{.Header}}" }}
  {{ "{{.Content}}" }}
  {{ "{{.Footer}}" }}
# The services end at once without their stores; their images have no shell, so
# this runs in the database's. Without a tool for it, a restart does the rest.
wait.sh: |
  there() {
    if ! command -v timeout >/dev/null; then
      return 0
    elif command -v bash >/dev/null; then
      timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null
    elif nc -h 2>&1 | grep -q -e -z; then
      nc -z -w 1 "$1" "$2"
    fi
  }
  until pg_isready -q -t 3 -h "$DATABASE" -U postgres -d postgres; do sleep 1; done
  for address in $STORES; do
    until there "${address%:*}" "${address#*:}"; do sleep 1; done
  done
{{- end }}

{{/* The administrator as {email, password} in base64: the installer's file
     "admin", else what the cluster has, else a new one. */}}
{{- define "mainflux.admin" -}}
{{- $name := include "osmo.name" (dict "root" . "component" "secrets") }}
{{- $given := "" }}
{{- $entry := "" }}
{{- range .Values.config.files }}{{ if eq .path "admin" }}{{ $entry = .key }}{{ end }}{{ end }}
{{- with .Values.config.secretName }}
{{- $secret := lookup "v1" "Secret" $.Release.Namespace . }}
{{- if and $secret $entry }}
{{- $given = get ($secret.data | default dict) $entry | b64dec }}
{{- if not $given }}
{{- fail (printf "config.files: file admin is entry %s, but Secret %s has no such entry; it must hold user:password" $entry .) }}
{{- end }}
{{- end }}
{{- end }}
{{- if $given }}
{{- $pair := regexSplit ":" (trim $given) 2 }}
{{- if ne (len $pair) 2 }}
{{- fail (printf "file admin of Secret %s: allowed: user:password" .Values.config.secretName) }}
{{- end }}
admin-email: {{ index $pair 0 | b64enc }}
admin-password: {{ index $pair 1 | b64enc }}
{{- else }}
admin-email: {{ .Values.admin.email | b64enc }}
admin-password: {{ include "osmo.kept" (dict "root" . "secret" $name "key" "admin-password") }}
{{- end }}
{{- end }}

{{/* The Service by which others reach one component. */}}
{{- define "mainflux.outside" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "osmo.name" . }}-x
  labels:
{{ include "osmo.labels" . | indent 4 }}
    osmoslice.dev/expose: "true"
spec:
  type: {{ .root.Values.expose.type }}
  selector:
{{ include "osmo.selector" . | indent 4 }}
  ports:
{{- range .ports }}
    - name: {{ .name }}
      port: {{ .port | int }}
      targetPort: {{ .port | int }}
      protocol: {{ .protocol | default "TCP" }}
      appProtocol: {{ .scheme }}
{{- end }}
{{- end }}

{{/* A store that keeps nothing: one container, one port, for the release only. */}}
{{- define "mainflux.store" -}}
{{- $c := dict "root" .root "component" .component "ports" (list (dict "name" .component "port" .port "scheme" "tcp")) }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "osmo.name" $c }}
  labels:
{{ include "osmo.labels" $c | indent 4 }}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector:
    matchLabels:
{{ include "osmo.selector" $c | indent 6 }}
  template:
    metadata:
      labels:
{{ include "osmo.podLabels" $c | indent 8 }}
    spec:
{{ include "osmo.pod" (dict "root" .root "uid" .uid "gid" .uid) | indent 6 }}
      containers:
        - name: {{ .component }}
{{ include "osmo.container" (dict "root" .root "image" .image) | indent 10 }}
          command:
{{ toYaml .command | indent 12 }}
          env:
            # Found wherever an image has it, at the root as well.
            - {name: PATH, value: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/"}
          ports:
            - {name: {{ .component }}, containerPort: {{ .port }}}
{{ include "osmo.probes" (dict "check" (printf "tcpSocket: {port: %d}" (int .port))) | indent 10 }}
{{ include "osmo.resources" (dict "root" .root "class" "broker") | indent 10 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
{{- with .config }}
            - {name: config, mountPath: /config, readOnly: true}
{{- end }}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: 16Mi}
{{- with .config }}
        - name: config
          configMap: {name: {{ . }}}
{{- end }}
---
{{ include "osmo.service" $c }}
{{- if .root.Values.networkPolicy.enabled }}
---
{{ include "osmo.guard" $c }}
{{- end }}
{{- end }}
