"""A stdio MCP server with faults, for the check of the dashboards: it can die, hang, answer with an error, and talk nonsense."""

import json
import os
import sys
import threading
import time

TOOLS = ["work", "stay", "die", "fragile", "hang", "refuse", "nonsense"]


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def run(request):
    name = request["params"]["name"]
    if name in ("die", "fragile"):
        os._exit(3)
    if name == "refuse":
        return {"error": {"code": -32050, "message": "refused"}}
    if name == "nonsense":
        sys.stdout.write("no JSON\n")
        say({"jsonrpc": "2.0", "id": 999_999, "result": {}})
        say({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "nobody's", "progress": 1}})
    if name in ("work", "stay"):
        time.sleep(request["params"].get("arguments", {}).get("seconds", 0))
    return {"result": {"content": [{"type": "text", "text": "done"}]}}


def answer(request):
    say({"jsonrpc": "2.0", "id": request["id"], **run(request)})


def main():
    for line in sys.stdin:
        request = json.loads(line)
        method = request.get("method")
        if "id" not in request or method is None:
            continue
        if method == "initialize":
            server = {"name": "faulty", "version": "1"}
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": server}
        elif method == "tools/list":
            # A call of the fragile one may be run again, elsewhere.
            result = {
                "tools": [
                    {"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": name == "fragile"}} for name in TOOLS
                ]
            }
        elif method == "ping":
            result = {}
        elif method == "tools/call":
            if request["params"]["name"] == "hang":
                # Nobody is answered meanwhile, not even a probe.
                time.sleep(2.5)
            threading.Thread(target=answer, args=(request,), daemon=True).start()
            continue
        else:
            say({"jsonrpc": "2.0", "id": request["id"], "error": {"code": -32601, "message": "unknown"}})
            continue
        say({"jsonrpc": "2.0", "id": request["id"], "result": result})


main()
