// The page: which part is shown, what is known, and the stream that keeps it so.

import { h, fill, state } from "./dom.js";
import { get, listen, onToken } from "./api.js";
import { askToken, tasksChanged } from "./orders.js";
import { overview } from "./overview.js";
import { divergences } from "./divergences.js";
import { statements } from "./statements.js";
import { config, events, journal, sessions, tables } from "./lists.js";

const PAGES = [["overview", "Overview", overview], ["divergences", "Divergences", divergences], ["statements", "Statements", statements],
  ["tables", "Tables", tables], ["journal", "Journal", journal], ["sessions", "Sessions", sessions], ["events", "Events", events], ["config", "Configuration", config]];

/** What is known now. Parts read it and are told when it changes. */
const known = { status: null, gates: [], points: [], tasks: [] };
const POINTS = 900;
let part = null;

const nav = document.getElementById("nav");
const main = document.getElementById("main");
nav.append(...PAGES.map(([name, title]) => h("a", { href: `#/${name}`, "data-page": name }, title)));

function route() {
  const [, name, argument] = location.hash.split("/");
  const page = PAGES.find(([n]) => n === name) ?? PAGES[0];
  part?.leave?.();
  for (const link of nav.children) {
    if (link.dataset.page === page[0]) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  document.title = `${page[1]} · Crossfade`;
  const root = h("div", { class: `page ${page[0]}` });
  main.replaceChildren(root);
  window.scrollTo(0, 0);
  part = page[2](root, known, argument ? decodeURIComponent(argument) : null);
  part.update?.();
}

function health() {
  const s = known.status;
  const kinds = { ok: "ok", degraded: "warn", stalled: "bad" };
  const pill = document.getElementById("health");
  const [kind, word] = !s ? ["off", "no answer"] : [kinds[s.health] ?? "off", s.health];
  pill.className = `pill ${kind}`;
  fill(pill, [kind, word], () => state(kind, word));
  pill.title = s?.reason ?? "";
  const open = nav.querySelector("[data-page=divergences]");
  fill(open, s?.diverged_open ?? 0, () => ["Divergences", s?.diverged_open ? h("span", { class: "badge", title: "open" }, String(s.diverged_open)) : null]);
}

function on(event, data) {
  if (event === "lost") known.status = null;
  if (event === "tick") {
    known.status = data.status;
    known.gates = data.gates;
    if (data.point.at > (known.points.at(-1)?.at ?? 0)) known.points.push(data.point);
    if (known.points.length > POINTS) known.points.shift();
  }
  if (event === "tasks") {
    known.tasks = data.tasks;
    tasksChanged(data.tasks);
  }
  health();
  part?.update?.(event);
}

const THEMES = [["", "◐", "as the system"], ["light", "☀", "light"], ["dark", "☾", "dark"]];
const theme = document.getElementById("theme");
function paint(name) {
  const at = THEMES.find(t => t[0] === name) ?? THEMES[0];
  document.documentElement.dataset.theme = at[0];
  theme.textContent = at[1];
  theme.setAttribute("aria-label", `Colours: ${at[2]}`);
}
paint(localStorage.getItem("crossfade-theme") ?? "");
theme.addEventListener("click", () => {
  const now = document.documentElement.dataset.theme;
  const next = THEMES[(THEMES.findIndex(t => t[0] === now) + 1) % THEMES.length][0];
  localStorage.setItem("crossfade-theme", next);
  paint(next);
});

document.addEventListener("keydown", e => {
  const typing = e.target.closest?.("input, textarea, select, dialog");
  if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
  const page = PAGES[Number(e.key) - 1];
  if (page) location.hash = `#/${page[0]}`;
});
window.addEventListener("hashchange", () => { route(); main.focus({ preventScroll: true }); });

onToken(askToken);
health();
route();
try {
  const [status, gates, history, tasks, version] = await Promise.all(["status", "gates", "history", "tasks", "version"].map(get));
  Object.assign(known, { status, gates: gates.gates, points: history.points, tasks: tasks.tasks.slice(0, 10) });
  document.getElementById("version").textContent = `Crossfade ${version.version}`;
  health();
  part.update?.("tick");
} catch { /* the stream says it */ }
listen(on);
