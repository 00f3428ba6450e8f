"""Holds docker-compose.yml to docs/CONFIGURATION.md: each variable reaches the containers that read it, is set by the file itself, or is
named here with the reason. No container gets what it does not read."""

import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECTIONS = {
    "proxy": ["Mode", "Every mode", "Forward proxies", "Proxy", "Audit", "Traces"],
    "demo": ["Mode", "Every mode", "Forward proxies", "Slave", "Audit", "Traces"],
    "slave1": ["Mode", "Every mode", "Forward proxies", "Slave", "Handed on to mr-pilot", "Audit", "Traces"],
}
# They name files, which need a mount as well: a docker-compose.override.yml has both.
FILES = {
    "AUTH_BEARER_KEYS_FILE", "AUTH_ISSUERS", "EXTRA_CA_FILE", "OPS_KEYS_FILE", "SESSION_KEY_FILE", "SLAVE_CODES_FILE", "SLAVE_CODE_FILE", "ROUTES", "TLS_CERT", "TLS_KEY",
    "TLS_HTTP", "TLS_OPS", "TLS_WS", "TLS_CLIENT_CA", "TLS_HTTP_CLIENT_CA", "TLS_HTTP_CLIENT_CERT", "PROXY_CA_FILE", "PROXY_CLIENT_CERT", "PROXY_CLIENT_KEY", "SLAVE_BACKENDS", "SLAVE_TOOLS",
    "BROKER_USERS_FILE", "BROKER_CLIENT_SECRET_FILE", "BROKER_REVOCATIONS_FILE", "POLICY", "SLAVE_POLICY", "IDENTITY_KEY_FILE", "IDENTITY_ISSUER", "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
}
# The file's own: addresses, ports and the mode follow from the containers.
OWN = {
    "MCP_SERVER_HOST", "MCP_SERVER_PORT", "OPS_HOST", "OPS_PORT", "PROXY_MODE", "PROXY_SLAVE", "PROXY_WS_HOST", "PROXY_WS_PORT",
    "PROXY_PEERS", "SHUTDOWN_DELAY", "SLAVE_LABELS", "SLAVE_NAME", "DEMO_TOOLS",
}
# Of slaves: nobody reaches their own MCP port. OTEL_*: one name for all would say nothing, and Compose sets the attributes itself.
NOT_THERE = {
    "AUTH_BEARER_KEYS", "AUTH_CUSTOM_HEADER", "SESSION_KEY", "ALLOW_ANONYMOUS", "ALLOWED_HOSTS", "PUBLIC_URL", "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
}
# The demo tools and reviews have images of their own; what concerns mr-pilot is for the latter.
PILOT = re.compile("MR_PILOT_|GITLAB_|GITHUB_|LLM_|MAX_DIFF_CHARS|NODE_ENV")


def documented():
    sections, title = {}, ""
    for line in (ROOT / "docs/CONFIGURATION.md").read_text().splitlines():
        if line.startswith("## "):
            title = line[3:]
        row = re.match(r"\| `([A-Z_0-9]+)` \|", line)
        if row:
            sections.setdefault(title, set()).add(row[1])
    return sections


def main():
    sections = documented()
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    everything = set().union(*sections.values())
    faults = []
    for service, titles in SECTIONS.items():
        has = set(services[service]["environment"])
        if service == "slave1":
            has |= set(services["slave2"]["environment"])
        reads = set().union(*(names for title, names in sections.items() if title.startswith(tuple(titles))))
        left = FILES | OWN | (NOT_THERE if service != "proxy" else {"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"})
        for name in sorted(reads - has - left):
            if not (service == "demo" and PILOT.match(name)) and name != "NODE_ENV" and name != "MR_PILOT_COMMAND":
                faults.append(f"docker-compose.yml: {service} does not get {name}, which docs/CONFIGURATION.md lists")
        for name in sorted((has - reads) & everything):
            faults.append(f"docker-compose.yml: {service} gets {name}, which it does not read")
    if faults:
        sys.exit("\n".join(faults))


main()
