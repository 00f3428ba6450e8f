{{/* What only the proxy's chart needs. */}}

{{- define "proxy.secretName" -}}
{{- .Values.secret.existing | default (include "relay.fullname" .) -}}
{{- end }}

{{/* What there is in the cluster, as far as Helm may look: by `main` and `ops`, the Secrets that this chart makes, each with its data and
whether it is an object of this release (owned). Renders JSON. A tool that only renders finds nothing. */}}
{{- define "proxy.found" -}}
{{- $root := . -}}
{{- $name := include "relay.fullname" . -}}
{{- $result := dict -}}
{{- range $which, $secret := dict "main" $name "ops" (printf "%s-ops" $name) -}}
{{- $there := lookup "v1" "Secret" $root.Release.Namespace $secret | default dict -}}
{{- $release := get (dig "metadata" "annotations" dict $there | default dict) "meta.helm.sh/release-name" -}}
{{- $facts := dict "there" (not (empty $there)) "owned" (eq $release $root.Release.Name) "data" ($there.data | default dict) -}}
{{- $_ := set $result $which $facts -}}
{{- end -}}
{{- toJson $result -}}
{{- end }}

{{/* Where the operators' key is: "main", beside the other keys, or "ops", in a Secret of its own. A Job adds no key to a Secret that is
there, so it makes one of its own; what was made by one method stays where it is under the other. */}}
{{- define "proxy.opsPlace" -}}
{{- $found := include "proxy.found" . | fromJson -}}
{{- if and .Values.secret.existing (ne .Values.secret.existing (include "relay.fullname" .)) -}}
main
{{- else if hasKey $found.main.data .Values.secret.keys.opsKeys -}}
main
{{- else if $found.ops.there -}}
ops
{{- else if .Values.secret.existing -}}
main
{{- else if eq .Values.secret.generate.method "job" -}}
ops
{{- else if or (not $found.main.there) $found.main.owned -}}
main
{{- else -}}
ops
{{- end -}}
{{- end }}

{{- define "proxy.opsSecretName" -}}
{{- if eq (include "proxy.opsPlace" .) "main" -}}
{{- include "proxy.secretName" . -}}
{{- else -}}
{{- include "relay.fullname" . }}-ops
{{- end -}}
{{- end }}

{{/* The key of one code, for a slave of this namespace and for `helm test`. A generated Secret has one code only. */}}
{{- define "proxy.slaveCodeKey" -}}
{{- $keys := .Values.secret.keys -}}
{{- if not .Values.secret.existing -}}
{{- $keys.slaveCodes -}}
{{- else -}}
{{- $data := (lookup "v1" "Secret" .Release.Namespace .Values.secret.existing).data | default dict -}}
{{- ternary $keys.slaveCodes $keys.slaveCode (and (hasKey $data $keys.slaveCodes) (not (hasKey $data $keys.slaveCode))) -}}
{{- end -}}
{{- end }}

{{/* Refuses a change after which a code that slaves use would be unknown: from the Secret that the Deployment in the cluster has its codes
from to another one that lacks some of them. Renders nothing. */}}
{{- define "proxy.keepCodes" -}}
{{- $target := include "proxy.secretName" . -}}
{{- $deployment := lookup "apps/v1" "Deployment" .Release.Namespace (include "relay.fullname" .) | default dict -}}
{{- range $volume := dig "spec" "template" "spec" "volumes" list $deployment -}}
{{- if and (eq .name "codes") .secret -}}
{{- if ne .secret.secretName $target -}}
{{- $key := (first (.secret.items | default (list (dict "key" $.Values.secret.keys.slaveCodes)))).key -}}
{{- $old := get ((lookup "v1" "Secret" $.Release.Namespace .secret.secretName).data | default dict) $key | b64dec -}}
{{- $new := (lookup "v1" "Secret" $.Release.Namespace $target).data | default dict -}}
{{- $text := get $new $.Values.secret.keys.slaveCodes | b64dec -}}
{{- range splitList "\n" $old -}}
{{- $code := include "proxy.codeOfLine" . -}}
{{- if and $code (not (contains $code $text)) (or $new (not $.Values.secret.existing)) -}}
{{- $what := ternary "is not there, so new codes would be made" (printf "lacks a code of it (key %s)" $.Values.secret.keys.slaveCodes) (empty $new) -}}
{{- fail (printf "this release takes its slave codes from the Secret %s, and the Secret %s, which secret.existing and secret.generate name now, %s: slaves that use it would be refused. Set secret.existing to the Secret of before, or put its codes into %s first" $volume.secret.secretName $target $what $target) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The code in a line of a file of codes, or nothing. */}}
{{- define "proxy.codeOfLine" -}}
{{- $line := trim . -}}
{{- if regexMatch "\\bcode(_sha256)?\\s*:" $line -}}
{{- regexReplaceAll "^.*\\bcode(_sha256)?\\s*:\\s*[\"']?([^\"',}\\s]+).*$" $line "${2}" -}}
{{- else if not (or (eq $line "") (hasPrefix "#" $line) (contains ":" $line) (hasPrefix "-" $line)) -}}
{{- $line -}}
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
{{- if and (not .Values.metricsKey.secret) (eq (include "proxy.opsPlace" .) "ops") }}
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
app.kubernetes.io/name: {{ include "relay.name" . }}-secret
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

{{/* The files of policy, issuers and users, each with the variable that names it. Renders JSON. */}}
{{- define "proxy.files" -}}
{{- $root := . -}}
{{- $files := list -}}
{{- range $pair := list (list "policy" "POLICY") (list "issuers" "AUTH_ISSUERS") (list "users" "BROKER_USERS_FILE") -}}
{{- $name := index $pair 0 -}}
{{- $variable := index $pair 1 -}}
{{- $from := index $root.Values $name -}}
{{- if and $from.configMap $from.secret -}}
{{- fail (printf "%s.configMap and %s.secret are both set: use one" $name $name) -}}
{{- end -}}
{{- if or $from.configMap $from.secret -}}
{{- if hasKey $root.Values.config $variable -}}
{{- fail (printf "config.%s and %s are both set: use one" $variable $name) -}}
{{- end -}}
{{- $files = append $files (merge (dict "name" $name "variable" $variable) $from) -}}
{{- end -}}
{{- end -}}
{{- toJson $files -}}
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

{{/* What a client in `helm test` knows of the proxy: variables. */}}
{{- define "proxy.testClient" -}}
- name: MCP_SERVER_HOST
  value: {{ include "relay.fullname" . }}
- name: MCP_SERVER_PORT
  value: {{ .Values.service.port | quote }}
{{- if include "proxy.tls" (list . "clients") }}
- name: TLS_CERT
  value: /etc/mcp-relay/tls/tls.crt
{{- end }}
{{- if .Values.clientAuth }}
{{ include "proxy.secretVariable" (list . "AUTH_BEARER_KEYS" .Values.secret.keys.clientKeys) | trim }}
{{- end }}
{{- end }}

{{/* What a slave in `helm test` knows of it. */}}
{{- define "proxy.testSlave" -}}
- name: PROXY_SERVER_URL
  value: ws{{ if include "proxy.tls" (list . "slaves") }}s{{ end }}://{{ include "proxy.slavesName" . }}:8001
{{- if and (include "proxy.tls" (list . "slaves")) .Values.tls.caKey }}
- name: PROXY_CA_FILE
  value: /etc/mcp-relay/tls/ca.crt
{{- end }}
- name: SLAVE_CODE_FILE
  value: /etc/mcp-relay/code/slave-code
{{- end }}

{{/* Mounts and volumes of the certificate and of one code, for `helm test`. Render YAML. */}}
{{- define "proxy.testTls" -}}
{{- if .Values.tls.secret }}
mounts:
  - name: tls
    mountPath: /etc/mcp-relay/tls
    readOnly: true
volumes:
  - name: tls
    secret:
      secretName: {{ .Values.tls.secret }}
      items:
        - key: tls.crt
          path: tls.crt
        {{- with .Values.tls.caKey }}
        - key: {{ . }}
          path: ca.crt
        {{- end }}
{{- end }}
{{- end }}

{{- define "proxy.testCode" -}}
mounts:
  - name: code
    mountPath: /etc/mcp-relay/code
    readOnly: true
volumes:
  - name: code
    secret:
      secretName: {{ .Values.test.slaveCode.secret | default (include "proxy.secretName" .) }}
      defaultMode: 0440
      items:
        - key: {{ ternary .Values.test.slaveCode.key (include "proxy.slaveCodeKey" .) (ne .Values.test.slaveCode.secret "") }}
          path: slave-code
{{- end }}

{{/* The pods of `helm test` as a peer of a network policy, where that lists peers. */}}
{{- define "proxy.testPeer" -}}
{{- if .Values.test.enabled -}}
- podSelector:
    matchLabels:
      {{- include "relay.testLabels" . | nindent 6 }}
{{- end -}}
{{- end }}
