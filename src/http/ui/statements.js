// Statements: what ran, how it compares, and which are slower on PostgreSQL.

import { card, code, empty, fill, h, millis, number, percent, state, table } from "./dom.js";
import { all, get } from "./api.js";

const memory = { by: "Ratio", down: true, again: () => {} };
const ratio = s => (s.shadow_p99_ms && s.primary_p99_ms ? s.shadow_p99_ms / s.primary_p99_ms : null);
const SORTS = {
  all: () => true,
  slower: s => ratio(s) > 1.5,
  diverged: s => (s.verdicts.diverged ?? 0) > 0,
  "not compared": s => s.compared === 0 && !["system", "ddl", "copy"].includes(s.kind),
  refused: s => Boolean(s.refused) || !s.translatable,
};

export function statements(root, known, id) {
  return id ? one(root, id) : list(root, known);
}

function list(root, known) {
  let data = null, wanted = "all", word = "";
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Which" });
  const find = h("input", { type: "search", placeholder: "Find in the text", "aria-label": "Find in the text", oninput: e => { word = e.target.value.toLowerCase(); draw(); } });
  const body = h("div"), note = h("p", { class: "dim" });
  root.append(h("div", { class: "title" }, h("h1", null, "Statements"), find), chips, note, body);
  memory.again = () => { delete body.dataset.key; draw(); };
  function draw() {
    if (!data) return;
    chips.replaceChildren(...Object.entries(SORTS).map(([name, test]) => h("button", { type: "button", class: "chip", "aria-pressed": String(name === wanted), onclick: () => { wanted = name; draw(); } },
      name, " ", h("span", { class: "count" }, String(data.statements.filter(test).length)))));
    const rows = data.statements.filter(s => SORTS[wanted](s) && (!word || s.statement.toLowerCase().includes(word)));
    fill(note, [rows.length, known.status?.coverage], () => [`${number(rows.length)} shapes; literals are cut out. Coverage ${percent(known.status?.coverage)}: the share of calls whose shape has been compared.`,
      data.dropped.shapes ? ` ${number(data.dropped.shapes)} rare shapes were dropped to keep the list bounded.` : ""]);
    fill(body, [wanted, rows, memory.by, memory.down], () => (rows.length ? h("div", { class: "card" }, table("Statements", columns, rows.slice(0, 500), memory)) : empty("No statements", "Nothing of that kind has run since the start.")));
  }
  const load = async () => { data = await all("statements", "statements"); draw(); };
  load().catch(() => {});
  let ticks = 0;
  return { update(event) { if (event === "tick" && ++ticks % 4 === 0) load().catch(() => {}); } };
}

function slower(s) {
  const r = ratio(s);
  if (r === null) return h("span", { class: "dim" }, "–");
  const text = `${r.toFixed(r < 0.1 ? 3 : 1)} ×`;
  return r > 1.5 ? state(r > 4 ? "bad" : "warn", text) : r < 0.67 ? state("ok", text) : h("span", null, text);
}

function verdict(s) {
  if (s.refused) return state("warn", "refused");
  if (!s.translatable) return state("warn", "no form for PostgreSQL");
  if (s.verdicts.diverged) return state("bad", `${number(s.verdicts.diverged)} diverged`);
  if (s.compared) return state("ok", `${number(s.compared)} equal`);
  return h("span", { class: "dim" }, "not compared");
}

const columns = [
  { name: "Statement", wide: true, cell: s => h("a", { class: "plain", href: `#/statements/${s.fingerprint}` }, h("code", { class: "clip" }, s.statement)) },
  { name: "Kind", cell: s => s.kind, sort: s => s.kind },
  { name: "Calls", numeric: true, cell: s => [number(s.calls), s.errors ? h("div", { class: "dim" }, `${number(s.errors)} failed`) : null], sort: s => s.calls },
  { name: "Compared", cell: verdict, sort: s => s.compared },
  { name: "SQLite p50", numeric: true, cell: s => millis(s.primary_p50_ms), sort: s => s.primary_p50_ms },
  { name: "p99", numeric: true, cell: s => millis(s.primary_p99_ms), sort: s => s.primary_p99_ms },
  { name: "PostgreSQL p50", numeric: true, cell: s => millis(s.shadow_p50_ms), sort: s => s.shadow_p50_ms },
  { name: "p99 ", numeric: true, cell: s => millis(s.shadow_p99_ms), sort: s => s.shadow_p99_ms },
  { name: "Ratio", numeric: true, cell: slower, sort: ratio },
];

function one(root, id) {
  const body = h("div");
  root.append(h("p", { class: "crumbs" }, h("a", { href: "#/statements" }, "Statements"), " / ", id), body);
  get(`statements/${encodeURIComponent(id)}`).then(s => body.replaceChildren(...detail(s)), refusal => body.replaceChildren(empty("Not there", refusal.message)));
  return {};
}

function detail(s) {
  const t = s.translation ?? {};
  const tally = (title, map) => card(title, Object.keys(map).length ? h("dl", { class: "pairs" }, Object.entries(map).flatMap(([k, v]) => [h("dt", null, k.replaceAll("_", " ")), h("dd", null, number(v))])) : h("p", { class: "dim" }, "none"));
  const side = (mark, name, text, p50, p99) => h("div", null, h("h3", null, h("span", { class: `side ${mark}` }, name), h("span", { class: "dim" }, ` p50 ${millis(p50)} · p99 ${millis(p99)}`)),
    text ? code(text) : h("p", { class: "dim" }, t.error ?? "answered by the session itself"));
  return [
    h("div", { class: "title" }, h("h1", null, "Statement"), h("p", { class: "meta" }, h("span", null, s.kind), h("span", null, `${number(s.calls)} calls`), s.errors ? state("warn", `${number(s.errors)} failed`) : null, verdict(s))),
    card("As the application sends it", code(s.statement), s.refused ? h("p", null, state("warn", s.refused)) : null),
    card("What each side runs", h("div", { class: "pair" }, side("sqlite", "SQLite", t.sqlite, s.primary_p50_ms, s.primary_p99_ms), side("postgres", "PostgreSQL", t.postgres, s.shadow_p50_ms, s.shadow_p99_ms))),
    h("div", { class: "two even" }, tally("Verdicts", s.verdicts), tally("Not compared, by reason", s.skipped)),
  ];
}
