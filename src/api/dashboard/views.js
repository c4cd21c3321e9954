// The views. Each has a title, a head that is built once, `load` for what it asks the API, and `render` for the answers.

import {
  brief, chip, chips, counted, duration, empty, facts, h, meter, named, number, objectLink, panel, PER_PAGE, plain,
  priority, qualified, Refused, source, table, to, value,
} from "./parts.js";

const NOUNS = { routers: "router", services: "service", middlewares: "middleware" };
const COLLECTIONS = ["http/routers", "http/services", "http/middlewares", "tcp/routers", "tcp/services", "tcp/middlewares",
  "udp/routers", "udp/services"];
const MOST_SHOWN = 50;
const TYPING_MS = 250;

/** The view of a place; `here` tells which parameters it has now, `go` leads to another. */
export function viewOf(segments, params, go, here) {
  const [first, second, third] = segments;
  if (!first) return overview();
  if (COLLECTIONS.includes(`${first}/${second}`)) {
    return third ? detail(first, second, third) : list(first, second, params, go, here);
  }
  if (first === "entrypoints") return entryPoints();
  if (first === "providers") return providers();
  if (first === "explain") return explain(params, go);
  return {
    id: `unknown/${segments.join("/")}`, title: "Nothing here", head: () => head("Nothing here"), load: async () => [],
    render: () => empty("There is no such page", h("a", { href: "#/" }, "To the overview")),
  };
}

function head(title, ...more) {
  return h("div", null, h("div", { class: "head" }, h("h1", null, title)), more);
}

// Overview

function overview() {
  return {
    id: "overview", title: "Overview", head: () => head("Overview"),
    load: async (get) => {
      const [counts, version, generation, known] = await Promise.all(
        ["overview", "version", "ringway/generation", "ringway/providers"].map((path) => get(path)),
      );
      return [counts, version, steady(generation), steady(known)];
    },
    render(counts, version, generation, known) {
      const cards = COLLECTIONS.map((place) => {
        const [section, collection] = place.split("/");
        const count = counts.data[section]?.[collection];
        const isShown = count && (section === "http" || count.total > 0);
        return isShown && card(section, collection, count);
      });
      const { rejected, rejectedTotal } = generation.data;
      return [
        h("div", { class: "cards" }, cards),
        rejectedTotal > 0 && attention(rejected, rejectedTotal),
        h("div", { class: "columns" }, inForce(generation.data), features(counts.data, version.data)),
        panel("Providers", null, providerTable(known.data)),
      ];
    },
  };
}

function card(section, collection, count) {
  const title = `${section.toUpperCase()} ${collection}`;
  const part = (status, amount, word) =>
    amount > 0 && h("span", { class: status }, `${number(amount)} ${word}`);
  const legend = [
    part("disabled", count.errors, count.errors === 1 ? "error" : "errors"),
    part("warning", count.warnings, count.warnings === 1 ? "warning" : "warnings"),
  ].filter(Boolean);
  return h(
    "a", { class: "card", href: to([section, collection]), data: { key: `card/${section}/${collection}` } },
    h("div", { class: "label" }, title),
    h("div", { class: "big" }, number(count.total)),
    meter(count),
    h("div", { class: "legend" }, legend.length ? legend : count.total ? "all as configured" : "none yet"),
  );
}

/** `http.routers.name@provider` as a link, where it is an object that has a page. */
function mentioned(object) {
  const [, section, collection, name] = object.match(/^(\w+)\.(\w+)\.(.+)$/s) ?? [];
  if (!COLLECTIONS.includes(`${section}/${collection}`) || !name.includes("@")) return h("span", { class: "name" }, object);
  return [h("span", { class: "dim" }, `${NOUNS[collection]} `), h("span", { class: "name" }, objectLink(section, collection, name))];
}

function attention(rejected, total) {
  const rows = rejected.slice(0, MOST_SHOWN);
  const columns = [
    { title: "Status", class: "w-status", cell: ({ status }) => chip(status) },
    { title: "What", cell: ({ object }) => mentioned(object) },
    { title: "Why", cell: ({ error }) => brief(error) },
  ];
  const more = total > rows.length && h("div", { class: "pager" }, `and ${number(total - rows.length)} more`);
  return panel("Needs attention", number(total), h("div", { class: "scroll" }, table("What needs attention", columns, rows)), more);
}

function inForce({ generation, effective, instance, shards }) {
  const cells = shards.map(({ shard, acknowledged }) => {
    const isBehind = acknowledged < generation;
    const text = `shard ${shard}: ${number(acknowledged)}`;
    return h("span", { class: `shard ${isBehind ? "behind" : ""}` }, text, isBehind && " (behind)");
  });
  return panel("Configuration in force", null, h("div", { class: "body" }, facts([
    ["Generation", number(generation)],
    ["On every shard", effective === generation ? chip("enabled", "yes") : chip("warning", `up to ${number(effective)}`)],
    ["Shards", h("div", { class: "shards" }, cells)],
    ["Instance", h("code", { class: "dim" }, instance)],
  ])));
}

function features({ features }, version) {
  const state = (on) => (on ? chip("enabled", "on") : plain("off"));
  return panel("Proxy", null, h("div", { class: "body" }, facts([
    ["Version", `${version.Codename} ${version.Version}`],
    ["Started", new Date(version.startDate).toLocaleString()],
    ["Access log", state(features.accessLog)],
    ["Metrics", features.metrics ? plain(features.metrics) : state(false)],
    ["Tracing", features.tracing ? plain(features.tracing) : state(false)],
  ])));
}

// Providers

/** Ages grow with every answer; only whether anything else changed matters. They are shown in whole units. */
function steady(answer) {
  const all = Array.isArray(answer.data) ? answer.data : answer.data.providers;
  const texts = JSON.stringify(answer.data, (key, item) => (key === "age" ? undefined : item));
  return { ...answer, stable: texts + all.map(({ age }) => duration(age)).join() };
}

function providers() {
  return {
    id: "providers", title: "Providers", head: () => head("Providers"),
    load: async (get) => [steady(await get("ringway/providers"))],
    render({ data }) {
      const trouble = data.filter(({ problems }) => problems.length > 0).map((provider) => {
        const columns = [
          { title: "Key", cell: ({ key }) => h("code", null, key) },
          { title: "Why it does not count", cell: ({ error }) => error },
        ];
        const body = h("div", { class: "scroll" }, table(`Problems of ${provider.name}`, columns, provider.problems));
        const more = provider.problemsTotal - provider.problems.length;
        const rest = more > 0 && h("div", { class: "pager" }, `and ${number(more)} more`);
        return panel(`Problems of ${provider.name}`, number(provider.problemsTotal), body, rest);
      });
      return [h("div", { class: "panel list" }, providerTable(data)), trouble];
    },
  };
}

function providerState({ reported, stale, lastError, problemsTotal }) {
  if (stale) return chip("warning", "stale");
  if (lastError) return chip("disabled", "failing");
  if (!reported) return chip("waiting", "waiting");
  if (problemsTotal > 0) return chip("warning", counted(problemsTotal, "problem"));
  return chip("enabled", "in force");
}

function providerTable(rows) {
  if (rows.length === 0) return empty("No provider is configured", "Routers and services come from providers.");
  const name = (provider) => [
    h("div", { class: "name" }, provider.name),
    provider.lastError && h("div", { class: "why" }, provider.lastError),
  ];
  return table("Providers", [
    { title: "Name", cell: name },
    { title: "State", class: "w-status", cell: providerState },
    { title: "Objects", class: "w-number number", cell: ({ objects }) => number(objects) },
    { title: "Revision", cell: ({ revision, position }) => h("code", null, revision == null ? position ?? "–" : number(revision)) },
    { title: "Unchanged for", class: "w-number number", cell: ({ age }) => duration(age) },
    { title: "Throttle", class: "w-number number", cell: ({ throttle }) => (throttle ? `${throttle} s` : "none") },
  ], rows);
}

// Entry points

function entryPoints() {
  return {
    id: "entrypoints", title: "Entry points", head: () => head("Entry points"),
    load: async (get) => [await get("entrypoints", { params: { per_page: 1000 } })],
    render({ data }) {
      const about = ({ http = {}, asDefault }) => {
        const to = http.redirections?.entryPoint?.to;
        const words = [asDefault && "default", http.tls && "TLS", to && `redirects to ${to}`];
        return chips([...words.filter(Boolean), ...(http.middlewares ?? [])]);
      };
      const columns = [
        { title: "Name", cell: ({ name }) => h("span", { class: "name" }, name) },
        { title: "Address", cell: ({ address }) => h("code", null, address) },
        { title: "Options", cell: about },
      ];
      if (data.length === 0) return empty("There is no entry point", "Requests come in through entry points.");
      const all = data.map((point) => h(
        "details", { class: "panel" }, h("summary", { data: { key: point.name } }, `All options of ${point.name}`),
        h("div", { class: "body" }, value(point)),
      ));
      return [h("div", { class: "panel list" }, table("Entry points", columns, data)), all];
    },
  };
}

// Lists

const nameColumn = (section, collection) => ({
  title: "Name", class: "w-name", sort: "name",
  cell: (item) => [
    h("div", { class: "name" }, objectLink(section, collection, item.name)),
    item.error?.length > 0 && h("div", { class: "why" }, item.error.map(brief).join("; ")),
  ],
});
const statusColumn = { title: "Status", class: "w-status", sort: "status", cell: ({ status }) => chip(status) };

function servers({ serverStatus, loadBalancer }) {
  if (serverStatus) {
    const states = Object.values(serverStatus);
    const up = states.filter((state) => state === "UP").length;
    return chip(up === states.length ? "enabled" : up ? "warning" : "disabled", `${number(up)} of ${number(states.length)} up`);
  }
  return loadBalancer?.servers ? `${number(loadBalancer.servers.length)} (not in use)` : h("span", { class: "dim" }, "–");
}

function columnsOf(section, collection) {
  const own = {
    routers: [
      { title: "Rule", sort: "rule", cell: ({ rule }) => h("code", null, rule ?? "–") },
      { title: "Entry points", class: "w-points", sort: "entryPoints", cell: ({ using, entryPoints: own }) => chips(using ?? own ?? []) },
      { title: "Service", class: "w-service", sort: "service", cell: ({ service, provider }) => service && objectLink(section, "services", qualified(service, provider)) },
      { title: "Priority", class: "w-number number", sort: "priority", cell: priority },
    ],
    services: [
      { title: "Type", class: "w-type", sort: "type", cell: ({ type }) => type && plain(type) },
      { title: "Servers", class: "w-type", sort: "servers", cell: servers },
      { title: "Routers", class: "w-number number", cell: ({ usedBy = [] }) => number(usedBy.length) },
    ],
    middlewares: [
      { title: "Type", class: "w-type", sort: "type", cell: ({ type }) => type && plain(type) },
      { title: "Routers", class: "w-number number", cell: ({ usedBy = [] }) => number(usedBy.length) },
    ],
  };
  return [statusColumn, nameColumn(section, collection), ...own[collection]];
}

function list(section, collection, params, go, here) {
  const noun = NOUNS[collection];
  const title = `${section.toUpperCase()} ${collection}`;
  const path = [section, collection];
  const page = Math.max(1, Number.parseInt(params.page, 10) || 1);
  const set = (patch, replace = true) => go(to(path, { ...here(), page: "", ...patch }), replace);
  const order = {
    key: params.sortBy || "name", descending: params.direction === "desc",
    by: (key) => set({ sortBy: key, direction: order.key === key && !order.descending ? "desc" : "" }),
  };
  const filters = ["serviceName", "middlewareName"].filter((key) => params[key]);
  const isFiltered = Boolean(params.search || params.status || filters.length);
  return {
    id: title, title,
    head() {
      let typing = 0;
      const search = h("input", {
        type: "search", placeholder: collection === "routers" ? "Search names and rules  ( / )" : "Search names  ( / )",
        "aria-label": `Search ${title}`, autocomplete: "off", spellcheck: "false",
        oninput: () => {
          clearTimeout(typing);
          typing = setTimeout(() => set({ search: search.value }), TYPING_MS);
        },
      });
      const choice = (status, text) =>
        h("button", { type: "button", data: { status }, onclick: () => set({ status }) }, text);
      const choices = [choice("", "All"), choice("enabled", "Enabled"), choice("warning", "Warnings"), choice("disabled", "Errors")];
      const tools = h("div", { class: "tools" }, search, h("div", { class: "segments", role: "group", "aria-label": "Status" }, choices));
      const built = head(title, tools, h("div", { class: "filters" }));
      this.update(built);
      return built;
    },
    update(built) {
      const search = built.querySelector("input");
      if (search !== document.activeElement) search.value = params.search ?? "";
      for (const button of built.querySelectorAll("[data-status]")) {
        button.setAttribute("aria-pressed", button.dataset.status === (params.status ?? ""));
      }
      built.querySelector(".filters").replaceChildren(...filters.map((key) => h(
        "p", { class: "filter-note" }, `${key === "serviceName" ? "with service" : "with middleware"} ${params[key]}`,
        h("a", { href: to(path, { ...params, page: "", [key]: "" }), "aria-label": "Remove this filter" }, "×"),
      )));
    },
    load: async (get) => [await get(path.join("/"), { params: { ...params, page, per_page: PER_PAGE } })],
    refused(error) {
      // The list has become shorter than this page.
      if (error.status !== 400 || page === 1) return false;
      set({});
      return true;
    },
    render({ data, total }) {
      if (data.length === 0) {
        const what = isFiltered
          ? empty(`No ${noun} matches`, h("a", { href: to(path) }, "Show all"))
          : empty(`There is no ${noun}`, "As soon as a provider has one, it appears here.");
        return h("div", { class: "panel" }, what);
      }
      const first = (page - 1) * PER_PAGE + 1;
      const last = first + data.length - 1;
      const turn = (by, text, isPossible) => h("button", {
        type: "button", disabled: !isPossible, data: { key: text }, onclick: () => set({ page: page + by }, false),
      }, text);
      const pager = h(
        "div", { class: "pager" }, `${number(first)}–${number(last)} of ${counted(total, noun)}`, h("span", { class: "grow" }),
        turn(-1, "Previous", page > 1), turn(1, "Next", last < total),
      );
      return h("div", { class: "panel list" }, table(title, columnsOf(section, collection), data, order), total > PER_PAGE || page > 1 ? pager : h("div", { class: "pager" }, counted(total, noun)));
    },
  };
}

// One object

/** An object by name. Names with characters that entry points may refuse in paths are looked for in the list. */
async function objectOf(get, section, collection, name) {
  const path = `${section}/${collection}`;
  if (!/[/\\%;?#\0]/.test(name)) return get(`${path}/${encodeURIComponent(name)}`);
  const found = await get(path, { params: { search: name, per_page: 1000 } });
  const item = found.data.find((item) => item.name === name);
  if (!item) throw new Refused(404, `not found: ${name}`);
  return { text: JSON.stringify(item), data: item };
}

/** The objects that an object names: a label, a collection and a name each. */
function references(item) {
  const named = [
    ...(item.chain?.middlewares ?? []).map((name) => ["Runs", "middlewares", name]),
    ...(item.weighted?.services ?? []).map(({ name, weight }) => [`Weight ${weight ?? 1}`, "services", name]),
    ...(item.mirroring?.mirrors ?? []).map(({ name, percent }) => [`Mirrors ${percent ?? 0} %`, "services", name]),
    ["Mirrored", "services", item.mirroring?.service], ["First", "services", item.failover?.service],
    ["Fallback", "services", item.failover?.fallback], ["Error pages", "services", item.errors?.service],
  ];
  return named.filter(([, , name]) => name).map(([label, collection, name]) => [label, collection, qualified(name, item.provider)]);
}

function detail(section, collection, name) {
  const noun = NOUNS[collection];
  return {
    id: `${section}/${collection}/${name}`, title: name,
    head: () => h(
      "div", { class: "head" },
      h("p", { class: "crumb" }, h("a", { href: to([section, collection]) }, `${section.toUpperCase()} ${collection}`), " /"),
      h("h1", null, named(name)),
    ),
    async load(get) {
      const own = await objectOf(get, section, collection, name);
      if (collection !== "routers" || own.data.status === "disabled" || !own.data.service) return [own, null];
      try {
        return [own, await objectOf(get, section, "services", qualified(own.data.service, own.data.provider))];
      } catch (error) {
        if (error instanceof Refused) return [own, null];
        throw error;
      }
    },
    refused(error) {
      if (error.status !== 404) return false;
      const back = h("a", { href: to([section, collection], { search: name.split("@")[0] }) }, "Look for it");
      this.body.replaceChildren(h("div", { class: "panel" }, empty(`There is no ${noun} of this name`, back)));
      return true;
    },
    render({ data: item }, service) {
      const kind = item.status === "warning" ? "warning" : "error";
      const errors = item.error?.length > 0
        && h("div", { class: `notice ${kind}`, role: "note" }, h("ul", null, item.error.map((text) => h("li", null, h("pre", null, text)))));
      const state = h("p", { class: "chips" }, chip(item.status), item.type && plain(item.type), plain(item.provider));
      const body = collection === "routers" ? routerBody(section, item, service?.data) : otherBody(section, collection, item);
      return [state, h("br"), errors, body, source(item)];
    },
  };
}

function routerBody(section, router, service) {
  const step = (label, own, ...content) =>
    h("li", null, h("div", { class: `step ${own ? "own" : ""}` }, h("span", { class: "label" }, label), content));
  const points = router.using ?? router.entryPoints ?? [];
  const states = Object.entries(service?.serverStatus ?? {});
  const flow = h(
    "ol", { class: "flow", "aria-label": "The way of a request" },
    step("Entry points", false, points.length ? chips(points) : h("span", { class: "dim" }, "none")),
    step("Router", true, h("strong", null, named(router.name))),
    (router.middlewares ?? []).map((name) => step("Middleware", false, objectLink(section, "middlewares", qualified(name, router.provider)))),
    router.service && step("Service", false, objectLink(section, "services", qualified(router.service, router.provider))),
    states.length > 0 && step(
      "Servers", false, states.slice(0, 3).map(([url, state]) => h("div", null, chip(state === "UP" ? "enabled" : "disabled", state), " ", h("code", null, url))),
      states.length > 3 && h("div", { class: "dim" }, `and ${number(states.length - 3)} more`),
    ),
  );
  const { rule, ruleSyntax, tls, observability, parentRefs } = router;
  const shown = facts([
    ["Rule", rule == null ? null : h("code", null, rule)], ["Priority", priority(router)],
    ["Rule syntax", ruleSyntax ?? null], ["TLS", tls ? value(tls) : plain("off")],
    ["Parents", parentRefs ? value(parentRefs) : null], ["Observability", observability ? value(observability) : null],
  ]);
  return [flow, panel("Router", null, h("div", { class: "body" }, shown))];
}

function otherBody(section, collection, item) {
  const others = references(item);
  const balancer = item.loadBalancer;
  const rows = (balancer?.servers ?? []).map((server) => ({ ...server, state: item.serverStatus?.[server.url] }));
  const key = Object.keys(item).find((key) => key.toLowerCase() === item.type);
  const config = key ? { ...item[key] } : null;
  if (config) delete config.servers;
  const state = ({ state }) => (state ? chip(state === "UP" ? "enabled" : "disabled", state) : plain("not in use"));
  const columns = [
    { title: "State", class: "w-status", cell: state },
    { title: "Server", cell: ({ url, address }) => h("code", null, url ?? address) },
    { title: "Weight", class: "w-number number", cell: ({ weight }) => number(weight ?? 1) },
  ];
  const usedBy = item.usedBy ?? [];
  const filter = collection === "services" ? "serviceName" : "middlewareName";
  const users = usedBy.slice(0, MOST_SHOWN).map((name) => h("div", null, objectLink(section, "routers", name)));
  const all = usedBy.length > MOST_SHOWN
    && h("p", null, h("a", { href: to([section, "routers"], { [filter]: item.name }) }, `All ${number(usedBy.length)} routers`));
  return [
    rows.length > 0 && panel("Servers", number(rows.length), h("div", { class: "scroll" }, table("Servers", columns, rows.slice(0, 500)))),
    rows.length > 500 && h("p", { class: "dim" }, `${number(rows.length - 500)} more are in the JSON.`),
    h(
      "div", { class: "columns" },
      panel("Options", null, h("div", { class: "body" }, config ? value(config) : h("span", { class: "dim" }, "none"))),
      panel("Used by routers", number(usedBy.length), h("div", { class: "body" }, usedBy.length ? [users, all] : h("span", { class: "dim" }, "No router uses it."))),
    ),
    others.length > 0 && panel("Refers to", null, h("div", { class: "body" }, facts(
      others.map(([label, collection, name]) => [label, objectLink(section, collection, name)]),
    ))),
  ];
}

// Explain

function explain(params, go) {
  return {
    id: "explain", title: "Explain a request",
    head() {
      const method = h("select", { "aria-label": "Method" }, ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"].map((name) => h("option", null, name)));
      method.value = params.method ?? "GET";
      const url = h("input", { type: "search", "aria-label": "URL", placeholder: "http://shop.example.com/api/items", spellcheck: "false" });
      url.value = params.url ?? "";
      const ask = (event) => {
        event.preventDefault();
        go(to(["explain"], { method: method.value, url: url.value.trim() }), true);
      };
      const form = h("form", { class: "tools", onsubmit: ask }, method, url, h("button", null, "Explain"));
      return head("Explain a request", form);
    },
    load: async (get) => {
      if (!params.url) return [null];
      try {
        return [await get("ringway/explain", { params: { ...params, format: "text" }, raw: true })];
      } catch (error) {
        if (error instanceof Refused && error.status === 400) return [{ text: error.message, isRefused: true }];
        throw error;
      }
    },
    render(answer) {
      if (!answer) return h("div", { class: "panel" }, empty("Which router takes it?", "Give a URL to see its entry point, router, middlewares, service and servers, and why."));
      if (answer.isRefused) return h("p", { class: "notice error" }, answer.text);
      return h("div", { class: "panel" }, h("div", { class: "body" }, h("pre", null, answer.text)));
    },
  };
}
