#!/usr/bin/env python3
"""Runs every panel's query and every rule against a real Prometheus that scrapes real proxies and slaves under load.

    python3 tests/grafana/check.py

Fails where a query fails, where a panel has nothing to show, where a declared series was never there or never moved, and where a
rule cannot be evaluated. Needs Prometheus (scripts/setup grafana) and the built program (MCP_RELAY_BIN, or target/debug).
Takes about a minute; ends only what it started.
"""

import json
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import threading
import time

from fleet import FILE_OF_CODES, ROOT, ROUTES, Fleet, wait_for
from load import Client, go_on

# What may have nothing to show, or never move, here: with the reason. Each is seen elsewhere.
MAY_BE_EMPTY = {
    "Links and slaves: Malformed answers and facts (A)": "needs a slave that forges answers (tests/relay/bad_answers.rs)",
    "Backends: Processes of sessions and clients (A)": "needs an entry with sessions (tests/relay/own_processes.rs)",
    "Backends: Ends of these processes (A)": "needs an entry with sessions (tests/relay/own_processes.rs)",
}
MAY_BE_MISSING = {
    "mcp_relay_slave_backend_children": "needs an entry with sessions (tests/relay/own_processes.rs)",
    "mcp_relay_slave_backend_children_ended_total": "needs an entry with sessions (tests/relay/own_processes.rs)",
    "mcp_relay_link_bad_answers_total": "needs a slave that forges answers (tests/relay/bad_answers.rs)",
    "mcp_relay_tls_certificate_expires_seconds": "there is no TLS here (tests/relay/tls.rs)",
}
MAY_STAY_ZERO = {
    "mcp_relay_calls_moved_total": "needs a link that breaks with a call half sent (tests/relay/link_loss.rs)",
    "mcp_relay_sticky_misses_total": "needs a client's own slave to be full at the right moment (tests/relay/balance)",
    "mcp_relay_policy_denied_total": "the fleet has no policy (tests/relay/policy)",
    "mcp_relay_broker_sign_ins_total": "the fleet has no broker (make test-oauth, tests/relay/broker)",
    "mcp_relay_broker_decisions_total": "the fleet has no broker (make test-oauth, tests/relay/broker)",
    "mcp_relay_broker_registrations_total": "the fleet has no broker (make test-oauth, tests/relay/broker)",
    "mcp_relay_broker_tokens_total": "the fleet has no broker (make test-oauth, tests/relay/broker)",
    "mcp_relay_broker_refusals_total": "the fleet has no broker (make test-oauth, tests/relay/broker)",
    "mcp_relay_broker_revocations_total": "the fleet has no broker (make test-oauth, tests/relay/broker)",
    "mcp_relay_slave_policy_denied_total": "no slave of the fleet has a policy (tests/relay/policy)",
    "mcp_relay_tool_conflicts": "both slaves offer the same",
    "mcp_relay_tools_renamed": "both slaves offer the same",
    "mcp_relay_tools_refused": "both slaves offer the same",
    "mcp_relay_catalog_refusals_total": "needs a slave beyond its code's limits (tests/relay/catalogs)",
    "mcp_relay_catalog_waits_total": "needs a slave beyond its code's rate (tests/relay/catalogs)",
    "mcp_relay_rejected_facts_total": "needs a slave that makes facts up (tests/relay/identity.rs)",
    "mcp_relay_client_refusals_total": "needs clients beyond their limits (tests/relay/floods)",
    "mcp_relay_link_stray_frames_total": "needs a frame that crosses its call's end (tests/relay/odd_slaves.rs)",
    "mcp_relay_slave_backend_odd_lines_total": "needs a backend that writes what is no JSON-RPC (tests/relay/odd_backends.rs)",
    "mcp_relay_slave_backends_refused": "needs an entry that cannot be used (tests/relay/odd_backends.rs)",
    "mcp_relay_calls_unread": "needs a client that stops reading (tests/relay/edges/stopped_readers.rs)",
    "mcp_relay_draining": "the proxies go down when Prometheus is gone",
    "mcp_relay_slave_draining": "a slave that drains may be gone before it is scraped",
    "mcp_relay_slave_parked_calls": "needs a backend that asks its client (tests/relay/input_rounds.rs)",
    "mcp_relay_slave_parked_calls_ended_total": "needs a backend that asks its client (tests/relay/input_rounds.rs)",
    "mcp_relay_queue_length": "calls wait for moments",
    "mcp_relay_journal_bytes": "sampled: bytes are there for moments",
    "mcp_relay_slave_journal_bytes": "sampled: bytes are there for moments",
    "mcp_relay_slave_retained_bytes": "the clients here keep no session (tests/relay/resumption.rs)",
    "mcp_relay_slave_retained_calls": "the clients here keep no session (tests/relay/resumption.rs)",
    "mcp_relay_listening_streams": "the clients here open no GET stream",
    "mcp_relay_slave_resource_subscriptions": "the clients here keep no session (tests/relay/subscriptions/legacy.rs)",
    "tokio_global_queue_depth": "sampled: tasks wait for moments",
}
VALUES = {"job": ".+", "instance": ".+", "slave": ".+", "tool": ".+", "__rate_interval": "15s"}


def trouble(fleet):
    """What goes wrong in a fleet's life, one after the other."""
    ports = [proxy.http for proxy in fleet.proxies]
    for port in ports:
        Client(port).call("hang")
    for _ in range(3):
        for port in ports:
            Client(port).call("die")
            Client(port).call("fragile")
        time.sleep(1)
    stranger = fleet.slave("stranger", "a code that nobody knows")
    (fleet.folder / "codes.yaml").write_text(FILE_OF_CODES + "# changed\n")
    (fleet.folder / "routes.yaml").write_text("rules: nonsense\n")
    servers = (fleet.folder / "servers.json").read_text()
    (fleet.folder / "servers.json").write_text("nonsense")
    time.sleep(2.5)
    (fleet.folder / "servers.json").write_text(servers)
    (fleet.folder / "routes.yaml").write_text(ROUTES)
    stranger.end()
    paused = fleet.slaves["shaky"]
    pause(paused, ports)
    for port in ports:
        Client(port).call("sleep", {"seconds": 9})
    calls = [threading.Thread(target=Client(port).call, args=("work", {"seconds": 2.5})) for port in ports * 4]
    for call in calls:
        call.start()
    time.sleep(0.5)
    paused.signal(signal.SIGKILL)
    fleet.slave("shaky")
    for call in calls:
        call.join()
    fleet.slaves["steady"].signal(signal.SIGTERM)
    fleet.slave("steady")
    time.sleep(6)


def pause(slave, ports):
    """Until every proxy has given its link up; the calls that it has go on after that."""
    # A proxy forgets a lost slave that has no call, and moves the calls that another slave may run again: each needs one of its own,
    # of a tool that no other slave offers.
    calls = [threading.Thread(target=Client(port).call, args=("stay", {"seconds": 4})) for port in ports]
    for call in calls:
        call.start()
    running = rf'^mcp_relay_slave_calls_in_flight\{{tool="stay"\}} {len(calls)}$'
    wait_for("the calls on the slave", lambda: re.search(running, Client(slave.http).metrics(), re.M))
    slave.signal(signal.SIGSTOP)
    lost = r'^mcp_relay_slave_state\{slave="shaky",state="lost"\} [1-9]'
    wait_for("lost links", lambda: all(re.search(lost, Client(port).metrics(), re.M) for port in ports))
    slave.signal(signal.SIGCONT)
    for call in calls:
        call.join()


def dashboards():
    for path in sorted((ROOT / "grafana/dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield f"{board['title']}: {panel['title']} ({target['refId']})", target["expr"]


def substituted(expr):
    return re.sub(r"\$\{?(\w+)\}?", lambda found: VALUES[found[1]], expr)


def samples(answer):
    """Numbers of an answer; NaN is none."""
    if answer.get("status") != "success":
        raise ValueError(answer.get("error", "no answer"))
    for series in answer["data"]["result"]:
        for _, value in series.get("values", [series.get("value")]):
            if value != "NaN":
                yield float(value)


def faults(prometheus, begun):
    span = {"start": begun, "end": time.time(), "step": 1}
    for name, expr in dashboards():
        try:
            if not any(True for _ in samples(prometheus.ask("query_range", query=substituted(expr), **span))):
                if name not in MAY_BE_EMPTY:
                    yield f"{name}: nothing to show: {expr}"
        except ValueError as error:
            yield f"{name}: {error}: {expr}"
    yield from series_faults(prometheus, span)
    for group in prometheus.ask("rules")["data"]["groups"]:
        for rule in group["rules"]:
            if rule["health"] != "ok":
                yield f"rule {rule['name']}: {rule.get('lastError') or rule['health']}"
            if rule["type"] == "recording" and not any(True for _ in samples(prometheus.ask("query_range", query=rule["name"], **span))):
                yield f"rule {rule['name']}: records nothing"


def series_faults(prometheus, span):
    text = (ROOT / "docs/METRICS.md").read_text()
    for name, kind in re.findall(r"^\| `([a-z_]+)` \| (\w+)", text, re.M):
        shown = name + "_count" if kind == "histogram" else name
        found = list(samples(prometheus.ask("query_range", query=shown, **span)))
        if not found and name not in MAY_BE_MISSING:
            yield f"{name} was never there"
        elif found and not any(found) and name not in MAY_STAY_ZERO:
            yield f"{name} stayed 0"


def main():
    for needed in ("prometheus", "promtool"):
        if not shutil.which(needed):
            sys.exit(f"dashboards: no {needed} here: run scripts/setup grafana")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mcp-relay-dashboards-"))
    fleet, begun, over = None, time.time(), threading.Event()
    try:
        fleet = Fleet(folder)
        prometheus = fleet.prometheus()
        wait_for("a scrape of all", lambda: len(prometheus.ask("query", query="up == 1")["data"]["result"]) == 4)
        threads = go_on([proxy.http for proxy in fleet.proxies], over)
        trouble(fleet)
        over.set()
        for thread in threads:
            thread.join(30)
        time.sleep(3)
        found = list(faults(prometheus, begun))
    finally:
        over.set()
        if fleet:
            fleet.end()
    if found:
        print("\n".join(found))
        print(f"dashboards: {len(found)} faults; logs are in {folder}", file=sys.stderr)
        sys.exit(1)
    shutil.rmtree(folder)
    print(f"dashboards: every panel, series and rule has something to say ({time.time() - begun:.0f} s)")


main()
