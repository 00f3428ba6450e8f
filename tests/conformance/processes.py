"""Fixture, proxies, slaves and what stands between them, all of them children of this process. Knows nothing of the suite."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("MCP_RELAY_BIN", str(ROOT / "target/debug/mcp-relay"))
FIXTURE = str(ROOT / "target/debug/conformance-fixture")
CODE = "code-of-the-conformance-run"
# Seconds that anything may take to come about.
PATIENCE = 30


class Process:
    """A child with its log."""

    def __init__(self, folder, name, command, env=None):
        self.name, self.log = name, folder / f"{name}.log"
        base = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        self.child = subprocess.Popen(
            command, env=base | (env or {}), stdin=subprocess.DEVNULL, stdout=self.log.open("ab"), stderr=subprocess.STDOUT
        )

    def find(self, pattern):
        """The first match in the log, once it is there."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = re.search(pattern, self.log.read_text())
            if found:
                return found
            if self.child.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"conformance: no {pattern!r} in the log of {self.name}:\n{self.log.read_text()[-2000:]}")

    def ask_to_end(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)

    def end(self):
        try:
            self.child.wait(8)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


class Arrangement:
    """Processes between a client and the fixture; a context that ends them."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.processes = folder, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.ask_to_end()
        for process in self.processes:
            process.end()

    def start(self, name, command, env=None):
        self.processes.append(Process(self.folder, name, command, env))
        return self.processes[-1]

    def fixture(self, eras):
        """URL of the fixture over HTTP."""
        return self.start(f"fixture-{eras}", [FIXTURE, "http", "--eras", eras]).find(r"http://\S+/mcp")[0]

    def proxy(self, name, **variables):
        env = {
            "MCP_SERVER_PORT": "0", "PROXY_WS_PORT": "0", "PROXY_WS_HOST": "127.0.0.1", "SLAVE_CODES": CODE,
            "SESSION_KEY": "k" * 40, "READY_MIN_SLAVES": "1", "START_WINDOW": "0", "LOG_LEVEL": "debug",
        }
        process = self.start(name, [BINARY, "proxy"], env | variables)
        process.http = process.find(r"MCP server listening on http://(127\.0\.0\.1:\d+)")[1]
        process.ws = process.find(r"WebSocket server listening on ws://(127\.0\.0\.1:\d+)")[1]
        return process

    def slave(self, addresses, server):
        """Slave with one backend, linked to all of `addresses`."""
        file = self.folder / "servers.json"
        file.write_text(json.dumps({"mcpServers": {"fixture": server}}))
        env = {
            "MCP_SERVER_PORT": "0", "PROXY_SERVER_URL": ",".join(f"ws://{address}" for address in addresses), "SLAVE_CODE": CODE,
            "SLAVE_NAME": "one", "SLAVE_BACKENDS": str(file), "RECONNECT_MAX": "1", "LOG_LEVEL": "debug",
        }
        process = self.start("slave", [BINARY, "slave"], env)
        process.http = process.find(r"MCP server listening on http://(127\.0\.0\.1:\d+)")[1]
        return process

    def split(self, addresses):
        """URL behind which each request goes to a random address."""
        return self.start("split", [FIXTURE, "split", *addresses]).find(r"http://\S+/mcp")[0]

    def reset(self, address):
        """Address that forwards to another, with all connections reset again and again."""
        return self.start("reset", [FIXTURE, "reset", address, "--every", "2500"]).find(r"127\.0\.0\.1:\d+")[0]
