// Orders with their dialog: what it would do, a typed confirmation, and every step as it happens.

import { h, fill, state, millis, number } from "./dom.js";
import { get, post } from "./api.js";

const dialog = document.getElementById("dialog");
let opener = null;

/** What each order is, in the words of the runbook. */
export const ORDERS = {
  promote: { title: "Promote PostgreSQL", danger: true, dry: true, confirm: true,
    text: "PostgreSQL becomes the primary and answers your application; SQLite follows, so that you can roll back. Clients wait for a moment, none is cut off. If anything is in doubt, the switch is undone." },
  rehearse: { verb: "promote", title: "Rehearse the switch", confirm: true, options: { rehearse: true },
    text: "Promotes and rolls back at once, on live traffic, and says how long clients waited." },
  rollback: { title: "Roll back to SQLite", danger: true, dry: true, confirm: true,
    text: "SQLite becomes the primary again, with everything PostgreSQL has committed meanwhile." },
  complete: { title: "Complete the move", dry: true, confirm: true,
    text: "Ends the way back for good: PostgreSQL alone. This cannot be undone." },
  backfill: { title: "Copy to PostgreSQL", dry: true,
    text: "Copies every table while traffic runs, then PostgreSQL follows each commit." },
  verify: { title: "Verify both sides", text: "Reads every row on both sides at one cut and proves them equal. Changes nothing." },
  repair: { title: "Repair PostgreSQL", dry: true,
    text: "Writes the primary's rows to PostgreSQL where it differs. The primary is not changed." },
  pause: { title: "Hold new statements", confirm: true,
    text: "New statements wait until you let them go on. Transactions that are open may finish." },
  resume: { title: "Let statements go on", text: "Statements that wait go on." },
};

export function button(name, label, options) {
  const order = ORDERS[name];
  return h("button", { type: "button", "data-order": name, class: order.danger ? "primary" : null,
    onclick: e => { opener = e.currentTarget; open(name, options); } }, label ?? order.title);
}

export function stateOf(task) {
  const kinds = { running: ["run", "running"], done: ["ok", "done"], failed: ["bad", "failed"], refused: ["warn", "refused"] };
  // Verify ran, and its answer is no.
  if (task.error?.code === "differs") return state("bad", "differs");
  if (task.error?.code === "undone") return state("bad", "undone");
  return state(...(kinds[task.state] ?? ["off", task.state]));
}

/** The steps of an order, as they are. */
export function steps(task) {
  const list = task.steps.map(s => {
    const bad = s.text.includes("NOT MET");
    return h("li", { class: bad ? "bad" : null }, h("span", { class: "no" }, String(s.number)), h("span", { class: "what" }, s.text),
      h("span", { class: "detail" }, s.detail ?? ""), h("span", { class: "ms" }, millis(s.ms)));
  });
  const end = [];
  if (task.result) end.push(h("p", { class: "result ok" }, state("ok", task.result)));
  if (task.error) {
    end.push(h("p", { class: "result bad" }, state(task.state === "refused" ? "warn" : "bad", task.error.message)));
    if (task.error.hint) end.push(h("p", { class: "dim" }, task.error.hint));
  }
  return [task.skipped ? h("p", { class: "dim" }, `${task.skipped} steps before`) : null, h("ol", { class: "steps" }, list),
    task.now ? progress(task.now) : null,
    task.state === "running" ? h("p", { class: "running" }, state("run", "running…")) : null, ...end];
}

/** What has to change before the steps of an order are drawn anew. */
export const moved = task => [task.id, task.steps.length, task.state, task.now?.text, task.now?.rows];

/** How far an order is inside a table. Behind the last row there may be other looks at it: no time is promised then. */
export function progress(now) {
  const left = now.rows > 0 && now.of > now.rows ? (now.of - now.rows) * now.ms / now.rows : null;
  return h("label", { class: "meter" }, h("span", null, now.of ? `${now.text}: ${number(now.rows)} of ${number(now.of)} rows` : `${now.text}: ${number(now.rows)} rows`, left !== null && left >= 5000 ? h("span", { class: "dim" }, `, about ${span(left)} left`) : null),
    h("progress", { max: String(Math.max(now.of, 1)), value: String(Math.min(now.rows, now.of)), "aria-label": now.text }));
}

function span(ms) {
  const s = ms / 1000;
  return s < 90 ? `${Math.round(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}

let watching = null;

/** The stream says that an order has gone on. */
export function tasksChanged(tasks) {
  const task = watching && tasks.find(t => t.id === watching.id);
  if (task) watching.show(task);
}

async function follow(id, show) {
  watching = { id, show };
  // The stream tells each step; asking is for when it has just been lost.
  for (;;) {
    const task = await get(`tasks/${id}`);
    show(task);
    if (task.state !== "running") return task;
    await new Promise(done => { setTimeout(done, 300); });
  }
}

/** Opens the dialog of an order. */
export async function open(name, options = {}) {
  const order = ORDERS[name];
  const verb = order.verb ?? name;
  const given = { ...order.options, ...options };
  const log = h("div", { class: "log", "aria-live": "polite" });
  const note = h("div", { class: "note" });
  const overrides = h("div", { class: "overrides" });
  const word = h("input", { id: "confirm", type: "text", autocomplete: "off", spellcheck: "false", "aria-describedby": "confirm-help", oninput: ready });
  const go = h("button", { type: "button", class: "primary", id: "go", onclick: () => run(false) }, order.title);
  const dry = order.dry ? h("button", { type: "button", id: "dry", onclick: () => run(true) }, "Dry run: change nothing") : null;
  const close = h("button", { type: "button", id: "close", onclick: () => dialog.close() }, "Close");
  const asks = order.confirm
    ? h("div", { class: "confirm" }, h("label", { for: "confirm" }, "Type ", h("kbd", null, verb), " to go on"), word,
        h("small", { id: "confirm-help", class: "dim" }, "Nothing happens before you press the button."))
    : null;

  function ready() { go.disabled = Boolean(order.confirm) && word.value.trim() !== verb; }

  function chosen() { return [...overrides.querySelectorAll("input:checked")].map(i => i.value); }

  async function run(dryRun) {
    go.disabled = true;
    if (dry) dry.disabled = true;
    note.replaceChildren();
    log.replaceChildren();
    delete log.dataset.key;
    try {
      const { task } = await post(verb, { ...given, dry_run: dryRun, override: chosen() });
      const end = await follow(task, t => fill(log, moved(t), () => {
        queueMicrotask(() => { log.scrollTop = log.scrollHeight; });
        return [h("h3", null, dryRun ? `Dry run ${t.id}` : `Order ${t.id}`, " ", stateOf(t)), steps(t)];
      }));
      if (!dryRun && end.state === "done") { word.value = ""; asks?.remove(); go.remove(); dry?.remove(); close.focus(); }
    } catch (refusal) {
      note.replaceChildren(h("p", { class: "result bad" }, state("warn", refusal.message)),
        refusal.hint ? h("p", { class: "dim" }, refusal.hint) : "",
        h("ul", null, (refusal.gates ?? []).map(g => h("li", null, h("b", null, g.name), `: ${g.reason}`))));
    }
    if (dry) dry.disabled = false;
    ready();
  }

  async function gates() {
    if (verb !== "promote") return;
    const failing = (await get("gates")).gates.filter(g => !g.ok);
    const must = failing.filter(g => g.kind === "required"), may = failing.filter(g => g.kind === "override");
    if (must.length) {
      overrides.append(h("p", { class: "result" }, state("bad", "Nobody can pass these gates:")),
        h("ul", null, must.map(g => h("li", null, h("b", null, g.name.replaceAll("_", " ")), `: ${g.reason}`))));
    }
    if (!may.length) return;
    overrides.append(h("fieldset", null, h("legend", null, "Gates that do not hold. Tick those you answer for:"),
      may.map(g => h("label", { class: "tick" }, h("input", { type: "checkbox", value: g.name }), h("b", null, g.name.replaceAll("_", " ")), ` ${g.reason}`))));
  }

  const target = given.divergence ? ` of ${given.divergence}` : given.tables ? ` of ${given.tables.join(", ")}` : "";
  dialog.replaceChildren(h("h2", { id: "dialog-title" }, order.title + target), h("p", null, order.text),
    overrides, note, log, asks ?? "", h("div", { class: "buttons" }, close, dry ?? "", go));
  ready();
  if (!dialog.open) dialog.showModal();
  (order.confirm ? dry ?? word : go).focus();
  await gates();
}

dialog.addEventListener("close", () => { watching = null; if (opener?.isConnected) opener.focus(); });

/** Asks for the token; resolves when one was given. */
export function askToken() {
  if (dialog.dataset.token) return new Promise(done => { dialog.addEventListener("close", done, { once: true }); });
  dialog.dataset.token = "asked";
  return new Promise(done => {
    const input = h("input", { id: "token", type: "password", autocomplete: "off", onkeydown: e => { if (e.key === "Enter") dialog.close(); } });
    dialog.replaceChildren(h("h2", { id: "dialog-title" }, "A token is needed"),
      h("p", null, "This interface asks for the token in the file named by http.token_file. It stays in this tab."),
      h("label", { for: "token" }, "Token"), input,
      h("div", { class: "buttons" }, h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, "Go on")));
    dialog.addEventListener("close", () => { delete dialog.dataset.token; sessionStorage.setItem("crossfade-token", input.value.trim()); done(); }, { once: true });
    dialog.showModal();
    input.focus();
  });
}
