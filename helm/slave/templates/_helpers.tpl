{{/* What only the slave's chart needs. */}}

{{- define "slave.proxyUrl" -}}
{{- required "proxyUrl is empty: say where the proxy takes slaves, for example ws://relay-proxy-slaves:8001" .Values.proxyUrl -}}
{{- end }}

{{/* The ports of a list of URLs, each once. Call with a list of text and other ports. Renders a JSON list of numbers. */}}
{{- define "slave.portsOf" -}}
{{- $ports := list -}}
{{- range splitList "," (index . 0) -}}
{{- $url := trim . -}}
{{- if $url -}}
{{- $scheme := regexFind "^[a-zA-Z]+" $url | lower -}}
{{- $host := regexReplaceAll "^[a-zA-Z]+://([^/?#]*@)?" $url "" | regexFind "^[^/?#]*" -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" -}}
{{- $ports = append $ports ($port | default (ternary "443" "80" (has $scheme (list "wss" "https"))) | int) -}}
{{- end -}}
{{- end -}}
{{- range index . 1 -}}
{{- $ports = append $ports (int .) -}}
{{- end -}}
{{- uniq $ports | toJson -}}
{{- end }}

{{- define "slave.secretName" -}}
{{- required "secret.existing is empty: name the Secret that has the slave code (one of the proxy's SLAVE_CODES)" .Values.secret.existing -}}
{{- end }}

{{/* Its code, a file that the slave and its test read. */}}
{{- define "slave.codeVariable" -}}
- name: SLAVE_CODE_FILE
  value: /etc/mcp-relay/code/slave-code
{{- end }}

{{- define "slave.codeMount" -}}
- name: code
  mountPath: /etc/mcp-relay/code
  readOnly: true
{{- end }}

{{- define "slave.codeVolume" -}}
- name: code
  secret:
    secretName: {{ include "slave.secretName" . }}
    defaultMode: 0440
    items:
      - key: {{ .Values.secret.key }}
        path: slave-code
{{- end }}

{{/* The ConfigMap of the backends, if there are any. */}}
{{- define "slave.backendsConfigMap" -}}
{{- if .Values.backendsConfigMap -}}
{{- if .Values.backends -}}
{{- fail "backends and backendsConfigMap are both set: use one" -}}
{{- end -}}
{{- .Values.backendsConfigMap -}}
{{- else if .Values.backends -}}
{{- include "relay.fullname" . }}-backends
{{- end -}}
{{- end }}

{{- define "slave.backendsFile" -}}
{{- dict "mcpServers" .Values.backends | toPrettyJson -}}
{{- end }}

{{/* The ConfigMap of the tools that are commands, if there are any. */}}
{{- define "slave.toolsConfigMap" -}}
{{- if .Values.toolsConfigMap -}}
{{- if .Values.tools -}}
{{- fail "tools and toolsConfigMap are both set: use one" -}}
{{- end -}}
{{- .Values.toolsConfigMap -}}
{{- else if .Values.tools -}}
{{- include "relay.fullname" . }}-tools
{{- end -}}
{{- end }}

{{- define "slave.toolsFile" -}}
{{- dict "tools" .Values.tools | toYaml -}}
{{- end }}

{{- define "slave.toolImage" -}}
{{- if .Values.toolImage.repository -}}
{{- include "relay.image" .Values.toolImage -}}
{{- else -}}
{{- include "relay.ownImage" . -}}
{{- end -}}
{{- end }}

{{/* What starts the slave, and what it starts from. */}}
{{- define "slave.program" -}}
image: {{ include "slave.toolImage" . }}
imagePullPolicy: {{ ternary .Values.toolImage.pullPolicy .Values.image.pullPolicy (ne .Values.toolImage.repository "") }}
{{- if not .Values.toolImage.repository }}
args: [slave]
{{- else if eq .Values.toolImage.via "imageVolume" }}
command: [{{ printf "/mcp-relay%s" .Values.toolImage.binary }}, slave]
{{- else }}
command: [/mcp-relay/mcp-relay, slave]
{{- end }}
{{- end }}

{{/* The slave's side of TLS: variables, mounts and volumes, for slave and test alike. */}}
{{- define "slave.tlsVariables" -}}
{{- with .Values.proxyTls }}
{{- if and (or .caSecret .clientSecret) (not (contains "wss://" $.Values.proxyUrl)) }}
{{- fail "proxyTls is set but proxyUrl is not wss://" }}
{{- end }}
{{- if .caSecret }}
- name: PROXY_CA_FILE
  value: /etc/mcp-relay/proxy-ca/ca.crt
{{- end }}
{{- if .clientSecret }}
- name: PROXY_CLIENT_CERT
  value: /etc/mcp-relay/client/tls.crt
- name: PROXY_CLIENT_KEY
  value: /etc/mcp-relay/client/tls.key
{{- end }}
{{- end }}
{{- end }}

{{- define "slave.tlsMounts" -}}
{{- if .Values.proxyTls.caSecret }}
- name: proxy-ca
  mountPath: /etc/mcp-relay/proxy-ca
  readOnly: true
{{- end }}
{{- if .Values.proxyTls.clientSecret }}
- name: client
  mountPath: /etc/mcp-relay/client
  readOnly: true
{{- end }}
{{- end }}

{{- define "slave.tlsVolumes" -}}
{{- if .Values.proxyTls.caSecret }}
- name: proxy-ca
  secret:
    secretName: {{ .Values.proxyTls.caSecret }}
    items:
      - key: {{ .Values.proxyTls.caKey }}
        path: ca.crt
{{- end }}
{{- if .Values.proxyTls.clientSecret }}
- name: client
  secret:
    secretName: {{ .Values.proxyTls.clientSecret }}
    defaultMode: 0440
{{- end }}
{{- end }}
