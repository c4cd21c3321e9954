// What the views are made of: elements whose texts are always text nodes, links, chips, tables, and the API's answers.

/** The API, from where this page is: `…/dashboard/` has it at `…/api/`. */
const API = new URL("../api/", document.baseURI);

/** Longest time for one answer. */
const PATIENCE_MS = 15_000;

/** Objects on a page of a list. */
export const PER_PAGE = 50;

/** An answer of the API that is no success. */
export class Refused extends Error {
  constructor(status, text) {
    let message = text;
    try {
      message = JSON.parse(text).message ?? text;
    } catch {
      // Not every refusal is JSON.
    }
    super(`${status}: ${message.trim().slice(0, 300) || "no reason given"}`);
    this.status = status;
  }
}

/** Asks the API. Returns what it says, as text, as JSON (unless `raw`), and how many objects a list has in all. */
export async function ask(path, { params = {}, signal, raw = false } = {}) {
  const url = new URL(path, API);
  for (const [name, value] of Object.entries(params)) {
    if (value !== "" && value != null) url.searchParams.set(name, value);
  }
  const timeout = AbortSignal.timeout(PATIENCE_MS);
  const response = await fetch(url, {
    cache: "no-store",
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
  });
  const text = await response.text();
  if (!response.ok) throw new Refused(response.status, text);
  const total = Number(response.headers.get("x-total-count") ?? NaN);
  return { text, data: raw ? null : JSON.parse(text), total };
}

/** An element. Properties: `class`, `on…` functions, `data`, else attributes; children: nodes, texts, lists of them. */
export function h(name, properties, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value == null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "data") Object.assign(element.dataset, value);
    else element.setAttribute(key === "class" ? "class" : key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** A link within the page, to a path of segments and parameters. */
export function to(segments, params = {}) {
  const path = segments.map(encodeURIComponent).join("/");
  const kept = Object.entries(params).filter(([, value]) => value !== "" && value != null);
  const query = new URLSearchParams(kept).toString();
  return `#/${path}${query ? `?${query}` : ""}`;
}

const numbers = new Intl.NumberFormat("en");
export const number = (value) => numbers.format(value);

/** `1 router`, `2 routers`. */
export const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

/** Seconds in the largest unit that fits. */
export function duration(seconds) {
  if (seconds == null) return "–";
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

const STATUS_WORDS = { enabled: "Enabled", warning: "Warning", disabled: "Error" };

export function chip(status, text = STATUS_WORDS[status] ?? status) {
  return h("span", { class: `chip ${status in STATUS_WORDS ? status : ""}` }, text);
}

export const plain = (text) => h("span", { class: "chip plain" }, text);
export const chips = (texts) => h("div", { class: "chips" }, texts.map(plain));

/** An error in a line: of one that points into a text, what it says of it. */
export function brief(error) {
  const lines = error.split("\n").map((line) => line.trim()).filter(Boolean);
  const pointer = lines.findLastIndex((line) => line.startsWith("^"));
  if (pointer < 0) return lines.join(" ");
  const said = [lines[pointer].replace(/^\^+\s*/, ""), ...lines.slice(pointer + 1)].filter(Boolean);
  if (said.length === 0) return lines[0];
  const [place] = lines[0].split(/(?<=:)\s/);
  return [place, ...said].join(" ");
}

/** A priority; those above every user's have no meaning but that. */
export function priority({ priority, priorityStr }) {
  const text = priorityStr ?? (priority == null ? "–" : String(priority));
  return text.length > 15 ? h("span", { class: "dim", title: text }, "reserved") : text;
}

/** A name with its provider: `name` strong, `@provider` dim. */
export function named(name) {
  const at = name.lastIndexOf("@");
  if (at < 1) return [name];
  return [name.slice(0, at), h("span", { class: "at" }, name.slice(at))];
}

/** The link to an object. */
export function objectLink(section, collection, name) {
  return h("a", { href: to([section, collection, name]), data: { key: `${section}/${collection}/${name}` } }, named(name));
}

/** `name` as its object is listed: with the provider of what names it, unless it has one. */
export const qualified = (name, provider) => (name.includes("@") ? name : `${name}@${provider}`);

/** A proportion of enabled, warning and disabled. */
export function meter({ total, warnings, errors }) {
  const parts = [["disabled", errors], ["warning", warnings], ["enabled", total - warnings - errors]];
  const bar = h("div", { class: "meter", "aria-hidden": "true" });
  for (const [status, count] of parts) {
    if (count === 0) continue;
    const part = h("span", { class: `part ${status}` });
    part.style.flexGrow = count;
    bar.append(part);
  }
  return bar;
}

export function panel(title, count, ...content) {
  const heading = h("h2", null, title, count == null ? null : h("span", { class: "count" }, count));
  return h("section", { class: "panel" }, heading, content);
}

export function empty(title, text) {
  return h("div", { class: "empty" }, h("strong", null, title), text);
}

/** A table. Columns: `title`, `class`, `cell(row)`, and `sort`, the API's key; `order`: how it is sorted now. */
export function table(caption, columns, rows, order) {
  const header = ({ title, class: name, sort }) => {
    if (!sort || !order) return h("th", { scope: "col", class: name }, title);
    const active = order.key === sort;
    const arrow = active ? (order.descending ? " ↓" : " ↑") : "";
    return h(
      "th",
      { scope: "col", class: name, "aria-sort": active ? (order.descending ? "descending" : "ascending") : null },
      h("button", { type: "button", data: { key: `sort/${sort}` }, onclick: () => order.by(sort) }, title + arrow),
    );
  };
  const line = (row) =>
    h(
      "tr",
      { class: row.status ?? null },
      columns.map((column) => h("td", { class: column.class }, column.cell(row))),
    );
  return h(
    "table",
    null,
    h("caption", { class: "visually-hidden" }, caption),
    h("thead", null, h("tr", null, columns.map(header))),
    h("tbody", null, rows.map(line)),
  );
}

/** Names and values. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value != null);
  return h("dl", { class: "facts" }, shown.map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}

/** Any JSON value for people: names and values, as deep as it goes. */
export function value(json) {
  if (Array.isArray(json)) {
    const isFlat = json.every((item) => typeof item !== "object");
    if (isFlat) return json.length ? chips(json.map(String)) : h("span", { class: "dim" }, "none");
    return json.map((item) => h("div", null, value(item)));
  }
  if (json !== null && typeof json === "object") {
    const pairs = Object.entries(json).map(([name, item]) => [name, value(item)]);
    return pairs.length ? facts(pairs) : h("span", { class: "dim" }, "defaults");
  }
  return h("code", null, String(json));
}

/** The object as the API has it. */
export function source(item) {
  return h(
    "details",
    { class: "panel" },
    h("summary", { data: { key: "source" } }, "JSON"),
    h("div", { class: "body" }, h("pre", null, JSON.stringify(item, null, 2))),
  );
}
