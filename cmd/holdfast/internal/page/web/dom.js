// Elements from texts, which are never read as HTML, and formats of numbers and times.

const SVG = "http://www.w3.org/2000/svg";
const shapes = new Set(["svg", "path", "g", "rect", "line", "circle", "text", "title", "defs",
  "marker", "svg:a"]);

// h returns an element. The attribute "style" is an object of CSS properties.
export function h(tag, attrs, ...children) {
  const el = shapes.has(tag) ? document.createElementNS(SVG, tag.replace("svg:", ""))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attrs ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "style") {
      for (const [p, v] of Object.entries(value)) el.style.setProperty(p, v);
    } else if (name.startsWith("on")) {
      el.addEventListener(name.slice(2), value);
    } else {
      el.setAttribute(name, value === true ? "" : value);
    }
  }
  el.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return el;
}

// The clock of the server, by which all times are.
let offset = 0;
export const setClock = (time) => { offset = time - Date.now(); };
export const now = () => Date.now() + offset;

const counts = new Intl.NumberFormat("en");
export const count = (n) => counts.format(n);
export const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

// span returns a duration in a few characters.
export function span(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

export const clock = (t) => new Date(t).toLocaleTimeString([], { hour12: false });
export const stamp = (t) => (t ? new Date(t).toLocaleString([], { hour12: false }) : "–");

// ago returns an element that shows how long ago a time was. refresh keeps it up to date.
export const ago = (t, before = "", after = "") =>
  h("time", { "data-t": t, "data-before": before, "data-after": after, title: stamp(t) },
    before + span(now() - t) + after);

// margin returns a bar that shows the remaining time of a lease.
export function margin(session, text) {
  if (!session?.ends) return null;
  const bar = h("span", { class: "margin", "data-ends": session.ends, "data-ttl": session.ttl },
    h("i"));
  if (text) bar.append(h("b"));
  drain(bar);
  return bar;
}

function drain(bar) {
  const left = Number(bar.dataset.ends) - now(), ttl = Number(bar.dataset.ttl) || 1;
  const part = Math.max(0, Math.min(1, left / ttl));
  bar.firstChild.style.setProperty("transform", `scaleX(${part.toFixed(3)})`);
  bar.classList.toggle("low", part < 0.5);
  bar.classList.toggle("out", left <= 0);
  bar.title = left > 0 ? `the lease ends in ${span(left)} without a renewal` : "the lease has ended";
  if (bar.lastChild !== bar.firstChild) bar.lastChild.textContent = `${Math.ceil(Math.max(0, left) / 1000)} s`;
}

// refresh updates the times and bars below an element.
export function refresh(root) {
  for (const el of root.querySelectorAll("time[data-t]")) {
    el.textContent = (el.dataset.before ?? "") + span(now() - Number(el.dataset.t)) + (el.dataset.after ?? "");
  }
  for (const bar of root.querySelectorAll(".margin")) drain(bar);
}

// tint returns the colour of a session, which is the same at every name. Colours that are given one
// after the other differ most.
const hues = new Map();
export function tint(id) {
  if (hues.size > 50000) hues.clear();
  if (!hues.has(id)) hues.set(id, (200 + hues.size * 137.508) % 360);
  return { "--h": hues.get(id).toFixed(0) };
}

// steps returns a chart of numbers that stay as they are until the next one.
export function steps(points, { width, height, from, to, label }) {
  const top = Math.max(1, ...points.map((p) => p[1]));
  const x = (t) => Math.max(0, Math.min(width, ((t - from) / (to - from || 1)) * width));
  const y = (v) => height - 1.5 - (v / top) * (height - 5);
  let line = "", last = null;
  for (const [t, v] of points) {
    line += last === null ? `M${x(t).toFixed(1)} ${y(v).toFixed(1)}`
      : `H${x(t).toFixed(1)}V${y(v).toFixed(1)}`;
    last = v;
  }
  if (last === null) return h("svg", { class: "steps", width, height });
  line += `H${width}`;
  const start = x(points[0][0]).toFixed(1);
  return h("svg", { class: "steps", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none",
    role: "img", "aria-label": label },
  h("path", { class: "area", d: `${line}V${height}H${start}Z` }),
  h("path", { class: "line", d: line, "vector-effect": "non-scaling-stroke" }));
}
