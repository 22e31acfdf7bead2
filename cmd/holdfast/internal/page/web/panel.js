// The panel beside the list: all about one name, or about one session.

import { ago, clock, count, h, margin, now, plural, span, stamp, tint } from "./dom.js";
import { cells, chip, depth, mark, numbers, ofName, ofSession, owner, permits, ticks } from "./rows.js";

const section = (title, ...children) => {
  const inside = children.flat(Infinity).filter(Boolean);
  return inside.length ? h("section", {}, h("h3", {}, title), inside) : null;
};

const facts = (...pairs) => h("dl", {}, pairs.filter(([, v]) => v !== null && v !== undefined && v !== "")
  .flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)]));

// drawPanel draws the panel. open says of what, and keeps what was asked for.
export function drawPanel(state, panel, open) {
  const scrolled = panel.scrollTop;
  panel.replaceChildren(...(open.kind === "name" ? drawName(state, panel, open) : drawSession(state, panel, open))
    .flat(Infinity).filter(Boolean));
  panel.scrollTop = scrolled;
}

function head(state, title, under, icon) {
  const copy = h("button", { class: "quiet", title: "Copy the link", onclick: () => {
    navigator.clipboard?.writeText(location.href);
    copy.textContent = "copied";
  } }, "link");
  return h("div", { class: "head" }, icon, h("div", {}, h("h2", {}, title), h("small", {}, under)), copy,
    h("a", { class: "quiet", href: `#/${state.tab}`, title: "Close", "aria-label": "Close" }, "×"));
}

// ask fetches what the updates leave out, once for each change.
function ask(state, panel, open, path, version) {
  if (open.asked === version) return;
  open.asked = version;
  fetch(path).then((r) => (r.ok ? r.json() : null)).then((found) => {
    if (state.open !== open) return;
    open.found = found;
    drawPanel(state, panel, open);
  }, () => { open.asked = null; });
}

function drawName(state, panel, open) {
  let n = state.names.get(open.id);
  if (!n) return [head(state, open.id, "nobody uses this name"), h("p", { class: "empty" }, "It may be used later.")];
  if (n.holding > n.holders.length || n.waiting > n.waiters.length) {
    ask(state, panel, open, `name?id=${encodeURIComponent(n.id)}`, n);
    if (open.found) n = { ...n, holders: open.found.holders, waiters: open.found.waiters };
  }
  const barrier = n.recipe === "barrier" || n.recipe === "latch";
  const cycle = state.cycles.find((c) => c.some((w) => w.name === n.id));
  return [
    head(state, n.name, n.recipe, mark(n.recipe)),
    cycle && h("p", { class: "alert bad" }, h("b", {}, "Deadlock"), cycle.slice(0, 12).map((w) => h("span", { class: "step" },
      who(state, w.waiter), " waits at ", h("a", { href: ofName(w.name) }, w.name), " for ", who(state, w.holder)))),
    n.recipe === "semaphore" && section(`${n.used} of ${n.size} held`, permits(state, n)),
    n.queue && section("Depth over time", h("div", { class: "chart" }, depth(n.queue, 380, 120)),
      numbers(n.queue), facts(["enqueued ever", count(n.queue.enqueued)], ["paused", n.paused ? "yes" : ""])),
    n.cron && drawCron(n.cron),
    n.group && drawGroup(state, n.group),
    section({ queue: "Claimed by", cron: "Replica in turn", election: "Leader" }[n.recipe] ??
      (barrier ? "At it" : "Held by"), n.holders.map((m) => member(state, n, m))),
    n.holding > n.holders.length && more(n.holding - n.holders.length),
    !n.holding && !n.waiting && !n.queue && !n.group && !n.cron && section("Held by", h("p", { class: "free" }, "free")),
    section(n.recipe === "election" ? "Candidates" : n.recipe === "cron" ? "Other replicas" : barrier ? "At it"
      : `${plural(n.waiting, "waiter")}, in order`, h("ol", {}, n.waiters.map((m) => h("li", {}, member(state, n, m))))),
    n.waiting > n.waiters.length && more(n.waiting - n.waiters.length),
    section("Broken in the last 24 hours", n.broken?.toReversed().map((b) => h("p", { class: "event bad" },
      h("b", {}, b.reason), h("small", {}, stamp(b.time), ` · by ${b.by}`, b.holder ? ` · held by ${b.holder}` : "",
        ` · fence ${b.fence}`)))),
    section("Seen by this page's server", n.turns?.toReversed().map((t) => h("p", {
      class: `event ${t.reason ? "bad" : t.holds ? "good" : ""}`,
    }, h("b", {}, clock(t.time)), ` ${t.owner} ${t.holds ? "holds" : "has ended"}`, t.reason ? `: ${t.reason}` : "",
    h("small", {}, `fence ${t.fence}`)))),
  ];
}

const who = (state, lease) => {
  const [name, where] = owner(state, { lease });
  return h("a", { href: ofSession(lease) }, where ? `${name} (${where.split(" ")[0]})` : name);
};
const more = (n) => h("p", { class: "calm" }, `and ${count(n)} more`);

function member(state, n, m) {
  const s = state.sessions.get(m.lease);
  const also = s && s.holds > (n.holders.includes(m) ? 1 : 0) && !n.holders.includes(m)
    ? `holds ${plural(s.holds, "other name")}` : null;
  return h("div", { class: "member" }, chip(state, m, ""),
    h("small", {}, [
      m.value && n.recipe !== "queue" ? (n.recipe === "semaphore" ? `weight ${m.value}` : `“${m.value}”`) : null,
      m.value && n.recipe === "queue" ? `item ${m.value}` : null, m.shared ? "reader" : null,
      `fence ${m.fence}`, also,
    ].filter(Boolean).join(" · "), m.since ? " · " : null, m.since ? ago(m.since, "for ") : null),
    state.hello.allowBreak && h("button", { class: "break", onclick: () => askBreak(state, n, m) }, "Break…"));
}

function drawCron(c) {
  const tick = (t, running) => h("p", { class: `event ${t.error ? "bad" : running ? "good" : ""}` },
    h("b", {}, stamp(t.scheduled)), ` ${running ? "runs" : "took"} ${span((t.ended || now()) - t.started)}`,
    t.error ? `: ${t.error}` : "", h("small", {}, `${t.by}, attempt ${t.attempt}`));
  return [
    section("Ticks", h("div", { class: "chart low" }, ticks(c)), facts(["schedule", c.spec], ["ticks", count(c.count)],
      ["last", stamp(c.last)], ["paused", c.paused ? "yes" : ""])),
    section("History", c.running && tick(c.running, true), c.ticks.toReversed().map((t) => tick(t, false))),
  ];
}

function drawGroup(state, g) {
  const mine = new Map();
  for (const at of g.shards) mine.set(at, (mine.get(at) ?? 0) + 1);
  return [
    section(g.n ? plural(g.n, "shard") : "", g.n > 0 && h("div", { class: "chart low" }, cells(state, g, 512))),
    section(plural(g.size, "member"), g.members.map((m, i) => h("div", { class: "member" },
      chip(state, { lease: m.lease }, m.id),
      h("small", {}, [m.value, m.zone && `zone ${m.zone}`, m.weight !== 1 && `weight ${m.weight}`,
        g.n > 0 && plural(mine.get(i) ?? 0, "shard"), g.leader === m.id && "assigns the shards"]
        .filter(Boolean).join(" · "))))),
  ];
}

function drawSession(state, panel, open) {
  const s = state.sessions.get(open.id);
  if (!s) return [head(state, `lease ${open.id}`, "this session has ended")];
  ask(state, panel, open, `session?lease=${encodeURIComponent(s.lease)}`, `${s.holds} ${s.waits}`);
  const [name, where] = owner(state, s);
  const role = (r) => h("p", { class: "event" }, h("a", { href: ofName(r.name) }, r.name), " ",
    r.since ? ago(r.since, "for ") : null, !r.holds && h("small", {}, `${count(r.ahead)} ahead in the line`));
  const roles = open.found ?? [];
  return [
    head(state, name, where, h("span", { class: "mark" }, h("i", { class: "dot big", style: tint(s.lease) }))),
    section("Lease", margin(s, true), s.suspect && h("p", { class: "alert warn" }, h("b", {}, "Silent"),
      h("span", {}, "It has not renewed its lease for ", span(now() - s.ends + s.ttl), ". It is dead or cut off, ",
        "and loses its holds when the lease ends.")),
    facts(["lease", s.lease], ["time to live", s.ttl ? span(s.ttl) : ""], ["started", s.started ? stamp(s.started) : ""],
      ["runs under", s.within], ["blocks", s.blocks ? plural(s.blocks, "waiter") : ""])),
    section("Holds", roles.filter((r) => r.holds).map(role)),
    section("Waits for", roles.filter((r) => !r.holds).map(role)),
  ];
}

// askBreak asks for the reason, and breaks a hold.
function askBreak(state, n, m) {
  const dialog = document.getElementById("dialog");
  const reason = h("input", { required: true, maxlength: 500, placeholder: "Reason, which the holder sees", autofocus: true });
  const error = h("p", { class: "error" });
  const send = async (event) => {
    event.preventDefault();
    error.textContent = "";
    const answer = await fetch("break", {
      method: "POST", headers: { "Content-Type": "application/json", "X-Holdfast-Page": state.hello.csrf },
      body: JSON.stringify({ name: n.id, key: m.key, fence: m.fence, reason: reason.value }),
    }).catch((e) => ({ text: async () => String(e) }));
    if (answer.ok) dialog.close();
    else error.textContent = await answer.text();
  };
  dialog.replaceChildren(h("form", { onsubmit: send }, h("h2", {}, "Break this hold?"),
    h("p", {}, `${owner(state, m).join(" ")} loses ${n.name} at once. A holder that does not use holdfast does not notice.`),
    reason, error, h("div", { class: "buttons" },
      h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel"),
      h("button", { type: "submit", class: "danger" }, "Break"))));
  dialog.showModal();
}
