// A client on the TypeScript SDK that has its user sign in, against whatever stands before the relay's tools.
//
//     node client.mjs sdk1|sdk2-legacy|sdk2-auto URL
//
// sdk1 is `@modelcontextprotocol/sdk` 1.x, sdk2 `@modelcontextprotocol/client` 2.x. What is expected of the authorization server stands in
// OAUTH_EXPECTED (run.py). Writes one line a step: `ok NAME` or `FAILED NAME: why`.

import assert from "node:assert/strict";
import http from "node:http";
import { once } from "node:events";
import { spawn } from "node:child_process";

const [kind, address] = process.argv.slice(2);
const expected = JSON.parse(process.env.OAUTH_EXPECTED);
// Milliseconds that anything may take.
const PATIENCE = 60_000;

const sdk = kind === "sdk1"
  ? {
      ...(await import("@modelcontextprotocol/sdk/client/index.js")),
      ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
      ...(await import("@modelcontextprotocol/sdk/client/auth.js")),
    }
  : await import("@modelcontextprotocol/client");

// Where the browser comes back to: the parameters of the last answer.
const answers = [];
const listener = http.createServer((request, response) => {
  const url = new URL(request.url, "http://127.0.0.1");
  if (url.pathname === "/callback") answers.push(url.searchParams);
  response.end("You can close this window.");
}).listen(0, "127.0.0.1");
await once(listener, "listening");
const redirect = `http://127.0.0.1:${listener.address().port}/callback`;

// What the user's browser shows, by the page's name.
async function browse(url, decision) {
  const command = [process.env.OAUTH_BROWSER, url, redirect, decision];
  const child = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", data => { said += data; });
  await once(child, "close");
  const lines = said.trim().split("\n");
  assert.equal(lines.at(-1), "back", said);
  return lines.slice(0, -1).map(line => line.replace("page ", ""));
}

// Keeps what a client keeps, and walks to the browser.
class User {
  constructor(decision = "allow") {
    this.decision = decision;
    this.pages = [];
    this.stored = {};
    if (expected.document) this.clientMetadataUrl = expected.document;
    // A client that the operator of the authorization server registered.
    if (expected.client) this.stored.client = { client_id: expected.client, issuer: expected.issuer };
  }
  get redirectUrl() { return redirect; }
  get clientMetadata() {
    return {
      client_name: `test-${kind}`, redirect_uris: [redirect], grant_types: ["authorization_code", "refresh_token"], response_types: ["code"],
      token_endpoint_auth_method: "none",
    };
  }
  state() { return (this.stored.state = crypto.randomUUID()); }
  clientInformation() { return this.stored.client; }
  saveClientInformation(client) { this.stored.client = client; }
  tokens() { return this.stored.tokens; }
  saveTokens(tokens) { this.stored.tokens = tokens; }
  saveCodeVerifier(verifier) { this.stored.verifier = verifier; }
  codeVerifier() { return this.stored.verifier; }
  saveDiscoveryState(state) { this.stored.discovery = state; }
  discoveryState() { return this.stored.discovery; }
  invalidateCredentials(scope) {
    if (scope === "all" || scope === "tokens") delete this.stored.tokens;
    if (scope === "all" || scope === "client") delete this.stored.client;
    if (scope === "all" || scope === "discovery") delete this.stored.discovery;
  }
  async redirectToAuthorization(url) {
    this.asked = url;
    answers.length = 0;
    this.pages = await browse(String(url), this.decision);
    this.answer = answers.at(-1);
    assert.equal(this.answer.get("state"), this.stored.state, "the state is another");
  }
}

const user = new User();
let client;
let transport;

async function open(who) {
  const options = kind === "sdk2-auto" ? { versionNegotiation: { mode: "auto" } } : {};
  const one = new sdk.Client({ name: `test-${kind}`, version: "1.0.0" }, options);
  const way = new sdk.StreamableHTTPClientTransport(new URL(address), { authProvider: who });
  return [one, way];
}

const isUnauthorized = error => error instanceof sdk.UnauthorizedError || error?.cause instanceof sdk.UnauthorizedError;

// Does what is wanted; where the user has to decide first, once more after that.
async function authorized(act) {
  try {
    return await act();
  } catch (error) {
    if (!isUnauthorized(error)) throw error;
    await transport.finishAuth(kind === "sdk1" ? user.answer.get("code") : user.answer);
    return act();
  }
}

const text = result => result.content.map(content => content.text ?? "").join("\n").trim();
const call = name => client.callTool({ name, arguments: {} });
const scopes = () => (user.stored.tokens.scope ?? "").split(" ").filter(name => expected.scopes.includes(name)).sort();
const metadata = () => user.stored.discovery.authorizationServerMetadata;

let failures = 0;
async function step(name, act) {
  try {
    let timer;
    const limit = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error("it takes too long")), PATIENCE); });
    await Promise.race([act(), limit]).finally(() => clearTimeout(timer));
    console.log(`ok ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAILED ${name}: ${String(error?.stack ?? error).replaceAll("\n", " ").slice(0, 900)}`);
  }
}

await step("refused consent", async () => {
  const refusing = new User("deny");
  const [one, way] = await open(refusing);
  await one.connect(way).then(() => assert.fail("it is let in"), error => assert.ok(isUnauthorized(error), String(error)));
  assert.equal(refusing.answer.get("error"), "access_denied");
  assert.equal(refusing.answer.get("code"), null);
});

await step("discovery and registration", async () => {
  [client, transport] = await open(user);
  await client.connect(transport).then(() => assert.fail("it needs no token"), error => assert.ok(isUnauthorized(error), String(error)));
  const found = user.stored.discovery;
  assert.equal(String(found.authorizationServerUrl), expected.issuer);
  assert.equal(found.resourceMetadata.resource, expected.resource);
  assert.equal(metadata().issuer, expected.issuer);
  assert.ok(metadata().code_challenge_methods_supported.includes("S256"));
  if (expected.document ?? expected.client) assert.equal(user.stored.client.client_id, expected.document ?? expected.client);
  assert.ok(user.stored.client.client_id);
  const asked = user.asked.searchParams;
  assert.equal(asked.get("resource"), expected.resource);
  // Some ask for offline_access, too, where the authorization server knows it.
  assert.deepEqual(asked.get("scope").split(" ").filter(name => name !== "offline_access"), ["mcp"]);
});
await step("pages", async () => assert.deepEqual(user.pages, expected.pages));
await step("token", async () => {
  if (kind !== "sdk1" || user.answer.get("iss")) assert.equal(user.answer.get("iss"), expected.issuer);
  await transport.finishAuth(kind === "sdk1" ? user.answer.get("code") : user.answer);
  assert.ok(user.stored.tokens.access_token && user.stored.tokens.refresh_token, Object.keys(user.stored.tokens).join());
  assert.deepEqual(scopes(), ["mcp"]);
});
// Without a token there is nothing more to see.
if (!user.stored.tokens) process.exit(1);
await step("call", async () => {
  [client, transport] = await open(user);
  await client.connect(transport);
  assert.equal(text(await call("read_note")), "a note");
});
await step("refresh", async () => {
  const { access_token: before, refresh_token: used } = user.stored.tokens;
  user.stored.tokens.access_token = `${before.slice(0, -8)}AAAAAAAA`;
  user.pages = [];
  assert.equal(text(await call("read_note")), "a note");
  const { access_token: now, refresh_token: next } = user.stored.tokens;
  assert.ok(now !== before && !now.endsWith("AAAAAAAA"), "the access token is the same");
  assert.ok(next && (!expected.rotates || next !== used), "the refresh token is the same");
  assert.deepEqual(user.pages, [], "the user was asked");
});
if (expected.step_up) await step("step-up", async () => {
  user.pages = [];
  // sdk1 refreshes the token that it has, which gives no scope more: an application has to let go of it.
  const before = user.stored.tokens;
  if (kind === "sdk1") user.stored.tokens = { ...before, refresh_token: undefined };
  const said = authorized(() => call("write_note"));
  assert.equal(text(await said.catch(error => { user.stored.tokens = before; throw error; })), "written");
  assert.deepEqual(user.pages, expected.again);
  assert.deepEqual(scopes(), ["mcp", "write"]);
  assert.equal(text(await call("read_note")), "a note");
});
if (expected.step_up) await step("refresh after the step-up", async () => {
  assert.deepEqual(scopes(), ["mcp", "write"]);
  user.stored.tokens.access_token = `${user.stored.tokens.access_token.slice(0, -8)}AAAAAAAA`;
  assert.equal(text(await call("write_note")), "written");
});
await step("hidden tool", async () => {
  const names = (await client.listTools()).tools.map(tool => tool.name);
  assert.deepEqual(names.sort(), ["read_note", "write_note"]);
});
await step("revocation", async () => {
  const { access_token: access, refresh_token: refresh } = user.stored.tokens;
  const id = user.stored.client.client_id;
  const post = (where, fields) => fetch(where, { method: "POST", body: new URLSearchParams({ client_id: id, ...fields }) });
  const revoked = await post(metadata().revocation_endpoint, { token: refresh, token_type_hint: "refresh_token" });
  assert.equal(revoked.status, 200, await revoked.text());
  const again = await post(metadata().token_endpoint, { grant_type: "refresh_token", refresh_token: refresh });
  assert.equal((await again.json()).error, "invalid_grant");
  const probe = () => fetch(address, {
    method: "POST", body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
    headers: { authorization: `Bearer ${access}`, "content-type": "application/json", accept: "application/json, text/event-stream" },
  });
  // A JWT is valid until it expires; whatever the server can ask about, or issued itself, ends.
  const end = Date.now() + (expected.revoked_within ?? 0) * 1000;
  let status = (await probe()).status;
  while (expected.revoked_within !== null && status !== 401 && Date.now() < end) {
    await new Promise(resolve => setTimeout(resolve, 200));
    status = (await probe()).status;
  }
  assert.equal(status === 401, expected.revoked_within !== null, `status ${status}`);
});
await client?.close().catch(() => undefined);
listener.close();
process.exit(failures ? 1 : 0);
