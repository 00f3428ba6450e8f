// Tables of the status page: rows, cells, the filter and the pages of a table. Must not know the document.
"use strict";

import { at, isMissing, number, setText, shown } from "./values.js";

const STATES = new Set(["ready", "up", "ok", "running", "starting", "connecting", "degraded", "draining", "waiting",
  "restarting", "lost", "failed", "stopped", "not ready", "valid", "expires soon", "expired", "not yet valid"]);
const LEVELS = ["error", "warn", "info", "debug", "trace"];
const LONG = 160;
const GOOD = new Set(["ok"]);
const NEUTRAL = new Set(["cancelled", "abandoned"]);
const PAGE = 20;
const SHORT = 14;
const all = (selector, from) => [...from.querySelectorAll(selector)];

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// ---- cells ----

// The summary and the content of a cell that opens.
function opening(cell, content) {
  let details = cell.querySelector("details");
  if (!details) {
    details = element("details", {}, element("summary"), element(content));
    cell.replaceChildren(details);
  }
  return [details.firstChild, details.lastChild];
}

const CELLS = {
  state(cell, value) {
    const text = shown(value, "text");
    setText(cell, text);
    cell.className = STATES.has(text) ? `state s-${text.replaceAll(" ", "-")}` : "state";
  },
  outcome(cell, value) {
    setText(cell, shown(value, "words"));
    cell.className = `state ${GOOD.has(value) ? "s-ok" : NEUTRAL.has(value) ? "s-off" : "s-failed"}`;
  },
  names(cell, value) {
    const names = Array.isArray(value) ? value : [];
    const [summary, content] = opening(cell, "p");
    setText(summary, `${names.length}`);
    setText(content, names.join(", ") || "none");
  },
  word(cell, value) {
    setText(cell, shown(value));
    cell.className = "whole";
  },
  level(cell, value) {
    setText(cell, shown(value));
    cell.className = `state ${value === "error" ? "s-failed" : value === "warn" ? "s-degraded" : "s-off"}`;
  },
  // A text, of which the beginning is shown until it is opened.
  long(cell, value) {
    const text = shown(value, "text");
    if (text.length <= LONG) return setText(cell, text);
    const [summary, content] = opening(cell, "p");
    setText(summary, `${text.slice(0, LONG)}…`);
    setText(content, text);
  },
  schema(cell, value) {
    if (isMissing(value)) return cell.replaceChildren("–");
    const [summary, content] = opening(cell, "pre");
    setText(summary, "Show");
    setText(content, typeof value === "string" ? value : JSON.stringify(value, null, 2));
  },
  // A link to the view of what is named.
  link(cell, value, column, row) {
    const { link: view, linkBy } = column.dataset;
    const key = at(row, linkBy);
    if (isMissing(key) || isMissing(value)) return setText(cell, shown(value));
    let link = cell.querySelector("a");
    if (!link) {
      link = element("a");
      cell.replaceChildren(link);
    }
    const href = `#${view}/${encodeURIComponent(key)}`;
    if (link.getAttribute("href") !== href) link.setAttribute("href", href);
    setText(link, value);
  },
  // What happened, with advice to open.
  error(cell, value) {
    if (isMissing(value)) return cell.replaceChildren("–");
    if (isMissing(value.advice)) return setText(cell, shown(value.text));
    const [summary, content] = opening(cell, "p");
    setText(summary, shown(value.text));
    setText(content, value.advice);
  },
  // Both ends of a long id, with the whole to open: ids of one process begin alike.
  id(cell, value) {
    const text = shown(value);
    cell.className = "id";
    if (text.length <= SHORT) return setText(cell, text);
    const [summary, content] = opening(cell, "p");
    setText(summary, `${text.slice(0, 6)}…${text.slice(-6)}`);
    setText(content, text);
  },
  // Members of less weight: data-more has "member=Title;…".
  more(cell, value, column) {
    const [summary, content] = opening(cell, "dl");
    setText(summary, "Show");
    const members = column.dataset.more.split(";").map((one) => one.split("="));
    if (content.childElementCount === 0) {
      content.append(...members.map(([, title]) =>
        element("div", {}, element("dt", { textContent: title }), element("dd"))));
    }
    members.forEach(([member, , kind], place) =>
      setText(content.children[place].lastChild, shown(at(value, member), kind)));
  },
  progress(cell, value) {
    cell.className = "whole";
    if (isMissing(value)) return cell.replaceChildren("–");
    let bar = cell.querySelector("progress");
    if (!bar) {
      bar = element("progress");
      cell.replaceChildren(bar, element("span"));
    }
    const { done, total } = value;
    bar.hidden = !(Number.isFinite(total) && total > 0);
    if (!bar.hidden) {
      bar.max = total;
      bar.value = Math.min(Math.max(done, 0), total);
    }
    const text = isMissing(total) ? number(done) : `${number(done)} of ${number(total)}`;
    bar.setAttribute("aria-label", text);
    setText(cell.lastChild, text);
  },
};

// The link to the runbook of a condition stands beside its cell, so that it stays when the cell is filled anew.
function linkRunbook(target, value, sections) {
  const section = sections.split(";").map((one) => one.split("=")).find(([of]) => of === String(value))?.[1];
  const before = target.parentElement.querySelector(":scope > .runbook");
  if (!section) return before?.remove();
  const link = before ?? element("a", { className: "runbook", textContent: "Runbook", target: "_blank", rel: "noopener noreferrer" });
  const href = `${document.body.dataset.runbooks}#${section}`;
  if (link.getAttribute("href") !== href) link.setAttribute("href", href);
  const label = `Runbook: ${shown(value, "words")}`;
  if (link.getAttribute("aria-label") !== label) link.setAttribute("aria-label", label);
  if (!before) target.after(link);
}

export function fill(target, value, kind, column, row) {
  if (CELLS[kind]) CELLS[kind](target, value, column, row);
  else setText(target, shown(value, kind));
  const { runbook } = (column ?? target).dataset;
  if (runbook) linkRunbook(target, value, runbook);
}

// ---- rows ----

function rowsOf(found, path) {
  const [outer, inner] = path.split("/");
  const rows = at(found, outer);
  if (!Array.isArray(rows)) return [];
  if (!inner) return rows;
  return rows.flatMap((row) => (at(row, inner) ?? []).map((one) => ({ ...one, outer: { name: row.name } })));
}

// All texts of a value, in lower case.
function textOf(value) {
  if (Array.isArray(value)) return value.map(textOf).join(" ");
  if (value !== null && typeof value === "object") {
    return Object.entries(value).map(([name, one]) => `${name}=${textOf(one)}`).join(" ");
  }
  return String(value ?? "").toLowerCase();
}

function matching(rows, filter, columns) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return rows;
  const text = (row) => columns
    .flatMap(({ dataset }) => (dataset.more ? dataset.more.split(";").map((one) => one.split("=")[0]) : [dataset.field]))
    .map((field) => textOf(at(row, field)))
    .concat(columns.map(({ dataset }) => (dataset.more ? "" : shown(at(row, dataset.field), dataset.as).toLowerCase())))
    .join("\n");
  return rows.filter((row) => { const of = text(row); return words.every((word) => of.includes(word)); });
}

// Rows of one name are told apart by a member: "berlin (3f2a1c00)".
function distinguished(rows, column) {
  const { field, distinct } = column.dataset;
  if (!distinct) return (row) => at(row, field);
  const seen = new Map();
  for (const row of rows) {
    const ids = seen.get(at(row, field)) ?? new Set();
    seen.set(at(row, field), ids.add(at(row, distinct)));
  }
  return (row) => {
    const [name, id] = [at(row, field), at(row, distinct)];
    return isMissing(id) || seen.get(name).size < 2 ? name : `${shown(name)} (${id.slice(0, 8)})`;
  };
}

function emptyRow(text, columns) {
  const cell = element("td", { colSpan: columns, className: "empty", textContent: text });
  cell.setAttribute("role", "cell");
  const row = element("tr", {}, cell);
  row.setAttribute("role", "row");
  return row;
}

function newRow(key, columns) {
  const row = element("tr");
  row.dataset.key = key;
  // The roles stay where the style shows rows as cards.
  row.setAttribute("role", "row");
  columns.forEach((column, place) => {
    const cell = element(place === 0 ? "th" : "td");
    cell.setAttribute("role", place === 0 ? "rowheader" : "cell");
    if (place === 0) cell.scope = "row";
    if (column.classList.contains("n")) cell.className = "n";
    // The style shows the label of a card's line, and the content beside it.
    cell.dataset.label = column.textContent;
    cell.append(element("div"));
    row.append(cell);
  });
  return row;
}

// ---- filter and pages ----

const views = new WeakMap();

// The choice of the least level of rows.
function levels(table, view, name) {
  const select = element("select", { id: `l-${name}` });
  select.append(...LEVELS.map((level) => element("option", { value: level, textContent: level === "error" ? level : `${level} and above` })));
  select.value = LEVELS.at(-1);
  select.addEventListener("change", () => {
    Object.assign(view, { level: select.value, most: PAGE });
    render(table, view);
  });
  return [element("label", { htmlFor: select.id, textContent: table.dataset.levels }), select];
}

// A button that saves the texts of the rows that match, the oldest first.
function saving(table, view) {
  const button = element("button", { type: "button", textContent: "Export" });
  button.addEventListener("click", () => {
    const texts = chosen(view).map(({ text }) => `${text}\n`).toReversed();
    const href = URL.createObjectURL(new Blob(texts, { type: "text/plain" }));
    element("a", { href, download: table.dataset.export }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
  });
  return button;
}

// The rows that match the filter and have the level.
function chosen({ rows, filter, level, columns }) {
  const reaches = (row) => LEVELS.indexOf(row.level) <= LEVELS.indexOf(level);
  return matching(level ? rows.filter(reaches) : rows, filter, columns);
}

function viewOf(table) {
  if (views.has(table)) return views.get(table);
  const view = { filter: "", most: PAGE, columns: all("thead th", table), rows: [] };
  views.set(table, view);
  for (const one of [table, ...all("thead, tbody", table), ...all("tr", table), ...view.columns]) {
    const role = { TABLE: "table", TR: "row", TH: "columnheader" }[one.tagName] ?? "rowgroup";
    one.setAttribute("role", role);
  }
  const name = table.dataset.rows.replaceAll(/\W/g, "-");
  if (table.dataset.filter) {
    const input = element("input", { type: "search", id: `f-${name}`, autocomplete: "off", spellcheck: false });
    const label = element("label", { htmlFor: input.id, textContent: table.dataset.filter });
    input.addEventListener("input", () => {
      Object.assign(view, { filter: input.value, most: PAGE });
      render(table, view);
    });
    const { dataset } = table;
    const more = [...(dataset.levels ? levels(table, view, name) : []), ...(dataset.export ? [saving(table, view)] : [])];
    table.before(element("div", { className: "bar" }, label, input, ...more));
  }
  view.told = element("span");
  view.more = element("button", { type: "button", textContent: "Show more", hidden: true });
  view.fewer = element("button", { type: "button", textContent: "Show fewer", hidden: true });
  const step = (most) => { view.most = most(); render(table, view); };
  view.more.addEventListener("click", () => {
    step(() => view.most + PAGE);
    if (view.more.hidden) view.fewer.focus();
  });
  view.fewer.addEventListener("click", () => {
    step(() => PAGE);
    view.more.focus();
  });
  for (const button of [view.more, view.fewer]) {
    button.setAttribute("aria-label", `${button.textContent}: ${table.caption.textContent}`);
  }
  view.pages = element("div", { className: "bar pages" }, view.told, view.more, view.fewer);
  table.after(view.pages);
  return view;
}

function render(table, view) {
  const { columns } = view;
  const body = table.tBodies[0] ?? table.createTBody();
  body.setAttribute("role", "rowgroup");
  const rows = chosen(view);
  const page = rows.slice(0, view.most);
  setText(view.told, view.filter || view.level || rows.length > PAGE ? `${page.length} of ${rows.length} shown` : "");
  view.more.hidden = rows.length <= view.most;
  view.fewer.hidden = page.length <= PAGE;
  view.pages.hidden = view.told.textContent === "" && view.more.hidden && view.fewer.hidden;
  if (rows.length === 0) {
    const none = view.rows.length > 0 ? "Nothing matches the filter." : table.dataset.empty ?? "Nothing.";
    return body.replaceChildren(emptyRow(none, columns.length));
  }
  const names = columns.map((column) => distinguished(view.rows, column));
  // Rows that stay keep their elements, and with them what is open or selected.
  const known = new Map(all("tr[data-key]", body).map((row) => [row.dataset.key, row]));
  const used = new Set();
  const made = page.map((value, index) => {
    const name = table.dataset.key ? at(value, table.dataset.key) : undefined;
    let key = isMissing(name) ? `#${index}` : `=${name}`;
    while (used.has(key)) key += "'";
    used.add(key);
    const row = known.get(key) ?? newRow(key, columns);
    columns.forEach((column, place) => fill(row.cells[place].firstChild, names[place](value), column.dataset.as, column, value));
    return row;
  });
  const same = made.length === body.rows.length && made.every((row, index) => row === body.rows[index]);
  if (!same) body.replaceChildren(...made);
}

export function fillTable(table, found) {
  const view = viewOf(table);
  view.rows = rowsOf(found, table.dataset.rows);
  if ("reverse" in table.dataset) view.rows = view.rows.toReversed();
  // The newest first, by a member that is a time.
  const { newest } = table.dataset;
  if (newest) {
    const time = (row) => Date.parse(at(row, newest)) || 0;
    view.rows = view.rows.map((row, place) => [row, place])
      .sort(([a, i], [b, j]) => time(b) - time(a) || j - i)
      .map(([row]) => row);
  }
  render(table, view);
}
