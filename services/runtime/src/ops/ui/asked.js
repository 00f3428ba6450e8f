// Asks the operator what a tool asks its client: elicitation, sampling and roots. Must not know how the answer is sent.
"use strict";

import { block, contentOf } from "./contents.js";
import { formOf } from "./form.js";
import { element } from "./tables.js";
import { setText } from "./values.js";

// The fields of an answer to sampling: what a model would say.
const SAMPLING_ANSWER = {
  required: ["text", "role", "model"],
  properties: {
    text: { title: "Text of the answer", type: "string", contentMediaType: "text/plain" },
    role: { title: "Role", enum: ["assistant", "user"], default: "assistant" },
    model: { title: "Model", type: "string", default: "operator", description: "The name that the tool gets as the model's." },
  },
};

const ROOTS_ANSWER = {
  properties: {
    roots: { title: "Roots", type: "string", contentMediaType: "text/plain", description: "One file:// URI per line. No lines: no roots." },
  },
};

function paragraph(text) {
  const made = element("p");
  setText(made, text);
  return made;
}

// The address that a server asks the user to visit. Nothing is loaded from it before that.
function linkTo(address) {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (!url || !["https:", "http:"].includes(url.protocol)) return [paragraph("This is not a web address: it is not opened.")];
  const link = element("a", { href: url.href, target: "_blank", rel: "noopener noreferrer" });
  setText(link, url.href);
  return [paragraph(`It asks you to visit ${url.host}, outside of this relay:`), element("p", {}, link)];
}

// How each kind of request is shown and answered: "shows" are the elements above the form, "read" returns the result from the form's
// values, and "refusals" are the buttons that answer without them, as [label, result].
function elicitation(params) {
  const isUrl = params.mode === "url";
  return {
    title: "The tool asks",
    shows: [paragraph(params.message ?? ""), ...(isUrl ? linkTo(params.url) : [])],
    schema: isUrl ? undefined : params.requestedSchema,
    answer: isUrl ? "I have been there: go on" : "Answer",
    read: (content) => (isUrl ? { action: "accept" } : { action: "accept", content }),
    refusals: [["Decline", { action: "decline" }], ["Dismiss", { action: "cancel" }]],
  };
}

function sampling(params) {
  const messages = Array.isArray(params.messages) ? params.messages : [];
  const contents = ({ role, content }) => [content].flat().flatMap((one) => contentOf(one, `Message of the role ${role}`));
  const limit = params.maxTokens === undefined ? "" : ` It allows ${params.maxTokens} tokens.`;
  return {
    title: "The tool asks a language model",
    shows: [
      paragraph(`There is no model here: what you write goes to the tool as the model's answer.${limit} To refuse, cancel the call.`),
      ...(typeof params.systemPrompt === "string" ? block("System prompt", params.systemPrompt) : []),
      ...messages.flatMap(contents),
    ],
    schema: SAMPLING_ANSWER,
    answer: "Answer",
    read: ({ role, text, model }) => ({ role, content: { type: "text", text }, model, stopReason: "endTurn" }),
    refusals: [],
  };
}

function rootsOf(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean).map((uri) => {
    if (!URL.canParse(uri) || new URL(uri).protocol !== "file:") throw new Error(`roots: ${uri} is not a file:// URI`);
    return { uri };
  });
}

function roots() {
  return {
    title: "The tool asks for your roots",
    shows: [paragraph("Roots are the folders that a client works in. This page has none: name those that the tool may use. To refuse, cancel the call.")],
    schema: ROOTS_ANSWER,
    answer: "Answer",
    read: (values) => ({ roots: rootsOf(values.roots ?? "") }),
    refusals: [],
  };
}

const KINDS = { "elicitation/create": elicitation, "roots/list": roots, "sampling/createMessage": sampling };

// Shows a request of a tool in "panel". Resolves with the result for it; rejects when the call is given up.
export function ask({ method, params = {} }, panel, signal) {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    if (!Object.hasOwn(KINDS, method)) return reject(new Error(`the tool asks for ${method}, which this page cannot answer`));
    const { title, shows, schema, answer, read, refusals } = KINDS[method](params);
    const form = formOf(schema);
    const heading = element("h4", { textContent: title, tabIndex: -1 });
    const fault = element("p", { className: "fault" });
    fault.setAttribute("role", "alert");
    const end = (result) => {
      panel.replaceChildren();
      panel.hidden = true;
      resolve(result);
    };
    const buttons = refusals.map(([label, result]) => {
      const made = element("button", { type: "button", textContent: label });
      made.addEventListener("click", () => end(result));
      return made;
    });
    const own = element("form", { autocomplete: "off" });
    const accept = element("button", { type: "submit", textContent: answer });
    own.append(...form.nodes, element("div", { className: "bar" }, accept, ...buttons));
    own.addEventListener("submit", (event) => {
      event.preventDefault();
      try {
        end(read(form.read()));
      } catch (error) {
        setText(fault, error.message);
      }
    });
    panel.replaceChildren(heading, ...shows, own, fault);
    panel.hidden = false;
    heading.focus();
  });
}
