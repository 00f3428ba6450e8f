// Forms from JSON schemas: the arguments of a tool, and what a server asks. Must not know what the values are for.
"use strict";

import { element } from "./tables.js";
import { setText } from "./values.js";

let made = 0;

// The choices of a schema, as [value, title].
function choices(schema) {
  const titled = schema.oneOf ?? schema.anyOf;
  if (Array.isArray(schema.enum)) return schema.enum.map((value, at) => [value, schema.enumNames?.[at] ?? value]);
  if (Array.isArray(titled) && titled.every((one) => one && Object.hasOwn(one, "const"))) {
    return titled.map((one) => [one.const, one.title ?? one.const]);
  }
  if (schema.type === "boolean") return [[true, "true"], [false, "false"]];
  return undefined;
}

function textOf(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function json(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`no valid JSON (${error.message})`);
  }
}

function numberOf(text, whole) {
  const value = Number(text);
  if (!Number.isFinite(value) || (whole && !Number.isInteger(value))) throw new Error(whole ? "a whole number is needed" : "a number is needed");
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) throw new Error("too long for this field: write the arguments as JSON");
  return value;
}

// The control of a schema: its element, and the function that reads its value (undefined: none).
function control(schema, kind, id) {
  const known = choices(schema);
  if (known) {
    const select = element("select", { id });
    select.append(element("option", { value: "", textContent: "–" }));
    known.forEach(([, title], at) => {
      const option = element("option", { value: String(at) });
      setText(option, textOf(title));
      select.append(option);
    });
    const chosen = known.findIndex(([value]) => JSON.stringify(value) === JSON.stringify(schema.default ?? schema.const));
    if (chosen >= 0) select.value = String(chosen);
    return [select, () => (select.value === "" ? undefined : known[Number(select.value)][0])];
  }
  const initial = schema.default ?? schema.const;
  const value = initial === undefined ? "" : textOf(initial);
  if (kind === "number" || kind === "integer") {
    const input = element("input", { id, inputMode: "decimal", spellcheck: false, value });
    return [input, () => (input.value.trim() === "" ? undefined : numberOf(input.value, kind === "integer"))];
  }
  const isLine = kind === "string" && !schema.contentMediaType;
  const area = element("textarea", { id, rows: isLine ? 1 : 3, spellcheck: kind === "string", value });
  if (kind === "string") return [area, (required) => (area.value === "" && !required ? undefined : area.value)];
  return [area, () => (area.value.trim() === "" ? undefined : json(area.value))];
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

// A field for each member of a schema of objects. "read" returns the object, or throws and leads to the field that is wrong.
export function formOf(schema) {
  const required = new Set(Array.isArray(schema?.required) ? schema.required : []);
  const members = isObject(schema?.properties) ? Object.entries(schema.properties) : [];
  const fields = members.map(([name, member]) => {
    const own = isObject(member) ? member : {};
    const kind = Array.isArray(own.type) ? own.type.find((one) => one !== "null") : own.type;
    const id = `field-${made++}`;
    const [input, read] = control(own, kind, id);
    const label = element("label", { htmlFor: id });
    setText(label, `${own.title ?? name}${required.has(name) ? " (required)" : ""}`);
    input.setAttribute("aria-required", String(required.has(name)));
    const hint = element("p", { className: "hint", id: `${id}-hint` });
    const isJson = input.tagName === "TEXTAREA" && kind !== "string";
    setText(hint, [own.description, isJson ? "As JSON." : ""].filter((one) => typeof one === "string" && one).join(" "));
    input.setAttribute("aria-describedby", hint.id);
    return { name, input, read, isRequired: required.has(name), node: element("div", { className: "field" }, label, input, hint) };
  });
  const value = ({ name, input, read, isRequired }) => {
    try {
      const found = read(isRequired);
      if (found === undefined && isRequired) throw new Error("a value is needed");
      input.removeAttribute("aria-invalid");
      return found;
    } catch (error) {
      input.setAttribute("aria-invalid", "true");
      input.focus();
      throw new Error(`${name}: ${error.message}`);
    }
  };
  const read = () => Object.fromEntries(fields.map((field) => [field.name, value(field)]).filter(([, found]) => found !== undefined));
  return { nodes: fields.map(({ node }) => node), read };
}

// One field for the whole as JSON text, which goes on as it is written.
export function rawForm(text) {
  const area = element("textarea", { id: "raw-arguments", rows: 6, spellcheck: false, value: text });
  const label = element("label", { htmlFor: area.id, textContent: "Arguments (a JSON object)" });
  const read = () => {
    const found = json(area.value);
    if (!isObject(found)) throw new Error("arguments are a JSON object");
    return area.value;
  };
  return { nodes: [element("div", { className: "field" }, label, area)], read };
}
