{{/*
The services of EdgeX, as data: image, port, arguments, environment. All of
them are one Go program each, started alike; "expose" marks the Services that
osmosliced and devices reach, under the port's name.
*/}}
{{- define "edgex.services" -}}
{{- $broker := include "osmo.name" (dict "root" . "component" "broker") -}}
metadata:
  image: metadata
  port: 59881
  database: true
  expose: metadata
data:
  image: data
  port: 59880
  database: true
  expose: data
command:
  image: command
  port: 59882
  expose: command
  env:
    EXTERNALMQTT_URL: tcp://{{ $broker }}:1883
dmqtt:
  image: deviceMqtt
  port: 59982
  env:
    MQTTBROKERINFO_HOST: {{ $broker }}
    {{/* Its default, device-mqtt, is its name on the message bus as well; on
         one broker the two connections would evict each other. */}}
    MQTTBROKERINFO_CLIENTID: device-mqtt-southbound
    DEVICE_DEVICESDIR: ""
    DEVICE_PROFILESDIR: ""
drest:
  image: deviceRest
  port: 59986
  expose: rest
  env:
    DEVICE_DEVICESDIR: ""
    DEVICE_PROFILESDIR: ""
{{- if .Values.senml.enabled }}
app:
  image: senml
  port: 59703
  expose: app
{{- end }}
{{- if .Values.configurable.enabled }}
appjson:
  image: configurable
  port: 59703
  expose: appjson
  env:
    EDGEX_PROFILE: mqtt-export
    {{/* Otherwise it opens no port for a minute while the server is away. */}}
    WRITABLE_PIPELINE_FUNCTIONS_MQTTEXPORT_PARAMETERS_PRECONNECT: "false"
{{- end }}
{{- end }}

{{/* The environment that all services share, as a list. */}}
{{- define "edgex.env" -}}
- {name: EDGEX_SECURITY_SECRET_STORE, value: "false"}
- {name: WRITABLE_LOGLEVEL, value: {{ .root.Values.logLevel | quote }}}
- {name: SERVICE_HOST, value: {{ include "osmo.name" . | quote }}}
- {name: SERVICE_SERVERBINDADDR, value: 0.0.0.0}
{{- end }}

{{- define "edgex.databasePassword" -}}
valueFrom:
  secretKeyRef: {name: {{ include "osmo.name" (dict "root" .root "component" "secrets") }}, key: database}
{{- end }}

{{- define "edgex.ping" -}}
httpGet: {path: /api/v3/ping, port: {{ . | int }}}
{{- end }}

{{- define "edgex.broker.files" -}}
mosquitto.conf: |
  per_listener_settings true
  persistence false
  log_dest stderr
  connection_messages false
  listener 1883 0.0.0.0
  allow_anonymous true
  listener 1884 0.0.0.0
  allow_anonymous true
  acl_file /config/devices.acl
devices.acl: |
  topic write incoming/data/#
  topic write command/response/#
  topic read command/#
{{- end }}
