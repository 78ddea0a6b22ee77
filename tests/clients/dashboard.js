// The dashboard in headless Chromium: every page with live data, a planted divergence found by
// clicking and repaired, the switch there and back from the page, nothing run, nothing from outside.
//   node dashboard.js URL SHADOW-URL [FOLDER FOR SCREENSHOTS]
const assert = require("node:assert");
const fs = require("node:fs");
const { chromium } = require("playwright-core");
const axe = require("axe-core");
const { Client } = require("pg");

const [base, shadow, shots] = process.argv.slice(2);
const NAMES = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = process.env.CROSSFADE_CHROMIUM ?? NAMES.find(n => fs.existsSync(n));
const PAGES = ["overview", "divergences", "divergences/d1", "statements", "tables", "journal", "sessions", "events", "config"];
const problems = [];

async function open(browser, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", m => { if (["error", "warning"].includes(m.type())) problems.push(`console: ${m.text()}`); });
  page.on("pageerror", e => problems.push(`page: ${e.message}`));
  page.on("request", r => { if (!r.url().startsWith(base)) problems.push(`outside: ${r.url()}`); });
  return page;
}

const go = async (page, name) => {
  await page.goto(`${base}/#/${name}`);
  await page.locator("main .page > *").first().waitFor();
  await page.locator("#health.pill.ok, #health.pill.warn").waitFor();
};

/** The group that a test has planted. */
async function planted(test) {
  const { divergences } = await (await fetch(`${base}/api/v1/divergences`)).json();
  return divergences.find(test).id;
}

/** What axe finds serious, of what is shown now. */
async function accessible(page, name) {
  await page.evaluate(axe.source);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const v of found.violations.filter(v => ["serious", "critical"].includes(v.impact))) {
    problems.push(`axe ${name}: ${v.id} ${v.nodes.map(n => n.html.slice(0, 160)).slice(0, 3).join(" | ")}`);
  }
}

async function looks(browser) {
  for (const [scheme, width] of [["light", 1360], ["dark", 1360], ["light", 390]]) {
    const page = await open(browser, { colorScheme: scheme, viewport: { width, height: 900 }, bypassCSP: true });
    for (const name of PAGES) {
      await go(page, name);
      await page.locator("main .card, main .empty").first().waitFor();
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(wider <= 0, `${name} is ${wider} px too wide at ${width}`);
      if (shots) await page.screenshot({ path: `${shots}/${name.replace("/", "-")}-${scheme}-${width}.png`, fullPage: true });
      await accessible(page, `${name} ${scheme} ${width}`);
    }
    // One statement, and a dialog with everything an order can ask.
    await go(page, "statements");
    await page.locator("td a.plain").first().click();
    await page.locator("main .card .code").first().waitFor();
    await accessible(page, `statement ${scheme} ${width}`);
    await go(page, "overview");
    await page.locator("[data-order=promote]").click();
    await page.locator("dialog .tick").first().waitFor();
    await accessible(page, `promote ${scheme} ${width}`);
    if (shots) await page.screenshot({ path: `${shots}/promote-${scheme}-${width}.png` });
    await page.context().close();
  }
}

async function toTheCell(page) {
  await go(page, "overview");
  await page.locator("a.fact", { hasText: "Open divergences" }).click();
  const id = await planted(g => g.columns.includes("notes"));
  await page.locator("td a", { hasText: new RegExp(`^${id}$`) }).click();
  const row = page.locator("tr.differs", { hasText: "notes" });
  await row.waitFor();
  assert.match(await row.innerText(), /<script>window\.pwned=1<\/script>/);
  assert.match(await row.locator("mark").nth(1).innerText(), /b>other/);
  await page.locator("pre", { hasText: "psql" }).waitFor();
}

/** Opens an order, and its dry run first when there is one; then does it. */
async function order(page, name, word, end, { expected = null, overrides = false } = {}) {
  await page.locator(`[data-order=${name}]`).first().click();
  await page.locator("dialog[open]").waitFor();
  if (overrides) {
    // Gates that time or traffic would open.
    await page.locator("dialog .tick").first().waitFor();
    for (const box of await page.locator("dialog .tick input").all()) await box.check();
  }
  if (await page.locator("#dry").count()) {
    await page.locator("#dry").click();
    await page.locator("dialog .result").waitFor({ timeout: 60000 });
    await page.locator("#dry:not([disabled])").waitFor();
    if (expected) await page.locator("dialog .result.ok", { hasText: expected }).waitFor();
    if (shots) await page.screenshot({ path: `${shots}/dry-${name}.png` });
  }
  if (word) {
    assert.ok(await page.locator("#go").isDisabled(), "it asks for the word");
    await page.locator("#confirm").fill("something else");
    assert.ok(await page.locator("#go").isDisabled(), "another word does not do");
    await page.locator("#confirm").fill(word);
  }
  await page.locator("#go").click();
  await page.locator("dialog .result.ok", { hasText: end }).waitFor({ timeout: 60000 });
  if (shots) await page.screenshot({ path: `${shots}/order-${name}.png` });
  await page.keyboard.press("Escape");
  await page.locator("dialog[open]").waitFor({ state: "detached" }).catch(() => {});
}

/** In somebody's name, with a reason and a day on which it opens again. */
async function acceptance(page) {
  const id = await planted(g => g.columns.includes("name"));
  await go(page, `divergences/${id}`);
  const press = page.locator("button", { hasText: /^Accept$/ });
  await press.click();
  await page.locator("[role=status]", { hasText: "Who and why are needed" }).waitFor();
  await page.locator("[name=owner]").fill("Ada <b>L.</b>");
  await page.locator("[name=reason]").fill("the name was <i>changed</i> by hand");
  await page.locator("[name=expires]").fill("2020-01-31");
  await press.click();
  await page.locator("[role=status]", { hasText: "over already" }).waitFor();
  problems.splice(0, problems.length, ...problems.filter(p => !p.includes("status of 400")));
  await page.locator("[name=expires]").fill("2099-12-31");
  await press.click();
  await page.locator(".card", { hasText: "Accepted by Ada <b>L.</b>: the name was <i>changed</i> by hand; opens again on 2099-12-31" }).waitFor();
  await page.locator(".meta .state", { hasText: "accepted" }).waitFor();
  assert.strictEqual(await press.count(), 0);
  await go(page, "divergences");
  await page.locator(".chip", { hasText: "accepted 1" }).click();
  await page.locator("td a", { hasText: id }).first().waitFor();
  await go(page, "events");
  await page.locator("td", { hasText: `accept ${id}: the name was <i>changed</i> by hand: done` }).waitFor();
}

/** Everything without a mouse. */
async function keyboard(page) {
  await go(page, "overview");
  for (const [at, name] of ["overview", "divergences", "statements", "tables", "journal", "sessions", "events", "config"].entries()) {
    await page.keyboard.press(String(at + 1));
    await page.locator(`nav a[data-page=${name}][aria-current=page]`).waitFor();
  }
  await go(page, "tables");
  const verify = page.locator("[data-order=verify]").first();
  await verify.focus();
  await page.keyboard.press("Enter");
  await page.locator("dialog[open]").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog[open]").waitFor({ state: "detached" }).catch(() => {});
  assert.ok(await verify.evaluate(e => e === document.activeElement), "the focus is back where it was");
}

/** How far verify is inside a table that somebody holds, as the page tells it. */
async function inside(page) {
  const holder = new Client(shadow);
  await holder.connect();
  await holder.query("BEGIN; LOCK TABLE archive IN ACCESS EXCLUSIVE MODE");
  await go(page, "tables");
  await page.locator("tr", { hasText: "archive" }).locator("[data-order=verify]").click();
  await page.locator("#go").click();
  const told = "reading both sides' rows of archive: 0 of 3 rows";
  await page.locator("dialog .meter", { hasText: told }).waitFor({ timeout: 30000 });
  await page.keyboard.press("Escape");
  await page.locator("td .meter", { hasText: told }).waitFor();
  await page.locator(".card.order progress").waitFor();
  if (shots) await page.screenshot({ path: `${shots}/inside.png`, fullPage: true });
  await accessible(page, "inside a table");
  await holder.query("ROLLBACK");
  await holder.end();
  await page.locator("td .meter").waitFor({ state: "detached", timeout: 30000 });
  await go(page, "events");
  await page.locator("td", { hasText: "verify tables archive: done, 1 table, 3 rows: clean" }).first().waitFor();
}

(async () => {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  await looks(browser);
  const page = await open(browser, { viewport: { width: 1360, height: 900 } });
  await acceptance(page);
  await go(page, `divergences/${await planted(g => g.class === "verify_missing")}`);
  await page.locator("tr.differs", { hasText: "38" }).locator("td[data-label=Shadow]", { hasText: "no row" }).waitFor();
  await toTheCell(page);
  await order(page, "repair", null, "1 missing, 2 changed", { expected: "would write 1 missing, 2 changed" });
  await page.locator(".meta", { hasText: "fixed" }).waitFor({ timeout: 20000 });
  const free = await open(browser, { viewport: { width: 1360, height: 900 }, bypassCSP: true });
  await inside(free);
  await free.context().close();
  await keyboard(page);
  await go(page, "sessions");
  await page.locator("td", { hasText: "<script>window.pwned=4</script>" }).waitFor();
  await go(page, "statements");
  await page.locator("td code", { hasText: "<script>window.pwned=3</script>" }).first().click();
  await page.locator("pre", { hasText: '"public"."customers"' }).first().waitFor();
  await page.keyboard.press("1");
  await page.locator(".stepper .now", { hasText: "Mirroring" }).waitFor();
  await order(page, "verify", null, "clean");
  await order(page, "promote", "promote", "postgres is primary", { overrides: true, expected: "would go ahead" });
  await page.locator(".stepper .now", { hasText: "Promoted" }).waitFor({ timeout: 20000 });
  await page.locator(".key.postgres .value").first().filter({ hasText: /[1-9]/ }).waitFor({ timeout: 20000 });
  if (shots) await page.screenshot({ path: `${shots}/promoted.png`, fullPage: true });
  await page.locator("[data-order=rollback]").click();
  await page.locator("#dry").click();
  await page.locator("dialog .result.ok").waitFor({ timeout: 60000 });
  await page.keyboard.press("Escape");
  await order(page, "rollback", "rollback", "sqlite is primary");
  await page.locator(".stepper .now", { hasText: "Mirroring" }).waitFor({ timeout: 20000 });
  await go(page, "events");
  await page.locator("td", { hasText: "promoted: postgres is primary" }).first().waitFor();
  assert.strictEqual(await page.evaluate(() => window.pwned), undefined, "data stays text");
  await browser.close();
  assert.deepStrictEqual(problems, []);
})().catch(error => {
  console.error(error);
  console.error(problems.join("\n"));
  process.exit(1);
});
