"""A client on the Python SDKs that does what users' clients do, against the real servers that run.py starts behind the relay.

    python client.py mcp-auto|mcp-legacy|mcp-sse|fastmcp URL

mcp-sse is on the transport of 2024-11-05.

Writes one line a step: `ok NAME` or `FAILED NAME: why`.
"""

import asyncio
import contextlib
import os
import re
import sys

KIND, URL = sys.argv[1:]
# Seconds that anything may take.
PATIENCE = 15
ASKED = []
MESSAGES = []
failures = 0


def see(text, pattern):
    assert re.search(pattern, str(text), re.S), f"no {pattern!r} in {str(text)[:300]!r}"


async def step(name, act):
    global failures
    try:
        async with asyncio.timeout(2 * PATIENCE):
            await act()
        print(f"ok {name}", flush=True)
    except Exception as error:  # every failure of a step is one line
        failures += 1
        print(f"FAILED {name}: {type(error).__name__} {error}".replace("\n", " ")[:400], flush=True)


@contextlib.asynccontextmanager
async def connect():
    import mcp_types as types

    async def elicit(context, params):
        ASKED.append(params)
        content = None if params.mode == "url" else {"name": "Ada", "check": True, "integer": 7}
        return types.ElicitResult(action="accept", content=content)

    async def sample(context, params):
        content = types.TextContent(type="text", text="the model says so")
        return types.CreateMessageResult(role="assistant", model="tester", content=content, stop_reason="endTurn")

    async def roots(context):
        return types.ListRootsResult(roots=[types.Root(uri="file:///srv/project", name="project")])

    async def message(message):
        MESSAGES.append(message)

    if KIND == "fastmcp":
        import fastmcp

        async def elicit_fast(message, response_type, params, context):
            ASKED.append(params)
            return {"name": "Ada", "check": True, "integer": 7}

        async def sample_fast(messages, params, context):
            return "the model says so"

        client = fastmcp.Client(URL, elicitation_handler=elicit_fast, sampling_handler=sample_fast, roots=["file:///srv/project"], message_handler=message)
    else:
        from mcp.client.client import Client
        from mcp.client.sse import sse_client

        old = KIND == "mcp-sse"
        server = sse_client(URL.removesuffix("/mcp") + "/sse") if old else URL
        client = Client(
            server, mode="legacy" if old else KIND.removeprefix("mcp-"), elicitation_callback=elicit, sampling_callback=sample,
            list_roots_callback=roots, message_handler=message,
        )
    async with client:
        yield client


def text(result):
    return "\n".join(getattr(content, "text", "") or "" for content in result.content)


def items(result, name):
    """Of `mcp` a list result, of `fastmcp` the list itself."""
    return getattr(result, name, result)


async def main():
    async with connect() as client:
        await steps(client)


async def steps(client):
    fast = KIND == "fastmcp"

    async def call(name, arguments=None):
        return await client.call_tool(name, arguments or {}, **({"raise_on_error": False} if fast else {}))

    async def tools():
        names = {tool.name for tool in items(await client.list_tools(), "tools")}
        assert {"echo", "read_text_file", "create_entities", "get_current_time", "git_log"} <= names, names

    async def calls():
        see(text(await call("echo", {"message": "hello"})), "Echo: hello")
        see(text(await call("get-sum", {"a": 20, "b": 22})), "42")
        see(text(await call("get_current_time", {"timezone": "UTC"})), "UTC")
        see(text(await call("read_text_file", {"path": os.environ["TEST_FILE"]})), "text of the file")
        see(text(await call("git_log", {"repo_path": os.environ["TEST_REPOSITORY"]})), "first commit")

    async def unknown():
        try:
            see(text(await call("no-such-tool")), "no-such-tool")
        except Exception as error:
            see(error, "no-such-tool")

    async def progress():
        seen = []

        async def on_progress(done, total, message):
            seen.append(done)

        name = "progress_handler" if fast else "progress_callback"
        await client.call_tool("trigger-long-running-operation", {"duration": 1, "steps": 4}, **{name: on_progress})
        assert seen == [1, 2, 3, 4], seen

    async def cancel():
        task = asyncio.create_task(call("trigger-long-running-operation", {"duration": 60, "steps": 5}))
        await asyncio.sleep(0.3)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        see(text(await call("echo", {"message": "still there"})), "Echo: still there")

    async def prompts():
        names = {prompt.name for prompt in items(await client.list_prompts(), "prompts")}
        assert "args-prompt" in names, names
        prompt = await client.get_prompt("args-prompt", {"city": "Ulm"})
        see(prompt.messages[0].content.text, "Ulm")

    async def complete():
        import mcp_types as types

        ref = types.PromptReference(type="ref/prompt", name="completable-prompt")
        completed = await client.complete(ref=ref, argument={"name": "department", "value": "E"})
        assert getattr(completed, "completion", completed).values == ["Engineering"], completed

    async def resources():
        uris = {str(resource.uri) for resource in items(await client.list_resources(), "resources")}
        assert "memory://knowledge-graph" in uris, uris
        read = items(await client.read_resource("demo://resource/static/document/features.md"), "contents")
        assert len(read[0].text) > 100
        templates = {template.uri_template for template in items(await client.list_resource_templates(), "resource_templates")}
        assert "demo://resource/dynamic/blob/{resourceId}" in templates, templates
        read = items(await client.read_resource("demo://resource/dynamic/text/5"), "contents")
        see(read[0].text, "Resource 5")

    async def no_resource():
        try:
            await client.read_resource("demo://no/such/thing")
        except Exception as error:
            see(error, "demo://no/such/thing")
        else:
            raise AssertionError("it was read")

    async def elicitation():
        see(text(await call("trigger-elicitation-request")), "Ada")

    async def sampling():
        see(text(await call("trigger-sampling-request", {"prompt": "well?", "maxTokens": 10})), "the model says so")

    async def roots():
        see(text(await call("get-roots-list")), "file:///srv/project")

    async def subscription():
        uri, entity = "memory://knowledge-graph", {"entityType": "test", "observations": ["seen"]}
        create = {"entities": [{"name": f"of {KIND}", **entity}]}
        session = client.session
        if session.protocol_version < "2026":
            await session.subscribe_resource(uri)
            before = len(MESSAGES)
            await call("create_entities", create)
            async with asyncio.timeout(PATIENCE):
                while not any(uri in str(message) for message in MESSAGES[before:]):
                    await asyncio.sleep(0.05)
            await session.unsubscribe_resource(uri)
            return
        from mcp.client.subscriptions import listen

        async with listen(session, resource_subscriptions=[uri]) as events:
            await call("create_entities", create)
            async with asyncio.timeout(PATIENCE):
                assert (await anext(aiter(events))).uri == uri

    async def many():
        results = await asyncio.gather(*(call("echo", {"message": f"number {number}"}) for number in range(40)))
        for number, result in enumerate(results):
            see(text(result), f"^Echo: number {number}$")

    for name, act in {
        "tools/list": tools, "tools/call": calls, "unknown tool": unknown, "progress": progress, "cancel": cancel, "prompts": prompts,
        "completion": complete, "resources": resources, "unknown resource": no_resource, "elicitation": elicitation,
        "sampling": sampling, "roots": roots, "resource subscription": subscription, "many calls at once": many,
    }.items():
        await step(name, act)


asyncio.run(main())
sys.exit(1 if failures else 0)
