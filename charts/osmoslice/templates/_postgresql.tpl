{{/*
PostgreSQL for a product: one database server with a claim of its own. Shared
by the charts that keep data in it. Arguments: root, databases (names).
*/}}

{{/* The start script makes the data folder whole or not at all, adds missing
     databases and sets the password of the Secret at every start, all without
     a listening server; so a listening server is a ready one. */}}
{{- define "osmo.postgresql.files" -}}
start.sh: |
  set -eu
  data="$PGDATA"
  if [ ! -s "$data/PG_VERSION" ]; then
    new="$data.new"
    # An image of nothing but PostgreSQL has neither: then in place.
    if command -v rm >/dev/null && command -v mv >/dev/null; then rm -rf "$new"; else new="$data"; fi
    initdb -D "$new" --username=postgres --pwfile=/secrets/database \
      --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C
    [ "$new" = "$data" ] || mv "$new" "$data"
  fi
  alone() {
    postgres --single -j -D "$data" postgres >/dev/null
  }
  IFS= read -r password </secrets/database || [ -n "$password" ]
  printf "ALTER ROLE postgres PASSWORD '%s';\n\n" "$password" | alone
  made=" "
  if [ -s "$data/osmoslice-databases" ]; then
    IFS= read -r made <"$data/osmoslice-databases"
  fi
  for database in $DATABASES; do
    case "$made" in
    *" $database "*) continue ;;
    esac
    printf 'CREATE DATABASE "%s";\n\n' "$database" | alone
    made="$made$database "
    printf '%s\n' "$made" >"$data/osmoslice-databases"
  done
  exec postgres -D "$data" -c listen_addresses='*' -c hba_file=/scripts/pg_hba.conf \
    -c unix_socket_directories=/run/postgresql -c shared_buffers="$SHARED_BUFFERS" -c max_connections=100
pg_hba.conf: |
  local all all trust
  host all all all scram-sha-256
passwd: |
  root:x:0:0:root:/root:/bin/sh
  postgres:x:{{ .root.Values.postgresql.uid }}:{{ .root.Values.postgresql.uid }}:PostgreSQL:/var/lib/postgresql:/bin/sh
{{- end }}

{{- define "osmo.postgresql.path" -}}
/usr/local/bin:/usr/lib/postgresql/18/bin:/usr/lib/postgresql/17/bin:/usr/lib/postgresql/16/bin:/usr/lib/postgresql/15/bin:/usr/libexec/postgresql17:/usr/libexec/postgresql16:/usr/libexec/postgresql15:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin:/
{{- end }}

{{- define "osmo.postgresql" -}}
{{- $root := .root }}
{{- $db := dict "root" $root "component" "db" "image" $root.Values.images.postgresql "ports" (list (dict "name" "postgresql" "port" 5432 "scheme" "postgresql")) }}
{{- $uid := $root.Values.postgresql.uid | int }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "osmo.name" $db }}
  labels:
{{ include "osmo.labels" $db | indent 4 }}
data:
{{ include "osmo.postgresql.files" . | indent 2 }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "osmo.name" $db }}
  labels:
{{ include "osmo.labels" $db | indent 4 }}
spec:
  replicas: 1
  strategy: {type: Recreate}
  selector:
    matchLabels:
{{ include "osmo.selector" $db | indent 6 }}
  template:
    metadata:
      labels:
{{ include "osmo.podLabels" $db | indent 8 }}
      annotations:
        osmoslice.dev/scripts: {{ include "osmo.postgresql.files" . | sha256sum | trunc 16 | quote }}
    spec:
{{ include "osmo.pod" (merge (dict "uid" $uid "gid" $uid) $db) | indent 6 }}
      terminationGracePeriodSeconds: 60
      containers:
        - name: postgresql
{{ include "osmo.container" $db | indent 10 }}
          command: [/bin/sh, /scripts/start.sh]
          env:
            - {name: PATH, value: {{ include "osmo.postgresql.path" . | quote }}}
            - {name: PGDATA, value: /data/pgdata}
            - {name: DATABASES, value: {{ join " " .databases | quote }}}
            - {name: SHARED_BUFFERS, value: {{ get $root.Values.postgresql.sharedBuffers $root.Values.size | quote }}}
            - name: POD_IP
              valueFrom: {fieldRef: {fieldPath: status.podIP}}
          ports:
            - {name: postgresql, containerPort: 5432}
          lifecycle:
            preStop: {exec: {command: [/bin/sh, -c, 'kill -INT 1']}}
{{ include "osmo.probes" (dict "check" "exec: {command: [/bin/sh, -c, 'pg_isready -q -h \"$POD_IP\" -U postgres -d postgres']}") | indent 10 }}
{{ include "osmo.resources" (dict "root" $root "class" "database") | indent 10 }}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: scripts, mountPath: /scripts, readOnly: true}
            - {name: scripts, mountPath: /etc/passwd, subPath: passwd, readOnly: true}
            - {name: secrets, mountPath: /secrets, readOnly: true}
            - {name: run, mountPath: /run/postgresql}
            - {name: tmp, mountPath: /tmp}
      volumes:
        - name: data
{{ include "osmo.storage" $db | indent 10 }}
        - name: scripts
          configMap: {name: {{ include "osmo.name" $db }}}
        - name: secrets
          secret:
            secretName: {{ include "osmo.name" (dict "root" $root "component" "secrets") }}
            items: [{key: database, path: database}]
        - name: run
          emptyDir: {medium: Memory, sizeLimit: 1Mi}
        - name: tmp
          emptyDir: {sizeLimit: 16Mi}
---
{{ include "osmo.service" $db }}
---
{{ include "osmo.claim" $db }}
{{- if $root.Values.networkPolicy.enabled }}
---
{{ include "osmo.guard" $db }}
{{- end }}
{{- end }}
