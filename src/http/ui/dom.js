// Elements and words. Data goes in as text only: nothing here, or anywhere on the page, makes
// markup out of a string.

/** An element. Properties: class, attributes by name, on* as listeners; null is left out. */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  set(element, properties);
  element.append(...children.flat(Infinity).filter(c => c !== null && c !== undefined && c !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element. */
export function svg(tag, properties, ...children) {
  const element = document.createElementNS(SVG, tag);
  set(element, properties);
  element.append(...children.flat(Infinity).filter(Boolean));
  return element;
}

function set(element, properties) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** Builds the children of an element anew when the key has changed, else leaves them (and the focus) alone. */
export function fill(element, key, build) {
  const text = typeof key === "string" ? key : JSON.stringify(key);
  if (element.dataset.key === text) return;
  element.dataset.key = text;
  element.replaceChildren(...[build()].flat(Infinity).filter(c => c !== null && c !== undefined && c !== false));
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function number(n) {
  return n === null || n === undefined ? "unknown" : whole.format(n);
}

/** A number of things. */
export function counted(n, thing) {
  return `${number(n)} ${thing}${n === 1 ? "" : "s"}`;
}

/** A rate, with as many digits as say something. */
export function rate(n) {
  if (n === null || n === undefined) return "–";
  if (Number.isInteger(n)) return whole.format(n);
  return n >= 100 ? whole.format(n) : n >= 10 ? n.toFixed(0) : n.toFixed(1);
}

export function millis(n) {
  if (n === null || n === undefined) return "–";
  if (n >= 100000) return whole.format(n / 1000) + " s";
  if (n >= 1000) return (n / 1000).toFixed(1) + " s";
  if (n >= 100) return n.toFixed(0) + " ms";
  if (n >= 1) return n.toFixed(1) + " ms";
  return n === 0 ? "0 ms" : Math.max(n, 0.001).toFixed(n >= 0.1 ? 2 : 3) + " ms";
}

export function bytes(n) {
  if (n === null || n === undefined) return "unknown";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  // As PostgreSQL and the configuration count them.
  while (n >= 1024 && at < units.length - 1) { n /= 1024; at += 1; }
  return (at === 0 || n >= 100 ? whole.format(n) : n.toFixed(1)) + " " + units[at];
}

export function percent(share) {
  return share === null || share === undefined ? "unknown" : (share * 100).toFixed(share < 0.9995 && share > 0.99 ? 2 : 1) + " %";
}

/** How long ago, in words. */
export function ago(text) {
  if (!text) return "never";
  const s = Math.max(0, (Date.now() - Date.parse(text)) / 1000);
  if (Number.isNaN(s)) return text;
  if (s < 5) return "just now";
  if (s < 90) return `${Math.round(s)} s ago`;
  if (s < 5400) return `${Math.round(s / 60)} min ago`;
  if (s < 129600) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86400)} days ago`;
}

/** A moment as people read it; the full text on hovering. */
export function time(text) {
  if (!text) return h("span", { class: "dim" }, "never");
  const at = new Date(text);
  const shown = Number.isNaN(at.getTime()) ? text : at.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  return h("time", { datetime: text, title: text }, shown);
}

const SHAPES = { ok: "●", warn: "▲", bad: "✕", off: "○", run: "◌" };

/** A state as a shape, a word, and only then a colour. */
export function state(kind, word) {
  return h("span", { class: `state ${kind}` }, h("span", { "aria-hidden": "true" }, SHAPES[kind] ?? "●"), ` ${word}`);
}

export const sides = { sqlite: "SQLite", postgres: "PostgreSQL" };

/** A back end's name with its mark. */
export function side(name) {
  return h("span", { class: `side ${name}` }, sides[name] ?? name ?? "none");
}

export function card(title, ...children) {
  return h("section", { class: "card" }, title ? h("h2", null, title) : null, ...children);
}

export function empty(title, text) {
  return h("div", { class: "empty" }, h("strong", null, title), h("p", null, text));
}

export function code(text) {
  return h("pre", { class: "code", tabindex: "0" }, h("code", null, text ?? ""));
}

/** A button that copies a text. */
export function copy(text) {
  const button = h("button", { type: "button", class: "small", onclick: async () => {
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
    catch { button.textContent = "Copy failed"; }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  return button;
}

/**
 * A table. Columns: { name, cell(row), sort?(row), numeric?, wide? }. It remembers its order in `memory`.
 */
export function table(label, columns, rows, memory) {
  const sorted = [...rows];
  const by = columns.find(c => c.name === memory?.by && c.sort);
  if (by) {
    const sign = memory.down ? -1 : 1;
    const of = r => by.sort(r) ?? -Infinity;
    sorted.sort((a, b) => (of(a) < of(b) ? -sign : of(a) > of(b) ? sign : 0));
  }
  const head = columns.map(c => {
    const on = by === c;
    const title = c.sort && memory
      ? h("button", { type: "button", class: "sort", onclick: () => {
          if (on) memory.down = !memory.down; else { memory.by = c.name; memory.down = Boolean(c.numeric); }
          memory.again();
        } }, c.name, h("span", { "aria-hidden": "true" }, on ? (memory.down ? " ↓" : " ↑") : ""))
      : c.name;
    return h("th", { scope: "col", class: c.numeric ? "n" : null, "aria-sort": on ? (memory.down ? "descending" : "ascending") : null }, title);
  });
  const body = sorted.map(r => h("tr", null, columns.map(c =>
    h("td", { class: [c.numeric ? "n" : "", c.wide ? "wide" : ""].join(" ").trim() || null, "data-label": c.name }, c.cell(r)))));
  return h("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" },
    h("table", null, h("thead", null, h("tr", null, head)), h("tbody", null, body)));
}
