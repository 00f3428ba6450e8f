{{/* What only the slave's chart needs. */}}

{{- define "slave.proxyUrl" -}}
{{- required "proxyUrl is empty: say where the proxy takes slaves, for example ws://relay-proxy-slaves:8001" .Values.proxyUrl -}}
{{- end }}

{{- define "slave.proxyPort" -}}
{{- $url := urlParse (include "slave.proxyUrl" .) -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $port | default (ternary "443" "80" (eq $url.scheme "wss")) -}}
{{- end }}

{{- define "slave.secretName" -}}
{{- required "secret.existing is empty: name the Secret that has the slave code (one of the proxy's SLAVE_CODES)" .Values.secret.existing -}}
{{- end }}

{{- define "slave.codeVariable" -}}
- name: SLAVE_CODE
  valueFrom:
    secretKeyRef:
      name: {{ include "slave.secretName" . }}
      key: {{ .Values.secret.key }}
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
{{- if and (or .caSecret .clientSecret) (not (hasPrefix "wss://" $.Values.proxyUrl)) }}
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
