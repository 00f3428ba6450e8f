{{/* What only the proxy's chart needs. */}}

{{- define "proxy.secretName" -}}
{{- .Values.secret.existing | default (include "relay.fullname" .) -}}
{{- end }}

{{/* The Secret with the operators' key. A Job adds no key to a Secret that is there, so it makes one of its own: upgrades get it too. */}}
{{- define "proxy.opsSecretName" -}}
{{- if or .Values.secret.existing (eq .Values.secret.generate.method "lookup") -}}
{{- include "proxy.secretName" . -}}
{{- else -}}
{{- include "relay.fullname" . }}-ops
{{- end -}}
{{- end }}

{{- define "proxy.slavesName" -}}
{{- include "relay.fullname" . }}-slaves
{{- end }}

{{/* Slaves need a Service with one address of its own: asked for, or for an Ingress or a Gateway. */}}
{{- define "proxy.slavesExternal" -}}
{{- if or .Values.slaveService.external.enabled .Values.ingress.slaves.enabled .Values.gateway.slaves.enabled -}}true{{- end -}}
{{- end }}

{{- define "proxy.idleSeconds" -}}
{{- $silence := .Values.config.REQUEST_TIMEOUT | default 300 | float64 | ceil | int64 -}}
{{- $total := .Values.config.REQUEST_TIMEOUT_TOTAL | default 3600 | float64 | ceil | int64 -}}
{{- .Values.idleTimeout.seconds | default (max $silence $total) | int64 -}}
{{- end }}

{{/* Whether a port speaks TLS. Call with a list of root and clients or slaves. Renders "true" or nothing. */}}
{{- define "proxy.tls" -}}
{{- $tls := (index . 0).Values.tls -}}
{{- if and $tls.secret (index $tls (index . 1)) -}}true{{- end -}}
{{- end }}

{{/* Annotations by which an ingress controller lets streams be and finds TLS behind it. Call as proxy.tls. */}}
{{- define "proxy.controllerAnnotations" -}}
{{- $seconds := include "proxy.idleSeconds" (index . 0) -}}
{{- $tls := include "proxy.tls" . -}}
{{- with index . 0 -}}
{{- $controller := .Values.idleTimeout.controller -}}
{{- if eq $controller "nginx" }}
nginx.ingress.kubernetes.io/proxy-read-timeout: {{ $seconds | quote }}
nginx.ingress.kubernetes.io/proxy-send-timeout: {{ $seconds | quote }}
nginx.ingress.kubernetes.io/proxy-buffering: "off"
nginx.ingress.kubernetes.io/proxy-request-buffering: "off"
nginx.ingress.kubernetes.io/proxy-body-size: {{ .Values.config.MAX_BODY_BYTES | default 16777216 | int64 | quote }}
{{- if $tls }}
nginx.ingress.kubernetes.io/backend-protocol: HTTPS
{{- end }}
{{- else if eq $controller "haproxy" }}
haproxy.org/timeout-server: {{ printf "%ss" $seconds }}
haproxy.org/timeout-client: {{ printf "%ss" $seconds }}
haproxy.org/timeout-tunnel: {{ printf "%ss" $seconds }}
{{- if $tls }}
haproxy.org/server-ssl: "true"
{{- end }}
{{- else if eq $controller "haproxy-ingress" }}
haproxy-ingress.github.io/timeout-server: {{ printf "%ss" $seconds }}
haproxy-ingress.github.io/timeout-client: {{ printf "%ss" $seconds }}
haproxy-ingress.github.io/timeout-tunnel: {{ printf "%ss" $seconds }}
{{- if $tls }}
haproxy-ingress.github.io/backend-protocol: h1-ssl
{{- end }}
{{- else if eq $controller "alb" }}
alb.ingress.kubernetes.io/load-balancer-attributes: {{ printf "idle_timeout.timeout_seconds=%d" (min 4000 (int64 $seconds)) }}
alb.ingress.kubernetes.io/target-type: ip
{{- if $tls }}
alb.ingress.kubernetes.io/backend-protocol: HTTPS
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A variable from the Secret. Call with a list of root, variable and key. */}}
{{- define "proxy.secretVariable" -}}
{{- $root := index . 0 -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef:
      name: {{ include "proxy.secretName" $root }}
      key: {{ index . 2 }}
{{- end }}

{{/* How a scraper talks to a proxy: by what scheme, and with which key. */}}
{{- define "proxy.scrape" -}}
{{- if include "proxy.tls" (list . "clients") }}
scheme: https
{{- with .Values.metricsTlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- if not (or .Values.metricsKey.secret .Values.secret.existing (eq .Values.secret.generate.method "lookup")) }}
{{- fail "a generated key ends with a new line, which Prometheus does not cut off: put the operators' key into a Secret without it and name that in metricsKey.secret" }}
{{- end }}
authorization:
  type: Bearer
  credentials:
    name: {{ .Values.metricsKey.secret | default (include "proxy.opsSecretName" .) }}
    key: {{ ternary .Values.metricsKey.key .Values.secret.keys.opsKeys (ne .Values.metricsKey.secret "") }}
{{- end }}

{{/* Labels of the Jobs' pods: no Service may select them. */}}
{{- define "proxy.secretLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-secret
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: mcp-relay
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "proxy.kubectl" -}}
image: {{ .Values.secret.generate.image }}
resources:
  requests:
    cpu: 10m
    memory: 32Mi
  limits:
    memory: 128Mi
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}

{{/* The ConfigMap of the routes, if there are any. */}}
{{- define "proxy.routesConfigMap" -}}
{{- if .Values.routesConfigMap -}}
{{- if .Values.routes -}}
{{- fail "routes and routesConfigMap are both set: use one" -}}
{{- end -}}
{{- .Values.routesConfigMap -}}
{{- else if .Values.routes -}}
{{- include "relay.fullname" . }}-routes
{{- end -}}
{{- end }}

{{/* The probes of /healthz and /readyz, on the operators' port. Call with a list of root and path. */}}
{{- define "proxy.httpGet" -}}
httpGet:
  path: {{ index . 1 }}
  port: ops
  {{- if include "proxy.tls" (list (index . 0) "clients") }}
  scheme: HTTPS
  {{- end }}
{{- end }}
