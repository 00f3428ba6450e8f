// Contents of MCP (texts, images, resources) as elements. Must not know where they come from.
"use strict";

import { element } from "./tables.js";
import { setText } from "./values.js";

const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const MAX_SHOWN = 200000;

export const pretty = (value) => JSON.stringify(value, null, 2);

// A heading and a text below it.
export function block(title, text) {
  const clipped = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}\n… ${text.length - MAX_SHOWN} more characters` : text;
  const content = element("pre", { tabIndex: 0 });
  content.setAttribute("aria-label", title);
  setText(content, clipped);
  return [element("h4", { textContent: title }), content];
}

// One content. "title" stands above texts and images in place of their kind.
export function contentOf(item, title) {
  const size = (data) => `${Math.floor((String(data ?? "").length * 3) / 4)} bytes`;
  if (item?.type === "text") return block(title ?? "Text", String(item.text));
  if (item?.type === "image" && IMAGES.has(item.mimeType) && /^[A-Za-z0-9+/=\s]*$/.test(item.data)) {
    const image = element("img", { className: "result", alt: title ? `Image: ${title}` : "Image in the result", src: `data:${item.mimeType};base64,${item.data}` });
    return [element("h4", { textContent: title ?? "Image" }), image];
  }
  if (item?.type === "image" || item?.type === "audio") {
    return block(title ?? (item.type === "image" ? "Image" : "Audio"), `${item.mimeType}, ${size(item.data)}: not shown here`);
  }
  if (item?.type === "resource" && typeof item.resource?.text === "string") return block(`Resource ${item.resource.uri}`, item.resource.text);
  if (item?.type === "resource") return block(`Resource ${item.resource?.uri}`, `${item.resource?.mimeType ?? "no type"}, ${size(item.resource?.blob)}`);
  return block(title ?? String(item?.type ?? "Content"), pretty(item));
}
