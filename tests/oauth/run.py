#!/usr/bin/env python3
"""Has users' clients sign in at real authorization servers, and at the relay's own, and call tools with what they get.

    python3 tests/oauth/run.py [arrangement …]     (without: all; a pattern such as 'broker-*' takes several)

The clients are the OAuth code of MCP's SDKs, the user is at a headless Chromium. Needs the built program, Java, npm, Python, Chromium,
nginx and Caddy (`make test-oauth` builds, scripts/setup oauth installs). Ends only what it started. CLIENTS='sdk1 mcp-auto' takes some clients.
"""

import concurrent.futures
import fnmatch
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "conformance"), str(HERE.parent / "clients")]
import install  # noqa: E402
import steps  # noqa: E402
from processes import BINARY, CODE, ROOT, Arrangement  # noqa: E402
from servers import Caddy, Certificate, DocumentServer, Keycloak, Nginx, PASSWORD, USER, free_port, oidc_provider, recipe  # noqa: E402

TOOLS = ROOT / ".tools/oauth"
RESULTS = TOOLS / "results"
# Arrangements at a time: the clients mostly wait for browsers.
AT_A_TIME = 2
# Seconds that one client may take.
LIMIT = 400

NOTES = """tools:
- {name: read_note, inputSchema: {type: object}, command: [echo, a note]}
- {name: write_note, inputSchema: {type: object}, command: [echo, written]}
- {name: secret_note, inputSchema: {type: object}, command: [echo, nobody reads it]}
"""
POLICY = """default: deny
allow:
- {who: {group: dev}, tools: read_note}
- {who: {group: dev}, tools: write_note, requires_scope: write}
"""


class Relay:
    """A proxy with a slave that has notes, at a URL that is known before it starts."""

    def __init__(self, arrangement, url=None):
        self.arrangement, self.folder = arrangement, arrangement.folder
        self.port = free_port()
        self.url = url or f"http://127.0.0.1:{self.port}/mcp"

    @property
    def origin(self):
        return self.url.removesuffix("/mcp")

    def file(self, name, content):
        path = self.folder / name
        path.write_text(content)
        return str(path)

    def start(self, **variables):
        policy = self.file("policy.yaml", POLICY)
        proxy = self.arrangement.proxy("proxy", MCP_SERVER_PORT=str(self.port), PUBLIC_URL=self.url, POLICY=policy, **variables)
        env = {
            "MCP_SERVER_PORT": "0", "PROXY_SERVER_URL": f"ws://{proxy.ws}", "SLAVE_CODE": CODE, "SLAVE_NAME": "one", "DEMO_TOOLS": "0",
            "SLAVE_TOOLS": self.file("tools.yaml", NOTES),
        }
        self.arrangement.start("slave", [BINARY, "slave"], env)
        proxy.find("Slave offers its tools")
        return self

    def issuers(self, text):
        return self.start(AUTH_ISSUERS=self.file("issuers.yaml", text))

    def broker(self, **variables):
        return self.start(OAUTH_BROKER="1", BROKER_SCOPES="mcp,write", BROKER_DEFAULT_SCOPES="mcp", **variables)

    def users(self):
        """Variables of a broker with a file of users."""
        path = str(self.folder / "users.yaml")
        command = [BINARY, "users", "add", USER, "--group", "dev", "--file", path]
        subprocess.run(command, input=f"{PASSWORD}\n", text=True, check=True, capture_output=True)
        return {"BROKER_USERS_FILE": path, "BROKER_REVOCATIONS_FILE": str(self.folder / "revoked")}


def expect(relay, issuer, pages, revoked_within, **more):
    """What a client is to see; the user is in another browser at the step-up, which therefore has the same pages."""
    return relay.url, {
        "issuer": issuer, "resource": relay.url, "scopes": ["mcp", "write"], "pages": pages, "again": pages, "rotates": True,
        "revoked_within": revoked_within, "step_up": True, **more,
    }


def keycloak(arrangement, parts):
    """The recipe of docs/secure/issuers.md, with clients that register themselves."""
    relay = Relay(arrangement)
    server = parts.keycloak()
    realm = server.realm(arrangement.folder.name, relay.url, recipe("Keycloak", "sh"))
    relay.issuers(recipe("Keycloak", "yaml").replace("https://id.example.com/realms/team", realm))
    # Keycloak holds a client that registers itself to the scopes that it named then.
    return expect(relay, realm, ["Keycloak sign-in", "Keycloak consent"], None, step_up=False)


def keycloak_client(arrangement, parts):
    """The same with a client that the operator registered, for all scopes."""
    url, expected = keycloak(arrangement, parts)
    return url, expected | {"step_up": True, "client": parts.keycloak().public_client(arrangement.folder.name, "desktop")}


PROVIDER_PAGES = ["oidc-provider sign-in", "oidc-provider consent"]


def oidc_jwt(arrangement, parts):
    relay = Relay(arrangement)
    issuer = oidc_provider(arrangement, parts.node, relay.url, "jwt", "unused")
    relay.issuers(f"issuers: [{{issuer: '{issuer}', scopes: [mcp]}}]")
    return expect(relay, issuer, PROVIDER_PAGES, None)


def oidc_opaque(arrangement, parts):
    """Tokens that the proxy asks about (RFC 7662), as docs/secure/issuers.md has it."""
    relay = Relay(arrangement)
    secret = relay.file("secret", "a-secret-of-the-relay-at-the-provider\n")
    issuer = oidc_provider(arrangement, parts.node, relay.url, "opaque", "a-secret-of-the-relay-at-the-provider")
    asking = f"{{url: '{issuer}/token/introspection', client_id: relay, client_secret_file: {secret}}}"
    relay.issuers(f"issuers: [{{issuer: '{issuer}', scopes: [mcp], introspection: {asking}}}]")
    return expect(relay, issuer, PROVIDER_PAGES, 30)


BROKER_PAGES = ["broker sign-in", "broker consent"]


def broker_users(arrangement, parts):
    relay = Relay(arrangement)
    relay.broker(**relay.users())
    return expect(relay, relay.origin, BROKER_PAGES, 5)


def broker_documents(arrangement, parts):
    """Clients that do not register: their id is the URL of their metadata."""
    relay = Relay(arrangement)
    documents = DocumentServer(parts.certificate)
    relay.broker(BROKER_CLIENT_DOCUMENTS="any", SSL_CERT_FILE=parts.certificate.authority, **relay.users())
    return expect(relay, relay.origin, BROKER_PAGES, 5, document=documents.url)


def broker_keycloak(arrangement, parts):
    """Users of Keycloak, clients of the broker."""
    relay = Relay(arrangement)
    server = parts.keycloak()
    realm = server.realm(arrangement.folder.name, relay.url, recipe("Keycloak", "sh"))
    secret = server.confidential_client(arrangement.folder.name, "relay", f"{relay.origin}/oauth/callback")
    relay.broker(
        BROKER_ISSUER=realm, BROKER_CLIENT_ID="relay", BROKER_CLIENT_SECRET_FILE=relay.file("secret", secret),
        BROKER_REQUIRE="email_verified=true", BROKER_REVOCATIONS_FILE=str(relay.folder / "revoked"),
    )
    return expect(relay, relay.origin, ["broker consent", "Keycloak sign-in"], 5)


# What ends TLS in front of the relay, by docs/run/fronts.md: the class, and heading and language of the recipe.
FRONTS = {"nginx": (Nginx, "nginx", "nginx"), "caddy": (Caddy, "Caddy", "caddyfile")}


def behind(name, arrangement, parts):
    """A relay behind a front, whose clients know its https URL alone."""
    (front, heading, language), port = FRONTS[name], free_port()
    relay = Relay(arrangement, f"https://localhost:{port}/mcp")
    front(arrangement, recipe(heading, language), port, relay.port, parts.certificate)
    return relay


def broker_behind(name):
    def arrange(arrangement, parts):
        relay = behind(name, arrangement, parts)
        relay.broker(TRUSTED_PROXIES="127.0.0.1", **relay.users())
        return expect(relay, relay.origin, BROKER_PAGES, 5)

    return arrange


def oidc_behind(name):
    """An issuer of JWTs that stands elsewhere."""

    def arrange(arrangement, parts):
        relay = behind(name, arrangement, parts)
        issuer = oidc_provider(arrangement, parts.node, relay.url, "jwt", "unused")
        issuers = relay.file("issuers.yaml", f"issuers: [{{issuer: '{issuer}', scopes: [mcp]}}]")
        relay.start(AUTH_ISSUERS=issuers, TRUSTED_PROXIES="127.0.0.1")
        return expect(relay, issuer, PROVIDER_PAGES, None)

    return arrange


ARRANGEMENTS = {
    "oidc-jwt": oidc_jwt, "oidc-opaque": oidc_opaque, "broker-users": broker_users, "broker-documents": broker_documents,
    "broker-nginx": broker_behind("nginx"), "broker-caddy": broker_behind("caddy"), "oidc-caddy": oidc_behind("caddy"), "broker-keycloak": broker_keycloak, "keycloak": keycloak, "keycloak-client": keycloak_client,
}


class Parts:
    """What arrangements share."""

    def __init__(self, shared, names):
        install.npm(TOOLS, HERE / "node")
        self.python = install.pip(ROOT / ".tools/clients", HERE.parent / "clients/requirements.txt")
        self.node = install.node(TOOLS)
        for name in ("browser.mjs", "client.mjs", "provider.mjs"):
            # Where modules are found: the scripts are not beside them.
            shutil.copy(HERE / name, TOOLS / name)
        self.chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
        if not self.chromium:
            raise SystemExit("oauth: no chromium here: run scripts/setup oauth")
        self.certificate = Certificate(shared.folder)
        # It takes its time: it starts while others have their turn.
        self.server = Keycloak(shared, TOOLS) if any("keycloak" in name for name in names) else None

    def keycloak(self):
        self.server.wait()
        return self.server

    def clients(self):
        for kind in ("sdk1", "sdk2-legacy", "sdk2-auto"):
            yield kind, [self.node, str(TOOLS / "client.mjs"), kind]
        for kind in ("mcp-auto", "mcp-legacy"):
            yield kind, [str(self.python), "-W", "ignore", str(HERE / "client.py"), kind]

    def env(self, folder, expected):
        return {
            "PATH": os.environ["PATH"], "HOME": str(folder), "OAUTH_EXPECTED": json.dumps(expected), "OAUTH_NODE": self.node,
            "OAUTH_BROWSER": str(TOOLS / "browser.mjs"), "OAUTH_USER": USER, "OAUTH_PASSWORD": PASSWORD, "CHROMIUM": self.chromium,
            "NODE_EXTRA_CA_CERTS": self.certificate.authority, "SSL_CERT_FILE": self.certificate.authority,
        }


def steps_of(command, url, env, log):
    """Steps of a client: (name, whether it did what is expected, why not)."""
    with log.open("wb") as errors:
        said = subprocess.run([*command, url], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=LIMIT, check=False)
    found = list(steps.read(said.stdout))
    yield from found
    if not found or (said.returncode != 0 and "FAILED " not in said.stdout):
        yield "start", False, log.read_text()[-800:]


def suite_of(parts, folder, expected):
    """Steps of the official suite's scenarios for authorization servers, with the user at the browser."""
    tools, port = ROOT / ".tools/conformance", free_port()
    install.npm(tools, HERE.parent / "conformance/node")
    redirect, issuer = f"http://127.0.0.1:{port}/callback", expected["issuer"]
    metadata = json.dumps({"redirect_uris": [redirect], "client_name": "suite", "token_endpoint_auth_method": "none"}).encode()
    request = urllib.request.Request(f"{issuer}/oauth/register", metadata, {"content-type": "application/json"})
    with urllib.request.urlopen(request, context=parts.certificate.trusted()) as answer:
        client = json.load(answer)["client_id"]
    program = str(tools / "node_modules/@modelcontextprotocol/conformance/dist/index.js")
    command = [
        install.node(tools), program, "authorization", "--url", issuer, "--client-id", client, "--resource", expected["resource"],
        "--port", str(port), "--output-dir", str(folder / "suite"), "--spec-version", "2026-07-28",
    ]
    env, log = parts.env(folder, expected), folder / "suite.log"
    with log.open("wb") as said, subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as suite:
        end, url = time.monotonic() + LIMIT, None
        while suite.poll() is None and time.monotonic() < end:
            url = next((line for line in log.read_text().splitlines() if line.startswith(f"{issuer}/oauth/authorize?")), None)
            if url:
                subprocess.run([parts.node, str(TOOLS / "browser.mjs"), url, redirect, "allow"], env=env, check=False, stdout=said)
                suite.wait(LIMIT)
            time.sleep(0.2)
        suite.kill()
    checks = [check for file in sorted((folder / "suite").glob("**/checks.json")) for check in json.loads(file.read_text())]
    for check in checks:
        if check["status"] != "INFO":
            yield check["id"], check["status"] == "SUCCESS", f"{check['status']} {check.get('errorMessage')}"
    if len(checks) < 2:
        yield "both scenarios", False, log.read_text()[-800:]


def run(name, parts, chosen):
    """Steps of all clients in one arrangement: (client, step, whether it is as expected, why not)."""
    with Arrangement(RESULTS / name) as arrangement:
        url, expected = ARRANGEMENTS[name](arrangement, parts)
        env = parts.env(arrangement.folder, expected)
        found = []
        for client, command in parts.clients():
            if not chosen or client in chosen:
                for step in steps_of(command, url, env, arrangement.folder / f"{client}.log"):
                    found.append((client, *step))
        # It asks for what a broker with documents of clients has.
        if name == "broker-documents" and (not chosen or "suite" in chosen):
            found += [("suite", *step) for step in suite_of(parts, arrangement.folder, expected)]
        return found


def report(name, found):
    """Prints what failed: (steps that passed, steps that failed)."""
    bad = [step for step in found if not step[2]]
    for client, step, _, why in bad:
        print(f"{name:16} {client:12} {step}: FAILED {' '.join(why.split())[:400]}")
    print(f"{name:16} {len(found) - len(bad)} passed, {len(bad)} failed", flush=True)
    return len(found) - len(bad), len(bad)


def main(patterns):
    names = [name for name in ARRANGEMENTS if not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    chosen = os.environ.get("CLIENTS", "").split()
    shutil.rmtree(RESULTS, ignore_errors=True)
    passed, failed, began = 0, 0, time.monotonic()
    with Arrangement(RESULTS / "shared") as shared, concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        parts = Parts(shared, names)
        running = [(name, pool.submit(run, name, parts, chosen)) for name in names]
        for name, result in running:
            try:
                counts = report(name, result.result())
            except (Exception, SystemExit) as failure:  # of one arrangement; the others go on
                print(f"{name:16} FAILED {type(failure).__name__} {failure}")
                counts = (0, 1)
            passed, failed = passed + counts[0], failed + counts[1]
    print(f"oauth: {len(names)} arrangements in {time.monotonic() - began:.0f} s")
    print(f"oauth: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
