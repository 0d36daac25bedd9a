{{- define "service.dsn" -}}
{{- if .Values.database.dsn }}{{ .Values.database.dsn }}
{{- else if .Values.postgresql.enabled }}postgres://postgres@{{ include "osmo.name" (dict "root" . "component" "db") }}:5432/osmoslice?sslmode=disable
{{- else }}{{ fail "database.dsn: given nothing, allowed: postgres://user@host/database?sslmode=… with database.passwordSecret, or postgresql.enabled=true for a trial" }}
{{- end }}
{{- end }}

{{- define "service.passwordSecret" -}}
{{- if .Values.database.dsn }}{{ .Values.database.passwordSecret }}{{ else }}{{ include "osmo.name" (dict "root" . "component" "secrets") }}{{ end }}
{{- end }}

{{- define "service.secrets" -}}
{{ .Values.existingSecret | default (include "osmo.name" (dict "root" . "component" "secrets")) }}
{{- end }}

{{/* Settings: what the chart needs comes last and wins. */}}
{{- define "service.config" -}}
{{- $data := dict "dir" "/data/osmoslice" "dsn" (include "service.dsn" .) "keyfile" "/secrets/secret.key" "adminkeyfile" "/secrets/admin.key" }}
{{- if include "service.passwordSecret" . }}{{ $_ := set $data "dsnpasswordfile" "/database/password" }}{{ end }}
{{- $own := dict "listen" (dict "address" "0.0.0.0:8080") "data" $data }}
{{- if .Values.tls.secretName }}{{ $_ := set $own "tls" (dict "certfile" "/tls/tls.crt" "keyfile" "/tls/tls.key") }}{{ end }}
{{- $defaults := dict "log" (dict "format" "json") "host" (dict "enabled" false) "simulated" (dict "enabled" false) }}
{{- toYaml (mergeOverwrite $defaults (deepCopy .Values.settings) $own) }}
{{- end }}

{{/* A key file of osmosliced: one AES-256 key with its checksum. */}}
{{- define "service.keyFile" -}}
{{- $id := randAlphaNum 16 | lower }}
{{- $key := randBytes 32 }}
{{- $check := printf "%s\x00%s" $id ($key | b64dec) | sha256sum }}
{{- dict "version" 1 "keys" (list (dict "id" $id "key" $key "createdAt" (now | date "2006-01-02T15:04:05Z") "check" $check)) | toJson }}
{{- end }}

{{/* CEL: an object carries a label with a value. */}}
{{- define "service.carries" -}}
{{- $object := index . 0 }}{{ $label := index . 1 }}{{ $value := index . 2 -}}
(has({{ $object }}.metadata.labels) && "{{ $label }}" in {{ $object }}.metadata.labels && {{ $object }}.metadata.labels["{{ $label }}"] == "{{ $value }}")
{{- end }}
