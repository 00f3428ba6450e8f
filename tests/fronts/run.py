#!/usr/bin/env python3
"""Runs what stands in front of a proxy as docs/run/fronts.md has it, with TLS, and looks at what passes.

    python3 tests/fronts/run.py [front …]     (without: nginx and caddy)

Needs the built program, nginx, Caddy and openssl (`make test-fronts` builds, scripts/setup fronts installs). Ends only what it started.
"""

import http.client
import json
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "conformance"), str(HERE.parent / "oauth")]
from processes import BINARY, CODE, Arrangement  # noqa: E402
from servers import Caddy, Certificate, Nginx, free_port, recipe  # noqa: E402

# Seconds between the comments of a silent stream, and for how long the stream is silent.
KEEPALIVE, SILENCE = 5, 22
LIMIT = 16 * 1024 * 1024
BOTH = "application/json, text/event-stream"


class Client:
    """A client of one URL. A new connection for each request, since a front may pass on each to another."""

    def __init__(self, port, certificate):
        self.port, self.certificate, self.session, self.ids = port, certificate, None, 0
        self.trust = certificate.trusted()

    def request(self, method, body=None, **headers):
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=SILENCE + 30, context=self.trust)
        session = {"Mcp-Session-Id": self.session} if self.session else {}
        sent = {"Accept": BOTH, "Content-Type": "application/json"} | session | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, "/mcp", body, sent)
        except OSError:
            # Answered and closed before all was sent: what came can be read.
            if len(body or "") <= LIMIT:
                raise
        return connection.getresponse()

    def post(self, method, params=None, **headers):
        self.ids += 1
        message = {"jsonrpc": "2.0", "id": self.ids, "method": method, "params": params or {}}
        return self.request("POST", json.dumps(message), **headers)

    def start_session(self):
        client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "fronts", "version": "1"}}
        answer = self.post("initialize", client)
        body, self.session = answer.read(), answer.getheader("Mcp-Session-Id")
        assert answer.status == 200 and self.session, (answer.status, body)
        told = self.request("POST", '{"jsonrpc":"2.0","method":"notifications/initialized"}')
        assert told.status == 202, told.status
        told.read()

    def call(self, tool, arguments, **meta):
        return self.post("tools/call", {"name": tool, "arguments": arguments, **({"_meta": meta} if meta else {})})


def result(answer):
    """The result in a response, whether it is JSON or the last event of a stream."""
    text = answer.read().decode()
    data = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")]
    message = json.loads(data[-1] if data else text)
    assert "result" in message, text[:500]
    return message["result"]


def lines(answer):
    """Lines of a stream with the times at which they came."""
    while line := answer.readline():
        yield time.monotonic(), line.decode().rstrip("\r\n")


def legacy_calls(client):
    client.start_session()
    said = result(client.call("echo", {"text": "through the front"}))
    assert said["content"][0]["text"] == "through the front", said


def modern_call(client):
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "fronts", "version": "1"},
    }
    modern = Client(client.port, client.certificate)
    headers = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "tools/call", "Mcp_Name": "echo"}
    said = result(modern.post("tools/call", {"name": "echo", "arguments": {"text": "modern"}, "_meta": meta}, **headers))
    assert said["content"][0]["text"] == "modern", said


def progress_comes_at_once(client):
    answer = client.call("sleep", {"seconds": 4, "steps": 4}, progressToken="p")
    times = [at for at, line in lines(answer) if "notifications/progress" in line]
    assert len(times) >= 3 and times[2] - times[0] > 1, f"progress came at {[round(at - times[0], 1) for at in times]} s"


def silent_stream(client):
    began = time.monotonic()
    answer = client.call("sleep", {"seconds": SILENCE, "steps": 1})
    comments, data, came = [], "", 0
    for at, line in lines(answer):
        if line.startswith(":"):
            comments.append(at - began)
        if line.startswith("data:"):
            data, came = line, at - began
    gaps = [later - earlier for earlier, later in zip(comments, comments[1:])]
    assert len(comments) >= 3 and min(gaps) > KEEPALIVE / 2, f"comments came at {comments}"
    assert "slept" in data, f"the result did not come: {data[:200]!r}"
    assert came < SILENCE + KEEPALIVE / 2, f"the result came after {came:.1f} s"


def listening_stream(client):
    """The stream of a session, which says nothing of its own."""
    began, answer = time.monotonic(), client.request("GET", Accept="text/event-stream")
    assert answer.status == 200, (answer.status, answer.read())
    for at, line in lines(answer):
        if line.startswith(":") and at - began > SILENCE:
            return
    raise AssertionError(f"the stream ended after {time.monotonic() - began:.0f} s")


def large_body(client):
    text = "x" * (LIMIT - 100_000)
    said = result(client.call("echo", {"text": text}))
    assert said["content"][0]["text"] == text


def too_large_body(client):
    answer = client.call("echo", {"text": "x" * LIMIT})
    body = answer.read().decode()
    assert answer.status == 413 and str(LIMIT) in body, (answer.status, body[:300])


def forged_address(client):
    """A client cannot say that it is another: without keys a public address would be refused."""
    for header, value in {"X_Forwarded_For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}.items():
        answer = client.post("tools/list", **{header: value})
        body = answer.read()
        assert answer.status == 200, (header, answer.status, body)


def session_ends(client):
    answer = client.request("DELETE")
    body = answer.read()
    assert answer.status in (200, 204), (answer.status, body)
    after = client.post("tools/list")
    body = after.read()
    assert after.status == 404, (after.status, body)


CHECKS = [legacy_calls, modern_call, progress_comes_at_once, silent_stream, listening_stream, large_body, too_large_body, forged_address, session_ends]
FRONTS = {"nginx": (Nginx, "nginx"), "caddy": (Caddy, "caddyfile")}


def relay(arrangement, port, certificate):
    """Port of a proxy whose only slave will come through the front."""
    proxy = arrangement.proxy(
        "proxy", PUBLIC_URL=f"https://localhost:{port}/mcp", TRUSTED_PROXIES="127.0.0.1", SLAVES_ON_CLIENT_PORT="1", SSE_KEEPALIVE=str(KEEPALIVE)
    )
    env = {
        "MCP_SERVER_PORT": "0", "PROXY_SERVER_URL": f"wss://localhost:{port}/link", "PROXY_CA_FILE": certificate.authority,
        "SLAVE_CODE": CODE, "SLAVE_NAME": "one", "DEMO_TOOLS": "1", "RECONNECT_MAX": "1",
    }
    return proxy, env


def checks_fail(client):
    """Names of checks that do not hold, with the reason."""
    for check in CHECKS:
        began = time.monotonic()
        try:
            check(client)
            print(f"  {check.__name__:24} holds ({time.monotonic() - began:.1f} s)", flush=True)
        except (AssertionError, OSError, http.client.HTTPException, ValueError) as fault:
            print(f"  {check.__name__:24} FAILS: {type(fault).__name__}: {str(fault)[:600]}", flush=True)
            yield check.__name__


def run(name, certificate, folder, change=lambda block: block):
    """Starts a front and what is behind it; gives a client of it to the caller and ends all."""
    kind, language = FRONTS[name]
    arrangement = Arrangement(folder / name)
    port = free_port()
    with arrangement:
        proxy, slave = relay(arrangement, port, certificate)
        kind(arrangement, change(recipe(name.capitalize() if name == "caddy" else name, language)), port, proxy.http.split(":")[1], certificate)
        arrangement.start("slave", [BINARY, "slave"], slave).find("Authentication successful")
        proxy.find("Slave offers its tools")
        yield Client(port, certificate)


def impatient_front_is_noticed(certificate, folder):
    """The checks can fail: an nginx that ends silent streams does not pass for one that leaves them open."""
    for client in run("nginx", certificate, folder / "impatient", lambda block: block.replace("proxy_read_timeout 1h", "proxy_read_timeout 3s")):
        client.start_session()
        try:
            silent_stream(client)
        except (AssertionError, OSError, http.client.HTTPException):
            return True
    return False


def main(chosen):
    failed = []
    with tempfile.TemporaryDirectory(prefix="fronts-") as home:
        folder = pathlib.Path(home)
        certificate = Certificate(folder)
        for name in chosen or FRONTS:
            print(f"{name}:", flush=True)
            for client in run(name, certificate, folder):
                failed += [f"{name}: {check}" for check in checks_fail(client)]
        if not chosen and not impatient_front_is_noticed(certificate, folder):
            failed.append("a front that ends silent streams was not noticed")
    print("fronts: " + ("; ".join(failed) or "nginx and Caddy pass what they must"))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
