//! Experiment 1: typing, codecs and the SQLite printer against PostgreSQL itself.
//!
//! One table with fourteen types in three storage habits (as Crossfade makes it, as Django
//! does, as a hand-written SQLite application does) answers some four hundred statements
//! through `sql::plan` on SQLite; PostgreSQL answers the same text. A wrong answer, a wrong
//! type or a wrong error code fails the test; what is refused with 0A000 is counted.

mod data;
mod functions;
mod live;
mod sqlite;
mod statements;
mod values;

use crate::common::Pg;
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Rows as text, or an SQLSTATE.
pub type Answer = Result<Vec<Vec<Option<String>>>, String>;

/// Zone of the session on both sides: one with daylight saving time.
pub const ZONE: &str = "Europe/Berlin";

/// PostgreSQL's side: the same tables, all three habits in one.
pub struct Postgres {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Postgres {
    fn start() -> Self {
        let pg = Pg::shared();
        // Letters beyond ASCII have case, as on any UTF-8 server.
        static NEXT: std::sync::Mutex<u32> = std::sync::Mutex::new(0);
        // Held while the database is made: one copy of a template at a time.
        let mut next = NEXT.lock().unwrap();
        *next += 1;
        let name = format!("typing_utf8_{next}");
        pg.cluster
            .psql(
                "postgres",
                &format!(
                    "CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"
                ),
            )
            .expect("a database with C.UTF-8");
        drop(next);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = pg.cluster.url(&name);
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        let pg = Self { runtime, client };
        pg.run(&format!("SET timezone = '{ZONE}'")).unwrap();
        for sql in data::postgres_tables() {
            pg.run(&sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        }
        pg
    }

    fn run(&self, sql: &str) -> Answer {
        let messages = self
            .runtime
            .block_on(self.client.simple_query(sql))
            .map_err(|e| e.code().map_or_else(|| e.to_string(), |c| c.code().to_owned()))?;
        Ok(messages
            .into_iter()
            .filter_map(|m| match m {
                SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
                }
                _ => None,
            })
            .collect())
    }

    /// Names and type OIDs of a statement's columns.
    fn describe(&self, sql: &str) -> Option<Vec<(String, u32)>> {
        let statement = self.runtime.block_on(self.client.prepare(sql)).ok()?;
        Some(statement.columns().iter().map(|c| (c.name().to_owned(), c.type_().oid())).collect())
    }
}

#[test]
fn sqlite_answers_as_postgres_does() {
    let pg = Postgres::start();
    let statements = statements::all();
    let mut wrong = Vec::new();
    let mut refused = std::collections::BTreeMap::new();
    let mut right = 0;
    for habit in data::HABITS {
        let sqlite = sqlite::Database::open(habit);
        for sql in &statements {
            let expected = pg.run(sql);
            let planned = sqlite.plan(sql);
            if let (Ok(plan), Ok(_)) = (&planned, &expected)
                && let Some(columns) = pg.describe(sql)
            {
                let ours: Vec<(String, u32)> =
                    plan.columns.iter().map(|c| (c.name.clone(), c.ty.oid)).collect();
                if ours != columns {
                    wrong.push(format!(
                        "[{habit:?}] {sql}\n  columns {ours:?}\n  expected {columns:?}"
                    ));
                    continue;
                }
            }
            // The same statement as the shadow would be sent it.
            if let (Ok(plan), Ok(rows)) = (&planned, &expected) {
                let sent = sqlite::postgres_text(plan);
                let shadow = sent.as_deref().map(|s| pg.run(s));
                if shadow.as_ref() != Some(&Ok(rows.clone())) {
                    wrong.push(format!(
                        "[{habit:?}] {sql}\n  sent     {sent:?}\n  got      {shadow:?}\n  expected {rows:?}"
                    ));
                }
            }
            let (answer, text) = match planned {
                Ok(plan) => (sqlite.run(&plan, &[]), sqlite::text(&plan)),
                Err(e) => (Err(e), String::new()),
            };
            let answer: Answer = match answer {
                Err(e) if e.sqlstate().as_str() == "0A000" && expected != Err("0A000".into()) => {
                    *refused.entry(format!("{} ({sql})", e.message())).or_insert(0) += 1;
                    continue;
                }
                Err(e) => Err(format!("{} {}", e.sqlstate(), e.message())),
                Ok(rows) => Ok(rows),
            };
            let same = match (&answer, &expected) {
                (Ok(a), Ok(b)) => a == b,
                (Err(a), Err(b)) => a.starts_with(b.as_str()),
                _ => false,
            };
            if same {
                right += 1;
            } else {
                wrong.push(format!(
                    "[{habit:?}] {sql}\n  {text}\n  got      {answer:?}\n  expected {expected:?}"
                ));
            }
        }
    }
    println!(
        "{} statements x {} habits: {right} right, {} refused, {} wrong",
        statements.len(),
        data::HABITS.len(),
        refused.values().sum::<usize>(),
        wrong.len()
    );
    for (what, count) in &refused {
        println!("refused {count} times: {what}");
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused.values().sum::<usize>() * 20 < right, "too much is refused");
}

#[test]
fn parameters_find_what_literals_find() {
    let pg = Postgres::start();
    let mut wrong = Vec::new();
    for habit in data::HABITS {
        let sqlite = sqlite::Database::open(habit);
        for column in data::COLUMNS {
            for constant in column.constants {
                for op in ["=", "<", "<=", ">", ">=", "<>"] {
                    if !column.ordered && !matches!(op, "=" | "<>") {
                        continue;
                    }
                    let sql = |value: &str| {
                        format!("SELECT id FROM t WHERE {} {op} {value} ORDER BY id", column.name)
                    };
                    let literal = format!("'{constant}'::{}", column.cast);
                    let expected = pg.run(&sql(&literal));
                    let plan = sqlite.plan(&sql("$1")).unwrap();
                    let answer = sqlite
                        .run(&plan, &[constant])
                        .map_err(|e| format!("{} {}", e.sqlstate(), e.message()));
                    if answer != expected {
                        wrong.push(format!(
                            "[{habit:?}] {} with {constant}\n  {}\n  got {answer:?}\n  expected {expected:?}",
                            sql("$1"),
                            sqlite::text(&plan)
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn unique_means_equal_as_postgres_sees_it() {
    let pg = Postgres::start();
    let mut wrong = Vec::new();
    for habit in data::HABITS {
        let sqlite = sqlite::Database::open(habit);
        for column in data::COLUMNS.iter().filter(|c| c.unique) {
            let codec = sqlite.codec(column.name);
            if !codec.preserves_equality(column.ty) {
                continue;
            }
            let table = format!("unique_{}", column.name);
            for constant in column.constants {
                let sql = format!("INSERT INTO {table} VALUES ('{constant}'::{})", column.cast);
                let expected = pg.run(&sql).map(|_| ());
                let answer = sqlite
                    .plan(&sql)
                    .and_then(|p| sqlite.run(&p, &[]))
                    .map(|_| ())
                    .map_err(|e| e.sqlstate().to_string());
                if answer != expected && answer != Err("0A000".to_owned()) {
                    wrong.push(format!("[{habit:?}] {sql}: {answer:?}, expected {expected:?}"));
                }
            }
            pg.run(&format!("DELETE FROM {table}")).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn writes_come_back_as_they_were_meant() {
    let pg = Postgres::start();
    let mut wrong = Vec::new();
    for habit in data::HABITS {
        let sqlite = sqlite::Database::open(habit);
        pg.run("BEGIN").unwrap();
        for sql in statements::writes() {
            pg.run("SAVEPOINT s").unwrap();
            let sent = sqlite.plan(sql).ok().and_then(|p| sqlite::postgres_text(&p));
            let shadow = sent.as_deref().map(|s| pg.run(s));
            pg.run("ROLLBACK TO s").unwrap();
            let expected = pg.run(sql);
            if shadow.as_ref() != Some(&expected) {
                wrong.push(format!(
                    "[{habit:?}] {sql}\n  sent     {sent:?}\n  got      {shadow:?}\n  expected {expected:?}"
                ));
            }
            if expected.is_err() {
                pg.run("ROLLBACK TO s").unwrap();
            }
            let plan = sqlite.plan(sql);
            let text = plan.as_ref().map(sqlite::text).unwrap_or_default();
            let answer = plan.and_then(|p| sqlite.run(&p, &[]));
            let answer = answer.map_err(|e| format!("{} {}", e.sqlstate(), e.message()));
            // RETURNING has no order.
            let sorted = |rows: &Vec<Vec<Option<String>>>| {
                let mut rows = rows.clone();
                rows.sort();
                rows
            };
            let same = match (&answer, &expected) {
                (Ok(a), Ok(b)) => sorted(a) == sorted(b),
                (Err(a), Err(b)) => a.starts_with(b.as_str()),
                _ => false,
            };
            if !same {
                wrong.push(format!(
                    "[{habit:?}] {sql}\n  {text}\n  got      {answer:?}\n  expected {expected:?}"
                ));
            }
            let rows = "SELECT * FROM t ORDER BY id";
            let ours = sqlite.plan(rows).and_then(|p| sqlite.run(&p, &[])).unwrap();
            let theirs = pg.run(rows).unwrap();
            if ours != theirs {
                let differ: Vec<_> = ours.iter().zip(&theirs).filter(|(a, b)| a != b).collect();
                wrong.push(format!("[{habit:?}] {sql}\n  {text}\n  rows {differ:?}"));
                break;
            }
        }
        pg.run("ROLLBACK").unwrap();
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn indexes_serve_through_codecs() {
    for habit in data::HABITS {
        let sqlite = sqlite::Database::open(habit);
        for column in data::COLUMNS {
            let codec = sqlite.codec(column.name);
            if !codec.preserves_equality(column.ty) || !column.unique {
                continue;
            }
            let sql = format!("SELECT id FROM t WHERE {} = $1", column.name);
            let plan = sqlite.plan(&sql).unwrap();
            let steps = sqlite.explain(&sqlite::text(&plan));
            assert!(
                steps.contains("SEARCH"),
                "[{habit:?}] {} does not use its index: {steps}\n{}",
                column.name,
                sqlite::text(&plan)
            );
        }
        let prefix = sqlite.plan("SELECT id FROM t WHERE s LIKE 'ab%'").unwrap();
        if sqlite.codec("s") == crossfade::schema::Codec::Identity {
            let steps = sqlite.explain(&sqlite::text(&prefix));
            assert!(steps.contains("SEARCH"), "LIKE with a prefix does not use its index: {steps}");
        }
        let sorted = sqlite.plan("SELECT id, s FROM t ORDER BY id DESC LIMIT 3").unwrap();
        let steps = sqlite.explain(&sqlite::text(&sorted));
        assert!(!steps.contains("TEMP B-TREE"), "the key's order is sorted again: {steps}");
    }
}
