"""A client on the Python SDK that has its user sign in, against whatever stands before the relay's tools.

    python client.py mcp-auto|mcp-legacy URL

What is expected of the authorization server stands in OAUTH_EXPECTED (run.py). Writes one line a step: `ok NAME` or `FAILED NAME: why`.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata

KIND, URL = sys.argv[1:]
EXPECTED = json.loads(os.environ["OAUTH_EXPECTED"])
# Seconds that anything may take.
PATIENCE = 60
failures = 0


class Listener:
    """Where the browser comes back to."""

    async def __aenter__(self):
        self.answers = []
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.redirect = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/callback"
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, reader, writer):
        target = (await reader.readline()).decode().split(" ")[1]
        if target.startswith("/callback?"):
            self.answers.append({name: values[0] for name, values in parse_qs(urlsplit(target).query).items()})
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\ndone")
        await writer.drain()
        writer.close()


class User:
    """Keeps what a client keeps (the SDK's TokenStorage), and walks to the browser."""

    def __init__(self, listener, decision="allow"):
        self.listener, self.decision = listener, decision
        self.tokens = self.client = self.asked = None
        self.pages, self.answer = [], {}
        if EXPECTED.get("client"):  # one that the operator of the authorization server registered
            self.client = OAuthClientInformationFull(
                client_id=EXPECTED["client"], issuer=EXPECTED["issuer"], redirect_uris=[listener.redirect], token_endpoint_auth_method="none",
            )

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client

    async def redirect(self, url):
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        command = [os.environ["OAUTH_NODE"], os.environ["OAUTH_BROWSER"], url, self.listener.redirect, self.decision]
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said = (await child.communicate())[0].decode().strip().split("\n")
        assert said[-1] == "back", said
        self.pages = [line.removeprefix("page ") for line in said[:-1]]
        self.answer = self.listener.answers.pop()

    async def callback(self):
        if "code" not in self.answer:
            raise PermissionError(self.answer.get("error"))
        return AuthorizationCodeResult(code=self.answer["code"], state=self.answer.get("state"), iss=self.answer.get("iss"))

    def provider(self):
        metadata = OAuthClientMetadata(
            client_name=f"test-{KIND}", redirect_uris=[self.listener.redirect], grant_types=["authorization_code", "refresh_token"],
            response_types=["code"], token_endpoint_auth_method="none",
        )
        return OAuthClientProvider(URL, metadata, self, self.redirect, self.callback, EXPECTED.get("document"))

    def scopes(self):
        return sorted(set((self.tokens.scope or "").split()) & set(EXPECTED["scopes"]))


@contextlib.asynccontextmanager
async def connect(provider):
    async with create_mcp_http_client(auth=provider) as http, Client(streamable_http_client(URL, http_client=http), mode=KIND.removeprefix("mcp-")) as client:
        yield client


def leaves(error):
    """The errors in a group of errors."""
    return [leaf for inner in error.exceptions for leaf in leaves(inner)] if isinstance(error, BaseExceptionGroup) else [error]


async def step(name, act):
    global failures
    try:
        async with asyncio.timeout(PATIENCE):
            await act()
        print(f"ok {name}", flush=True)
    except BaseException as error:  # every failure of a step is one line
        failures += 1
        words = "; ".join(f"{type(leaf).__name__} {leaf}" for leaf in leaves(error))
        print(f"FAILED {name}: {words}".replace("\n", " ")[:900], flush=True)


def text(result):
    return "\n".join(getattr(content, "text", "") or "" for content in result.content).strip()


async def main():
    async with Listener() as listener:
        await steps(listener)


async def steps(listener):
    user = User(listener)
    provider = user.provider()

    async def refused():
        refusing = User(listener, "deny")
        try:
            async with connect(refusing.provider()):
                raise AssertionError("it is let in")
        except BaseException as error:
            assert any(isinstance(leaf, PermissionError) for leaf in leaves(error)), error
        assert refusing.answer["error"] == "access_denied", refusing.answer

    async def discovery():
        async with connect(provider):
            pass
        context = provider.context
        assert str(context.oauth_metadata.issuer).rstrip("/") == EXPECTED["issuer"].rstrip("/"), context.oauth_metadata.issuer
        assert str(context.protected_resource_metadata.resource) == EXPECTED["resource"]
        # Some ask for offline_access, too, where the authorization server knows it.
        assert user.asked["resource"] == EXPECTED["resource"] and set(user.asked["scope"].split()) - {"offline_access"} == {"mcp"}, user.asked
        assert user.asked["code_challenge_method"] == "S256"
        known = EXPECTED.get("document") or EXPECTED.get("client")
        assert known is None or user.client.client_id == known, user.client

    async def pages():
        assert user.pages == EXPECTED["pages"], user.pages

    async def token():
        assert user.tokens.access_token and user.tokens.refresh_token, user.tokens
        assert user.scopes() == ["mcp"], user.tokens.scope

    await step("refused consent", refused)
    await step("discovery and registration", discovery)
    await step("pages", pages)
    await step("token", token)
    if not user.tokens:  # there is nothing more to see
        return
    try:
        async with connect(provider) as client:
            await steps_of(user, provider, client)
    except BaseException as error:  # outside of the steps
        failure = error

        async def connection():
            raise failure

        await step("connection", connection)


async def steps_of(user, provider, client):
    async def call(name):
        return text(await client.call_tool(name, {}))

    async def calls():
        assert await call("read_note") == "a note"

    async def refresh():
        before, user.pages = user.tokens, []
        provider.context.token_expiry_time = time.time() - 1
        assert await call("read_note") == "a note"
        assert user.tokens.access_token != before.access_token, "the access token is the same"
        assert user.tokens.refresh_token and (not EXPECTED["rotates"] or user.tokens.refresh_token != before.refresh_token)
        assert user.pages == [], user.pages

    async def step_up():
        user.pages = []
        assert await call("write_note") == "written"
        assert user.pages == EXPECTED["again"], user.pages
        assert user.scopes() == ["mcp", "write"], user.tokens.scope
        assert await call("read_note") == "a note"

    async def after():
        assert user.scopes() == ["mcp", "write"], user.tokens.scope
        provider.context.token_expiry_time = time.time() - 1
        assert await call("write_note") == "written"

    async def hidden():
        names = sorted(tool.name for tool in (await client.list_tools()).tools)
        assert names == ["read_note", "write_note"], names

    async def revocation():
        metadata, fields = provider.context.oauth_metadata, {"client_id": user.client.client_id}
        async with httpx2.AsyncClient() as http:
            revoked = await http.post(str(metadata.revocation_endpoint), data=fields | {"token": user.tokens.refresh_token})
            assert revoked.status_code == 200, revoked.text
            renewal = fields | {"grant_type": "refresh_token", "refresh_token": user.tokens.refresh_token}
            again = await http.post(str(metadata.token_endpoint), data=renewal)
            assert again.json()["error"] == "invalid_grant", again.text

    for name, act in {
        "call": calls, "refresh": refresh, "step-up": step_up, "refresh after the step-up": after, "hidden tool": hidden, "revocation": revocation,
    }.items():
        if EXPECTED["step_up"] or "step-up" not in name:
            await step(name, act)


asyncio.run(main())
sys.exit(1 if failures else 0)
