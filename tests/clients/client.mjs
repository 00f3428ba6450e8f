// A client on the TypeScript SDK that does what users' clients do, against the real servers that run.py starts behind the relay.
//
//     node client.mjs sdk1|sdk1-sse|sdk2-legacy|sdk2-auto URL
//
// sdk1 is `@modelcontextprotocol/sdk` 1.x, with -sse over the transport of 2024-11-05; sdk2 `@modelcontextprotocol/client` 2.x. Writes one line a step: `ok NAME` or `FAILED NAME: why`.

import assert from "node:assert/strict";

const [kind, address] = process.argv.slice(2);
const modern = kind === "sdk2-auto";
const isFirst = kind.startsWith("sdk1");
const capabilities = { sampling: {}, elicitation: { form: {}, url: {} }, roots: { listChanged: true } };
// Milliseconds that anything may take.
const PATIENCE = 15_000;

async function connect() {
  const info = { name: `test-${kind}`, version: "1.0.0" };
  if (isFirst) {
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    const types = await import("@modelcontextprotocol/sdk/types.js");
    const client = new Client(info, { capabilities });
    const on = (method, handler) => client.setRequestHandler(types[method], handler);
    answer((name, handler) => on(SCHEMAS[name], handler));
    const told = (name, handler) => client.setNotificationHandler(types[SCHEMAS[name]], handler);
    const { SSEClientTransport } = await import("@modelcontextprotocol/sdk/client/sse.js");
    const old = kind === "sdk1-sse" && new SSEClientTransport(new URL("/sse", address));
    await client.connect(old || new StreamableHTTPClientTransport(new URL(address)));
    return [client, told];
  }
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const options = { capabilities, ...(modern && { versionNegotiation: { mode: "auto" } }) };
  const client = new Client(info, options);
  answer((name, handler) => client.setRequestHandler(name, handler));
  await client.connect(new StreamableHTTPClientTransport(new URL(address)));
  return [client, (name, handler) => client.setNotificationHandler(name, handler)];
}

const SCHEMAS = {
  "elicitation/create": "ElicitRequestSchema",
  "sampling/createMessage": "CreateMessageRequestSchema",
  "roots/list": "ListRootsRequestSchema",
  "notifications/resources/updated": "ResourceUpdatedNotificationSchema",
  "notifications/message": "LoggingMessageNotificationSchema",
};

// What the user, the model and the disk of this client say.
const asked = [];
function answer(on) {
  on("elicitation/create", async request => {
    asked.push(request.params);
    return request.params.mode === "url" ? { action: "accept" } : { action: "accept", content: { name: "Ada", check: true, integer: 7 } };
  });
  on("sampling/createMessage", async () => ({
    model: "tester", role: "assistant", stopReason: "endTurn", content: { type: "text", text: "the model says so" },
  }));
  on("roots/list", async () => ({ roots: [{ uri: "file:///srv/project", name: "project" }] }));
}

const text = result => result.content.map(content => content.text ?? "").join("\n");
const call = (name, args = {}, options) =>
  isFirst ? client.callTool({ name, arguments: args }, undefined, options) : client.callTool({ name, arguments: args }, options);

// A promise that resolves with the first value that is told to it.
function first() {
  let tell;
  const value = new Promise((resolve, reject) => {
    tell = resolve;
    setTimeout(() => reject(new Error(`nothing within ${PATIENCE} ms`)), PATIENCE).unref();
  });
  return [value, tell];
}

let failures = 0;
async function step(name, act) {
  try {
    const limit = new Promise((_, reject) => setTimeout(() => reject(new Error("it takes too long")), 2 * PATIENCE).unref());
    await Promise.race([act(), limit]);
    console.log(`ok ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED ${name}: ${String(error?.message ?? error).replaceAll("\n", " ").slice(0, 400)}`);
  }
}

const [client, told] = await connect();

await step("era", async () => assert.equal(client.getProtocolEra?.() ?? "legacy", modern ? "modern" : "legacy"));
await step("capabilities", async () => {
  const offered = client.getServerCapabilities();
  for (const name of ["tools", "prompts", "resources", "completions"]) assert.ok(offered[name], `no ${name}`);
  assert.ok(offered.resources.subscribe, "no resources.subscribe");
});
await step("instructions", async () => assert.match(client.getInstructions() ?? "", /Everything/i));
await step("tools/list", async () => {
  const names = (await client.listTools()).tools.map(tool => tool.name);
  for (const name of ["echo", "read_text_file", "create_entities", "get_current_time", "git_log"]) assert.ok(names.includes(name), `no ${name}`);
});
await step("tools/call", async () => {
  assert.equal(text(await call("echo", { message: "hello" })), "Echo: hello");
  assert.match(text(await call("get-sum", { a: 20, b: 22 })), /42/);
  assert.match(text(await call("get_current_time", { timezone: "UTC" })), /UTC/);
  assert.match(text(await call("read_text_file", { path: process.env.TEST_FILE })), /text of the file/);
  assert.match(text(await call("git_log", { repo_path: process.env.TEST_REPOSITORY })), /first commit/);
});
await step("structured content", async () => assert.ok((await call("get-structured-content", { location: "New York" })).structuredContent.temperature));
await step("image", async () => assert.ok((await call("get-tiny-image")).content.some(content => content.type === "image" && content.data.length > 1000)));
await step("unknown tool", async () => {
  const failed = await call("no-such-tool").then(result => (result.isError ? new Error(text(result)) : undefined), error => error);
  assert.match(failed?.message ?? "nothing failed", /no-such-tool/);
});
await step("bad arguments", async () => {
  const failed = await call("get-sum", { a: "x" }).then(result => (result.isError ? new Error(text(result)) : undefined), error => error);
  assert.match(failed?.message ?? "nothing failed", /expected number|invalid/i);
});
await step("progress", async () => {
  const seen = [];
  await call("trigger-long-running-operation", { duration: 1, steps: 4 }, { onprogress: progress => seen.push(progress.progress) });
  // On the old transport this SDK drops progress that arrives in one piece with the result.
  assert.deepEqual(kind === "sdk1-sse" ? seen.slice(0, 3) : seen, kind === "sdk1-sse" ? [1, 2, 3] : [1, 2, 3, 4]);
});
await step("cancel", async () => {
  const stop = new AbortController();
  setTimeout(() => stop.abort("changed my mind"), 300);
  await assert.rejects(call("trigger-long-running-operation", { duration: 60, steps: 5 }, { signal: stop.signal }));
  assert.equal(text(await call("echo", { message: "still there" })), "Echo: still there");
});
await step("prompts", async () => {
  const names = (await client.listPrompts()).prompts.map(prompt => prompt.name);
  assert.ok(names.includes("args-prompt"), names.join());
  const prompt = await client.getPrompt({ name: "args-prompt", arguments: { city: "Ulm" } });
  assert.match(prompt.messages[0].content.text, /Ulm/);
});
await step("completion of a prompt", async () => {
  const completed = await client.complete({
    ref: { type: "ref/prompt", name: "completable-prompt" }, argument: { name: "department", value: "E" },
  });
  assert.deepEqual(completed.completion.values, ["Engineering"]);
});
await step("completion of a template", async () => {
  const ref = { type: "ref/resource", uri: "demo://resource/dynamic/text/{resourceId}" };
  const completed = await client.complete({ ref, argument: { name: "resourceId", value: "7" } });
  assert.deepEqual(completed.completion.values, ["7"]);
});
await step("resources", async () => {
  const uris = (await client.listResources()).resources.map(resource => resource.uri);
  assert.ok(uris.includes("memory://knowledge-graph") && uris.some(uri => uri.startsWith("demo://")), uris.join());
  const read = await client.readResource({ uri: "demo://resource/static/document/features.md" });
  assert.ok(read.contents[0].text.length > 100);
});
await step("resource templates", async () => {
  const all = (await client.listResourceTemplates()).resourceTemplates.map(template => template.uriTemplate);
  assert.ok(all.includes("demo://resource/dynamic/blob/{resourceId}"), all.join());
  const read = await client.readResource({ uri: "demo://resource/dynamic/text/5" });
  assert.match(read.contents[0].text, /Resource 5/);
});
await step("unknown resource", async () => assert.rejects(client.readResource({ uri: "demo://no/such/thing" }), /demo:\/\/no\/such\/thing/));
await step("elicitation", async () => {
  assert.match(text(await call("trigger-elicitation-request")), /Ada/);
  assert.ok(asked.at(-1).requestedSchema.properties.firstLine, "the schema is not there");
});
await step("URL elicitation", async () => {
  await call("trigger-url-elicitation", { url: "https://example.com/consent" });
  assert.equal(asked.at(-1).url, "https://example.com/consent");
});
await step("sampling", async () => assert.match(text(await call("trigger-sampling-request", { prompt: "well?", maxTokens: 10 })), /the model says so/));
await step("roots", async () => assert.match(text(await call("get-roots-list")), /file:\/\/\/srv\/project/));
await step("resource subscription", async () => {
  const [updated, tell] = first();
  told("notifications/resources/updated", tell);
  const uri = "memory://knowledge-graph";
  const subscription = modern ? await client.listen({ resourceSubscriptions: [uri] }) : await client.subscribeResource({ uri });
  await call("create_entities", { entities: [{ name: `of ${kind}`, entityType: "test", observations: ["seen"] }] });
  assert.equal((await updated).params.uri, uri);
  await (modern ? subscription.close() : client.unsubscribeResource({ uri }));
});
if (!modern) {
  await step("ping", () => client.ping());
  await step("logging/setLevel", () => client.setLoggingLevel("debug"));
}
await step("many calls at once", async () => {
  const all = await Promise.all(Array.from({ length: 40 }, (_, number) => call("echo", { message: `number ${number}` })));
  all.forEach((result, number) => assert.equal(text(result), `Echo: number ${number}`));
});
await step("close", () => client.close());
process.exit(failures ? 1 : 0);
