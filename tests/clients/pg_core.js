// node-postgres: text and binary-free parameters, transactions, errors.
const { Client } = require('pg');
(async () => {
  const c = new Client({ connectionString: process.argv[2] });
  await c.connect();
  await c.query('CREATE TABLE n (id serial PRIMARY KEY, a int, t text, b boolean, d timestamptz)');
  const r = await c.query('INSERT INTO n (a, t, b, d) VALUES ($1, $2, $3, $4) RETURNING *', [5, "x'y", true, new Date(0)]);
  if (r.rows[0].id !== 1 || r.rows[0].a !== 5 || r.rows[0].b !== true || r.rows[0].d.getTime() !== 0) throw new Error(JSON.stringify(r.rows));
  await c.query('BEGIN');
  await c.query('UPDATE n SET a = a + 1');
  await c.query('ROLLBACK');
  const n = await c.query({ name: 'one', text: 'SELECT a, count(*) OVER () AS n FROM n WHERE id = $1', values: [1] });
  if (n.rows[0].a !== 5 || n.rows[0].n !== '1') throw new Error(JSON.stringify(n.rows));
  try { await c.query('SELECT * FROM missing'); throw new Error('42P01 expected'); } catch (e) { if (e.code !== '42P01') throw e; }
  await c.end();
  console.log('node ok');
})().catch(e => { console.error(e); process.exit(1); });
