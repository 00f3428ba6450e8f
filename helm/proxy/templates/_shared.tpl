{{/*
What both charts need. helm/proxy and helm/slave hold the same file; scripts/charts compares them.
*/}}

{{/* Values that are null, as people write to take a default away, or that a parent chart leaves out, get their default again
(files/defaults.yaml, made from values.yaml), so that no template meets a nil. Free maps are the user's: what is null in them is gone. callsInFlight says by null that it is not
looked at. */}}
{{- define "relay.defaults" -}}
{{- include "relay.fill" (dict "values" .Values "defaults" (.Files.Get "files/defaults.yaml" | fromYaml)) -}}
{{- include "relay.usualNames" . -}}
{{- end }}

{{/* Values by the names that other charts have for them: each stands for ours, and two that say different things are refused. */}}
{{- define "relay.usualNames" -}}
{{- $default := (.Files.Get "files/defaults.yaml" | fromYaml).replicas -}}
{{- if not (kindIs "invalid" .Values.replicaCount) -}}
{{- if and (ne (int .Values.replicas) (int $default)) (ne (int .Values.replicas) (int .Values.replicaCount)) -}}
{{- fail (printf "replicaCount is %d and replicas is %d: they are the same setting, use one" (int .Values.replicaCount) (int .Values.replicas)) -}}
{{- end -}}
{{- $_ := set .Values "replicas" (int .Values.replicaCount) -}}
{{- end -}}
{{- with .Values.existingSecret -}}
{{- if and $.Values.secret.existing (ne $.Values.secret.existing .) -}}
{{- fail (printf "existingSecret is %s and secret.existing is %s: they are the same setting, use one" . $.Values.secret.existing) -}}
{{- end -}}
{{- $_ := set $.Values.secret "existing" . -}}
{{- end -}}
{{- end }}

{{/* What the chart is called in names and labels. */}}
{{- define "relay.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "relay.fill" -}}
{{- $values := .values -}}
{{- $free := list "config" "resources" "labels" "annotations" "podSecurityContext" "securityContext" "startupProbe" "livenessProbe" "readinessProbe" -}}
{{- range $name, $default := .defaults -}}
{{- $value := get $values $name -}}
{{- if eq $name "callsInFlight" -}}
{{- else if kindIs "invalid" (index $values $name) -}}
{{- $_ := set $values $name $default -}}
{{- else if and (kindIs "map" $default) (kindIs "map" $value) (not (has $name $free)) -}}
{{- include "relay.fill" (dict "values" $value "defaults" $default) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* proxy or slave: the last word of the chart's name. */}}
{{- define "relay.role" -}}
{{- .Chart.Name | trimPrefix "mcp-relay-" -}}
{{- end }}

{{/* The name of every object: the release's, with the role unless the release's name says it. */}}
{{- define "relay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $role := .Values.nameOverride | default (include "relay.role" .) | trunc 24 | trimSuffix "-" -}}
{{- if contains $role .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc (int (sub 51 (len $role))) | trimSuffix "-") $role -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "relay.selectorLabels" -}}
app.kubernetes.io/name: {{ include "relay.name" . }}
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

{{/* The replicas of the Deployment: with autoscaling those that there are, as a field that is left out would fall to 1 until the autoscaler
looks again. Renders nothing where there is no Deployment yet, or where a tool only renders. */}}
{{- define "relay.replicas" -}}
{{- if not .Values.autoscaling.enabled -}}
{{- .Values.replicas -}}
{{- else -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace (include "relay.fullname" .) -}}
{{- .spec.replicas | int64 -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Labels of the pods of `helm test`, by which network policies select them. */}}
{{- define "relay.testLabels" -}}
app.kubernetes.io/name: {{ include "relay.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* One pod of `helm test`. It stays until the next test, so that `--logs` finds it; one container in each, as Helm 3 reads the log of no
other. Call with a dict of root, name, weight, args, env, mounts and volumes (the last three as text). */}}
{{- define "relay.testPod" -}}
{{- $root := .root -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ .name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "relay.testLabels" $root | nindent 4 }}
    app.kubernetes.io/component: test
    app.kubernetes.io/part-of: mcp-relay
    app.kubernetes.io/managed-by: {{ $root.Release.Service }}
    {{- with $root.Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-weight: {{ .weight | quote }}
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml $root.Values.podSecurityContext | nindent 4 }}
  containers:
    - name: test
      image: {{ include "relay.ownImage" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args:
        {{- toYaml .args | nindent 8 }}
      {{- with .env | trim }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- toYaml $root.Values.securityContext | nindent 8 }}
      {{- with .mounts | trim }}
      volumeMounts:
        {{- . | nindent 8 }}
      {{- end }}
  {{- with .volumes | trim }}
  volumes:
    {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Egress of a network policy to name servers. */}}
{{- define "relay.dnsPorts" -}}
{{- range .Values.networkPolicy.dnsPorts }}
- port: {{ . }}
  protocol: UDP
- port: {{ . }}
  protocol: TCP
{{- end }}
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
{{- if and (kindIs "invalid" $values.callsInFlight) (kindIs "invalid" $values.cpuPercent) }}
{{- fail "autoscaling is enabled, but autoscaling.callsInFlight and autoscaling.cpuPercent are both null: nothing says when to scale" }}
{{- end -}}
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
