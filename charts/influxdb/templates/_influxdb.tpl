{{/* The first start runs a server on loopback alone until the administrator and
     the database are there; a marker tells the next start that it was whole. */}}
{{- define "influxdb.files" -}}
influxdb.conf: |
  reporting-disabled = true
  bind-address = "127.0.0.1:8088"
  [meta]
    dir = "/data/meta"
  [data]
    dir = "/data/data"
    wal-dir = "/data/wal"
  [http]
    auth-enabled = true
    ping-auth-enabled = false
    log-enabled = false
start.sh: |
  set -eu
  if [ ! -e /data/made ]; then
    rm -rf /data/meta /data/data /data/wal
    INFLUXDB_HTTP_BIND_ADDRESS=127.0.0.1:18086 influxd -config /config/influxdb.conf &
    server=$!
    ask() { influx -host 127.0.0.1 -port 18086 "$@"; }
    until ask -execute 'SHOW DATABASES' >/dev/null 2>&1 || ask -execute 'SHOW USERS' 2>&1 | grep -q 'create admin user'; do
      kill -0 "$server"
      sleep 1
    done
    printf "CREATE USER admin WITH PASSWORD '%s' WITH ALL PRIVILEGES\n" "$INFLUX_PASSWORD" | ask
    printf 'CREATE DATABASE "%s" WITH DURATION %s NAME "readings"\n' "$DATABASE" "$RETENTION" |
      INFLUX_USERNAME=admin ask
    kill "$server"
    wait "$server" || true
    : >/data/made
  fi
  unset INFLUX_PASSWORD
  exec influxd -config /config/influxdb.conf
{{- end }}
