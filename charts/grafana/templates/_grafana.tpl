{{- define "grafana.provisioning" -}}
datasources.yaml: |
  apiVersion: 1
  prune: true
  datasources:
{{- with .Values.influxdb.release }}
    - name: InfluxDB
      uid: influxdb
      type: influxdb
      access: proxy
      url: http://{{ . }}-influxdb:8086
      user: admin
      jsonData: {dbName: {{ $.Values.influxdb.database | quote }}}
      secureJsonData: {password: $INFLUXDB_PASSWORD}
{{- end }}
{{- with .Values.mainflux.release }}
    - name: Mainflux
      uid: mainflux
      type: postgres
      access: proxy
      url: {{ . }}-db:5432
      user: postgres
      jsonData: {database: messages, sslmode: disable, postgresVersion: 1500}
      secureJsonData: {password: $MAINFLUX_PASSWORD}
{{- end }}
{{- if not (or .Values.influxdb.release .Values.mainflux.release) }}
    []
{{- end }}
dashboards.yaml: |
  apiVersion: 1
  providers:
    - name: osmoslice
      folder: Osmoslice
      type: file
      allowUiUpdates: false
      options: {path: /etc/grafana/dashboards}
{{- end }}

{{- define "grafana.dashboards" -}}
{{- if .Values.influxdb.release }}
readings-influxdb.json: |
{{ .Files.Get "dashboards/readings-influxdb.json" | indent 2 }}
{{- end }}
{{- if .Values.mainflux.release }}
readings-mainflux.json: |
{{ .Files.Get "dashboards/readings-mainflux.json" | indent 2 }}
{{- end }}
{{- end }}
