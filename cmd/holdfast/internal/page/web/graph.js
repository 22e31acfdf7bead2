// Who waits for whom: sessions, with an arrow from each that waits to the holder. Cycles are red.

import { count, h, tint } from "./dom.js";
import { ofName, ofSession, owner } from "./rows.js";

const mostNodes = 36;
const lines = new Set(["lock", "election", "semaphore", "once"]);

// edges returns the waits that are shown: those of cycles first, then those in chains, then those
// for the sessions that most others wait for.
function edges(state) {
  const all = [], cycles = new Set();
  for (const cycle of state.cycles) {
    for (const w of cycle) {
      cycles.add(`${w.waiter} ${w.holder} ${w.name}`);
      all.push({ from: w.waiter, to: w.holder, name: w.name, bad: true });
    }
  }
  for (const n of state.names.values()) {
    const holder = n.holders[0];
    if (!n.waiting || !holder || !lines.has(n.recipe)) continue;
    const to = holder.lease ?? `none:${n.id}`;
    for (const m of n.waiters) {
      if (cycles.has(`${m.lease} ${to} ${n.id}`)) continue;
      all.push({ from: m.lease, to, name: n.id, blocks: state.sessions.get(m.lease)?.blocks ?? 0,
        weight: state.sessions.get(to)?.blocks ?? n.waiting });
    }
  }
  all.sort((a, b) => (b.bad ?? 0) - (a.bad ?? 0) || Math.sign(b.blocks) - Math.sign(a.blocks) || b.weight - a.weight);
  const nodes = new Set(), out = [];
  const fans = new Map();
  for (const e of all) {
    const fan = fans.get(e.to) ?? 0;
    if (!e.bad && fan >= 6) continue;
    const added = [e.from, e.to].filter((id) => !nodes.has(id)).length;
    if (nodes.size + added > mostNodes) continue;
    fans.set(e.to, fan + 1);
    nodes.add(e.from).add(e.to);
    out.push(e);
  }
  return { out, nodes, left: all.length - out.length };
}

// layers returns the column of each node: 0 for sessions that do not wait.
function layers(out, nodes) {
  const next = Map.groupBy?.(out, (e) => e.from) ?? new Map();
  const layer = new Map();
  const visit = (id, path) => {
    if (layer.has(id)) return layer.get(id);
    if (path.has(id)) return -1; // a cycle
    path.add(id);
    const at = Math.max(-1, ...(next.get(id) ?? []).map((e) => visit(e.to, path))) + 1;
    path.delete(id);
    layer.set(id, at);
    return at;
  };
  for (const id of nodes) visit(id, new Set());
  return layer;
}

const short = (s, n) => (s.length > n ? `${s.slice(0, n - 1)}…` : s);

export function drawGraph(state, el) {
  const { out, nodes, left } = edges(state);
  if (!out.length) {
    el.replaceChildren(h("p", { class: "empty" }, state.live ? "Nobody waits." : ""));
    return;
  }
  const layer = layers(out, nodes);
  const all = [];
  for (const id of nodes) (all[layer.get(id)] ??= []).push(id);
  const columns = all.filter(Boolean);
  const tall = Math.max(...columns.map((c) => c.length));
  const w = 168, gap = 150, hgt = 54, height = Math.max(240, tall * hgt + 50);
  const width = Math.max(860, columns.length * (w + gap) - gap + 40);
  const at = new Map();
  columns.forEach((column, i) => column.forEach((id, j) =>
    at.set(id, [20 + i * (w + gap), 30 + (height - 60) * ((j + 0.5) / column.length)])));
  const svg = h("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": "who waits for whom" },
  h("defs", {}, ["calm", "bad"].map((cls) => h("marker", { id: `arrow-${cls}`, class: cls, viewBox: "0 0 8 8",
    refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" },
  h("path", { d: "M0 0 8 4 0 8z" })))));
  for (const e of out) {
    const [x1, y1] = at.get(e.from), [x2, y2] = at.get(e.to);
    const back = x1 <= x2; // against the direction of the columns, as in a cycle
    const bend = back ? Math.max(70, Math.abs(y2 - y1) / 2 + 50) : 0;
    const from = back ? [x1 + w / 2, y1 + 19] : [x1, y1], to = back ? [x2 + w / 2, y2 + 21] : [x2 + w + 2, y2];
    const middle = [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2];
    const d = back ? `M${from}C${from[0]} ${from[1] + bend} ${to[0]} ${to[1] + bend} ${to}`
      : `M${from}C${from[0] - gap / 2} ${from[1]} ${to[0] + gap / 2} ${to[1]} ${to}`;
    const cls = e.bad ? "bad" : "calm";
    svg.append(h("path", { class: `edge ${cls}`, d, "marker-end": `url(#arrow-${cls})` }),
      h("svg:a", { href: ofName(e.name) }, h("title", {}, e.name), h("text", { class: `label ${cls}`, x: middle[0],
        y: back ? middle[1] + bend * 0.75 - 5 : middle[1] - 6, "text-anchor": "middle" }, short(e.name, 22))));
  }
  for (const id of nodes) {
    const [x, y] = at.get(id);
    const [name, where] = id.startsWith("none:") ? ["no lease", ""] : owner(state, { lease: id });
    const s = state.sessions.get(id);
    const bad = out.some((e) => e.bad && (e.from === id || e.to === id));
    svg.append(h("svg:a", { href: s ? ofSession(id) : null }, h("g", { class: `node ${bad ? "bad" : s?.suspect ? "warn" : ""}`,
      style: tint(id), transform: `translate(${x} ${y - 19})` },
    h("rect", { width: w, height: 38, rx: 10 }), h("circle", { cx: 16, cy: 19, r: 6 }),
    h("text", { x: 30, y: 16 }, short(name, 17)), h("text", { class: "small", x: 30, y: 30 }, short(where, 22)))));
  }
  el.replaceChildren(svg, left > 0 ? h("p", { class: "calm" }, `${count(left)} other waits are not drawn`) : "");
}
