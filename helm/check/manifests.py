"""Renders k8s/ from the charts, so that there is one source.

    manifests.py            says what differs from the files that are there
    manifests.py --write    writes them

base/ is both charts with base/values.yaml. An overlay is what the charts give with its values.yaml on top: its new
objects, and patches for those that change. What Kustomize builds from it is compared with what Helm renders.
"""

import copy
import pathlib
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
NAMESPACE = "mcp-relay"
HEAD = "# Rendered from helm/ by make charts-update: change the charts or values.yaml, not this file.\n"
OVERLAYS = ("demo", "ha", "observe")


class Dumper(yaml.SafeDumper):
    """Lists indented, long texts as blocks."""

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data):
        return True


Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def dump(*things):
    return HEAD + "---\n".join(yaml.dump(thing, Dumper=Dumper, sort_keys=False, width=110) for thing in things)


def plain(thing):
    """Without what only Helm understands."""
    if isinstance(thing, list):
        return [plain(member) for member in thing]
    if not isinstance(thing, dict):
        return thing
    result = {}
    for key, value in thing.items():
        if key.startswith("helm.sh/") or key == "app.kubernetes.io/managed-by":
            continue
        value = plain(value)
        if key == "annotations" and value == {}:
            continue
        result[key] = value
    return result


def key_of(thing):
    return thing["apiVersion"], thing["kind"], thing["metadata"]["name"]


def render(overlay=None):
    """The objects of both charts."""
    files = [K8S / "base/values.yaml"] + ([K8S / "overlays" / overlay / "values.yaml"] if overlay else [])
    things = {}
    for chart in ("proxy", "slave"):
        command = ["helm", "template", "relay", ROOT / "helm" / chart, "--namespace", NAMESPACE, "--kube-version", "1.36.0"]
        with tempfile.TemporaryDirectory() as folder:
            for number, file in enumerate(files):
                values = yaml.safe_load(file.read_text()).get(chart, {})
                path = pathlib.Path(folder, f"{number}.yaml")
                path.write_text(yaml.safe_dump(values))
                command += ["--values", path]
            text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        things |= {key_of(thing): plain(thing) for thing in yaml.safe_load_all(text) if thing}
    return things


def differences(old, new, path=""):
    """JSON patch operations from one value to the other; lists of other lengths are replaced whole."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            place = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in new:
                yield {"op": "remove", "path": place}
            elif name not in old:
                yield {"op": "add", "path": place, "value": new[name]}
            else:
                yield from differences(old[name], new[name], place)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (left, right) in enumerate(zip(old, new)):
            yield from differences(left, right, f"{path}/{number}")
    elif old != new:
        yield {"op": "replace", "path": path, "value": new}


def overlay_files(base, things):
    """What an overlay says about the base."""
    gone = sorted(key for key in base if key not in things)
    if gone:
        sys.exit(f"an overlay takes objects away, which k8s/ has no form for: {gone}")
    files = {}
    added = [thing for key, thing in things.items() if key not in base]
    if added:
        files["added.yaml"] = dump(*added)
    patches = []
    for key, thing in things.items():
        operations = list(differences(base[key], thing)) if key in base else []
        if operations:
            patches.append({
                "target": {"kind": key[1], "name": key[2]},
                "patch": yaml.dump(copy.deepcopy(operations), Dumper=Dumper, sort_keys=False, width=110),
            })
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../base", *(["added.yaml"] if added else [])],
    }
    if patches:
        kustomization["patches"] = patches
    files["kustomization.yaml"] = dump(kustomization)
    return files


def namespace():
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }


def base_files(things):
    by_chart = {"proxy": [], "slave": []}
    for thing in things.values():
        name = thing["metadata"]["name"]
        by_chart["slave" if name.startswith("relay-slave") else "proxy"].append(thing)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": ["namespace.yaml", "proxy.yaml", "slave.yaml"],
    }
    return {
        "kustomization.yaml": dump(kustomization),
        "namespace.yaml": dump(namespace()),
        "proxy.yaml": dump(*by_chart["proxy"]),
        "slave.yaml": dump(*by_chart["slave"]),
    }


def built(folder, things):
    """Whether Kustomize makes of the files what Helm made of the charts."""
    text = subprocess.run(["kustomize", "build", folder], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = {key_of(thing): thing for thing in yaml.safe_load_all(text)}
    wanted = things | {key_of(namespace()): namespace()}
    for key in sorted(set(found) | set(wanted)):
        if found.get(key) != wanted.get(key):
            yield f"{folder.relative_to(ROOT)}: Kustomize and Helm do not make the same {key[1]} {key[2]}"


def main():
    write = sys.argv[1:] == ["--write"]
    base = render()
    rendered = {overlay: render(overlay) for overlay in OVERLAYS}
    files = {K8S / "base" / name: text for name, text in base_files(base).items()}
    for overlay, things in rendered.items():
        files |= {K8S / "overlays" / overlay / name: text for name, text in overlay_files(base, things).items()}
    faults = []
    for path, text in files.items():
        if write:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            faults.append(f"{path.relative_to(ROOT)} is not what the charts give: run make charts-update")
    known = {*files, K8S / "base/values.yaml", *(K8S / "overlays" / name / "values.yaml" for name in OVERLAYS)}
    for folder in [K8S / "base", *(K8S / "overlays" / name for name in OVERLAYS)]:
        faults += [f"{path.relative_to(ROOT)} is no part of the rendering" for path in folder.glob("*") if path not in known]
    faults += [*built(K8S / "base", base)]
    for overlay, things in rendered.items():
        faults += built(K8S / "overlays" / overlay, things)
    if faults:
        sys.exit("\n".join(faults))


main()
