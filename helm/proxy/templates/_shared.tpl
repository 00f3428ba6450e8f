{{/*
What both charts need. helm/proxy and helm/slave hold the same file; scripts/charts compares them.
*/}}

{{/* proxy or slave: the last word of the chart's name. */}}
{{- define "relay.role" -}}
{{- .Chart.Name | trimPrefix "mcp-relay-" -}}
{{- end }}

{{/* The name of every object: the release's, with the role unless the release's name says it. */}}
{{- define "relay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $role := include "relay.role" . -}}
{{- if contains $role .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 46 | trimSuffix "-") $role -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "relay.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "relay.labels" -}}
{{ include "relay.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/component: {{ include "relay.role" . }}
app.kubernetes.io/part-of: mcp-relay
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of the pods: none that change with the chart's version, as a change would start every pod anew. */}}
{{- define "relay.podLabels" -}}
{{ include "relay.selectorLabels" . }}
app.kubernetes.io/component: {{ include "relay.role" . }}
app.kubernetes.io/part-of: mcp-relay
{{- with mergeOverwrite (deepCopy .Values.commonLabels) .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "relay.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "relay.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{/* An image reference. Call with a dict of repository, tag, digest and, for want of a tag, version. */}}
{{- define "relay.image" -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default .version) -}}
{{- end -}}
{{- end }}

{{- define "relay.ownImage" -}}
{{- include "relay.image" (merge (dict "version" .Chart.AppVersion) .Values.image) -}}
{{- end }}

{{/* A value as environment text. Helm reads every number as a float: whole ones must not come out as 2.68e+08. */}}
{{- define "relay.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end }}

{{/* The variables of `config`, sorted by name. */}}
{{- define "relay.config" -}}
{{- range $name, $value := .Values.config }}
{{- if not (kindIs "invalid" $value) }}
- name: {{ $name }}
  value: {{ include "relay.text" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* Seconds that the drain may take: the calls' grace, what comes before it, and 10 for the rest. */}}
{{- define "relay.terminationGrace" -}}
{{- $grace := .Values.config.SHUTDOWN_GRACE | default 30 | float64 | ceil | int64 -}}
{{- $delay := .Values.drainDelaySeconds | default .Values.config.SHUTDOWN_DELAY | default 0 | float64 | ceil | int64 -}}
{{- add $grace $delay 10 -}}
{{- end }}

{{/* Soft spread over nodes and zones, unless the user has said how. Call with the root. */}}
{{- define "relay.topologySpread" -}}
{{- if .Values.topologySpreadConstraints -}}
{{ toYaml .Values.topologySpreadConstraints }}
{{- else -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "relay.selectorLabels" $ | nindent 6 }}
{{- end }}
{{- end -}}
{{- end }}

{{/* More than one replica, now or after scaling. Renders "true" or nothing. */}}
{{- define "relay.several" -}}
{{- $fewest := .Values.replicas | int -}}
{{- if .Values.autoscaling.enabled -}}
{{- $fewest = .Values.autoscaling.minReplicas | int -}}
{{- end -}}
{{- if gt $fewest 1 -}}true{{- end -}}
{{- end }}

{{/* Where pods go. */}}
{{- define "relay.placement" -}}
topologySpreadConstraints:
  {{- include "relay.topologySpread" . | trim | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Call with a dict of root and metric (the name of the gauge of calls in flight). */}}
{{- define "relay.autoscaler" -}}
{{- $root := .root -}}
{{- $values := .root.Values.autoscaling -}}
{{- if $values.enabled -}}
apiVersion: autoscaling/{{ ternary "v2" "v2beta2" (semverCompare ">=1.23.0-0" $root.Capabilities.KubeVersion.Version) }}
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "relay.fullname" $root }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "relay.labels" $root | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "relay.fullname" $root }}
  minReplicas: {{ $values.minReplicas }}
  maxReplicas: {{ $values.maxReplicas }}
  metrics:
    {{- if not (kindIs "invalid" $values.callsInFlight) }}
    - type: Pods
      pods:
        metric:
          name: {{ .metric }}
        target:
          type: AverageValue
          averageValue: {{ $values.callsInFlight | int64 | quote }}
    {{- end }}
    {{- if not (kindIs "invalid" $values.cpuPercent) }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $values.cpuPercent }}
    {{- end }}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: {{ $values.scaleDownSeconds }}
{{- end -}}
{{- end }}

{{- define "relay.disruptionBudget" -}}
{{- if and .Values.podDisruptionBudget.enabled (include "relay.several" .) -}}
apiVersion: policy/{{ ternary "v1" "v1beta1" (semverCompare ">=1.21.0-0" .Capabilities.KubeVersion.Version) }}
kind: PodDisruptionBudget
metadata:
  name: {{ include "relay.fullname" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "relay.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .Values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "relay.selectorLabels" . | nindent 6 }}
{{- end -}}
{{- end }}

{{- define "relay.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "relay.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "relay.labels" . | nindent 4 }}
  {{- with .Values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}
{{- end }}

{{- define "relay.extraObjects" -}}
{{- range .Values.extraObjects }}
---
{{- if kindIs "string" . }}
{{ tpl . $ }}
{{- else }}
{{ tpl (toYaml .) $ }}
{{- end }}
{{- end }}
{{- end }}

{{/* A PodMonitor. Call with a dict of root, port and scrape (text: scheme and key). */}}
{{- define "relay.podMonitor" -}}
{{- $root := .root -}}
{{- if $root.Values.podMonitor.enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ include "relay.fullname" $root }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "relay.labels" $root | nindent 4 }}
    {{- with $root.Values.podMonitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- include "relay.selectorLabels" $root | nindent 6 }}
  podMetricsEndpoints:
    - port: {{ .port }}
      path: /metrics
      interval: {{ $root.Values.podMonitor.interval }}
      {{- with .scrape }}
      {{- . | trim | nindent 6 }}
      {{- end }}
{{- end -}}
{{- end }}
