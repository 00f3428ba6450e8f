// Fills the status page from a JSON document that is loaded at intervals. Must not know the document: the markup names
// its members. All values are inserted as text, never as markup.
//
//   <body data-document="URL">          the document
//   <div data-view="name" data-title="…"> a view, shown for "#name"; data-document, data-every: another document, and its interval in ms
//     data-pick="a.list" data-by="id"     a view of one row, shown for "#name/id", with the row as "one"
//     data-calls="b"                      … and its calls, whose member b is that id, as "one.live" and "one.recent"
//   data-text="a.b" data-as="kind"      text of a member
//   data-href="a.b"                     a link to the address that a member is; hidden without one
//   data-runbook="value=section;…"      a link to a runbook beside a member with that value
//   data-when="a.b" data-unless="a.b"   shown only if a member is true (or not)
//   <table data-rows="a.list" data-key="id" data-empty="…">   a row for each; "a.list/inner" for the lists inside
//     data-filter="label" data-newest="b"                   a field that filters rows; rows sorted by a time
//     <th data-field="b" data-as="kind">                    a column; "outer.b" is a member of the row around, "." the row
//     <th data-distinct="c">                                rows of one name are told apart by this member
//     <th data-as="link" data-link="view" data-link-by="c"> a link to the view of one row
//     data-reverse, data-levels="label", data-export="file" the last first; a choice of levels; a button that saves the rows' texts
//   <figure data-plot="a.b" data-also="a.c" data-unit="…">    numbers by second, oldest first; data-as="ms": durations
"use strict";

import { fill, fillTable } from "./tables.js";
import { at, number, setNow, setText, shown, span } from "./values.js";

const EVERY_MS = 2000;
const PATIENCE_MS = 10000;
export const KEY = "mcp-relay-key";
const $ = (id) => document.getElementById(id);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];

let timer;
let paused = false;
let said = "";

// ---- plots ----

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 48;

function svg(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function line(values, most, kind) {
  const points = values.map((value, x) => `${x},${(HEIGHT - (value / most) * (HEIGHT - 2) - 1).toFixed(1)}`);
  return svg("polyline", { points: points.join(" "), class: kind, "vector-effect": "non-scaling-stroke" });
}

function fillPlot(figure, found) {
  const values = at(found, figure.dataset.plot);
  if (!Array.isArray(values) || values.length === 0) return;
  const also = figure.dataset.also ? at(found, figure.dataset.also) ?? [] : [];
  const most = Math.max(1, ...values);
  const { unit = "" } = figure.dataset;
  const amount = (value) => (figure.dataset.as === "ms" ? span(value) : `${number(value)}${unit}`);
  const text = `now ${amount(values.at(-1))}, at most ${amount(Math.max(...values))}`;
  const told = figure.querySelector("figcaption .now");
  if (told) setText(told, text);
  let drawing = figure.querySelector("svg");
  if (!drawing) {
    drawing = svg("svg", { preserveAspectRatio: "none", role: "img" });
    figure.append(drawing);
  }
  drawing.setAttribute("viewBox", `0 0 ${values.length - 1} ${HEIGHT}`);
  drawing.setAttribute("aria-label", `${figure.querySelector("figcaption span")?.textContent ?? ""}: ${text}`);
  const lines = [line(values, most, "line")];
  if (also.length > 0) lines.unshift(line(also, most, "line also"));
  drawing.replaceChildren(...lines);
}

// ---- views ----

const views = all("[data-view]");
let view = views[0];
let picked = "";

for (const { dataset } of views) {
  if (!dataset.title) continue;
  $("views").append(Object.assign(document.createElement("a"), { href: `#${dataset.view}`, textContent: dataset.title }));
}

// Shows the view that the address names, and nothing of the document of another.
function route() {
  const [name, ...key] = location.hash.slice(1).split("/");
  const before = view;
  view = views.find(({ dataset }) => dataset.view === name) ?? views[0];
  try {
    picked = decodeURIComponent(key.join("/"));
  } catch {
    picked = "";
  }
  for (const one of views) one.hidden = one !== view;
  for (const link of all("a", $("views"))) {
    if (link.hash === `#${view.dataset.view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  return view !== before;
}

// A document with one of its rows, and the calls of that row, as the member "one".
function withOne(found, { pick, by, calls }) {
  const is = (row, member) => String(at(row, member)) === picked;
  const row = (at(found, pick) ?? []).find((one) => is(one, by));
  if (!row) return { ...found, one: {} };
  const of = (path) => (at(found, path) ?? []).filter((call) => is(call, calls));
  const recent = of("calls.recent");
  const failed = recent.filter(({ outcome }) => outcome !== "ok").length;
  return { ...found, one: { ...row, live: of("calls.live.list"), recent, ended: recent.length, failed } };
}

// ---- the page ----

function show(loaded) {
  const found = view.dataset.pick ? withOne(loaded, view.dataset) : loaded;
  setNow(Date.parse(at(found, "now")) || Date.now());
  // The head shows the status, which other documents do not have.
  const parts = at(found, "role") ? [view, document.querySelector("header")] : [view];
  const inParts = (selector) => parts.flatMap((part) => all(selector, part));
  for (const element of inParts("[data-when]")) element.hidden = !at(found, element.dataset.when);
  for (const element of inParts("[data-unless]")) element.hidden = Boolean(at(found, element.dataset.unless));
  for (const element of inParts("[data-text]")) fill(element, at(found, element.dataset.text), element.dataset.as);
  for (const link of inParts("[data-href]")) {
    const address = at(found, link.dataset.href);
    link.hidden = !/^https?:\/\//.test(address ?? "");
    if (!link.hidden) link.href = address;
  }
  for (const table of inParts("table[data-rows]")) fillTable(table, found);
  for (const figure of inParts("figure[data-plot]")) fillPlot(figure, found);
  // Parts that do more than show what a member says fill themselves.
  document.dispatchEvent(new CustomEvent("shown", { detail: found }));
  $("updated").textContent = `Updated ${new Date().toLocaleTimeString()}`;
  if (!at(found, "readiness")) return say("");
  const ready = at(found, "readiness.ready") === true;
  say(ready ? "The server is ready." : `The server is not ready: ${shown(at(found, "readiness.reason"))}.`);
}

// Announced to screen readers once, not at every load.
function say(text) {
  if (text === said) return;
  said = text;
  $("said").textContent = text;
}

function askForKey(why) {
  const form = $("ask");
  if (!form.hidden) return;
  form.hidden = false;
  $("content").hidden = true;
  say(why);
  $("key").focus();
}

export async function look() {
  clearTimeout(timer);
  const key = sessionStorage.getItem(KEY);
  const asked = view;
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch(asked.dataset.document ?? document.body.dataset.document, { headers, cache: "no-store", signal });
    // The view was left while its document was on its way: that of the other view is.
    if (asked !== view) return;
    // A role that does not reach this view leaves the others as they are.
    if (answer.status === 403 && asked !== views[0]) {
      $("content").hidden = true;
      return say("The policy gives this operator no role for this view.");
    }
    if (answer.status === 401 || answer.status === 403) {
      sessionStorage.removeItem(KEY);
      return askForKey(key ? "The key is not accepted." : "This server asks for a key.");
    }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const found = await answer.json();
    $("ask").hidden = true;
    $("content").hidden = false;
    $("forget").hidden = !key;
    document.body.classList.remove("stale");
    show(found);
  } catch (error) {
    document.body.classList.add("stale");
    say(`The server does not answer (${error.message}). The page shows the last known state.`);
  }
  if (!paused && !document.hidden) timer = setTimeout(look, Number(asked.dataset.every ?? EVERY_MS));
}

$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = $("key").value.trim();
  $("key").value = "";
  if (!key) return;
  sessionStorage.setItem(KEY, key);
  $("ask").hidden = true;
  look();
});

$("forget").addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  location.reload();
});

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  if (paused) clearTimeout(timer);
  else look();
});

// The address stays that of the view.
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("content").focus();
});

window.addEventListener("hashchange", () => {
  if (route()) $("content").focus();
  look();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused) look();
});

route();
look();
