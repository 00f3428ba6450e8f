"""Renders the charts with each file of values under ci/ and checks every object.

    validate.py <folder with custom resource definitions> <folder of the example with both charts in it>

Kubernetes' own kinds are checked against the three newest versions that the package kubernetes-validate knows,
custom ones against the definitions in the folders. Pods must keep to the restricted profile.
"""

import pathlib
import re
import subprocess
import sys

import jsonschema
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The oldest version that the charts claim (Chart.yaml): rendered, but there are no schemas of it.
OLDEST = "1.20.0"
# The custom kinds in the charts, as files of definitions are called.
CUSTOM = ("_httproutes", "_podmonitors", "_prometheusrules", "_servicemonitors")
# What the restricted profile lets pods mount.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"}


class Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: a bare = is text."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


def newest(count):
    folder = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    found = {tuple(map(int, re.match(r"v(\d+)\.(\d+)", entry.name).groups())) for entry in folder.glob("v*-strict")}
    versions = sorted(found)[-count:]
    if len(versions) < count:
        sys.exit(f"kubernetes-validate knows fewer than {count} versions of Kubernetes")
    return [f"{major}.{minor}.0" for major, minor in versions]


def render(chart, values, version):
    command = ["helm", "template", "relay", chart, "--namespace", "mcp", "--kube-version", version]
    command += ["--values", values]
    if version == OLDEST and chart.name == "proxy":
        command += ["--set", "secret.generate.method=lookup"]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [found for found in yaml.load_all(text, Loader) if found]


def definitions(folder):
    """Custom kinds by apiVersion and kind, closed: unknown members are faults, as they are to `kubectl`."""
    kinds = {}
    for path in pathlib.Path(folder).glob("*.yaml"):
        if not path.stem.endswith(CUSTOM):
            continue
        for crd in yaml.load_all(path.read_text(), Loader):
            if crd and crd["kind"] == "CustomResourceDefinition":
                for version in crd["spec"]["versions"]:
                    name = (f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"])
                    schema = version["schema"]["openAPIV3Schema"]
                    schema["properties"]["metadata"] = {"type": "object"}
                    kinds[name] = shut(schema)
    return kinds


def shut(schema):
    if isinstance(schema, list):
        return [shut(member) for member in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    # Go's regular expressions are not all Python's.
    result = {key: shut(member) for key, member in schema.items() if key != "pattern" or isinstance(member, dict)}
    if result.get("type") == "object" and "properties" in result:
        result.setdefault("additionalProperties", False)
    return result


def faults_of(thing, version, kinds):
    custom = kinds.get((thing["apiVersion"], thing["kind"]))
    try:
        if custom:
            jsonschema.validate(thing, custom)
        elif version != OLDEST:
            kubernetes_validate.validate(thing, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{error.message} at {'.'.join(map(str, error.path))}"
    except jsonschema.ValidationError as error:
        yield f"{error.message} at {error.json_path}"
    except kubernetes_validate.SchemaNotFoundError:
        yield "no such kind"
    yield from pod_faults(thing)


def pod_faults(thing):
    """Where a pod leaves the restricted profile, or gets what it does not need."""
    pod = thing.get("spec", {}).get("template", {}).get("spec") if thing["kind"] != "Pod" else thing["spec"]
    if not pod:
        return
    if pod.get("enableServiceLinks") is not False:
        yield "enableServiceLinks is not false"
    if pod.get("automountServiceAccountToken") is not (thing["kind"] == "Job"):
        yield "automountServiceAccountToken: only the Secret's Jobs talk to Kubernetes"
    security = pod.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "the pod may run as root, or without seccomp"
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")) or security.get("runAsUser") == 0:
        yield "the pod gets what is the node's"
    for volume in pod.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            yield f"volume {volume['name']} is of a kind that the restricted profile refuses"
    for container in pod.get("initContainers", []) + pod["containers"]:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"container {container['name']} may gain rights"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"container {container['name']} may write to its image"
        if own.get("privileged") or own.get("runAsUser") == 0 or any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"container {container['name']} gets what is the node's"


def example_faults(rendered):
    """Where the slaves of the example do not find the proxy's Service, Secret or code."""
    objects = {(thing["kind"], thing["metadata"]["name"]): thing for thing in rendered}
    slave = objects["Deployment", "relay-slave"]["spec"]["template"]["spec"]
    variables = {one["name"]: one.get("value") for one in slave["containers"][0]["env"]}
    host = re.fullmatch(r"ws://([a-z-]+):8001", variables["PROXY_SERVER_URL"])
    if not host or ("Service", host[1]) not in objects:
        yield f"{variables['PROXY_SERVER_URL']} is no Service of the example"
    secret = next(volume["secret"] for volume in slave["volumes"] if volume["name"] == "code")
    job = "".join(yaml.dump(thing) for (kind, _), thing in objects.items() if kind == "Job")
    if f"- {secret['secretName']}\n" not in job or f"--from-file={secret['items'][0]['key']}=" not in job:
        yield f"no Job makes the Secret {secret['secretName']} with the key {secret['items'][0]['key']}"


def main():
    kinds = definitions(sys.argv[1])
    example = pathlib.Path(sys.argv[2])
    versions = newest(3)
    faults, count = [], 0
    cases = [(example, example / "values.yaml", versions)]
    for chart in (ROOT / "helm/proxy", ROOT / "helm/slave"):
        for values in [*sorted((chart / "ci").glob("*.yaml")), chart / "quickstart.yaml"]:
            cases.append((chart, values, [OLDEST, *versions]))
    for chart, values, those in cases:
        for version in those:
            rendered = render(chart, values, version)
            for thing in rendered:
                count += 1
                where = f"{chart.name}, {values.name}, Kubernetes {version}, {thing['kind']} {thing['metadata']['name']}"
                faults += [f"{where}: {fault}" for fault in faults_of(thing, version, kinds)]
            if chart == example:
                faults += [f"helm/example: {fault}" for fault in example_faults(rendered)]
    if faults:
        sys.exit("\n".join(faults))
    print(f"{count} objects are right for Kubernetes {', '.join(versions)}")


main()
