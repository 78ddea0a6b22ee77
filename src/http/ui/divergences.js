// Divergences: from the list to the differing cell, and what to do about it.

import { card, code, copy, counted, empty, fill, h, number, state, table, time } from "./dom.js";
import { all, get, post } from "./api.js";
import { button } from "./orders.js";

const SEVERITY = { data: ["bad", "data"], semantic: ["warn", "semantic"], representation: ["off", "representation"], performance: ["off", "performance"] };
const STATES = { open: ["bad", "open"], accepted: ["off", "accepted"], fixed: ["ok", "fixed"] };

const WORDS = { value: "A column has another value", row_missing: "A row is missing on the shadow", row_extra: "The shadow has a row too many", order: "Rows come in another order",
  row_count: "Another number of rows", effect_missing: "A write did less on the shadow", effect_extra: "A write did more on the shadow", effect_value: "A write stored another value",
  affected_count: "Another number of rows was changed", error_shadow_only: "It fails on the shadow only", error_primary_only: "It fails on the primary only", sqlstate: "It fails with another code",
  verify_missing: "Verify: a row is missing on the shadow", verify_extra: "Verify: the shadow has a row too many", verify_value: "Verify: a column has another value", timeout: "The shadow took too long",
  slow: "The shadow is slower", untranslatable: "There is no form for PostgreSQL", schema_drift: "The tables differ", foreign_write: "Somebody else wrote the file", type_oid: "A column has another type",
  column_shape: "Other result columns", command_tag: "Another command tag", tx_state: "Another transaction state" };

export function divergences(root, known, id) {
  return id ? one(root, known, id) : list(root, known);
}

function list(root, known) {
  const body = h("div");
  let groups = null, wanted = "open", seen = -1;
  const tabs = h("div", { class: "chips", role: "group", "aria-label": "State" });
  root.append(h("div", { class: "title" }, h("h1", null, "Divergences"), tabs), body);
  const draw = () => {
    tabs.replaceChildren(...["open", "accepted", "fixed", "all"].map(name => h("button", { type: "button", class: "chip", "aria-pressed": String(name === wanted), onclick: () => { wanted = name; draw(); } },
      name, " ", h("span", { class: "count" }, String(groups ? groups.filter(g => name === "all" || g.state === name).length : 0)))));
    if (!groups) return;
    const rows = groups.filter(g => wanted === "all" || g.state === wanted).reverse();
    fill(body, [wanted, rows], () => (rows.length ? h("div", { class: "card" }, table("Divergences", columns, rows)) : empty(wanted === "open" ? "No open divergences" : "Nothing here",
      "Every write is compared by its effect, and a share of the reads at the very commit they saw. What differs comes here with its evidence.")));
  };
  const load = async () => { groups = (await all("divergences", "divergences")).divergences; draw(); };
  load().catch(() => {});
  return { update() {
    const count = known.status?.diverged_open ?? 0;
    if (count !== seen) { seen = count; load().catch(() => {}); }
  } };
}

const columns = [
  { name: "Id", cell: g => h("a", { href: `#/divergences/${g.id}` }, g.id) },
  { name: "What", wide: true, cell: g => [h("a", { class: "plain", href: `#/divergences/${g.id}` }, h("b", null, WORDS[g.class] ?? g.class)), h("div", { class: "dim" }, h("code", null, g.class),
    g.table ? ` in ${g.table}` : "", g.columns.length ? ` (${g.columns.join(", ")})` : "")] },
  { name: "Statement", wide: true, cell: g => (g.fingerprint ? h("code", { class: "clip" }, g.fingerprint) : h("span", { class: "dim" }, "found by verify")) },
  { name: "Severity", cell: g => state(...(SEVERITY[g.severity] ?? ["off", g.severity])) },
  { name: "State", cell: g => state(...(STATES[g.state] ?? ["off", g.state])) },
  { name: "Times", numeric: true, cell: g => number(g.count) },
  { name: "Last", cell: g => time(g.last_at) },
];

function one(root, known, id) {
  let shown = 0, group = null;
  const body = h("div");
  root.append(h("p", { class: "crumbs" }, h("a", { href: "#/divergences" }, "Divergences"), " / ", id), body);
  const draw = () => fill(body, [shown, group], () => detail(group, shown, n => { shown = n; draw(); }, load));
  async function load() {
    try { group = await get(`divergences/${encodeURIComponent(id)}`); draw(); }
    catch (refusal) { fill(body, refusal.message, () => empty("Not there", refusal.message)); }
  }
  load();
  let ticks = 0;
  return { update(event) { if (event === "tick" && ++ticks % 3 === 0 && !root.contains(document.activeElement?.closest?.("input"))) load(); } };
}

function detail(g, at, choose, again) {
  const sample = g.samples[at];
  const pick = g.samples.length > 1 ? h("div", { class: "chips", role: "group", "aria-label": "Sample" }, g.samples.map((_, i) =>
    h("button", { type: "button", class: "chip", "aria-pressed": String(i === at), onclick: () => choose(i) }, `sample ${i + 1}`))) : null;
  return [
    h("div", { class: "title" }, h("h1", null, WORDS[g.class] ?? g.class), h("div", { class: "actions" }, g.state === "open" ? button("repair", "Repair…", { divergence: g.id }) : null)),
    h("p", { class: "meta" }, state(...(STATES[g.state] ?? ["off", g.state])), state(...(SEVERITY[g.severity] ?? ["off", g.severity])), h("code", null, g.class), g.table ? h("span", null, "table ", h("b", null, g.table)) : null,
      h("span", null, counted(g.count, "time")), h("span", null, "first ", time(g.first_at)), h("span", null, "last ", time(g.last_at)),
      g.caused_by ? h("span", null, "explained by ", h("a", { href: `#/divergences/${g.caused_by}` }, g.caused_by)) : null),
    g.accept ? h("p", { class: "card" }, `Accepted by ${g.accept.owner}: ${g.accept.reason}`, g.accept.expires ? `; opens again on ${g.accept.expires}` : "") : null,
    pick,
    sample ? evidence(sample, g.class) : empty("No sample is kept", "The number of samples is bounded by [divergence] keep."),
    g.replay ? card("Replay it yourself", h("div", { class: "corner" }, copy(g.replay)), code(g.replay)) : null,
    g.state === "open" ? acceptance(g, again) : null,
  ];
}

function evidence(s, kind) {
  const there = [!kind.endsWith("_extra"), !kind.endsWith("_missing")];
  const rows = [...s.key.map(([name, value]) => (there.every(Boolean) ? row(name, value, value, "key") : row(name, value, value, "", ...there))),
    ...s.columns.map((name, i) => row(name, s.primary[i], s.shadow[i], "", s.primary.length > 0, s.shadow.length > 0))];
  const cells = rows.length ? h("div", { class: "scroll", role: "region", "aria-label": "The row on both sides", tabindex: "0" }, h("table", { class: "sides" },
    h("thead", null, h("tr", null, ["Column", "Primary", "Shadow"].map(t => h("th", { scope: "col" }, t)))), h("tbody", null, rows))) : null;
  const failed = s.primary_sqlstate || s.shadow_sqlstate ? h("p", null, `primary: ${s.primary_sqlstate ?? "no error"} · shadow: ${s.shadow_sqlstate ?? "no error"}`) : null;
  const long = s.shortened?.filter(one => one.bytes > 0).map(one => `${one.field} ${one.index + 1}: ${number(one.bytes)} bytes${one.differs_at == null ? "" : `, the sides differ from byte ${number(one.differs_at)} on`}`);
  const pair = (title, left, right) => (left || right ? h("div", { class: "pair" }, [["SQLite", left, "sqlite"], ["PostgreSQL", right, "postgres"]].map(([name, text, mark]) =>
    h("div", null, h("h3", null, h("span", { class: `side ${mark}` }, name), ` ${title}`), text ? code(text) : h("p", { class: "dim" }, "none")))) : null);
  return card("Evidence", h("p", null, s.message, " ", h("span", { class: "dim" }, `At commit ${number(s.position_primary)}`, s.position_shadow !== s.position_primary ? ` and ${number(s.position_shadow)}` : "", ".")),
    cells, long?.length ? h("p", null, `Longer than is kept: ${long.join("; ")}`) : null, failed, s.parameters.length ? h("p", null, "Parameters: ", s.parameters.map((p, i) => h("code", { class: "parameter" }, `$${i + 1} = ${p === null ? "NULL" : p}`))) : null,
    pair("statement", s.sqlite_sql, s.postgres_sql), pair("plan", s.primary_plan?.join("\n"), s.shadow_plan?.join("\n")));
}

function row(name, left, right, mark, hasLeft = true, hasRight = true) {
  const same = mark === "key" || (hasLeft === hasRight && left === right);
  const [a, b] = same ? [value(left), value(right)] : [differing(left, right, hasLeft), differing(right, left, hasRight)];
  return h("tr", { class: same ? null : "differs" }, h("th", { scope: "row" }, name, " ", h("span", { class: "tag" }, mark === "key" ? "key" : same ? "same" : "≠ differs")),
    h("td", { "data-label": "Primary" }, a), h("td", { "data-label": "Shadow" }, b));
}

function value(text) {
  return text === null || text === undefined ? h("span", { class: "null" }, "NULL") : h("span", { class: "cell" }, text);
}

/** The part between what both begin and end with is marked. */
function differing(text, other, there) {
  if (!there) return h("span", { class: "null" }, "no row");
  if (text === null || text === undefined) return h("mark", { class: "null" }, "NULL");
  const base = other ?? "";
  let from = 0;
  while (from < text.length && from < base.length && text[from] === base[from]) from += 1;
  let end = 0;
  while (end < text.length - from && end < base.length - from && text[text.length - 1 - end] === base[base.length - 1 - end]) end += 1;
  const middle = text.slice(from, text.length - end);
  return h("span", { class: "cell" }, text.slice(0, from), h("mark", null, middle === "" ? "\u2205" : middle), text.slice(text.length - end));
}

function acceptance(g, again) {
  const field = (name, label, type, needed) => h("label", null, label, h("input", { name, type, required: needed, autocomplete: "off" }));
  const told = h("p", { role: "status" });
  const box = h("div", { class: "accept" }, field("owner", "Who answers for it", "text", true), field("reason", "Why it is right as it is", "text", true), field("expires", "Opens again on (optional)", "date", false));
  const press = h("button", { type: "button", onclick: async () => {
    const of = name => box.querySelector(`[name=${name}]`).value.trim();
    if (!of("owner") || !of("reason")) { told.textContent = "Who and why are needed."; return; }
    try { await post(`divergences/${g.id}/accept`, { owner: of("owner"), reason: of("reason"), ...(of("expires") ? { expires: of("expires") } : {}) }); again(); }
    catch (refusal) { told.textContent = refusal.message; }
  } }, "Accept");
  return card("Accept it", h("p", { class: "dim" }, "An accepted divergence is counted, but no longer stands in the way of promote. It is noted with your name."), box, h("div", { class: "buttons" }, press), told);
}
