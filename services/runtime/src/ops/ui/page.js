// Fills the status page from a JSON document that is loaded at intervals. Must not know the document: the markup names
// its members. All values are inserted as text, never as markup.
//
//   <body data-document="URL">          the document
//   data-text="a.b" data-as="kind"      text of a member
//   data-when="a.b" data-unless="a.b"   shown only if a member is true (or not)
//   <table data-rows="a.list" data-key="id" data-empty="…">   a row for each; "a.list/inner" for the lists inside
//     <th data-field="b" data-as="kind">                      a column; "outer.b" is a member of the row around
//   <figure data-plot="a.b" data-also="a.c" data-unit="…">    numbers by second, oldest first
"use strict";

const EVERY_MS = 2000;
const PATIENCE_MS = 10000;
const KEY = "mcp-relay-key";
const STATES = new Set(["ready", "up", "ok", "running", "starting", "connecting", "degraded", "draining", "waiting",
  "restarting", "lost", "failed", "stopped", "not ready"]);
const GOOD = new Set(["ok"]);
const $ = (id) => document.getElementById(id);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const own = (value, name) =>
  value !== null && typeof value === "object" && Object.hasOwn(value, name) ? value[name] : undefined;
const at = (value, path) => path.split(".").reduce(own, value);
const isMissing = (value) => value === undefined || value === null || value === "";

let now = Date.now();
let timer;
let paused = false;
let said = "";

// ---- values as text ----

function span(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 10) return `${number(Math.max(0, ms))} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

const number = (value) => (Number.isFinite(value) ? String(Math.round(value * 100) / 100) : "–");

const SHOWN = {
  text: (value) => (isMissing(value) ? "–" : String(value)),
  ms: (value) => (isMissing(value) ? "–" : span(Number(value))),
  seconds: (value) => (isMissing(value) ? "–" : span(Number(value) * 1000)),
  age: (value) => (isMissing(value) ? "–" : span(now - Date.parse(value))),
  time: (value) => (isMissing(value) ? "–" : new Date(value).toLocaleTimeString()),
  labels: (value) => Object.entries(value ?? {}).map(([k, v]) => `${k}=${v}`).join(", ") || "–",
  limit: (value) => (isMissing(value) ? "no limit" : String(value)),
  ready: (value) => (value === true ? "ready" : "not ready"),
  yes: (value) => (value === true ? "yes" : ""),
};

// Characters that reorder text or hide in it are shown as escapes, as in the program's other output: names come from anybody.
const HOSTILE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb\u{e0000}-\u{e0fff}]/gu;
const visible = (text) => String(text).replace(HOSTILE, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

function setText(element, text) {
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}

// ---- cells ----

const CELLS = {
  state(cell, value) {
    const text = SHOWN.text(value);
    setText(cell, text);
    cell.className = STATES.has(text) ? `state s-${text.replace(" ", "-")}` : "state";
  },
  outcome(cell, value) {
    const text = SHOWN.text(value);
    setText(cell, text);
    cell.className = `state ${GOOD.has(text) ? "s-ok" : "s-failed"}`;
  },
  names(cell, value) {
    const names = Array.isArray(value) ? value : [];
    let details = cell.querySelector("details");
    if (!details) {
      details = document.createElement("details");
      details.append(document.createElement("summary"), document.createElement("p"));
      cell.replaceChildren(details);
    }
    setText(details.firstChild, `${names.length}`);
    setText(details.lastChild, names.join(", ") || "none");
  },
  progress(cell, value) {
    if (isMissing(value)) return cell.replaceChildren("–");
    let bar = cell.querySelector("progress");
    if (!bar) {
      bar = document.createElement("progress");
      cell.replaceChildren(bar, document.createElement("span"));
    }
    const { done, total } = value;
    if (Number.isFinite(total) && total > 0) {
      bar.max = total;
      bar.value = Math.min(Math.max(done, 0), total);
      bar.hidden = false;
    } else {
      bar.hidden = true;
    }
    const text = isMissing(total) ? number(done) : `${number(done)} of ${number(total)}`;
    bar.setAttribute("aria-label", text);
    setText(cell.lastChild, text);
  },
};

function fill(element, value, kind) {
  if (CELLS[kind]) CELLS[kind](element, value);
  else setText(element, (SHOWN[kind] ?? SHOWN.text)(value));
}

// ---- tables ----

function rowsOf(found, path) {
  const [outer, inner] = path.split("/");
  const rows = at(found, outer);
  if (!Array.isArray(rows)) return [];
  if (!inner) return rows;
  return rows.flatMap((row) => (at(row, inner) ?? []).map((one) => ({ ...one, outer: row })));
}

function fillTable(table, found) {
  const columns = all("thead th", table);
  const body = table.tBodies[0] ?? table.createTBody();
  const rows = rowsOf(found, table.dataset.rows);
  if (rows.length === 0) {
    const cell = document.createElement("td");
    cell.colSpan = columns.length;
    cell.className = "empty";
    cell.textContent = table.dataset.empty ?? "Nothing.";
    const row = document.createElement("tr");
    row.append(cell);
    return body.replaceChildren(row);
  }
  // Rows that stay keep their elements, and with them what is open or selected.
  const known = new Map(all("tr[data-key]", body).map((row) => [row.dataset.key, row]));
  const used = new Set();
  const made = rows.map((value, index) => {
    const name = table.dataset.key ? at(value, table.dataset.key) : undefined;
    let key = isMissing(name) ? `#${index}` : `=${name}`;
    while (used.has(key)) key += "'";
    used.add(key);
    const row = known.get(key) ?? newRow(key, columns);
    columns.forEach((column, place) => fill(row.cells[place], at(value, column.dataset.field), column.dataset.as));
    return row;
  });
  const same = made.length === body.rows.length && made.every((row, index) => row === body.rows[index]);
  if (!same) body.replaceChildren(...made);
}

function newRow(key, columns) {
  const row = document.createElement("tr");
  row.dataset.key = key;
  columns.forEach((column, place) => {
    const cell = document.createElement(place === 0 ? "th" : "td");
    if (place === 0) cell.scope = "row";
    if (column.classList.contains("n")) cell.className = "n";
    row.append(cell);
  });
  return row;
}

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
  const unit = figure.dataset.unit ?? "";
  const text = `now ${number(values.at(-1))}${unit}, at most ${number(Math.max(...values))}${unit}`;
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
  now = Date.parse(at(found, "now")) || Date.now();
  for (const element of all("[data-when]")) element.hidden = !at(found, element.dataset.when);
  for (const element of all("[data-unless]")) element.hidden = Boolean(at(found, element.dataset.unless));
  for (const element of all("[data-text]")) fill(element, at(found, element.dataset.text), element.dataset.as);
  for (const table of all("table[data-rows]")) fillTable(table, found);
  for (const figure of all("figure[data-plot]")) fillPlot(figure, found);
  $("updated").textContent = `Updated ${new Date().toLocaleTimeString()}`;
  const ready = at(found, "readiness.ready") === true;
  say(ready ? "The server is ready." : `The server is not ready: ${SHOWN.text(at(found, "readiness.reason"))}.`);
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
