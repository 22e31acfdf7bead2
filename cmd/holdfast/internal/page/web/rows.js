// The rows of the list: one for each name, drawn as its recipe is.

import { ago, count, h, margin, now, plural, span, steps, tint } from "./dom.js";

export const kinds = [
  ["all", "All", null],
  ["locks", "Locks", ["lock", "once", "limiter"]],
  ["elections", "Elections", ["election"]],
  ["semaphores", "Semaphores", ["semaphore"]],
  ["queues", "Queues", ["queue"]],
  ["schedules", "Schedules", ["cron"]],
  ["groups", "Groups", ["group", "shards"]],
  ["barriers", "Barriers", ["barrier", "latch"]],
];

const marks = {
  lock: "M7 11V8a5 5 0 0 1 10 0v3M5.5 11h13v9h-13z",
  once: "M12 3v18M8 6l4-3 4 3M8 21h8",
  limiter: "M4 18a8 8 0 1 1 16 0M12 18l4-6",
  election: "M4 18h16M4 18 3 8l5 4 4-7 4 7 5-4-1 10",
  semaphore: "M4 7h16v10H4zM9.3 7v10M14.6 7v10",
  queue: "M4 6h16M4 12h16M4 18h9",
  cron: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 8v4l3 2",
  group: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M3 19c0-6 10-6 10 0M16 11a2.5 2.5 0 1 0 0-5M16 14c3 0 5 2 5 5",
  shards: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  barrier: "M4 20V8M20 20V8M4 10h16M4 14h16",
  latch: "M4 20V8M20 20V8M4 10h16M12 10v8",
};

export const mark = (recipe) => h("svg", { class: "mark", viewBox: "0 0 24 24", "aria-hidden": true },
  h("path", { d: marks[recipe] ?? marks.lock }));

// owner returns the text that names a session, or a lease.
export function owner(state, m) {
  if (m.detached) return ["detached", ""];
  if (!m.lease) return ["no lease", "stays until it is deleted"];
  const s = state.sessions.get(m.lease);
  if (!s || (!s.name && !s.host)) return [`lease ${m.lease}`, "another library"];
  return [s.name || s.host, `${s.host}${s.pid ? ` · ${s.pid}` : ""}`];
}

export const ofSession = (lease) => `#/session/${lease}`;
export const ofName = (id) => `#/name/${encodeURIComponent(id)}`;

// chip returns a holder with the margin of its lease.
export function chip(state, m, text) {
  const [name, where] = owner(state, m);
  const s = state.sessions.get(m.lease);
  return h("a", {
    class: `chip${s?.suspect ? " suspect" : ""}`, style: tint(m.lease), title: `${name} ${where}`,
    href: m.lease ? ofSession(m.lease) : null,
  }, h("i", { class: "dot" }), h("b", {}, text || name), h("small", {}, text ? name : where),
  margin(s));
}

// dots returns those that wait, one dot each.
function dots(state, n, word = "waiting") {
  if (!n.waiting) return null;
  const most = 12;
  return h("span", { class: "dots", title: `${count(n.waiting)} ${word}` },
    n.waiters.slice(0, most).map((m) =>
      h("i", { class: "dot", style: tint(m.lease), title: owner(state, m).join(" ") })),
    n.waiting > most && h("small", {}, `+${count(n.waiting - most)}`));
}

const arrow = () => h("span", { class: "behind", "aria-hidden": true }, "←");

function line(state, n) {
  if (!n.holding && !n.waiting) return [h("span", { class: "free" }, "free")];
  const most = 3;
  return [
    n.holders.slice(0, most).map((m) => chip(state, m, n.recipe === "election" ? m.value : "")),
    n.holding > most && h("small", { class: "more" }, `+${count(n.holding - most)}`),
    n.waiting > 0 && arrow(), dots(state, n),
  ];
}

export function permits(state, n) {
  const size = Math.max(1, n.size);
  const bar = h("span", { class: "permits", role: "img", "aria-label": `${n.used} of ${n.size} held` },
    n.holders.map((m) => h("i", {
      style: { ...tint(m.lease), "flex-grow": Number(m.value) || size },
      title: `${owner(state, m).join(" ")}: ${m.value}`,
    })));
  const shown = n.holders.reduce((sum, m) => sum + (Number(m.value) || size), 0);
  if (n.used > shown) bar.append(h("i", { class: "rest", style: { "flex-grow": n.used - shown } }));
  if (size > n.used) bar.append(h("i", { class: "room", style: { "flex-grow": size - n.used } }));
  return bar;
}

const window5 = 5 * 60 * 1000;

// depth returns the chart of a queue's depth over the last five minutes, or since the first one that
// is known.
export function depth(q, width, height) {
  const to = now(), from = Math.max(to - window5, Math.min(q.depth[0]?.[0] ?? to, to - 15000));
  const points = q.depth.filter(([t], i) => t >= from || q.depth[i + 1]?.[0] >= from ||
    i === q.depth.length - 1).map(([t, v]) => [Math.max(t, from), v]);
  return steps(points, { width, height, from, to, label: "depth over time" });
}

const number = (n, word, cls = "") => h("span", { class: `number ${cls}` }, h("b", {}, count(n)),
  h("small", {}, word));

export const numbers = (q) => h("span", { class: "numbers" }, number(q.ready, "ready"),
  number(q.claimed, "claimed"), number(q.delayed, "delayed"),
  number(q.dead, "dead", q.dead ? "bad" : ""));

// ticks returns a bar for each tick, as high as the logarithm of its duration.
export function ticks(c) {
  const bar = (t, running) => {
    const ms = (t.ended || now()) - t.started;
    const height = Math.min(100, 22 + 14 * Math.log10(Math.max(1, ms / 10)));
    return h("i", {
      class: t.error ? "bad" : running ? "running" : "", style: { height: `${height.toFixed(0)}%` },
      title: `${new Date(t.scheduled).toLocaleString()} · ${t.by} · ${span(ms)} ${t.error ?? ""}`,
    });
  };
  return h("span", { class: "ticks" }, c.ticks.map((t) => bar(t, false)),
    c.running && bar(c.running, true));
}

export function cells(state, g, most) {
  return h("span", { class: "cells" }, g.shards.slice(0, most).map((at, i) => {
    const m = g.members[at];
    return h("i", {
      class: m ? (g.moving?.includes(i) ? "moving" : "") : "none", style: m && tint(m.lease),
      title: `shard ${i}: ${m ? m.id : "nobody"}`,
    });
  }), g.n > most && h("small", {}, `+${count(g.n - most)}`));
}

function strip(state, n) {
  switch (n.recipe) {
    case "semaphore":
      return [permits(state, n), h("b", { class: "fraction" }, `${n.used} / ${n.size}`), dots(state, n)];
    case "queue":
      return [h("span", { class: "depth" }, depth(n.queue, 180, 34)), numbers(n.queue)];
    case "cron":
      return [ticks(n.cron), h("code", {}, n.cron.spec || "no replica"),
        n.cron.running && h("span", { class: "by" }, n.cron.running.by)];
    case "shards":
      return [cells(state, n.group, 64), h("small", {}, plural(n.group.size, "member"))];
    case "group":
      return [h("span", { class: "dots" }, n.group.members.slice(0, 24).map((m) =>
        h("i", { class: "dot", style: tint(m.lease), title: `${m.id} ${m.value ?? ""}` }))),
      h("small", {}, plural(n.group.size, "member"))];
    case "barrier": case "latch": {
      const at = n.holding + n.waiting, all = Math.max(n.parties || 0, at);
      return [h("span", { class: "seats" }, Array.from({ length: Math.min(all, 24) }, (_, i) => {
        const m = [...n.holders, ...n.waiters][i];
        return h("i", { class: i < at ? "dot" : "seat", style: m && tint(m.lease) });
      })), h("small", {}, n.parties ? `${at} of ${n.parties}` : n.up ? "up" : "down")];
    }
  }
  return line(state, n);
}

const tag = (text, cls) => h("span", { class: `tag ${cls}` }, text);

// note returns what is worth a word at the end of a row.
function note(state, n) {
  const out = [];
  const broken = n.broken?.at(-1);
  if (state.cycled.has(n.id)) out.push(tag("deadlock", "bad"));
  if (broken && now() - broken.time < 600000) {
    out.push(h("span", { class: "tag bad", title: broken.reason }, ago(broken.time, "broken ", " ago")));
  }
  if (n.holders.some((m) => state.sessions.get(m.lease)?.suspect)) out.push(tag("holder is silent", "warn"));
  if (n.holders.some((m) => !m.lease)) out.push(tag("no lease", "warn"));
  if (n.paused || n.cron?.paused) out.push(tag("paused", "warn"));
  if (n.cron?.running) out.push(tag("running", "good"));
  if (out.length < 2 && n.waiting && n.recipe !== "barrier" && n.recipe !== "latch" &&
    n.recipe !== "cron") out.push(h("span", { class: "calm" }, `${count(n.waiting)} waiting`));
  const since = n.holders[0]?.since;
  if (!out.length && since && n.recipe !== "queue") out.push(ago(since, "for "));
  return out.slice(0, 2);
}

export const row = (state, n) => [
  mark(n.recipe),
  h("a", { class: "name", href: ofName(n.id), title: n.name }, h("b", {}, n.name),
    h("small", {}, n.recipe)),
  h("span", { class: "strip" }, strip(state, n)),
  h("span", { class: "note" }, note(state, n)),
];

export const sessionRow = (state, s) => {
  const [name, where] = owner(state, s);
  return [
    h("span", { class: "mark" }, h("i", { class: "dot big", style: tint(s.lease) })),
    h("a", { class: "name", href: ofSession(s.lease) }, h("b", {}, name), h("small", {}, where)),
    h("span", { class: "strip" }, margin(s, true) ?? h("small", { class: "calm" }, "lease not read yet"),
      s.suspect && tag("silent", "warn")),
    h("span", { class: "note wide" }, h("span", { class: "calm" },
      `holds ${count(s.holds)} · waits ${count(s.waits)}`),
    s.blocks > 0 && tag(`${count(s.blocks)} behind it`, s.suspect ? "bad" : "")),
  ];
};
