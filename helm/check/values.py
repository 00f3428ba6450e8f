"""Sets every value of both charts to null, to {} and to each wrong type.

    values.py            checks, and says whether files/defaults.yaml is what values.yaml gives
    values.py --write    writes files/defaults.yaml

Null gives the default again, or, inside a map that is the user's (resources, config, …), nothing. Every other value renders or is
refused by the schema, which names the value. Nothing renders a nil.
"""

import concurrent.futures
import copy
import json
import pathlib
import subprocess
import sys

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAD = "# Made from values.yaml by make charts-update: what a value is again that a user set to null.\n"
CHARTS = ("proxy", "slave")
# One of each type. The texts and the number are none that a value of another type takes by chance.
SAMPLES = ({}, {"a": {}}, [], [[]], "not this!", "", -1.5, True)
# Maps whose members are the user's: what is null there is gone. As relay.fill in templates/_shared.tpl has them.
FREE = {"config", "resources", "labels", "podSecurityContext", "securityContext", "startupProbe", "livenessProbe", "readinessProbe"}
# What the slave's chart cannot do without.
NEEDED = {"proxy": {}, "slave": {"proxyUrl": "ws://relay-proxy-slaves:8001", "secret": {"existing": "code"}}}
# Traces of a nil or of a map where text should be.
TRACES = ("<nil>", "%!", "map[", "nil pointer", "error calling")


# Nulls that are tried at once.
GROUP = 8


def paths(values, at=()):
    for name, value in values.items():
        yield (*at, name)
        if isinstance(value, dict):
            yield from paths(value, (*at, name))


def nested(path, value):
    for name in reversed(path):
        value = {name: value}
    return value


def merged(base, over):
    result = copy.deepcopy(base)
    for name, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = merged(result[name], value) if both else value
    return result




def render(chart, values):
    """What Helm prints, and what it complains of."""
    command = ["helm", "template", "relay", ROOT / "helm" / chart, "--kube-version", "1.36.0", "--values", "-"]
    done = subprocess.run(command, input=json.dumps(values), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.stdout, done.stderr if done.returncode else ""


def traces(text):
    return [trace for trace in TRACES if trace in text]


class Chart:
    def __init__(self, name):
        folder = ROOT / "helm" / name
        self.name = name
        self.values = yaml.safe_load((folder / "values.yaml").read_text())
        self.all = yaml.safe_load((folder / "ci/all.yaml").read_text())
        self.schema = jsonschema.Draft7Validator(json.loads((folder / "values.schema.json").read_text()))
        self.default = render(name, NEEDED[name])[0]

    def is_free(self, path):
        return bool(FREE.intersection(path[:-1]))

    def nulls(self, group):
        """What is wrong with nulls where everything else is as it comes. Several at once; one by one where that is wrong."""
        values = NEEDED[self.name]
        for path in group:
            values = merged(values, nested(path, None))
        text, complaint = render(self.name, values)
        if not complaint and (text == self.default or any(map(self.is_free, group))) and not traces(text):
            return []
        if len(group) > 1:
            return [fault for path in group for fault in self.nulls([path])]
        where = f"{'.'.join(group[0])}: null"
        if complaint:
            # What the chart cannot do without, it asks for by name.
            asked = f"{'.'.join(group[0])} is empty" in complaint or f"{group[0][0]}.existing is empty" in complaint
            return [] if asked and not traces(complaint) else [f"{where}: {complaint.strip()}"]
        return [f"{where} renders {trace}" for trace in traces(text)] or [f"{where} does not give the default"]

    def groups(self):
        """The paths in groups within which none is inside another; those of free maps and what is needed apart."""
        alone = [path for path in paths(self.values) if self.is_free(path) or path[0] in NEEDED[self.name]]
        for depth in range(1, 5):
            level = [path for path in paths(self.values) if len(path) == depth and path not in alone]
            yield from (level[start : start + GROUP] for start in range(0, len(level), GROUP))
        yield from ([path] for path in alone)

    def null_section(self, name):
        """What is wrong with a section that is null where everything that there is is on."""
        text, complaint = render(self.name, merged(self.all, {name: None}))
        # The chart's own refusals say what to set.
        own = "execution error at" in complaint and not traces(complaint)
        found = traces(text) or ([] if own or not complaint else [complaint.strip()])
        return [f"with ci/all.yaml: {trace}" for trace in found]

    def refusals(self, path):
        """Wrong values by whether the schema refuses them, under the name of the value."""
        inner = self.values
        for name in path:
            inner = inner[name]
        for sample in (sample for sample in SAMPLES if sample == {} or type(sample) is not type(inner)):
            errors = list(self.schema.iter_errors(merged(self.values, nested(path, sample))))
            if not errors:
                yield sample, []
            elif not any(tuple(error.absolute_path)[: len(path)] == path for error in errors):
                yield sample, [f"{json.dumps(sample)} is refused without the value's name: {errors[0].message}"]

    def accepted(self, path, sample):
        text, complaint = render(self.name, merged(merged(NEEDED[self.name], self.needs(path)), nested(path, sample)))
        own = "execution error at" in complaint and not traces(complaint)
        found = traces(text) + ([] if own or not complaint else [complaint.strip()])
        return [f"{json.dumps(sample)} is accepted and renders {fault}" for fault in found]

    def needs(self, path):
        """Switches on what the value is about."""
        inner, on = self.values, {}
        for depth, name in enumerate(path[:-1], 1):
            inner = inner[name]
            if "enabled" in inner:
                on = merged(on, nested((*path[:depth], "enabled"), True))
        return on

    def tasks(self):
        for path in paths(self.values):
            where = f"helm/{self.name}: {'.'.join(path)}"
            for sample, faults in self.refusals(path):
                if faults:
                    yield where, lambda found: found, (faults,)
                # What merges with the default to the default was rendered before.
                elif merged(self.values, nested(path, sample)) != self.values:
                    yield where, self.accepted, (path, sample)
        for group in self.groups():
            yield f"helm/{self.name}", self.nulls, (group,)
        for name in self.values:
            yield f"helm/{self.name}: {name}", self.null_section, (name,)


def defaults(write):
    for chart in CHARTS:
        folder = ROOT / "helm" / chart
        values = yaml.safe_load((folder / "values.yaml").read_text())
        text = HEAD + yaml.safe_dump(values, sort_keys=False, width=110)
        path = folder / "files/defaults.yaml"
        if write:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            sys.exit(f"{path.relative_to(ROOT)} is not what values.yaml gives: run make charts-update")


def main():
    write = sys.argv[1:] == ["--write"]
    defaults(write)
    if write:
        return
    tasks = [task for chart in CHARTS for task in Chart(chart).tasks()]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = [(where, pool.submit(check, *arguments)) for where, check, arguments in tasks]
    faults = [f"{where}: {fault}" for where, result in running for fault in result.result()]
    if faults:
        sys.exit("\n".join(faults))
    print(f"{sum(len([*paths(Chart(chart).values)]) for chart in CHARTS)} values: null, {{}} and each wrong type render or are refused by name")


main()
