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

const w = 168, gap = 150, step = 52;

// place returns the position of each node: beside the nodes that it waits for.
function place(out, nodes) {
  const layer = layers(out, nodes);
  const columns = [];
  for (const id of nodes) (columns[layer.get(id)] ??= []).push(id);
  const at = new Map();
  columns.filter(Boolean).forEach((column, i) => {
    const wanted = (id) => {
      const ys = out.filter((e) => e.from === id && at.has(e.to)).map((e) => at.get(e.to)[1]);
      return ys.length ? ys.reduce((a, b) => a + b) / ys.length : 0;
    };
    const order = i === 0 ? column.map((id) => [id, 0])
      : column.map((id) => [id, wanted(id)]).sort((a, b) => a[1] - b[1]);
    let low = 84 - step;
    for (const [id, want] of order) {
      // those that wait for the same node are spread around it
      const twins = order.filter(([, other]) => other === want).length;
      const y = i === 0 ? low + step : Math.max(low + step, want - ((twins - 1) * step) / 2);
      at.set(id, [20 + i * (w + gap), y]);
      const fan = out.filter((e) => e.to === id).length;
      low = i === 0 ? y + Math.max(0, fan - 1) * step : y;
    }
  });
  return at;
}

const short = (s, n) => (s.length > n ? `${s.slice(0, n - 1)}…` : s);

export function drawGraph(state, el) {
  const { out, nodes, left } = edges(state);
  if (!out.length) {
    el.replaceChildren(h("p", { class: "empty" }, state.live ? "Nobody waits." : ""));
    return;
  }
  const at = place(out, nodes);
  const width = Math.max(860, ...[...at.values()].map(([x]) => x + w + 20));
  const height = Math.max(200, ...[...at.values()].map(([, y]) => y + 40));
  const svg = h("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": "who waits for whom" },
  h("defs", {}, ["calm", "bad"].map((cls) => h("marker", { id: `arrow-${cls}`, class: cls, viewBox: "0 0 8 8",
    refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" },
  h("path", { d: "M0 0 8 4 0 8z" })))));
  const labels = [], labelled = new Set();
  for (const e of out) {
    const [x1, y1] = at.get(e.from), [x2, y2] = at.get(e.to);
    const back = x1 <= x2; // against the direction of the columns, as in a cycle
    const cls = e.bad ? "bad" : "calm";
    const from = back ? [x1 + w / 2, y1 - 19] : [x1, y1], to = back ? [x2 + w / 2, y2 - 21] : [x2 + w + 2, y2];
    const over = Math.min(from[1], to[1]) - 42; // the height of an arc over the nodes
    svg.append(h("path", { class: `edge ${cls}`, "marker-end": `url(#arrow-${cls})`,
      d: back ? `M${from}C${from[0]} ${over} ${to[0]} ${over} ${to}`
        : `M${from}C${from[0] - gap / 2} ${from[1]} ${to[0] + gap / 2} ${to[1]} ${to}` }));
    const once = `${e.to} ${e.name}`;
    if (labelled.has(once) && !e.bad) continue;
    labelled.add(once);
    const x = (from[0] + to[0]) / 2, y = back ? over + 8 : (from[1] + to[1]) / 2 - 5;
    labels.push(h("svg:a", { href: ofName(e.name) }, h("title", {}, e.name),
      h("text", { class: `label ${cls}`, x, y, "text-anchor": "middle" }, short(e.name, 20))));
  }
  svg.append(...labels);
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
