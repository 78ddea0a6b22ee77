// Line charts over time, as SVG. A gap is a gap: what was not known is not drawn.

import { h, svg } from "./dom.js";

const W = 560, H = 150, LEFT = 46, RIGHT = 8, TOP = 10, BOTTOM = 20;
const SPAN = 5 * 60 * 1000;

/** A round number not below n. */
function ceiling(n) {
  if (!(n > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 2.5, 5, 10].map(f => f * power).find(v => v >= n * 0.999);
}

/**
 * A chart of the last minutes. Series: { name, class, of(point), area? }. `say` writes a value.
 */
export function chart(title, series, say) {
  const plot = svg("svg", { viewBox: `0 0 ${W} ${H}`, class: "plot", role: "img", preserveAspectRatio: "none" });
  const values = series.map(s => h("b", { class: "value" }, "–"));
  const legend = h("div", { class: "legend" }, series.map((s, i) =>
    h("span", { class: `key ${s.class}` }, h("i", { "aria-hidden": "true" }), s.name, " ", values[i])));
  const low = h("span", { class: "axis" }), high = h("span", { class: "axis" });
  const moment = h("span", { class: "axis moment" });
  const element = h("figure", { class: "chart" }, h("figcaption", null, h("h3", null, title), legend),
    h("div", { class: "field" }, h("div", { class: "scale" }, high, low), plot),
    h("div", { class: "times" }, h("span", { class: "axis" }, "5 min ago"), moment, h("span", { class: "axis" }, "now")));
  let points = [], hover = null, top = 1, end = 0;
  const x = at => ((at - (end - SPAN)) / SPAN) * W;
  const y = v => H - (v / top) * (H - 6) - 1;

  function draw() {
    end = points.length ? points[points.length - 1].at : 0;
    const seen = points.filter(p => p.at >= end - SPAN);
    top = ceiling(Math.max(0, ...seen.flatMap(p => series.map(s => s.of(p) ?? 0))));
    high.textContent = say(top);
    low.textContent = "0";
    const grid = [0.5, 1].map(f => svg("line", { x1: 0, x2: W, y1: y(top * f), y2: y(top * f), class: "grid" }));
    const lines = series.flatMap(s => runs(seen, s).flatMap(run => {
      const line = run.map(([a, v], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(v).toFixed(1)}`).join("");
      const area = `${line}L${x(run[run.length - 1][0]).toFixed(1)} ${H}L${x(run[0][0]).toFixed(1)} ${H}Z`;
      return [svg("path", { d: area, class: `area ${s.class}` }), svg("path", { d: line, class: `line ${s.class}` })];
    }));
    const base = svg("line", { x1: 0, x2: W, y1: H - 1, y2: H - 1, class: "grid base" });
    const at = hover === null ? null : nearest(seen, end - SPAN + hover * SPAN);
    const mark = at ? svg("line", { x1: x(at.at), x2: x(at.at), y1: 0, y2: H, class: "mark" }) : null;
    plot.replaceChildren(...[...grid, base, ...lines, mark].filter(Boolean));
    const told = at ?? seen[seen.length - 1];
    series.forEach((s, i) => { values[i].textContent = told ? say(s.of(told)) : "–"; });
    moment.textContent = at ? new Date(at.at).toLocaleTimeString("en-GB") : "";
    plot.setAttribute("aria-label", `${title}: ${series.map((s, i) => `${s.name} ${values[i].textContent}`).join(", ")}`);
  }
  plot.addEventListener("pointermove", e => {
    const box = plot.getBoundingClientRect();
    hover = (e.clientX - box.left) / box.width;
    draw();
  });
  plot.addEventListener("pointerleave", () => { hover = null; draw(); });
  return { element, update(list) { points = list; draw(); } };
}

/** Stretches without a gap; a lone point becomes a short line. */
function runs(points, s) {
  const out = [];
  let run = [];
  const end = () => { if (run.length === 1) run.push([run[0][0] + 500, run[0][1]]); if (run.length) out.push(run); run = []; };
  let before = null;
  for (const p of points) {
    const v = s.of(p);
    if (v === null || v === undefined || (before !== null && p.at - before > 5000)) end();
    if (v !== null && v !== undefined) run.push([p.at, v]);
    before = p.at;
  }
  end();
  return out;
}

function nearest(points, at) {
  return points.reduce((best, p) => (!best || Math.abs(p.at - at) < Math.abs(best.at - at) ? p : best), null);
}
