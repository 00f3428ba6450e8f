// Fills the status page from a JSON document that is loaded at intervals. Must not know the document: the markup names
// its members. All values are inserted as text, never as markup.
//
//   <body data-document="URL">          the document
//   data-text="a.b" data-as="kind"      text of a member
//   data-when="a.b" data-unless="a.b"   shown only if a member is true (or not)
//   <table data-rows="a.list" data-key="id" data-empty="…">   a row for each; "a.list/inner" for the lists inside
//     data-filter="label" data-newest="b"                   a field that filters rows; rows sorted by a time
//     <th data-field="b" data-as="kind">                    a column; "outer.b" is a member of the row around, "." the row
//     <th data-distinct="c">                                rows of one name are told apart by this member
//   <figure data-plot="a.b" data-also="a.c" data-unit="…">    numbers by second, oldest first; data-as="ms": durations
"use strict";

import { fill, fillTable } from "./tables.js";
import { at, number, setNow, setText, shown, span } from "./values.js";

const EVERY_MS = 2000;
const PATIENCE_MS = 10000;
const KEY = "mcp-relay-key";
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

// ---- the page ----

function show(found) {
  setNow(Date.parse(at(found, "now")) || Date.now());
  for (const element of all("[data-when]")) element.hidden = !at(found, element.dataset.when);
  for (const element of all("[data-unless]")) element.hidden = Boolean(at(found, element.dataset.unless));
  for (const element of all("[data-text]")) fill(element, at(found, element.dataset.text), element.dataset.as);
  for (const table of all("table[data-rows]")) fillTable(table, found);
  for (const figure of all("figure[data-plot]")) fillPlot(figure, found);
  $("updated").textContent = `Updated ${new Date().toLocaleTimeString()}`;
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

async function look() {
  clearTimeout(timer);
  const key = sessionStorage.getItem(KEY);
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch(document.body.dataset.document, { headers, cache: "no-store", signal });
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
    say(`The server does not answer (${error.message}). What is shown is of before.`);
  }
  if (!paused && !document.hidden) timer = setTimeout(look, EVERY_MS);
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

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused) look();
});

look();
