// The pages that are lists: tables, journal, sessions, events, configuration.

import { ago, bytes, card, counted, empty, fill, h, millis, number, rate, side, state, table, time } from "./dom.js";
import { get } from "./api.js";
import { button, moved, progress, stateOf, steps } from "./orders.js";
import { chart } from "./charts.js";

/** Loads now, and every few ticks; draws when something has changed. */
function polled(path, draw, every = 2) {
  let ticks = 0;
  const load = () => get(path).then(draw, () => {});
  load();
  return event => { if (event === "tick" && ++ticks % every === 0) load(); };
}

export function tables(root, known) {
  const body = h("div"), order = h("div");
  root.append(h("div", { class: "title" }, h("h1", null, "Tables"), h("div", { class: "actions" }, button("verify", "Verify all"), button("backfill", "Copy…"))), order, body);
  const columns = [
    { name: "Table", cell: t => h("b", null, t.name), sort: t => t.name },
    { name: "Key", cell: t => (t.keyed ? state("ok", "has a key") : state("warn", "no key")) },
    { name: "Copied rows", numeric: true, cell: t => (t.copied === null ? h("span", { class: "dim" }, "not since the start") : number(t.copied)), sort: t => t.copied },
    { name: "Verified rows", numeric: true, cell: t => (t.verified_rows === null ? "–" : number(t.verified_rows)), sort: t => t.verified_rows },
    { name: "Proof", cell: t => (running?.now?.table === t.name ? progress(running.now) : t.verified_at === null ? state("off", "never") : t.differing ? state("bad", t.differing === 1 ? "1 row differs" : `${number(t.differing)} rows differ`) : state("ok", "equal")) },
    { name: "Age", cell: t => (t.verified_at ? h("span", { title: t.verified_at }, ago(t.verified_at)) : h("span", { class: "dim" }, "–")), sort: t => t.verified_at },
    { name: "", cell: t => [button("verify", "Verify", { tables: [t.name] }), " ", t.differing ? button("repair", "Repair…", { tables: [t.name] }) : null] },
  ];
  const memory = { by: "Table", down: false, again: () => draw(last, true) };
  let last = null, running = null;
  function draw(data, force) {
    last = data;
    if (force) delete body.dataset.key;
    if (data) fill(body, [data, running?.now ?? null, Math.floor(Date.now() / 15000)], () => (data.tables.length ? h("div", { class: "card" }, table("Tables", columns, data.tables, memory)) : empty("No tables", "The file has none yet.")));
  }
  const poll = polled("tables", draw, 3);
  return { update(event) {
    poll(event);
    const task = known.tasks.find(t => ["backfill", "verify", "repair"].includes(t.kind) && t.state === "running");
    running = task;
    if (event === "tasks") draw(last);
    fill(order, task ? moved(task) : "none", () => (task ? h("section", { class: "card order" }, h("h2", null, `${task.kind} ${task.id} `, stateOf(task)), steps({ ...task, steps: task.steps.slice(-6), skipped: Math.max(0, task.steps.length - 6) })) : null));
  } };
}

export function journal(root, known) {
  const facts = h("div", { class: "facts" }), meter = h("div");
  const charts = [chart("PostgreSQL behind", [{ name: "lag", class: "lag", of: p => p.lag_ms }], millis), chart("Commits behind", [{ name: "commits", class: "lag", of: p => p.lag_commits }], rate),
    chart("Journal", [{ name: "bytes", class: "matched", of: p => p.journal_bytes }], bytes), chart("Sessions", [{ name: "sessions", class: "sqlite", of: p => p.sessions }], rate)];
  root.append(h("div", { class: "title" }, h("h1", null, "Journal")), h("p", { class: "dim" }, "Every commit is recorded in the SQLite file, in its own transaction, chained to the one before; PostgreSQL applies them in order and each exactly once."),
    facts, meter, h("div", { class: "charts" }, charts.map(c => h("div", { class: "card" }, c.element))));
  const fact = (name, value, note) => h("div", { class: "fact" }, h("span", { class: "name" }, name), h("span", { class: "big" }, value), h("span", { class: "note" }, note));
  return { update() {
    charts.forEach(c => c.update(known.points));
    const s = known.status;
    if (!s) return;
    fill(facts, [s.position, s.applied, s.lag_ms, s.lag_commits, s.journal_bytes, s.phase], () => [fact("Position", number(s.position), "last commit on SQLite"), fact("Applied", number(s.applied), "on PostgreSQL"),
      fact("Behind", s.lag_commits === null ? "unknown" : number(s.lag_commits), "commits"), fact("Age", s.lag_ms === null ? "unknown" : millis(s.lag_ms), "of the oldest one missing"), fact("Kept", bytes(s.journal_bytes), s.journal_bytes_max ? `of ${bytes(s.journal_bytes_max)} at most` : "")]);
    const share = s.journal_bytes_max ? s.journal_bytes / s.journal_bytes_max : 0;
    fill(meter, [Math.round(share * 1000), s.reason], () => [h("label", { class: "meter" }, h("span", null, `Journal ${(share * 100).toFixed(1)} % full`), h("progress", { max: "1", value: String(share), "aria-label": "Journal filled" })),
      s.reason ? h("p", null, state("warn", s.reason)) : null]);
  } };
}

export function sessions(root, known) {
  const body = h("div"), note = h("p", { class: "dim" });
  root.append(h("div", { class: "title" }, h("h1", null, "Sessions")), note, body);
  const kinds = { idle: "off", active: "ok", in_transaction: "run", waiting: "warn" };
  const columns = [
    { name: "Pid", numeric: true, cell: s => String(s.pid), sort: s => s.pid },
    { name: "User", cell: s => s.user, sort: s => s.user },
    { name: "Database", cell: s => s.database, sort: s => s.database },
    { name: "Application", cell: s => s.application || h("span", { class: "dim" }, "not named"), sort: s => s.application },
    { name: "Client", cell: s => h("code", null, s.client) },
    { name: "State", cell: s => state(kinds[s.state] ?? "off", s.state.replaceAll("_", " ") + (s.waiting_ms ? ` ${s.waiting_ms} ms` : "")), sort: s => s.state },
    { name: "Answered by", cell: s => side(s.backend), sort: s => s.backend },
    { name: "In a switch", cell: s => (s.immovable ? state("warn", `cannot move: ${s.immovable}`) : state("ok", "moves")), sort: s => s.immovable ?? "" },
  ];
  const memory = { by: "In a switch", down: true, again: () => draw(last, true) };
  let last = null;
  function draw(data, force) {
    last = data;
    if (force) delete body.dataset.key;
    if (!data) return;
    const stuck = data.sessions.filter(s => s.immovable).length;
    fill(note, [data.sessions.length, stuck], () => `${counted(data.sessions.length, "session")}. ${stuck ? `${stuck} hold something that cannot move; the switch waits for them, then says so.` : "All of them would move in a switch."}`);
    fill(body, data, () => (data.sessions.length ? h("div", { class: "card" }, table("Sessions", columns, data.sessions, memory)) : empty("No sessions", `Point an application at the proxy.`)));
  }
  const poll = polled("sessions", draw, 1);
  return { update(event) { poll(event); void known; } };
}

export function events(root, known) {
  const orders = h("div"), body = h("div");
  root.append(h("div", { class: "title" }, h("h1", null, "Events")), orders, body);
  const columns = [{ name: "When", cell: e => time(e.at) }, { name: "Who", cell: e => h("code", null, e.who) }, { name: "What", wide: true, cell: e => e.what }];
  const poll = polled("events", data => fill(body, data, () => card("Who did what", data.events.length ? table("Events", columns, data.events.slice(0, 300)) : h("p", { class: "dim" }, "Nothing yet since the start."))), 2);
  return { update(event) {
    poll(event);
    fill(orders, known.tasks.map(moved), () => card("Orders", known.tasks.length ? known.tasks.map(t => h("details", null,
      h("summary", null, stateOf(t), " ", h("b", null, `${t.kind} ${t.id}`), " ", h("span", { class: "dim" }, t.result ?? t.error?.message ?? ""), " ", time(t.started_at)), steps(t))) : h("p", { class: "dim" }, "None since the start.")));
  } };
}

export function config(root) {
  const body = h("div");
  let word = "", data = null;
  const find = h("input", { type: "search", placeholder: "Find a key", "aria-label": "Find a key", oninput: e => { word = e.target.value.toLowerCase(); draw(); } });
  root.append(h("div", { class: "title" }, h("h1", null, "Configuration"), find), h("p", { class: "dim" }, "Values in force and where each comes from. Secrets are left out. RELOAD takes new values of those marked ↻."), body);
  function draw() {
    if (!data) return;
    const rows = data.filter(e => !word || e.name.includes(word));
    const sections = [...new Set(rows.map(e => e.name.split(".")[0]))];
    fill(body, rows, () => h("div", { class: "sections" }, sections.map(s => card(`[${s}]`, h("dl", { class: "pairs config" }, rows.filter(e => e.name.split(".")[0] === s).flatMap(e => {
      const set = e.source !== "default";
      return [h("dt", { class: set ? "set" : null }, e.name.slice(s.length + 1), e.reloadable ? h("span", { class: "dim", title: "RELOAD takes a new value" }, " ↻") : null), h("dd", null, e.value === "" ? h("span", { class: "dim" }, "not set") : h("code", null, e.value), " ", e.value === "" && !set ? null : h("span", { class: set ? "tag" : "dim" }, e.source))];
    }))))));
  }
  get("config").then(body2 => { data = body2.config; draw(); }, () => {});
  return {};
}
