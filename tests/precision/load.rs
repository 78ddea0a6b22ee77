//! A mixed load of many clients: reads of every kind, writes, blocks, failures, at random.
//!
//! Owns the tables, the statements and the clients. It must never write the rows it calls cold:
//! those are for whoever plants differences. Start at [`Mixed::start`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use crate::common::Dice;

/// Accounts from 2001 on, the cellar, and what belongs to them are cold.
pub const TABLES: &str = "
    CREATE TABLE account (id integer PRIMARY KEY, name text NOT NULL UNIQUE,
      balance numeric(12,2) NOT NULL DEFAULT 0, active boolean NOT NULL DEFAULT true,
      since timestamptz NOT NULL DEFAULT now(), meta jsonb);
    CREATE TABLE entry (id serial PRIMARY KEY,
      account_id integer NOT NULL REFERENCES account (id) ON DELETE CASCADE,
      amount numeric(12,2) NOT NULL, at timestamp NOT NULL DEFAULT localtimestamp, note text);
    CREATE INDEX entry_account ON entry (account_id);
    CREATE TABLE stock (sku text, place text, qty integer NOT NULL CHECK (qty >= 0),
      weight double precision, PRIMARY KEY (sku, place));
    CREATE TABLE visit (who text, page text, day date);
    INSERT INTO account (id, name, balance, meta)
      SELECT g, 'name ' || g, g * 1.25, '{\"a\": 1}' FROM generate_series(1, 150) g;
    INSERT INTO account (id, name, balance, since, meta)
      SELECT g, 'cold ' || g, g, '2024-01-02 03:04:05.678901+00', '{\"a\": 2}'
      FROM generate_series(2001, 2020) g;
    INSERT INTO entry (account_id, amount, at, note)
      SELECT 2011 + g % 5, g * 3, '2024-02-03 04:05:06', 'cold' FROM generate_series(1, 20) g;
    INSERT INTO stock SELECT 'sku ' || (1 + g % 12), p, g, g / 7.0
      FROM generate_series(1, 12) g, (VALUES ('north'), ('south')) v (p);
    INSERT INTO stock SELECT 'cold ' || g, 'cellar', g, g / 3.0 FROM generate_series(1, 9) g;
    INSERT INTO visit SELECT 'who ' || (g % 9), 'home', '2024-03-04' FROM generate_series(1, 40) g;
    INSERT INTO visit VALUES ('cold', 'cellar', '2024-04-05');";

const READS: &[&str] = &[
    "SELECT * FROM account WHERE id = {a}",
    "SELECT name, balance FROM account WHERE active ORDER BY id LIMIT 20",
    "SELECT count(*), sum(balance), min(since), max(name) FROM account",
    "SELECT active, count(*) FROM account GROUP BY active ORDER BY active",
    "SELECT e.id, e.amount, a.name FROM entry e JOIN account a ON a.id = e.account_id \
     WHERE a.id = {a} ORDER BY e.id DESC LIMIT 10",
    "SELECT account_id, sum(amount) FROM entry WHERE account_id < {b} GROUP BY account_id",
    "SELECT * FROM stock WHERE sku = 'sku {b}' ORDER BY place",
    "SELECT place, sum(qty), max(weight) FROM stock GROUP BY place ORDER BY place",
    "SELECT sku FROM stock WHERE qty > {n}",
    "SELECT * FROM stock ORDER BY sku, place LIMIT 5",
    "SELECT meta->>'a', meta FROM account WHERE id BETWEEN {a} AND {a} + 5 ORDER BY id",
    "SELECT upper(name), length(name), substr(name, 2, 3) FROM account WHERE id = {a}",
    "SELECT a.id, coalesce(s.total, 0) FROM account a LEFT JOIN \
     (SELECT account_id, sum(amount) AS total FROM entry GROUP BY account_id) s \
     ON s.account_id = a.id WHERE a.id < 20 ORDER BY a.id",
    "SELECT DISTINCT who FROM visit",
    "SELECT who, count(*) FROM visit WHERE day > date '2024-01-01' GROUP BY who ORDER BY 2 DESC, 1",
    "SELECT id, rank() OVER (ORDER BY balance DESC, id) FROM account WHERE id <= 30 ORDER BY id",
    "WITH big AS (SELECT id FROM account WHERE balance > {n}) SELECT count(*) FROM big",
    "SELECT EXISTS (SELECT 1 FROM entry WHERE account_id = {a})",
    "SELECT name FROM account WHERE name LIKE 'name 1%' ORDER BY name",
    "SELECT since::date, extract(year FROM since) FROM account WHERE id = {a}",
    "SELECT id, CASE WHEN balance > 100 THEN 'rich' ELSE 'poor' END FROM account \
     WHERE id IN ({a}, {b}, 7) ORDER BY 1",
    "SELECT name FROM account WHERE id = {a} UNION ALL \
     SELECT note FROM entry WHERE account_id = {a} AND amount > 900",
    "SELECT array_agg(id ORDER BY id) FROM account WHERE id < 12",
    "SELECT qty * 2 + 1, weight / 3 FROM stock WHERE sku = 'sku {b}' AND place = 'north'",
];

const WRITES: &[&str] = &[
    "UPDATE account SET balance = balance + {n} WHERE id = {a}",
    "INSERT INTO entry (account_id, amount, note) VALUES ({a}, {n}.25, 'note {n}')",
    "INSERT INTO entry (account_id, amount) VALUES ({a}, {n}) RETURNING id, at",
    "UPDATE stock SET qty = qty + {b} WHERE sku = 'sku {b}' AND place = 'north'",
    "INSERT INTO stock VALUES ('sku {b}', 'east', {n}, {n} / 7.0) ON CONFLICT (sku, place) \
     DO UPDATE SET qty = stock.qty % 1000 + 1, weight = excluded.weight",
    "UPDATE account SET name = 'name {a} of {n}' WHERE id = {a}",
    "UPDATE account SET meta = '{\"b\": {n}, \"a\": [1, null]}' WHERE id = {a}",
    "DELETE FROM entry WHERE account_id = {a} AND amount < {n}",
    "INSERT INTO visit VALUES ('who {b}', 'page {a}', '2024-05-06')",
    "DELETE FROM visit WHERE page = 'page {a}'",
    "UPDATE account SET active = NOT active, since = now() WHERE id = {a}",
    "UPDATE entry SET note = upper(note) WHERE account_id = {a}",
    "INSERT INTO account (id, name) VALUES (1000 + {a}, 'new {a}') ON CONFLICT DO NOTHING",
    "DELETE FROM account WHERE id = 1000 + {a}",
    "UPDATE stock SET weight = weight * 1.1 WHERE place = 'east'",
    "INSERT INTO entry (account_id, amount) SELECT id, 5 FROM account WHERE id = {a} AND active",
];

/// They fail on both sides, always.
const FAILURES: &[(&str, &str)] = &[
    ("INSERT INTO account (id, name) VALUES ({a}, 'again')", "23505"),
    ("UPDATE stock SET qty = -1 WHERE sku = 'sku {b}' AND place = 'north'", "23514"),
    ("INSERT INTO entry (account_id, amount) VALUES (99999, 1)", "23503"),
    ("SELECT 1 / (id - {a}) FROM account WHERE id = {a}", "22012"),
];

/// In a transaction; a failure between its savepoint and the way back to it.
const BLOCKS: &[&[&str]] = &[
    &[
        "UPDATE account SET balance = balance - {n} WHERE id = {a}",
        "INSERT INTO entry (account_id, amount, note) VALUES ({a}, -{n}, 'moved')",
        "SELECT balance FROM account WHERE id = {a}",
        "UPDATE stock SET qty = qty + 1 WHERE sku = 'sku {b}'",
    ],
    &[
        "UPDATE stock SET weight = {n} WHERE sku = 'sku {b}' AND place = 'south'",
        "SAVEPOINT s",
        "INSERT INTO account (id, name) VALUES (1, 'not twice')",
        "ROLLBACK TO s",
        "SELECT count(*), sum(qty) FROM stock WHERE sku = 'sku {b}'",
    ],
];

struct Shared {
    url: String,
    stop: AtomicBool,
    statements: AtomicU64,
    /// SQLSTATEs nobody expects, with the statement.
    errors: Mutex<BTreeMap<String, u64>>,
    /// Milliseconds between two statements of a client.
    think: AtomicU64,
}

/// Clients that run.
pub struct Mixed {
    shared: Arc<Shared>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Mixed {
    /// Starts clients that pause so long between two statements.
    pub fn start(url: &str, clients: usize, think: Duration, dice: &mut Dice) -> Self {
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            stop: AtomicBool::new(false),
            statements: AtomicU64::new(0),
            errors: Mutex::default(),
            think: AtomicU64::new(u64::try_from(think.as_millis()).unwrap()),
        });
        let clients = (0..clients).map(|_| tokio::spawn(client(Arc::clone(&shared), dice.split())));
        Self { clients: clients.collect(), shared }
    }

    /// So many reads were compared lately, and so many came too late: a machine with other things to
    /// do takes less.
    pub fn pace(&self, hit: u64, missed: u64) {
        let think = self.shared.think.load(Ordering::SeqCst);
        let now = if hit < missed * 2 { think * 8 / 5 } else { think * 9 / 10 };
        self.shared.think.store(now.clamp(100, 3000), Ordering::SeqCst);
    }

    /// Ends them; how many statements ran. No client may have met an error of its own.
    pub async fn stop(self) -> u64 {
        self.shared.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.unwrap();
        }
        let errors = self.shared.errors.lock().unwrap();
        assert!(errors.is_empty(), "clients met {errors:?}");
        self.shared.statements.load(Ordering::SeqCst)
    }
}

fn filled(template: &str, dice: &mut Dice) -> String {
    let (a, b, n) = (dice.below(150) + 1, dice.below(12) + 1, dice.below(1000));
    template
        .replace("{a}", &a.to_string())
        .replace("{b}", &b.to_string())
        .replace("{n}", &n.to_string())
}

async fn client(shared: Arc<Shared>, mut dice: Dice) {
    let (client, driver) = tokio_postgres::connect(&shared.url, NoTls).await.unwrap();
    tokio::spawn(driver);
    while !shared.stop.load(Ordering::SeqCst) {
        match dice.below(10) {
            0..=4 => one(&shared, &client, &mut dice, READS).await,
            5..=7 => one(&shared, &client, &mut dice, WRITES).await,
            8 => {
                let (template, code) = *dice.of(FAILURES);
                let sql = filled(template, &mut dice);
                let end = client.simple_query(&sql).await.err();
                let found = end.as_ref().and_then(tokio_postgres::Error::code);
                if found.map(tokio_postgres::error::SqlState::code) != Some(code) {
                    shared.met(&sql, &format!("{end:?} instead of {code}"));
                }
            }
            _ => block(&shared, &client, &mut dice).await,
        }
        shared.statements.fetch_add(1, Ordering::SeqCst);
        let think = shared.think.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(think)).await;
    }
}

async fn one(shared: &Shared, client: &Client, dice: &mut Dice, of: &[&str]) {
    let template = *dice.of::<&str>(of);
    let sql = filled(template, dice);
    let error = match dice.below(2) {
        0 => client.simple_query(&sql).await.err(),
        _ => client.query(&sql, &[]).await.err(),
    };
    if let Some(error) = error {
        shared.met(&sql, &error.to_string());
    }
}

async fn block(shared: &Shared, client: &Client, dice: &mut Dice) {
    let (a, b, n) = (dice.below(150) + 1, dice.below(12) + 1, dice.below(1000));
    client.simple_query("BEGIN").await.unwrap();
    for template in *dice.of(BLOCKS) {
        let sql = template
            .replace("{a}", &a.to_string())
            .replace("{b}", &b.to_string())
            .replace("{n}", &n.to_string());
        let failed = client.simple_query(&sql).await.is_err();
        if failed != template.contains("not twice") {
            shared.met(&sql, "in a block");
        }
        shared.statements.fetch_add(1, Ordering::SeqCst);
    }
    let end = if dice.below(8) == 0 { "ROLLBACK" } else { "COMMIT" };
    client.simple_query(end).await.unwrap();
}

impl Shared {
    fn met(&self, sql: &str, what: &str) {
        let mut errors = self.errors.lock().unwrap();
        *errors.entry(format!("{what}: {sql}")).or_default() += 1;
    }
}
