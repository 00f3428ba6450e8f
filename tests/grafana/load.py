"""Clients that call tools through the proxies, well and badly. Knows no series."""

import http.client
import json
import threading
import time

from fleet import KEY

MODERN = "2026-07-28"


class Client:
    """One connection a request, of either era."""

    def __init__(self, port, key=KEY):
        self.port, self.key, self.session = port, key, None

    def request(self, method, params=None, modern=True, http_method="POST", timeout=15):
        """Sends a request and gives back the open response."""
        params = dict(params or {})
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        if modern:
            meta = {"protocolVersion": MODERN, "clientCapabilities": {}, "clientInfo": {"name": "load", "version": "1"}}
            params["_meta"] = {f"io.modelcontextprotocol/{name}": value for name, value in meta.items()} | {"progressToken": "p"}
            headers |= {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
            if "name" in params:
                headers["Mcp-Name"] = params["name"]
        elif self.session:
            headers |= {"Mcp-Session-Id": self.session, "MCP-Protocol-Version": "2025-06-18"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        connection.request(http_method, "/mcp", body if http_method == "POST" else None, headers)
        return connection, connection.getresponse()

    def do(self, *args, **more):
        """Sends a request and reads the whole answer; what becomes of it is for the metrics to say."""
        try:
            connection, response = self.request(*args, **more)
            response.read()
            self.session = response.headers.get("Mcp-Session-Id", self.session)
            connection.close()
        except (OSError, http.client.HTTPException):
            pass

    def metrics(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {self.key}"})
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def call(self, tool, arguments=None, **more):
        self.do("tools/call", {"name": tool, "arguments": arguments or {}}, **more)

    def leave(self, tool, arguments):
        """Calls and goes before the answer."""
        try:
            connection, _ = self.request("tools/call", {"name": tool, "arguments": arguments}, timeout=0.5)
            connection.close()
        except (OSError, http.client.HTTPException):
            pass

    def read_slowly(self, size):
        """A large answer, read in small pieces: its slave has to wait for credit."""
        try:
            connection, response = self.request("tools/call", {"name": "payload", "arguments": {"bytes": size}})
            while response.read(256 * 1024):
                time.sleep(0.05)
            connection.close()
        except (OSError, http.client.HTTPException):
            pass

    def legacy(self):
        """A session from its beginning to its end, and a request after that."""
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "old", "version": "1"}}
        self.do("initialize", hello, modern=False)
        self.do("tools/list", modern=False)
        self.call("echo", {"text": "old"}, modern=False)
        self.do("", http_method="DELETE", modern=False)
        self.do("tools/list", modern=False)
        self.session = None


def everything(port):
    """One round of all that a client can do."""
    client = Client(port)
    client.do("tools/list")
    client.do("server/discover")
    for number in range(5):
        client.call("echo", {"text": str(number)})
    client.call("fail", {"message": "no"})
    client.call("fail", {"message": "nowhere"})
    client.call("no-such-tool")
    for _ in range(4):
        client.call("refuse")
    client.call("nonsense")
    client.call("work", {"seconds": 0.05})
    client.call("sleep", {"seconds": 0.2, "steps": 4})
    client.call("echo", {"text": "x" * 600_000})
    client.leave("sleep", {"seconds": 2})
    client.legacy()
    client.read_slowly(4 * 1024 * 1024)
    Client(port, key=None).do("tools/list")
    crowd = [threading.Thread(target=Client(port).call, args=("work", {"seconds": 0.6})) for _ in range(14)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()


def go_on(ports, over):
    """Rounds at every proxy until it is over."""
    def rounds(port):
        while not over.is_set():
            everything(port)
    threads = [threading.Thread(target=rounds, args=(port,), daemon=True) for port in ports]
    for thread in threads:
        thread.start()
    return threads
