// Values as text for people. Must not know where they are shown.
"use strict";

const own = (value, name) =>
  value !== null && typeof value === "object" && Object.hasOwn(value, name) ? value[name] : undefined;
export const at = (value, path) => (path === "." ? value : path.split(".").reduce(own, value));
export const isMissing = (value) => value === undefined || value === null || value === "";

let now = Date.now();
// Sets the time of the server, from which ages are counted.
export const setNow = (time) => { now = time; };

// Durations: "0.42 ms", "85 ms", "9.4 s", "2 min 5 s". Rounded first, so that there are no "1000 ms" and no "60 s".
export function span(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 9.995) return `${number(Math.max(0, ms))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export const number = (value) => (Number.isFinite(value) ? String(Math.round(value * 100) / 100) : "–");

const remaining = (ms) => (ms < 0 ? `, ${span(-ms)} ago` : `, in ${span(ms)}`);

const ADMISSIONS = {
  "own keys": "needed",
  "client keys": "needed (clients' keys)",
  "local addresses": "not set: local addresses only",
  everyone: "not set: everyone is served",
};

const SHOWN = {
  text: (value) => (isMissing(value) ? "–" : String(value)),
  words: (value) => (isMissing(value) ? "–" : String(value).replaceAll("_", " ")),
  ms: (value) => (isMissing(value) ? "–" : span(Number(value))),
  seconds: (value) => (isMissing(value) ? "–" : span(Number(value) * 1000)),
  age: (value) => (isMissing(value) ? "–" : span(now - Date.parse(value))),
  time: (value) => (isMissing(value) ? "–" : new Date(value).toLocaleTimeString()),
  moment: (value) => (isMissing(value) ? "–" : new Date(value).toLocaleString()),
  until: (value) => (isMissing(value) ? "never" : `${new Date(value).toLocaleString()}${remaining(Date.parse(value) - now)}`),
  some: (value) => (Array.isArray(value) ? value.join(", ") || "–" : isMissing(value) ? "any" : String(value)),
  labels: (value) => Object.entries(value ?? {}).map(([k, v]) => `${k}=${v}`).join(", ") || "–",
  limit: (value) => (isMissing(value) ? "no limit" : String(value)),
  ready: (value) => (value === true ? "ready" : "not ready"),
  yes: (value) => (value === true ? "yes" : ""),
  admission: (value) => ADMISSIONS[value] ?? SHOWN.text(value),
};
export const shown = (value, kind) => (SHOWN[kind] ?? SHOWN.text)(value);

// Characters that reorder text or hide in it are shown as escapes, as in the program's other output: names come from anybody.
const HOSTILE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb\u{e0000}-\u{e0fff}]/gu;
const visible = (text) => String(text).replace(HOSTILE, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

export function setText(element, text) {
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}
