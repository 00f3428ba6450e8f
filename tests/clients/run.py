#!/usr/bin/env python3
"""Runs clients of MCP as users have them against servers as users have them, through a proxy and a slave.

    python3 tests/clients/run.py [client …]     (without: all)

Fails where a step of a client fails that exceptions.toml does not name with a reason, and where an exception is stale. Needs the
built program, npm and Python (`make test-clients` builds, scripts/setup conformance installs). Ends only what it started.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))
import install  # noqa: E402
import steps  # noqa: E402
from processes import BINARY, CODE, ROOT, Arrangement  # noqa: E402

TOOLS = ROOT / ".tools/clients"
MODULES = TOOLS / "node_modules"
PYTHON = TOOLS / "venv/bin/python"
# Seconds that one client may take.
LIMIT = 240


def servers(folder):
    """The `mcpServers` file, with something to look at for each server."""
    files, repository = folder / "files", folder / "repository"
    files.mkdir()
    (files / "a.txt").write_text("text of the file\n")
    git = ["git", "-C", str(repository), "-c", "user.name=tester", "-c", "user.email=tester@example.com"]
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "first commit"], check=True)

    def of_npm(name, *arguments, **env):
        return {"command": install.node(TOOLS), "args": [str(MODULES / f"@modelcontextprotocol/server-{name}/dist/index.js"), *arguments], "env": env}

    def of_pip(name):
        return {"command": str(PYTHON), "args": ["-m", f"mcp_server_{name}"]}

    return {
        "everything": of_npm("everything"),
        "filesystem": of_npm("filesystem", str(files)),
        "memory": of_npm("memory", MEMORY_FILE_PATH=str(folder / "memory.json")),
        "time": of_pip("time"),
        "git": of_pip("git"),
    }


def inspector(url, env):
    """Steps of the Inspector's command line: (name, whether it did what is expected, what it said)."""
    def say(*arguments):
        command = [install.node(TOOLS), str(MODULES / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"), "--cli", url, "--transport", "http", *arguments]
        said = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        return said.stdout + said.stderr

    for era in ("legacy", "auto", "modern"):
        for name, wanted, arguments in [
            ("tools/list", "read_text_file", ["--method", "tools/list"]),
            ("tools/call", "Echo: hi", ["--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=hi"]),
            ("prompts/list", "args-prompt", ["--method", "prompts/list"]),
            ("prompts/get", "Ulm", ["--method", "prompts/get", "--prompt-name", "args-prompt", "--prompt-args", "city=Ulm"]),
            ("resources/list", "memory://knowledge-graph", ["--method", "resources/list"]),
            ("resources/read", "Resource 5", ["--method", "resources/read", "--uri", "demo://resource/dynamic/text/5"]),
            ("resources/templates/list", "demo://resource/dynamic/blob/{resourceId}", ["--method", "resources/templates/list"]),
        ]:
            said = say("--protocol-era", era, *arguments)
            yield f"{name} ({era})", wanted in said, said


def scripts():
    for kind in ("sdk1", "sdk1-sse", "sdk2-legacy", "sdk2-auto"):
        # Where modules are found: the script is not beside them.
        yield kind, [install.node(TOOLS), str(TOOLS / "client.mjs"), kind]
    for kind in ("mcp-auto", "mcp-legacy", "mcp-sse", "fastmcp"):
        yield kind, [str(PYTHON), "-W", "ignore", str(HERE / "client.py"), kind]


def steps_of(name, command, url, env):
    """Steps of a client's script."""
    if name == "inspector":
        yield from inspector(url, env)
        return
    said = subprocess.run([*command, url], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False)
    found = list(steps.read(said.stdout))
    yield from found
    if not found:
        yield "start", False, said.stderr[-600:]


def main(chosen):
    install.npm(TOOLS, HERE / "node")
    install.pip(TOOLS, HERE / "requirements.txt")
    shutil.copy(HERE / "client.mjs", TOOLS / "client.mjs")
    exceptions = tomllib.loads((HERE / "exceptions.toml").read_text()).get("exception", [])
    used, passed, failed = set(), 0, 0
    folder = TOOLS / "results"
    shutil.rmtree(folder, ignore_errors=True)
    with Arrangement(folder) as arrangement:
        backends = servers(folder)
        proxy = arrangement.proxy("proxy")
        file = folder / "servers.json"
        file.write_text(json.dumps({"mcpServers": backends}))
        env = {"MCP_SERVER_PORT": "0", "PROXY_SERVER_URL": f"ws://{proxy.ws}", "SLAVE_CODE": CODE, "SLAVE_NAME": "one", "SLAVE_BACKENDS": str(file)}
        slave = arrangement.start("slave", [BINARY, "slave"], env)
        for name in backends:
            slave.find(rf'backend ready backend="{name}"')
        env = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "TEST_FILE": str(folder / "files/a.txt"),
            "TEST_REPOSITORY": str(folder / "repository"),
        }
        for name, command in [*scripts(), ("inspector", None)]:
            if chosen and name not in chosen:
                continue
            for step, good, why in steps_of(name, command, f"http://{proxy.http}/mcp", env):
                excuse = next((number for number, entry in enumerate(exceptions) if name in entry["clients"] and step == entry["step"]), None)
                if good:
                    passed += 1
                elif excuse is not None:
                    used.add(excuse)
                    print(f"{name:12} {step}: excused, {exceptions[excuse]['reason']}")
                else:
                    failed += 1
                    print(f"{name:12} {step}: FAILED {' '.join(why.split())[:400]}")
    if not chosen:
        for number, entry in enumerate(exceptions):
            if number not in used:
                failed += 1
                print(f"stale exception, it excuses nothing: {entry}")
    print(f"clients: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
