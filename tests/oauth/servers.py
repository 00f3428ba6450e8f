"""What stands around the relay in an arrangement: Keycloak, an OpenID provider, nginx, Caddy, a server of clients' documents. Knows no client."""

import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

from processes import ROOT

HERE = pathlib.Path(__file__).resolve().parent
# The user, whose password no log may have.
USER, PASSWORD = "ann", "canary-password-Qzx81"
# Seconds until Keycloak serves: its first start builds it anew.
KEYCLOAK_START = 600
# Options of Java for programs that run for a short time.
QUICK = "-XX:TieredStopAtLevel=1"

VERSION = "26.7.3"
DIGEST = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


# Pages whose blocks run here.
PAGES = ["secure/issuers.md", "secure/broker.md", "run/fronts.md"]


def recipe(heading, language):
    """The first block of this language below a heading of PAGES: what users copy is what runs here."""
    text = "\n".join((ROOT / "docs" / page).read_text() for page in PAGES)
    section = re.split(rf"^#+ .*\b{heading}\b.*$", text, maxsplit=1, flags=re.M)
    block = re.search(rf"^```{language}\n(.*?)^```$", section[1], re.M | re.S) if len(section) == 2 else None
    if not block:
        raise SystemExit(f"oauth: docs/ has no block of {language} below a heading with {heading!r}")
    return block[1]


def keycloak_home(tools):
    """Keycloak from Maven Central, unpacked."""
    home = tools / f"keycloak-{VERSION}"
    if not (home / "bin/kc.sh").exists():
        folder = tools / "download"
        artifact = f"org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
        command = ["mvn", "--quiet", "--batch-mode", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
        subprocess.run(command, check=True)
        archive = folder / f"keycloak-quarkus-dist-{VERSION}.zip"
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != DIGEST:
            raise SystemExit(f"oauth: {archive.name} has the digest {found}")
        with zipfile.ZipFile(archive) as content:
            content.extractall(tools)
        archive.unlink()
        for script in (home / "bin").glob("*.sh"):
            script.chmod(0o755)
    return home


class Keycloak:
    """A Keycloak in development mode on loopback, with one realm an arrangement."""

    def __init__(self, shared, tools):
        self.home, port = keycloak_home(tools), free_port()
        self.folder, self.url = shared.folder, f"http://127.0.0.1:{port}"
        env = {"KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin", "KC_DB": "dev-mem"}
        command = [str(self.home / "bin/kc.sh"), "start-dev", "--http-host", "127.0.0.1", "--http-port", str(port)]
        # It is there for a few sign-ins: a compiler that optimizes costs more than it brings.
        env["JAVA_OPTS_APPEND"] = QUICK
        self.process = shared.start("keycloak", command, env)

    def wait(self):
        """Waits until it serves."""
        process, end = self.process, time.monotonic() + KEYCLOAK_START
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/realms/master", timeout=5).close()
                return
            except OSError:
                if time.monotonic() > end or process.child.poll() is not None:
                    raise SystemExit(f"oauth: Keycloak does not start:\n{process.log.read_text()[-2000:]}") from None
                time.sleep(0.5)

    def ask(self, path, document):
        """Sends what the administrator wants."""
        credentials = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"}
        body = urllib.parse.urlencode(credentials).encode()
        with urllib.request.urlopen(f"{self.url}/realms/master/protocol/openid-connect/token", body) as answer:
            token = json.load(answer)["access_token"]
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/admin/realms{path}", json.dumps(document).encode(), headers)
        try:
            urllib.request.urlopen(request).close()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"oauth: Keycloak refuses {path or '/'}: {error} {error.read()[:500]}") from None

    def realm(self, name, resource, commands):
        """A realm from realm.json, set up with the commands of a recipe; returns its issuer."""
        realm = json.loads((HERE / "realm.json").read_text())
        users = realm.pop("users")
        self.ask("", realm | {"realm": name})
        # Users that come with a realm lack its default roles, such as that for offline_access.
        for user in users:
            self.ask(f"/{name}/users", user)
        for theirs, ours in {
            "https://id.example.com": self.url, "https://relay.example.com/mcp": resource, "-r team": f"-r {name}", "realms/team/": f"realms/{name}/",
            "claude.ai": "127.0.0.1",
        }.items():
            if theirs not in commands:
                raise SystemExit(f"oauth: the recipe for Keycloak says nothing of {theirs!r}")
            commands = commands.replace(theirs, ours)
        env = {
            "PATH": f"{self.home}/bin:{os.environ['PATH']}", "HOME": str(self.folder), "KC_CLI_PASSWORD": "admin",
            "JAVA_OPTS": QUICK,
        }
        said = subprocess.run(["sh", "-eu", "-c", commands], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if said.returncode:
            raise SystemExit(f"oauth: the recipe for Keycloak fails: {said.stdout[-800:]} {said.stderr[-800:]}")
        return f"{self.url}/realms/{name}"

    def public_client(self, realm, name):
        """A client of the operator's making, which may ask for all scopes."""
        scope = {"name": "write", "protocol": "openid-connect", "attributes": {"include.in.token.scope": "true"}}
        self.ask(f"/{realm}/client-scopes", scope)
        self.ask(f"/{realm}/clients", {
            "clientId": name, "redirectUris": ["http://127.0.0.1/callback"], "publicClient": True, "standardFlowEnabled": True,
            "consentRequired": True, "attributes": {"pkce.code.challenge.method": "S256"}, "defaultClientScopes": ["acr", "basic", "email", "profile", "roles", "web-origins"],
            "optionalClientScopes": ["mcp", "offline_access", "write"],
        })
        return name

    def confidential_client(self, realm, name, redirect):
        """A client with a secret, which is returned: a relay whose broker has its users sign in here."""
        secret = "a-secret-of-the-relay-at-keycloak"
        self.ask(f"/{realm}/clients", {
            "clientId": name, "secret": secret, "redirectUris": [redirect], "publicClient": False, "standardFlowEnabled": True,
            "defaultClientScopes": ["basic", "profile", "email", "mcp"],
        })
        return secret


def oidc_provider(arrangement, node, resource, form, secret):
    """npm's oidc-provider; returns its issuer."""
    command = [node, str(ROOT / ".tools/oauth/provider.mjs"), resource, form]
    return arrangement.start("provider", command, {"INTROSPECTION_SECRET": secret}).find(r"issuer (http://\S+)")[1]


class Certificate:
    """An authority, and a certificate of localhost by it: `authority`, `chain` and `key` are files."""

    def __init__(self, folder):
        self.authority, self.chain, self.key = (str(folder / name) for name in ("authority.pem", "chain.pem", "key.pem"))
        made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        root_key = str(folder / "authority-key.pem")
        self.openssl(*made, "-subj", "/CN=Authority of the tests", "-keyout", root_key, "-out", self.authority)
        names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
        signed = ["-CA", self.authority, "-CAkey", root_key, "-subj", "/CN=localhost", "-keyout", self.key, "-out", self.chain]
        self.openssl(*made, *names, *signed)

    def trusted(self):
        """What Python's clients take its certificates by."""
        return ssl.create_default_context(cafile=self.authority)

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class DocumentServer:
    """An https server with one document, in which a client says who it is: for all clients of these tests alike."""

    def __init__(self, certificate):
        port = free_port()
        self.url = f"https://localhost:{port}/client.json"
        document = json.dumps({
            "client_id": self.url, "client_name": "Client with a document", "redirect_uris": ["http://127.0.0.1/callback"],
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "token_endpoint_auth_method": "none",
        }).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(document)))
                self.end_headers()
                self.wfile.write(document)

            def log_message(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.chain, certificate.key)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()


class Nginx:
    """nginx with TLS in front of a proxy, by a recipe of which addresses and files are replaced."""

    def __init__(self, arrangement, block, port, target, certificate):
        folder = arrangement.folder
        for theirs, ours in {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl", "relay.example.com": "localhost", "127.0.0.1:8000": f"127.0.0.1:{target}",
            "/etc/ssl/relay.pem": certificate.chain, "/etc/ssl/relay.key": certificate.key,
        }.items():
            if theirs not in block:
                raise SystemExit(f"oauth: the recipe for nginx says nothing of {theirs!r}")
            block = block.replace(theirs, ours)
        paths = "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        file = folder / "nginx.conf"
        # Started as root, workers would be another user, who cannot write into this folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        file.write_text(
            f"{user}daemon off;\npid {folder}/nginx.pid;\nerror_log stderr notice;\nevents {{}}\nhttp {{\n  access_log {folder}/access.log;\n{paths}{block}}}\n"
        )
        program = "/usr/sbin/nginx" if pathlib.Path("/usr/sbin/nginx").exists() else "nginx"
        arrangement.start("nginx", [program, "-e", "stderr", "-p", str(folder), "-c", str(file)]).find("start worker process")


class Caddy:
    """Caddy with TLS in front of a proxy, by a recipe of which addresses are replaced."""

    def __init__(self, arrangement, block, port, target, certificate):
        ours = f"https://localhost:{port} {{\n    bind 127.0.0.1\n    tls {certificate.chain} {certificate.key}"
        for theirs, replacement in {"relay.example.com {": ours, "127.0.0.1:8000": f"127.0.0.1:{target}"}.items():
            if theirs not in block:
                raise SystemExit(f"oauth: the recipe for Caddy says nothing of {theirs!r}")
            block = block.replace(theirs, replacement)
        file = arrangement.folder / "Caddyfile"
        file.write_text(f"{{\n    admin off\n    auto_https disable_redirects\n}}\n{block}")
        program = shutil.which("caddy", path="/usr/sbin:/usr/bin:/usr/local/bin") or sys.exit("oauth: no caddy here: run scripts/setup fronts")
        arrangement.start("caddy", [program, "run", "--config", str(file), "--adapter", "caddyfile"]).find("serving initial configuration")
