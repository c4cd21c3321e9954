// The page: which view is shown, when it is asked for anew, and whether what it shows is current.

import { ask, h, number, Refused, to } from "./parts.js";
import { viewOf } from "./views.js";

/** Between an answer and the next question; longer where answers take long. */
const REFRESH_MS = 3000;
const PAUSE_PER_ANSWER = 20;

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const live = document.getElementById("live");
const liveText = document.getElementById("live-text");
const pause = document.getElementById("pause");
const announcement = document.getElementById("announcement");

/** What is shown: its view and the texts that it was made of. */
let shown = { hash: null, view: null, texts: null };
let navTexts = null;
let running = null;
let timer = 0;
let lastAnswer = 0;
let trouble = null;
let isPaused = false;
let name = "Ringway";

/** `#/http/routers?page=2` as segments and parameters. */
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const decoded = path.split("/").map((segment) => {
    try {
      return decodeURIComponent(segment);
    } catch {
      return segment;
    }
  });
  return { segments: decoded.filter(Boolean), params: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

/** Goes to a place; `replace`: without a step back to this one. */
function go(hash, replace = false) {
  if (replace) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
  open();
}

/** Shows the view of the place where we are. */
function open() {
  const { segments, params } = place();
  const view = viewOf(segments, params, go, () => place().params);
  const isSame = shown.view?.id === view.id;
  shown = { hash: location.hash, view, texts: null };
  if (!isSame) {
    view.body = h("div", { "aria-busy": "true" }, h("p", { class: "dim" }, "Loading…"));
    main.replaceChildren(view.head(), view.body);
    const heading = main.querySelector("h1");
    heading.tabIndex = -1;
    if (lastAnswer) heading.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  } else {
    // The same list with another filter or page: what is being typed in stays as it is.
    view.body = main.lastElementChild;
    view.update?.(main.firstElementChild);
  }
  document.title = `${view.title} · ${name}`;
  mark(segments);
  refresh();
}

async function refresh() {
  clearTimeout(timer);
  running?.abort();
  const own = new AbortController();
  running = own;
  const { view } = shown;
  const started = performance.now();
  try {
    const [overview, version, answers] = await Promise.all([
      ask("overview", { signal: own.signal }),
      ask("version", { signal: own.signal }),
      view.load((path, options) => ask(path, { ...options, signal: own.signal })),
    ]);
    if (own.signal.aborted) return;
    showNav(overview, version.data);
    show(view, answers);
    lastAnswer = Date.now();
    trouble = null;
  } catch (error) {
    if (own.signal.aborted) return;
    if (error instanceof Refused && view.refused?.(error)) {
      lastAnswer = Date.now();
      trouble = null;
    } else {
      trouble = error instanceof Refused ? `API answered ${error.message}` : "Unreachable";
      console.info("No answer:", error.message);
    }
  }
  showState();
  if (!isPaused && !document.hidden) {
    const took = performance.now() - started;
    timer = setTimeout(refresh, Math.max(REFRESH_MS, took * PAUSE_PER_ANSWER));
  }
}

/** Puts the answers in place, unless they are what is there already. */
function show(view, answers) {
  const texts = JSON.stringify(answers.map((answer) => answer?.stable ?? answer?.text));
  view.body.removeAttribute("aria-busy");
  if (texts === shown.texts) return;
  shown.texts = texts;
  const active = view.body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const open = [...view.body.querySelectorAll("details[open] > summary")].map((summary) => summary.dataset.key);
  view.body.replaceChildren(...[view.render(...answers)].flat(Infinity).filter(Boolean));
  for (const summary of view.body.querySelectorAll("summary")) {
    summary.parentElement.open = open.includes(summary.dataset.key);
  }
  if (active) {
    const again = [...view.body.querySelectorAll("[data-key]")].find((element) => element.dataset.key === active);
    again?.focus({ preventScroll: true });
  }
}

const SECTIONS = [
  ["", [[["overview"], "Overview"]]],
  ["HTTP", [[["http", "routers"], "Routers"], [["http", "services"], "Services"], [["http", "middlewares"], "Middlewares"]]],
  ["TCP", [[["tcp", "routers"], "Routers"], [["tcp", "services"], "Services"], [["tcp", "middlewares"], "Middlewares"]]],
  ["UDP", [[["udp", "routers"], "Routers"], [["udp", "services"], "Services"]]],
  ["Proxy", [[["entrypoints"], "Entry points"], [["providers"], "Providers"], [["explain"], "Explain a request"]]],
];

function showNav(overview, version) {
  const texts = overview.text + JSON.stringify(version);
  if (texts === navTexts) return;
  navTexts = texts;
  const count = ([section, collection]) => overview.data[section]?.[collection];
  const link = ([segments, title]) => {
    const known = count(segments);
    const worst = known?.errors ? "disabled" : known?.warnings ? "warning" : null;
    const label = worst && h("span", { class: "visually-hidden" }, `, ${known.errors} errors, ${known.warnings} warnings`);
    return h(
      "a",
      { href: segments[0] === "overview" ? "#/" : to(segments), data: { key: segments.join("/") } },
      title,
      worst && h("span", { class: `mark ${worst}` }),
      label,
      known && h("span", { class: "count" }, number(known.total)),
    );
  };
  const isThere = ([, links]) =>
    !["tcp", "udp"].includes(links[0][0][0]) || links.some(([segments]) => count(segments)?.total > 0);
  const active = nav.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  nav.replaceChildren(
    ...SECTIONS.filter(isThere).flatMap(([title, links]) => [title && h("h2", null, title), ...links.map(link)].filter(Boolean)),
  );
  if (active) [...nav.querySelectorAll("a")].find((element) => element.dataset.key === active)?.focus();
  name = version.dashboardName || "Ringway";
  document.getElementById("name").textContent = name;
  document.getElementById("version").textContent = `${version.Codename} ${version.Version}`;
  document.title = `${shown.view.title} · ${name}`;
  mark(place().segments);
}

function mark(segments) {
  const here = segments.slice(0, ["http", "tcp", "udp"].includes(segments[0]) ? 2 : 1).join("/") || "overview";
  for (const link of nav.querySelectorAll("a")) {
    if (link.dataset.key === here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Says how current the page is. Read aloud only when that changes, not each second. */
function showState() {
  const age = Math.floor((Date.now() - lastAnswer) / 1000);
  const since = lastAnswer ? ` · what you see is ${age} s old` : "";
  const state = trouble ? "stale" : isPaused ? "paused" : lastAnswer ? "live" : "loading";
  const text = { stale: `${trouble}${since}`, paused: `Paused${since}`, live: "Live", loading: "Loading" }[state];
  if (live.dataset.state !== state) {
    announcement.textContent = { stale: trouble, paused: "Paused", live: "Live" }[state] ?? "";
  }
  live.dataset.state = state;
  if (liveText.textContent !== text) liveText.textContent = text;
  document.body.classList.toggle("stale", state === "stale");
  if (state === "stale" && !lastAnswer && shown.view) {
    shown.view.body.replaceChildren(h("p", { class: "notice error" }, `The API cannot be read: ${trouble}.`));
  }
}

pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", isPaused);
  if (isPaused) {
    clearTimeout(timer);
    running?.abort();
    showState();
  } else {
    refresh();
  }
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !isPaused) refresh();
});
document.addEventListener("keydown", (event) => {
  const isTyping = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
    const search = main.querySelector("input[type=search]");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
for (const name of ["popstate", "hashchange"]) {
  window.addEventListener(name, () => {
    if (location.hash !== shown.hash) open();
  });
}

if (location.pathname.endsWith("/")) {
  setInterval(showState, 1000);
  open();
} else {
  // Beside `…/dashboard/` are the files and the API; `…/dashboard` has other neighbours.
  location.replace(`${location.pathname}/${location.search}${location.hash}`);
}
