// The page: it receives updates, keeps what they say, and draws what is in sight.

import { count, h, now, plural, refresh, setClock, span, steps } from "./dom.js";
import { drawGraph } from "./graph.js";
import { drawPanel } from "./panel.js";
import { kinds, ofName, ofSession, owner, row, sessionRow } from "./rows.js";

const $ = (id) => document.getElementById(id);
const state = {
  names: new Map(), sessions: new Map(), cycles: [], cycled: new Set(), notes: [], hello: {},
  revision: 0, problem: "", tab: "all", open: null, query: "", past: [], live: false,
};
const views = [...kinds.map(([id]) => id), "sessions", "waits"];
const rowHeight = 60;
let order = null; // what the list shows, in its order; null if it is to be made again
let drawn = new Map(); // the rows in the document, by their place
let dirty = new Set(); // names and sessions whose rows are old
let planned = false;

// receive applies an update.
function receive(update) {
  const begin = performance.now();
  setClock(update.time);
  if (update.hello) state.hello = update.hello;
  if (update.full) {
    state.names.clear();
    state.sessions.clear();
    order = null;
  }
  for (const s of update.sessions) {
    if (!state.sessions.has(s.lease) || state.tab === "sessions") order = null;
    state.sessions.set(s.lease, s);
    dirty.add(s.lease);
  }
  for (const lease of update.ended ?? []) {
    state.sessions.delete(lease);
    order = null;
  }
  for (const n of update.names) {
    const old = state.names.get(n.id);
    if (!old || old.recipe !== n.recipe || state.query) order = null;
    state.names.set(n.id, n);
    dirty.add(n.id);
  }
  for (const id of update.gone ?? []) {
    state.names.delete(id);
    order = null;
  }
  state.cycles = update.cycles;
  const cycled = new Set(update.cycles.flat().map((w) => w.name));
  for (const id of state.cycled.symmetricDifference?.(cycled) ?? [...state.cycled, ...cycled]) dirty.add(id);
  state.cycled = cycled;
  Object.assign(state, { revision: update.revision, notes: update.notes ?? [],
    problem: update.problem ?? "", problemFor: update.problemFor ?? 0, live: true });
  plan(() => performance.measure("update", { start: begin, detail: update.names.length }));
}

// plan draws before the next frame.
let after = [];
function plan(then) {
  if (then) after.push(then);
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    draw();
    for (const fn of after.splice(0)) fn();
  });
}

function totals() {
  const t = { holding: 0, waiting: 0, items: 0, queues: 0, suspect: 0 };
  for (const n of state.names.values()) {
    t.holding += n.holding;
    if (n.recipe !== "barrier" && n.recipe !== "latch" && n.recipe !== "cron") t.waiting += n.waiting;
    if (n.queue) {
      t.queues++;
      t.items += n.queue.ready + n.queue.claimed;
    }
  }
  for (const s of state.sessions.values()) t.suspect += s.suspect && s.holds + s.waits > 0 ? 1 : 0;
  return t;
}

const history = 120;

function drawTiles(t) {
  const last = state.past.at(-1);
  if (!last || now() - last.time > 950) state.past.push({ time: now(), ...t });
  else Object.assign(last, t);
  state.past.splice(0, state.past.length - history);
  const to = now(), from = Math.min(state.past[0].time, to - 10000);
  const chart = (field) => steps(state.past.map((p) => [p.time, p[field]]),
    { width: 110, height: 30, from, to, label: `${field} over two minutes` });
  const tile = (value, label, more, to, cls = "") => h("a", { class: `tile ${cls}`, href: to },
    h("span", {}, h("b", {}, value), h("small", {}, label)), more);
  const cycles = state.cycles.length;
  $("tiles").replaceChildren(
    tile(count(t.holding), "holds", chart("holding"), "#/all"),
    tile(count(t.waiting), "waiting", chart("waiting"), "#/waits"),
    tile(count(t.items), "queued items", t.queues ? chart("items") : null, "#/queues"),
    tile(count(state.sessions.size), t.suspect ? `sessions, ${count(t.suspect)} silent` : "sessions",
      null, "#/sessions", t.suspect ? "warn" : ""),
    tile(cycles ? count(cycles) : "none", cycles === 1 ? "deadlock" : "deadlocks", null, "#/waits",
      cycles ? "bad" : ""));
}

const link = (href, text) => h("a", { href }, text);
const who = (lease) => {
  const [name, where] = owner(state, { lease });
  return link(ofSession(lease), where ? `${name} (${where.split(" ")[0]})` : name);
};

function drawAlerts() {
  const out = [];
  const alert = (cls, ...parts) => out.push(h("p", { class: `alert ${cls}` }, ...parts));
  if (state.problem && state.live) {
    alert("bad", h("b", {}, "Not up to date"), ` for ${span(state.problemFor)}: ${state.problem}`);
  }
  for (const cycle of state.cycles.slice(0, 3)) {
    const most = 4;
    alert("bad", h("b", {}, "Deadlock"), cycle.slice(0, most).map((w) =>
      h("span", { class: "step" }, who(w.waiter), " waits at ", link(ofName(w.name), w.name), " for ",
        who(w.holder))), cycle.length > most && link("#/waits", `and ${plural(cycle.length - most, "more wait")}`));
  }
  if (state.cycles.length > 3) alert("bad", link("#/waits", `${count(state.cycles.length - 3)} more deadlocks`));
  const silent = [...state.sessions.values()].filter((s) => s.suspect && s.holds > 0)
    .sort((a, b) => b.blocks - a.blocks);
  for (const s of silent.slice(0, 3)) {
    alert("warn", h("b", {}, "Silent holder"), h("span", {}, who(s.lease),
      " has not renewed its lease for ", h("time", { "data-t": s.ends - s.ttl }, span(now() - s.ends + s.ttl)),
      `; it holds ${plural(s.holds, "name")}`,
      s.blocks ? ` before ${plural(s.blocks, "waiter")}` : ""));
  }
  if (silent.length > 3) alert("warn", link("#/sessions", `${count(silent.length - 3)} more silent holders`));
  for (const note of state.notes) alert("", note);
  $("alerts").replaceChildren(...out);
}

function drawTabs() {
  const sums = new Map(views.map((v) => [v, 0]));
  for (const n of state.names.values()) {
    for (const [id, , recipes] of kinds) {
      if (!recipes || recipes.includes(n.recipe)) sums.set(id, sums.get(id) + 1);
    }
  }
  sums.set("sessions", state.sessions.size);
  const tab = (id, text, n) => h("a", {
    href: `#/${id}`, class: id === state.tab ? "on" : n === 0 && id !== "all" ? "none" : "",
    "aria-current": id === state.tab ? "page" : null,
  }, text, n === null ? null : h("small", {}, count(n)));
  $("tabs").replaceChildren(...kinds.map(([id, text]) => tab(id, text, sums.get(id))),
    tab("sessions", "Sessions", sums.get("sessions")), tab("waits", "Who waits for whom", null));
}

// matches reports whether a search finds a name or one of its members.
function matches(n, query) {
  return n.name.toLowerCase().includes(query) ||
    [...n.holders, ...n.waiters].some((m) =>
      `${owner(state, m).join(" ")} ${m.value ?? ""} ${m.lease ?? ""}`.toLowerCase().includes(query));
}

function arrange() {
  const query = state.query.toLowerCase();
  if (state.tab === "sessions") {
    return [...state.sessions.values()].filter((s) =>
      !query || `${owner(state, s).join(" ")} ${s.lease}`.toLowerCase().includes(query))
      .sort((a, b) => (b.suspect ?? 0) - (a.suspect ?? 0) || b.blocks - a.blocks || b.holds - a.holds ||
        (a.lease < b.lease ? -1 : 1)).map((s) => s.lease);
  }
  const recipes = kinds.find(([id]) => id === state.tab)?.[2];
  return [...state.names.values()].filter((n) =>
    (!recipes || recipes.includes(n.recipe)) && (!query || matches(n, query)))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)).map((n) => n.id);
}

// drawRows draws the rows in sight, and none else.
function drawRows() {
  const rows = $("rows");
  if (!order) {
    order = arrange();
    rows.replaceChildren();
    drawn.clear();
    rows.style.setProperty("height", `${order.length * rowHeight}px`);
  }
  const top = -rows.getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(top / rowHeight) - 4);
  const last = Math.min(order.length, Math.ceil((top + innerHeight) / rowHeight) + 4);
  for (const [i, el] of drawn) {
    if (i < first || i >= last) {
      el.remove();
      drawn.delete(i);
    }
  }
  for (let i = first; i < last; i++) {
    const id = order[i], old = drawn.get(i);
    if (old && !stale(id)) continue;
    const item = state.tab === "sessions" ? state.sessions.get(id) : state.names.get(id);
    if (!item) continue;
    const cells = state.tab === "sessions" ? sessionRow(state, item) : row(state, item);
    const el = old ?? h("div", { class: "row", role: "listitem", "data-id": id,
      style: { transform: `translateY(${i * rowHeight}px)` } });
    el.replaceChildren(...cells.filter(Boolean));
    el.classList.toggle("on", state.open?.id === id);
    el.classList.toggle("alarm", state.cycled.has(id));
    if (!old) {
      rows.append(el);
      drawn.set(i, el);
    }
  }
  const empty = $("empty");
  empty.hidden = order.length > 0;
  empty.textContent = !state.live ? "" : state.query ? `Nothing matches “${state.query}”.`
    : state.hello.prefix ? `Nobody uses a name that begins with “${state.hello.prefix}”.` : "Nobody uses a name.";
}

// stale reports whether a row is old, because its name or one of its sessions has changed.
function stale(id) {
  if (dirty.has(id)) return true;
  const n = state.names.get(id);
  return n ? n.holders.slice(0, 4).some((m) => dirty.has(m.lease)) : false;
}

function draw() {
  const waits = state.tab === "waits";
  drawTiles(totals());
  drawAlerts();
  drawTabs();
  $("rows").hidden = waits;
  $("graph").hidden = !waits;
  if (waits) {
    $("empty").hidden = true;
    drawGraph(state, $("graph"));
  } else {
    drawRows();
  }
  const open = state.open;
  if (open && (open.old || dirty.has(open.id) || touches(open.id))) {
    open.old = false;
    drawPanel(state, $("panel"), open);
  }
  dirty.clear();
  drawStatus();
}

const touches = (id) => {
  const n = state.names.get(id);
  return n ? [...n.holders, ...n.waiters].some((m) => dirty.has(m.lease)) : false;
};

function drawStatus() {
  const el = $("status");
  el.className = `status ${state.live ? (state.problem ? "old" : "live") : "lost"}`;
  el.lastChild.textContent = state.live ? (state.problem ? "not up to date" : `live · revision ${count(state.revision)}`)
    : "connection lost, connecting again";
  const prefix = $("prefix");
  prefix.hidden = !state.hello.prefix;
  prefix.textContent = state.hello.prefix ?? "";
}

// route shows what the address says: #/tab, #/name/ID or #/session/LEASE.
function route() {
  const [, kind, ...rest] = location.hash.split("/");
  let id = rest.join("/");
  try {
    id = decodeURIComponent(id);
  } catch {
    // a link that was typed; it names nothing
  }
  state.open = (kind === "name" || kind === "session") && id ? { kind, id, old: true } : null;
  if (views.includes(kind) && state.tab !== kind) {
    state.tab = kind;
    scrollTo(0, 0);
  }
  order = null;
  const panel = $("panel");
  panel.hidden = !state.open;
  panel.replaceChildren();
  document.body.classList.toggle("opened", Boolean(state.open));
  document.title = state.open ? `${id} · holdfast` : "holdfast";
  plan();
}

function close() {
  location.hash = `#/${state.tab}`;
}

const themes = ["auto", "light", "dark"];
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = { auto: "◐", light: "☀", dark: "☾" }[theme];
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // without storage, the choice lasts as long as the page
  }
}

function start() {
  let theme = null;
  try {
    theme = localStorage.getItem("theme");
  } catch {
    // as above
  }
  setTheme(themes.includes(theme) ? theme : "auto");
  $("theme").addEventListener("click", () =>
    setTheme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]));
  const search = $("search");
  search.addEventListener("input", () => {
    state.query = search.value.trim();
    order = null;
    plan();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search && !$("dialog").open) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && !$("dialog").open) {
      if (document.activeElement === search) search.blur();
      else if (state.open) close();
    }
  });
  addEventListener("hashchange", route);
  addEventListener("scroll", () => plan(), { passive: true });
  addEventListener("resize", () => plan());
  setInterval(() => refresh(document), 1000);
  route();
  document.addEventListener("visibilitychange", connect);
  connect();
}

let events = null;

// connect opens the stream of a page that is seen, and closes the one of a page that is not, because
// a browser has six connections for each server.
function connect() {
  if (document.hidden) {
    events?.close();
    events = null;
  } else if (!events) {
    events = new EventSource("events");
    events.onmessage = (event) => receive(JSON.parse(event.data));
    events.onerror = () => {
      state.live = false;
      plan();
    };
  }
}

start();
