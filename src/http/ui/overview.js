// Is it fine, and can we switch? One screen, failing things first.

import { ago, bytes, card, counted, fill, h, millis, number, percent, rate, side, sides, state } from "./dom.js";
import { button, moved, stateOf, steps } from "./orders.js";
import { chart } from "./charts.js";

const PHASES = [["direct", "Direct", "SQLite alone"], ["copying", "Copying", "tables are copied"], ["catching-up", "Catching up", "commits of the copy's time follow"],
  ["mirroring", "Mirroring", "PostgreSQL follows and is compared"], ["switching", "Switching", "the primary changes"], ["promoted", "Promoted", "PostgreSQL answers, SQLite follows"], ["complete", "Complete", "PostgreSQL alone"]];

/** Gates that say something after promote, too. */
const STANDING = ["way_back", "divergences", "foreign_writer"];

export function overview(root, known) {
  const hero = h("section", { class: "hero", "aria-label": "How it stands" });
  const words = h("div", { class: "words" });
  const actions = h("div", { class: "actions" });
  hero.append(words, actions);
  const stepper = h("ol", { class: "stepper", "aria-label": "Phase" });
  const now = h("div");
  const facts = h("div", { class: "facts" });
  const gates = h("div");
  const charts = [
    chart("Statements a second", both(p => p.per_second), rate),
    chart("Latency, 99 of 100 faster", both(p => p.p99_ms), millis),
    chart("PostgreSQL behind", [{ name: "lag", class: "lag", of: p => p.lag_ms }], millis),
    chart("Comparisons a second", [{ name: "matched", class: "matched", of: p => p.matched }, { name: "diverged", class: "diverged", of: p => p.diverged },
      { name: "not compared", class: "skipped", of: p => p.skipped }], rate),
  ];
  const gateCard = card("Gates for promote", gates);
  gateCard.classList.add("gates");
  const grid = h("div", { class: "charts" }, charts.map(c => h("div", { class: "card" }, c.element)));
  root.append(h("h1", { class: "visually-hidden" }, "Overview"), hero, stepper, now, facts, h("div", { class: "two" }, gateCard, grid));

  return {
    update(event) {
      const s = known.status;
      if (event !== "tasks") charts.forEach(c => c.update(known.points));
      running(now, known.tasks);
      if (!s) return fill(words, "none", () => [h("h2", null, "No answer from the proxy"), h("p", null, "The page asks again every second.")]);
      const failing = known.gates.filter(g => !g.ok && g.kind !== "warning").length;
      fill(words, [s.phase, s.health, s.reason, failing, s.primary, s.shadow, s.way_back?.startsWith("open"), s.way_back?.startsWith("closed") ? s.way_back : null], () => headline(s, failing));
      fill(actions, [s.phase, failing, s.reason], () => choices(s));
      fill(stepper, s.phase, () => phases(s.phase));
      fill(facts, [s.lag_ms, s.lag_commits, s.compared, s.diverged_open, s.coverage, s.sessions, s.verified, s.journal_bytes, s.position, s.skipped, Math.floor(Date.now() / 10000)], () => numbers(s));
      fill(gates, [s.phase, known.gates], () => (["promoted", "complete"].includes(s.phase)
        ? [h("p", { class: "dim" }, "PostgreSQL is primary; nothing is to be promoted. Of the gates, these still speak:"), gateList(known.gates.filter(g => STANDING.includes(g.name)))]
        : gateList(known.gates)));
    },
  };
}

function both(of) {
  return ["sqlite", "postgres"].map(name => ({ name: sides[name], class: name, of: p => of(p[name]) }));
}

function headline(s, failing) {
  const who = s.shadow
    ? [side(s.primary), " answers your application. ", side(s.shadow), " follows."]
    : [side(s.primary), " answers your application. Nothing follows."];
  const ready = s.phase === "mirroring"
    ? (failing === 0 ? "Every gate holds: PostgreSQL can take over." : `${failing} of ${s.gates} gates ${failing === 1 ? "does" : "do"} not hold yet.`)
    : s.phase === "promoted" ? (s.way_back?.startsWith("open") ? "You can still roll back, with everything committed since." : state("bad", `There is no rollback now: ${(s.way_back ?? "").replace("closed: ", "")}`)) : s.phase === "direct" ? "Copy to PostgreSQL to begin." : "";
  const trouble = s.health === "ok" ? null : h("p", { class: "trouble" }, state(s.health === "stalled" ? "bad" : "warn", `${s.health}: ${s.reason ?? ""}`));
  return [h("h2", null, who), ready ? h("p", null, ready) : null, trouble];
}

function choices(s) {
  const held = s.reason?.startsWith("paused by an operator");
  const list = {
    direct: s.gates ? [button("backfill")] : [],
    mirroring: [button("promote", "Promote…"), button("rehearse", "Rehearse…"), button("verify", "Verify")],
    "catching-up": [button("verify", "Verify")],
    promoted: [button("rollback", "Roll back…"), button("complete", "Complete…")],
  }[s.phase] ?? [];
  return [...list, s.phase === "complete" ? null : held ? button("resume", "Go on") : button("pause", "Hold…")];
}

function phases(now) {
  const at = PHASES.findIndex(([name]) => name === now);
  return PHASES.map(([name, title, text], i) => h("li", { class: i < at ? "past" : i === at ? "now" : "next", "aria-current": i === at ? "step" : null, title: text },
    h("span", { class: "dot", "aria-hidden": "true" }, i < at ? "✓" : String(i + 1)),
    h("span", { class: "label" }, title), h("span", { class: "visually-hidden" }, i < at ? "passed" : i === at ? "now" : "to come")));
}

function fact(name, value, note, link, kind) {
  const inside = [h("span", { class: "name" }, name), h("span", { class: "big" }, value), h("span", { class: `note ${kind ?? ""}` }, note)];
  return link ? h("a", { class: "fact", href: link }, inside) : h("div", { class: "fact" }, inside);
}

function numbers(s) {
  const lag = s.shadow && s.primary === "sqlite"
    ? fact("Behind", millis(s.lag_ms) === "–" ? "unknown" : millis(s.lag_ms), counted(s.lag_commits, "commit"), "#/journal")
    : fact("Position", number(s.position), "commits on SQLite", "#/journal");
  const verified = { fresh: ["ok", "proven equal"], stale: ["warn", "too old"], never: ["off", "not proven yet"], differs: ["bad", "rows differ"] }[s.verified.state] ?? ["off", s.verified.state];
  return [lag,
    fact("Compared", number(s.compared), `${number(s.skipped)} not compared`, "#/statements"),
    fact("Open divergences", number(s.diverged_open), s.diverged_open ? state("bad", "look at them") : state("ok", "none"), "#/divergences"),
    fact("Verified", s.verified.state === "never" ? "never" : ago(s.verified.at), state(...verified), "#/tables"),
    fact("Coverage", percent(s.coverage), "of calls have a compared shape", "#/statements"),
    fact("Sessions", number(s.sessions), s.immovable?.length ? state("warn", `${s.immovable.length} cannot move`) : "all can move", "#/sessions"),
    fact("Journal", bytes(s.journal_bytes), s.journal_bytes_max ? `of ${bytes(s.journal_bytes_max)}` : "kept for the shadow", "#/journal")];
}

function gateList(gates) {
  if (!gates.length) return h("p", { class: "dim" }, "No PostgreSQL is attached: there is nothing to promote.");
  const rank = g => (g.ok ? 2 : g.kind === "warning" ? 1 : 0);
  const sorted = gates.map((g, i) => [g, i]).sort(([a, i], [b, j]) => rank(a) - rank(b) || i - j).map(([g]) => g);
  return h("ul", { class: "gatelist" }, sorted.map(g => {
    const [kind, word] = g.ok ? ["ok", "holds"] : g.kind === "warning" ? ["warn", "warning"] : ["bad", "not met"];
    return h("li", { class: kind }, state(kind, word), h("b", null, g.name.replaceAll("_", " ")), h("span", { class: "found" }, moments(g.actual)),
      g.ok ? null : h("p", null, `Needed: ${g.limit}. `, g.reason ? `${moments(g.reason[0].toUpperCase() + g.reason.slice(1))}. ` : null, g.kind === "override" ? h("em", null, "Can be overridden by name.") : null));
  }));
}

/** Times inside a text, as people read them. */
function moments(text) {
  return text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, at => `${new Date(at).toLocaleTimeString("en-GB")} (${ago(at)})`);
}

/** The order that runs, or the switch that has just ended. */
function running(element, tasks) {
  const fresh = t => t.state === "running" || Date.now() - Date.parse(t.ended_at) < 60000;
  const task = tasks.find(t => ["promote", "rollback", "backfill", "verify"].includes(t.kind) && fresh(t));
  fill(element, task ? moved(task) : "none", () => (task
    ? h("section", { class: `card order ${task.state}` }, h("h2", null, `${task.kind} ${task.id} `, stateOf(task)), steps({ ...task, steps: task.steps.slice(-4), skipped: Math.max(0, task.steps.length - 4) })) : null));
}
