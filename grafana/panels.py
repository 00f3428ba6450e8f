"""The form of dashboards: panels, variables, links. Knows no series; `build.py` has them.

What Grafana wants and its own linter asks for is here once: a data source that is chosen, job and instance on every query,
a unit and a description on every panel, `$__rate_interval` for rates.
"""

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
PLUGIN = "11.0.0"


def timeseries(title, unit, description, *queries, **more):
    """Lines over time. A query is (expression, legend)."""
    custom = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": False}
    if more.get("stack"):
        custom |= {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", (title, unit, description), queries, (custom, options), more)


def stat(title, unit, description, *queries, **more):
    """One number for each query."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
    }
    return panel("stat", (title, unit, description), queries, ({}, options), {"w": 4, "h": 4} | more)


def table(title, unit, description, *queries, **more):
    """One row for each series, as of now."""
    options = {"showHeader": True, "cellHeight": "sm"}
    made = panel("table", (title, unit, description), queries, ({"align": "auto"}, options), more)
    for target in made["targets"]:
        target |= {"format": "table", "instant": True, "range": False}
    made["transformations"] = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True}, "renameByName": more.get("rename", {})}},
    ]
    return made


def heatmap(title, unit, description, query, **more):
    """A histogram's buckets over time."""
    options = {
        "calculate": False, "yAxis": {"unit": unit}, "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "cellGap": 1, "tooltip": {"mode": "single", "yHistogram": False}, "legend": {"show": True},
    }
    made = panel("heatmap", (title, unit, description), [(query, "{{le}}")], ({}, options), more)
    made["targets"][0]["format"] = "heatmap"
    return made


def panel(kind, words, queries, form, more):
    title, unit, description = words
    custom, options = form
    defaults = {"unit": unit, "color": {"mode": "palette-classic" if kind == "timeseries" else "thresholds"}}
    if custom:
        defaults["custom"] = custom
    steps = [{"color": "green", "value": None}] + [{"color": c, "value": v} for v, c in more.get("steps", [])]
    defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    for name in ("min", "max"):
        if name in more:
            defaults[name] = more[name]
    targets = [
        {"refId": chr(ord("A") + at), "expr": expr, "legendFormat": legend, "editorMode": "code", "range": True, "datasource": DATASOURCE}
        for at, (expr, legend) in enumerate(queries)
    ]
    return {
        "type": kind, "title": title, "description": description, "datasource": DATASOURCE, "pluginVersion": PLUGIN,
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options, "targets": targets,
        "gridPos": {"w": more.get("w", 8), "h": more.get("h", 8)},
    }


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": 24, "h": 1}}


def place(panels):
    """From left to right, then down."""
    x = y = height = 0
    for number, one in enumerate(panels, 1):
        size = one["gridPos"]
        if x + size["w"] > 24 or one["type"] == "row":
            x, y, height = 0, y + height, 0
        one["id"], one["gridPos"] = number, {"x": x, "y": y, **size}
        x, height = x + size["w"], max(height, size["h"])
    return panels


def query_variable(name, label, query):
    return {
        "name": name, "label": label, "type": "query", "datasource": DATASOURCE, "definition": query,
        "query": {"query": query, "refId": "StandardVariableQuery"}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
        "allValue": ".+", "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "options": [], "regex": "", "hide": 0,
    }


def dashboard(uid, title, description, variables, panels, docs):
    source = {
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1, "regex": "",
        "multi": False, "includeAll": False, "current": {}, "options": [], "hide": 0,
    }
    links = [
        {
            "title": "mcp-relay", "type": "dashboards", "tags": ["mcp-relay"], "asDropdown": True, "includeVars": True, "keepTime": True,
            "targetBlank": False, "icon": "external link", "tooltip": "The other dashboards", "url": "",
        },
        *(
            {
                "title": name, "type": "link", "url": f"{docs}/{path}", "targetBlank": True, "icon": "doc", "tags": [], "tooltip": tip,
                "asDropdown": False, "includeVars": False, "keepTime": False,
            }
            for name, path, tip in [
                ("Metrics", "METRICS.html", "What every series says"),
                ("Runbooks", "operate/runbooks.html", "What to do about alerts"),
            ]
        ),
    ]
    names = {"timeseries": "Time series", "stat": "Stat", "table": "Table", "heatmap": "Heatmap"}
    kinds = sorted({one["type"] for one in panels} - {"row"})
    # What grafana.com asks for. The data source is chosen by a variable, so that an import has nothing to ask.
    requires = [
        {"type": "grafana", "id": "grafana", "name": "Grafana", "version": PLUGIN},
        {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
        *({"type": "panel", "id": kind, "name": names[kind], "version": ""} for kind in kinds),
    ]
    return {
        "__inputs": [], "__elements": {}, "__requires": requires, "id": None,
        "uid": uid, "title": title, "description": description, "tags": ["mcp-relay"], "schemaVersion": 39, "version": 1,
        "editable": False, "graphTooltip": 1, "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser",
        "annotations": {"list": []}, "links": links, "templating": {"list": [source, *variables]}, "panels": place(panels),
    }
