#!/usr/bin/env python3
"""Writes the dashboards, and the charts' copies of dashboards and alerts. Needs nothing but Python 3.

    python3 grafana/build.py           writes them
    python3 grafana/build.py --check   says what differs from what it would write, and what is wrong; exit code 1 if anything is

Sources: series.py (what is shown), panels.py (its form), alerts/*.yaml (rules). DOCS names where docs/ is published.
"""

import json
import os
import pathlib
import re
import sys

import series
from panels import dashboard

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PLACE = "https://mcp-relay.example/docs"
DOCS = os.environ.get("DOCS", PLACE)

DASHBOARDS = [
    ("overview", "Relay overview", "Calls, clients and processes of mcp-relay.", series.overview, ["job", "instance"]),
    ("links", "Links and slaves", "Who is linked, how well, and what was lost.", series.links, ["job", "instance", "slave"]),
    ("tools", "Tools", "Rate, errors and duration of each tool.", series.tools, ["job", "instance", "tool"]),
    ("backends", "Backends", "What slaves run calls with.", series.backends, ["job", "instance"]),
]


def files():
    """Every file that is made, with its text."""
    for name, title, description, panels, variables in DASHBOARDS:
        made = dashboard(f"mcp-relay-{name}", title, description, [series.VARIABLES[v] for v in variables], panels(), DOCS)
        text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
        yield HERE / "dashboards" / f"{name}.json", text
        yield ROOT / "helm/proxy/files/dashboards" / f"{name}.json", text
    for side in ("proxy", "slave"):
        text = (HERE / "alerts" / f"{side}.yaml").read_text().replace(PLACE, DOCS)
        yield ROOT / "helm" / side / "files/alerts.yaml", text


def declared():
    """Names of all series, from docs/METRICS.md."""
    return set(re.findall(r"^\| `([a-z_]+)` \|", (ROOT / "docs/METRICS.md").read_text(), re.M))


def mentioned(text):
    """Names of series in an expression, as they are declared."""
    names = set(re.findall(r"\b((?:mcp_relay|mcp_server|mcp_client|process|tokio)_[a-z_]+)\b", text))
    # A pattern of names, as the rules have one.
    names -= {"mcp_relay_"}
    return {re.sub(r"_(bucket|sum|count)$", "", name) if name not in KNOWN else name for name in names}


KNOWN = declared()


def faults():
    for path, text in files():
        if not path.exists() or path.read_text() != text:
            yield f"{path.relative_to(ROOT)} is not what grafana/build.py writes: run python3 grafana/build.py"
    shown = set()
    for name, title, _, panels, variables in DASHBOARDS:
        titles = [one["title"] for one in panels() if one["type"] != "row"]
        yield from (f"{title}: two panels are called {twice}" for twice in sorted({one for one in titles if titles.count(one) > 1}))
        made = dashboard(name, title, "", [], panels(), DOCS)
        shown_kinds = {one["type"] for one in made["panels"]} - {"row"}
        if shown_kinds != {one["id"] for one in made["__requires"] if one["type"] == "panel"}:
            yield f"{title}: __requires names other panels than it has"
        for one in panels():
            yield from (f"{title}: {one['title']}: {fault}" for fault in panel_faults(one, variables))
            shown |= {series for target in one.get("targets", []) for series in mentioned(target["expr"])}
    rules = "".join(path.read_text() for path in (HERE / "alerts").glob("*.yaml"))
    ruled = mentioned(re.sub(r"job:mcp_relay_[a-z0-9_:]+|#.*", "", rules)) - {"mcp_relay_"}
    for name in sorted((shown | ruled) - KNOWN):
        yield f"{name} is in a dashboard or an alert and not in docs/METRICS.md"
    for name in sorted(KNOWN - shown - ruled - UNSHOWN.keys()):
        yield f"{name} is in no dashboard and no alert; if that is right, grafana/build.py has to say why"
    yield from runbooks(rules)


# Series that nobody needs to look at all the time.
UNSHOWN = {
    "process_virtual_memory_bytes": "resident memory is what counts",
    "mcp_relay_slave_code_links": "for a look at one code",
    "mcp_relay_slave_tools_left_out": "a matter of configuration; the log says it",
    "mcp_relay_tools_renamed": "conflicts of names are shown, and the API says which",
    "mcp_relay_tools_refused": "conflicts of names are shown, and the API says which",
    "mcp_relay_config_last_load_timestamp_seconds": "reloads are shown",
    "mcp_relay_slave_policy_denied_total": "the log and the audit stream have each; what a proxy's policy refuses is shown",
    "mcp_relay_slave_link_connects_total": "dials by outcome are shown",
}


def panel_faults(panel, variables):
    if panel["type"] == "row":
        return
    for what in ("title", "description"):
        if not panel.get(what):
            yield f"no {what}"
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield "no unit"
    if panel["datasource"]["uid"] != "${datasource}":
        yield "another data source than the chosen one"
    for target in panel["targets"]:
        expr = target["expr"]
        selectors = re.findall(r"\{([^{}]*)\}", expr)
        if any('job=~"$job"' not in one or 'instance=~"$instance"' not in one for one in selectors):
            yield f"a selector without job and instance: {expr}"
        for series in re.findall(r"(?:rate|increase)\((\w+)\{[^}]*\}\[([^\]]*)\]", expr):
            if series[1] != "$__rate_interval":
                yield f"a rate over {series[1]}"
        for used in set(re.findall(r"\$(\w+)", expr)) - {"__rate_interval"}:
            if used not in variables:
                yield f"${used} is no variable of this dashboard"


def runbooks(rules):
    """Every alert has its section in docs/operate/runbooks.md, and every such section its alert."""
    alerts = set(re.findall(r"alert: (\w+)", rules))
    urls = set(re.findall(r"runbook_url: \S+/docs/operate/runbooks\.html#(\w+)", rules))
    document = (ROOT / "docs/operate/runbooks.md").read_text()
    sections = set(re.findall(r"^## (McpRelay\w+)$", document, re.M))
    for name in sorted(alerts ^ sections):
        yield f"{name} is an alert or a section of docs/operate/runbooks.md, and not both"
    tests = "".join(path.read_text() for path in (HERE / "alerts/tests").glob("*.yaml"))
    for name in sorted(name for name in alerts if name not in tests):
        yield f"{name} has no test in grafana/alerts/tests"
    for name in sorted({name.lower() for name in alerts} ^ urls):
        yield f"{name}: its runbook_url does not lead to its section"


def main():
    if sys.argv[1:] == ["--check"]:
        found = list(faults())
        print("\n".join(found) or "grafana: dashboards, alerts, docs and charts agree")
        sys.exit(bool(found))
    for path, text in files():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
