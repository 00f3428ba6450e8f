"""Proxies, slaves and a Prometheus on loopback, all of them children of this process. Knows nothing of dashboards."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("MCP_RELAY_BIN", str(ROOT / "target/debug/mcp-relay"))
KEY = "key-of-the-dashboard-check"
CODES = {"steady": "code-of-the-steady-slave", "shaky": "code-of-the-shaky-slave"}

FILE_OF_CODES = """codes:
  - {code: code-of-the-steady-slave, name: steady, provide: ["*"], labels: {allow: {disk: "*"}}, tools: [echo, sleep, payload, fail, work, die, fragile, hang, refuse, nonsense], not_after: 2099-01-01T00:00:00Z}
  - {code: code-of-the-shaky-slave, name: shaky, provide: ["*"], labels: {allow: {disk: "*"}}, tools: [echo, sleep, payload, work, stay, die, fragile, hang, refuse, nonsense]}
"""

ROUTES = """rules:
  - {name: reports, match: {tool: payload}, to: {disk: big}}
  - {name: nowhere, match: {tool: fail, argument: {pointer: /message, equals: nowhere}}, to: {disk: none}}
pools:
  - {tool: echo, sticky: client}
  - {tool: work, queue_max: 3, queue_timeout: 1}
limits:
  tools:
    - {tool: refuse, rate: 2/s}
"""


def wait_for(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"dashboards: {what} did not come about within {seconds} s")


class Process:
    """A child with its log."""

    def __init__(self, folder, name, command, env=None):
        self.name, self.log = name, folder / f"{name}.log"
        base = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        self.child = subprocess.Popen(command, env=base | (env or {}), stdout=self.log.open("ab"), stderr=subprocess.STDOUT)

    def find(self, pattern):
        """The first match in the log, once it is there."""
        def look():
            if self.child.poll() is not None:
                raise SystemExit(f"dashboards: {self.name} ended:\n{self.log.read_text()[-2000:]}")
            return re.search(pattern, self.log.read_text())
        return wait_for(f"{pattern!r} in the log of {self.name}", look)

    def signal(self, number):
        if self.child.poll() is None:
            self.child.send_signal(number)

    def end(self):
        """Ends it whatever it does."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.child.wait(8)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Fleet:
    def __init__(self, folder):
        self.folder, self.processes, self.targets, self.slaves = folder, [], {}, {}
        (folder / "codes.yaml").write_text(FILE_OF_CODES)
        (folder / "routes.yaml").write_text(ROUTES)
        servers = {"mcpServers": {"faulty": {"command": sys.executable, "args": [str(ROOT / "tests/grafana/server.py")]}}}
        (folder / "servers.json").write_text(json.dumps(servers))
        self.proxies = [self.proxy(f"proxy-{n}") for n in (1, 2)]
        for name in CODES:
            self.slave(name)

    def start(self, name, command, env=None):
        process = Process(self.folder, name, command, env)
        self.processes.append(process)
        return process

    def proxy(self, name):
        env = {
            "MCP_SERVER_PORT": "0", "PROXY_WS_PORT": "0", "PROXY_WS_HOST": "127.0.0.1", "SESSION_KEY": "k" * 40,
            "AUTH_BEARER_KEYS": KEY, "SLAVE_CODES_FILE": str(self.folder / "codes.yaml"), "ROUTES": str(self.folder / "routes.yaml"),
            "REQUEST_TIMEOUT": "6", "LINK_GRACE": "4.5", "LINK_PING_INTERVAL_MS": "300", "LINK_PING_TIMEOUT_MS": "1200",
            # Nobody listens there: spans are lost.
            "AUDIT_LOG": str(self.folder / f"{name}.audit"), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "1000",
            "EJECT_AFTER": "2", "EJECT_TIME": "2", "RETRY_IDEMPOTENT": "1", "START_WINDOW": "0",
        }
        process = self.start(name, [BINARY, "proxy"], env)
        process.http = int(process.find(r"MCP server listening on http://127\.0\.0\.1:(\d+)")[1])
        process.ws = int(process.find(r"WebSocket server listening on ws://127\.0\.0\.1:(\d+)")[1])
        self.aim(name, "mcp-relay-proxy", process.http)
        return process

    def slave(self, name, code=None):
        urls = ",".join(f"ws://127.0.0.1:{proxy.ws}" for proxy in self.proxies)
        env = {
            "MCP_SERVER_PORT": "0", "PROXY_SERVER_URL": urls, "SLAVE_CODE": code or CODES[name], "SLAVE_NAME": name, "DEMO_TOOLS": "1",
            "SLAVE_BACKENDS": str(self.folder / "servers.json"), "SLAVE_CAPACITY": "3", "SLAVE_PROBE_INTERVAL": "1",
            "SLAVE_LABELS": "disk=big", "RECONNECT_MAX": "1", "LINK_PING_INTERVAL_MS": "300", "LINK_PING_TIMEOUT_MS": "1200",
            "AUTH_BEARER_KEYS": KEY, "SESSION_KEY": "k" * 40,
        }
        process = self.start(f"slave-{name}-{len(self.processes)}", [BINARY, "slave"], env)
        process.http = int(process.find(r"MCP server listening on http://127\.0\.0\.1:(\d+)")[1])
        self.slaves[name] = process
        self.aim(f"slave-{name}", "mcp-relay-slave", process.http)
        return process

    def aim(self, name, job, port):
        """Prometheus reads this file whenever it changes."""
        self.targets[name] = {"targets": [f"127.0.0.1:{port}"], "labels": {"job": job, "instance": name}}
        fresh = self.folder / "targets.new"
        fresh.write_text(json.dumps(list(self.targets.values())))
        fresh.rename(self.folder / "targets.json")

    def prometheus(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (self.folder / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 2s}}
rule_files: ["{ROOT}/grafana/alerts/*.yaml"]
scrape_configs:
  - job_name: relay
    authorization: {{credentials: {KEY}}}
    file_sd_configs: [{{files: [{self.folder}/targets.json], refresh_interval: 1s}}]
""")
        command = [
            "prometheus", f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        self.start("prometheus", command)
        base = Prometheus(port)
        wait_for("Prometheus", base.is_ready)
        return base

    def end(self):
        for process in self.processes:
            process.signal(signal.SIGCONT)
            process.signal(signal.SIGTERM)
        for process in self.processes:
            process.end()


class Prometheus:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"

    def is_ready(self):
        try:
            with urllib.request.urlopen(self.base + "/-/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ask(self, path, **parameters):
        url = f"{self.base}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)
