"""Holds the charts' values to docs/CONFIGURATION.md and to their own schema, and their alerts to docs/METRICS.md.

Every variable of the document is either in `config` of the chart whose pods read it, or set by the chart from other
values; every value has a place in the schema, and every place in the schema has a value.
"""

import base64
import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Sections of the document that each chart's pods read.
SECTIONS = {
    "proxy": ["Every mode", "Forward proxies", "Proxy", "Audit", "Traces"],
    "slave": ["Every mode", "Forward proxies", "Slave", "Handed on to mr-pilot", "Audit", "Traces"],
}

# Variables that a chart sets itself, from other values or because only one setting is right in its pods.
OWN = {
    "proxy": {
        "MCP_SERVER_HOST", "MCP_SERVER_PORT", "OPS_HOST", "OPS_PORT", "TLS_OPS", "PROXY_WS_HOST", "PROXY_WS_PORT", "PROXY_PEERS", "ROUTES", "SHUTDOWN_DELAY",
        "SLAVE_CODES_FILE", "TLS_CERT", "TLS_CLIENT_CA", "TLS_HTTP", "TLS_HTTP_CLIENT_CA", "TLS_HTTP_CLIENT_CERT", "TLS_KEY", "TLS_WS",
    },
    "slave": {
        "MCP_SERVER_HOST", "MCP_SERVER_PORT", "OPS_HOST", "OPS_PORT", "PROXY_CA_FILE", "PROXY_CLIENT_CERT", "PROXY_CLIENT_KEY", "PROXY_SERVER_URL",
        "SLAVE_BACKENDS", "SLAVE_CODE_FILE", "SLAVE_TOOLS",
    },
}


def documented():
    """The variables of each section of docs/CONFIGURATION.md, and which of them are secrets."""
    sections, secrets, title = {}, set(), ""
    for line in (ROOT / "docs/CONFIGURATION.md").read_text().splitlines():
        if line.startswith("## "):
            title = line[3:]
        row = re.match(r"\| `([A-Z_0-9]+)` \|", line)
        if row:
            names = [name for name in sections if name == title or title.startswith(name)] or [title]
            sections.setdefault(names[0], set()).add(row[1])
            if "**Secret.**" in line:
                secrets.add(row[1])
    return sections, secrets


def variables(chart, schema):
    """Variables that the chart does not know, or that are no longer there."""
    sections, secrets = documented()
    wanted = set()
    for start in SECTIONS[chart]:
        found = [names for title, names in sections.items() if title.startswith(start)]
        if not found:
            yield f"docs/CONFIGURATION.md has no section {start!r}"
        wanted = wanted.union(*found)
    config = set(schema["properties"]["config"]["properties"])
    for name in sorted(wanted - secrets - OWN[chart] - config):
        yield f"{name} is in docs/CONFIGURATION.md but not in the schema of config, nor set by the chart"
    for name in sorted(config - wanted):
        yield f"{name} is in the schema of config but not in docs/CONFIGURATION.md"
    for name in sorted(config & secrets):
        yield f"{name} is a secret: config is plain text"
    for name in sorted(OWN[chart] - wanted):
        yield f"{name} is set by the chart but not in docs/CONFIGURATION.md"
    templates = "".join(path.read_text() for path in (ROOT / "helm" / chart / "templates").rglob("*.*"))
    for name in sorted(wanted & (OWN[chart] | (secrets - HANDED_ON))):
        if name not in templates and name not in LEFT_OUT[chart]:
            yield f"{name} is neither in config nor in a template"


# Variables that the pods can do without: codes are in files, nobody opens a session with a slave's own port, and what a collector of
# traces wants to see, and forward proxies with their passwords, come from a Secret of the user's, by extraEnv.
HEADERS = {"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"}
FORWARD = {"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"}
LEFT_OUT = {
    "proxy": {"SLAVE_CODES", *FORWARD, *HEADERS},
    "slave": {"SESSION_KEY", "PROXY_TUNNEL_URL", *FORWARD, *HEADERS},
}

# Credentials of tools: they come from the Secrets that `credentials` lists.
HANDED_ON = {"GITLAB_TOKEN", "GITHUB_TOKEN", "LLM_API_KEY", "OPENROUTER_API_KEY"}


def shape(value, schema, path):
    """Values without a place in the schema, and places without a value."""
    if not isinstance(value, dict) or not schema.get("properties") or schema.get("additionalProperties", True):
        return
    for name in sorted(set(value) - set(schema["properties"])):
        yield f"{path}{name} is not in the schema"
    if path not in FREE:
        for name in sorted(set(schema["properties"]) - set(value) - {"global"}):
            yield f"{path}{name} has a place in the schema but no default in values.yaml"
    for name, member in schema["properties"].items():
        yield from shape(value.get(name), member, f"{path}{name}.")


# Objects of which users set what they want.
FREE = {"config.", "resources."}


def closed(schema, path):
    """Objects that take any member although their members are named."""
    if not isinstance(schema, dict):
        return
    if schema.get("properties") and schema.get("type") == "object" and "required" not in schema:
        if schema.get("additionalProperties") is not False:
            yield f"{path} is open"
    for name, member in schema.get("properties", {}).items():
        yield from closed(member, f"{path}.{name}")


def series():
    """Series in alerts and dashboards that docs/METRICS.md does not list."""
    text = (ROOT / "docs/METRICS.md").read_text()
    for path in sorted((ROOT / "helm").glob("*/files/**/*.*")):
        for name in sorted(set(re.findall(r"(?<![:a-z])mcp_relay_[a-z_]+", path.read_text()))):
            if f"`{name}`" not in text and f"`{re.sub('_(bucket|sum|count)$', '', name)}`" not in text:
                yield f"{path.relative_to(ROOT)}: {name} is not in docs/METRICS.md"


def metadata(chart):
    """What catalogs of charts want to know, and the icon, which is a file of its own."""
    found = yaml.safe_load((ROOT / "helm" / chart / "Chart.yaml").read_text())
    for name in ("home", "sources", "maintainers", "icon"):
        if not found.get(name):
            yield f"Chart.yaml has no {name}"
    svg = base64.b64encode((ROOT / "helm/icon.svg").read_bytes()).decode()
    if found.get("icon") != f"data:image/svg+xml;base64,{svg}":
        yield "the icon of Chart.yaml is not helm/icon.svg"
    for name, text in found.get("annotations", {}).items():
        if not isinstance(text, str):
            yield f"the annotation {name} is no text"
        elif text.startswith("- ") and not isinstance(yaml.safe_load(text), list):
            yield f"the annotation {name} is no list"


def main():
    faults = [*series()]
    for chart in SECTIONS:
        folder = ROOT / "helm" / chart
        schema = json.loads((folder / "values.schema.json").read_text())
        values = yaml.safe_load((folder / "values.yaml").read_text())
        found = [*metadata(chart), *variables(chart, schema), *shape(values, schema, ""), *closed(schema, "values")]
        faults += [f"helm/{chart}: {fault}" for fault in found]
    if faults:
        sys.exit("\n".join(faults))


main()
