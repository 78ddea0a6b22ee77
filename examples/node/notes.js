// Notes as a JSON service on pg: node notes.js serve [PORT] | visit
// DATABASE_URL says where its data is: postgres://USER@HOST:PORT/NAME. The tables are those of
// ../django/notes.py.
const http = require("node:http");
const { Pool } = require("pg");

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 4 });

async function inTransaction(work) {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    const done = await work(client);
    await client.query("COMMIT");
    return done;
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  } finally {
    client.release();
  }
}

async function list({ q, page = "0" }) {
  const where = q ? "WHERE n.title ILIKE $2 OR n.body ILIKE $2" : "";
  const text = `SELECT n.id, n.title, a.name AS author, n.price, n.created, n.published, n.tags,
    count(*) OVER () AS total
    FROM notes_note n JOIN notes_author a ON a.id = n.author_id ${where}
    ORDER BY n.created DESC, n.id LIMIT 20 OFFSET $1`;
  const { rows } = await pool.query(text, q ? [Number(page) * 20, `%${q}%`] : [Number(page) * 20]);
  return { count: Number(rows[0]?.total ?? 0), notes: rows.map(({ total, ...note }) => note) };
}

const add = ({ author, title, price }) => inTransaction(async client => {
  await client.query("INSERT INTO notes_author (name) VALUES ($1) ON CONFLICT (name) DO NOTHING", [author]);
  const { rows } = await client.query(
    `INSERT INTO notes_note (author_id, title, body, price, created, published, tags, reads)
     SELECT id, $2, '', $3, now(), false, '[]', 0 FROM notes_author WHERE name = $1
     RETURNING id, price`, [author, title, price]);
  return rows[0];
});

async function read(id) {
  const { rows } = await pool.query(
    "UPDATE notes_note SET reads = reads + 1 WHERE id = $1 RETURNING id, body, reads", [id]);
  return rows[0] ?? null;
}

async function remove(id) {
  const { rowCount } = await pool.query("DELETE FROM notes_note WHERE id = $1", [id]);
  return { gone: rowCount };
}

async function statistics() {
  const { rows } = await pool.query(
    `SELECT a.name, count(n.id)::int AS written, count(*) FILTER (WHERE n.published)::int AS out,
       sum(n.price) AS sum
     FROM notes_author a LEFT JOIN notes_note n ON n.author_id = a.id
     GROUP BY a.name HAVING count(n.id) > 0 ORDER BY written DESC, a.name LIMIT 5`);
  return { authors: rows };
}

const ROUTES = [
  [/^GET \/$/, (_, query) => list(query)],
  [/^GET \/statistics$/, () => statistics()],
  [/^POST \/add$/, (_, __, body) => add(body)],
  [/^GET \/(\d+)$/, ([, id]) => read(id)],
  [/^DELETE \/(\d+)$/, ([, id]) => remove(id)],
];

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  const answer = (status, body) => {
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify(body));
  };
  try {
    let body = "";
    for await (const part of request) body += part;
    for (const [pattern, handler] of ROUTES) {
      const match = pattern.exec(`${request.method} ${url.pathname}`);
      if (match) return answer(200, await handler(match, Object.fromEntries(url.searchParams), body && JSON.parse(body)));
    }
    answer(404, { error: "not found" });
  } catch (error) {
    answer(500, { error: error.message, code: error.code });
  }
});

const listen = port => new Promise(done => server.listen(port, "127.0.0.1", () => done(server.address().port)));

/** Every route once; what it shows, so that two visits can be compared. */
async function visit() {
  const assert = require("node:assert");
  const base = `http://127.0.0.1:${await listen(0)}`;
  const ask = async (path, options) => {
    const response = await fetch(base + path, options);
    const body = await response.json();
    assert.strictEqual(response.status, 200, JSON.stringify(body));
    return body;
  };
  const seen = { statistics: await ask("/statistics"), first: await ask("/"), third: await ask("/?page=2") };
  seen.search = (await ask("/?q=ALLE")).count;
  const made = await ask("/add", { method: "POST", body: JSON.stringify({ author: "Visitor", title: "New", price: "12.5" }) });
  assert.strictEqual(made.price, "12.50");
  await Promise.all(Array.from({ length: 8 }, () => ask(`/${made.id}`)));
  assert.strictEqual((await ask(`/${made.id}`)).reads, 9);
  assert.deepStrictEqual(await ask(`/${made.id}`, { method: "DELETE" }), { gone: 1 });
  console.log(JSON.stringify(seen));
  server.close();
  server.closeAllConnections();
  await pool.end();
}

const [verb = "serve", port = "8001"] = process.argv.slice(2);
if (verb === "visit") {
  visit().catch(error => { console.error(error); process.exit(1); });
} else {
  listen(Number(port)).then(found => console.log(`http://127.0.0.1:${found}/`));
}
