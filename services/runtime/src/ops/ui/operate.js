// Runs tools and drains slaves, for operators who may. A call is an ordinary MCP request (2026-07-28) to this server.
"use strict";

import { ask } from "./asked.js";
import { block, contentOf, pretty } from "./contents.js";
import { formOf, rawForm } from "./form.js";
import { KEY, look } from "./page.js";
import { setText, shown, span } from "./values.js";

const VERSION = "2026-07-28";
const META = "io.modelcontextprotocol/";
const CAPABILITIES = { elicitation: { form: {}, url: {} }, roots: {}, sampling: {} };
const MOST_ROUNDS = 50;
const $ = (id) => document.getElementById(id);

function headers(more) {
  const key = sessionStorage.getItem(KEY);
  return { "Content-Type": "application/json", "X-Mcp-Relay-Command": "1", ...(key ? { Authorization: `Bearer ${key}` } : {}), ...more };
}

// ---- requests of MCP ----

// A text as the value of a header (2026-07-28, Streamable HTTP, "Value Encoding").
function headerText(text) {
  if (/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !text.startsWith("=?base64?")) return text;
  const bytes = new TextEncoder().encode(text);
  return `=?base64?${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}?=`;
}

// The Mcp-Param headers of arguments, as the tool's schema asks for them.
function paramHeaders(schema, values, depth = 0) {
  const found = {};
  for (const [name, member] of Object.entries(schema?.properties ?? {})) {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    const header = member?.["x-mcp-header"];
    if (typeof header === "string" && ["string", "number", "boolean"].includes(typeof value)) {
      found[`Mcp-Param-${header}`] = headerText(String(value));
    }
    if (depth < 32 && value && typeof value === "object") Object.assign(found, paramHeaders(member, value, depth + 1));
  }
  return found;
}

// The messages of a response: of a stream of events one after the other, else the only one.
async function* messages(answer) {
  const kind = answer.headers.get("content-type") ?? "";
  if (!kind.startsWith("text/event-stream")) {
    yield await answer.json();
    return;
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split(/\r?\n\r?\n/);
    rest = events.pop();
    for (const event of events) {
      const data = event.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.some(Boolean)) yield JSON.parse(data.join("\n"));
    }
  }
}

// Sends a call and returns its response. "text" is the JSON of the arguments, which goes on as it is.
async function send(call, text, more, onProgress) {
  const id = ++call.requests;
  const meta = {
    [`${META}protocolVersion`]: VERSION,
    [`${META}clientCapabilities`]: CAPABILITIES,
    [`${META}clientInfo`]: { name: "mcp-relay status page", version: "1" },
    progressToken: id,
  };
  const message = JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { ...more, name: call.tool.name, _meta: meta } });
  const answer = await fetch("mcp", {
    method: "POST",
    cache: "no-store",
    signal: call.abort.signal,
    body: `${message.slice(0, -2)},"arguments":${text}}}`,
    headers: headers({
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": VERSION,
      "Mcp-Method": "tools/call",
      "Mcp-Name": headerText(call.tool.name),
      ...paramHeaders(call.tool.definition?.inputSchema, JSON.parse(text)),
    }),
  });
  for await (const one of messages(answer)) {
    if (one.method === "notifications/progress") onProgress(one.params ?? {});
    if (one.result || one.error) return one;
  }
  throw new Error("the answer broke off");
}

// ---- try a tool ----

let form;
let tool;
let running;

function state(text) {
  setText($("try-state"), text);
}

function build(raw, text) {
  form = raw ? rawForm(text) : formOf(tool.definition?.inputSchema);
  $("try-raw").checked = raw;
  $("try-fields").replaceChildren(...form.nodes);
}

function showTool(found) {
  const isTool = found?.kind === "tool";
  $("try").hidden = !isTool;
  const same = tool?.key === found?.key && JSON.stringify(tool?.definition) === JSON.stringify(found?.definition);
  if (!isTool || same) return;
  const another = tool?.key !== found.key;
  // What was typed is kept for as long as its call runs.
  if (running && !another) return;
  running?.abort.abort();
  tool = found;
  const schema = tool.definition?.inputSchema;
  const isFlat = Object.keys(schema?.properties ?? {}).length > 0 || schema?.additionalProperties === false;
  build(!isFlat, "{}");
  if (!another) return;
  state("");
  clear();
}

function clear() {
  for (const id of ["try-result", "try-asked"]) {
    $(id).replaceChildren();
    $(id).hidden = true;
  }
  $("try-progress").hidden = true;
}

function onProgress({ progress, total, message }) {
  const bar = $("try-progress");
  bar.hidden = false;
  if (Number.isFinite(total) && total > 0) {
    bar.max = total;
    bar.value = Math.min(Math.max(Number(progress) || 0, 0), total);
  } else {
    bar.removeAttribute("value");
  }
  const amount = total === undefined ? shown(progress) : `${shown(progress)} of ${shown(total)}`;
  state(`Running: ${amount}${typeof message === "string" && message ? `, ${message}` : ""}`);
}

function showResult(parts) {
  $("try-result").replaceChildren(...parts);
  $("try-result").hidden = false;
}

function onEnd({ result, error }, took) {
  if (error) {
    state(`Failed after ${span(took)}.`);
    showResult([...block(`Error ${error.code}`, String(error.message)), ...(error.data ? block("Details", pretty(error.data)) : [])]);
    return;
  }
  state(result.isError ? `The tool reported an error after ${span(took)}.` : `Done in ${span(took)}.`);
  const parts = (Array.isArray(result.content) ? result.content : []).flatMap((item) => contentOf(item));
  if (result.structuredContent !== undefined) parts.push(...block("Structured result", pretty(result.structuredContent)));
  showResult(parts.length > 0 ? parts : block("Result", pretty(result)));
}

async function run(text) {
  const call = { tool, requests: 0, abort: new AbortController() };
  running = call;
  const began = performance.now();
  clear();
  state("Running.");
  $("try-run").disabled = true;
  $("try-cancel").hidden = false;
  try {
    let more = {};
    for (let round = 0; ; round++) {
      const response = await send(call, text, more, (progress) => running === call && onProgress(progress));
      if (running !== call) return;
      const { resultType, inputRequests, requestState } = response.result ?? {};
      if (resultType !== "input_required") {
        onEnd(response, performance.now() - began);
        break;
      }
      if (round >= MOST_ROUNDS) throw new Error("the tool asks without an end");
      const inputResponses = {};
      for (const [name, request] of Object.entries(inputRequests ?? {})) {
        state("The tool waits for your answer.");
        inputResponses[name] = await ask(request, $("try-asked"), call.abort.signal);
      }
      more = { inputResponses, ...(requestState === undefined ? {} : { requestState }) };
      state("Running.");
    }
  } catch (error) {
    if (running !== call) return;
    clear();
    state(call.abort.signal.aborted ? "Cancelled." : `Failed: ${error.message}.`);
  } finally {
    if (running === call) {
      running = undefined;
      $("try-progress").hidden = true;
      $("try-run").disabled = false;
      $("try-cancel").hidden = true;
    }
  }
}

$("try-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) return;
  try {
    const values = form.read();
    run(typeof values === "string" ? values : JSON.stringify(values));
  } catch (error) {
    state(`Not run. ${error.message}.`);
  }
});

$("try-cancel").addEventListener("click", () => running?.abort.abort());

$("try-raw").addEventListener("change", () => {
  const raw = $("try-raw").checked;
  let text = "{}";
  try {
    if (raw) text = pretty(form.read());
  } catch {
    // What is not finished yet is left out.
  }
  build(raw, text);
});

// ---- drain a slave ----

let slave;

function showSlave(found) {
  const another = slave?.id !== found?.id;
  slave = found;
  const isKnown = found?.id !== undefined;
  $("drain").hidden = !isKnown;
  if (!isKnown) return;
  if (another) {
    $("drain-sure").hidden = true;
    setText($("drain-state"), "");
  }
  const held = found.drainedByOperator === true;
  const asking = !$("drain-sure").hidden && !held;
  $("drain-sure").hidden = !asking;
  $("drain-begin").hidden = held || asking;
  $("drain-end").hidden = !held;
  setText($("drain-what"), held
    ? "An operator drains this slave: this proxy sends it no new calls, and running calls finish."
    : asking ? `Drain ${found.name}? This proxy then sends it no new calls until you undo this; running calls finish. Other proxies still use it.`
    : "Before maintenance: this proxy sends the slave no new calls, and running calls finish.");
}

async function drain(draining) {
  const said = (text) => setText($("drain-state"), text);
  $("drain-sure").hidden = true;
  try {
    const body = JSON.stringify({ id: slave.id, draining });
    const answer = await fetch("../api/v1/slaves/drain", { method: "POST", cache: "no-store", headers: headers({}), body });
    const found = await answer.json();
    const why = typeof found.error === "string" ? found.error : found.error?.message;
    said(answer.ok ? (draining ? "The slave drains." : "The slave takes calls again.") : `Not done: ${why ?? `status ${answer.status}`}.`);
  } catch (error) {
    said(`Not done: ${error.message}.`);
  }
  showSlave(slave);
  look();
}

$("drain-begin").addEventListener("click", () => {
  $("drain-sure").hidden = false;
  showSlave(slave);
  $("drain-yes").focus();
});
$("drain-no").addEventListener("click", () => {
  $("drain-sure").hidden = true;
  showSlave(slave);
  $("drain-begin").focus();
});
$("drain-yes").addEventListener("click", () => drain(true));
$("drain-end").addEventListener("click", () => drain(false));

document.addEventListener("shown", ({ detail }) => {
  const view = document.querySelector("[data-view]:not([hidden])").dataset.view;
  if (view === "tool") showTool(detail.one?.key === undefined ? undefined : detail.one);
  if (view === "slave") showSlave(detail.one);
});
