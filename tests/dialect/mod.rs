//! SQLite's dialect from clients: the same statements on stock SQLite, through the proxy on
//! SQLite, and through the promoted proxy; all three answer the same.
//!
//! `tables.sql` is the file, `reads.sql` and `writes.sql` are the statements. A wrong answer
//! fails; a refusal must stand in the lists with its mark.

mod client;
mod unit;

use std::path::Path;

use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::common::{Journey, Pg, Proxy};

const TABLES: &str = include_str!("tables.sql");
const READS: &str = include_str!("reads.sql");
const WRITES: &str = include_str!("writes.sql");

/// Rows as text, or a SQLSTATE.
type Answer = Result<Vec<Vec<Option<String>>>, String>;

/// Who is expected to refuse a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Nobody,
    /// Refused after promote.
    Postgres,
    /// Refused after promote as long as the file has not followed a schema change.
    Following,
    /// Refused by the proxy everywhere.
    All,
}

fn statements(text: &'static str) -> impl Iterator<Item = (Mark, &'static str)> {
    text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with("--")).map(|line| {
        let marks = [('!', Mark::All), ('@', Mark::Postgres), ('~', Mark::Following)];
        let marked = |(sign, mark)| line.strip_prefix(sign).map(|rest| (mark, rest));
        marks.into_iter().find_map(marked).unwrap_or((Mark::Nobody, line))
    })
}

fn make_file(path: &Path) {
    rusqlite::Connection::open(path).unwrap().execute_batch(TABLES).unwrap();
}

/// SQLite itself.
fn stock(connection: &rusqlite::Connection, sql: &str) -> Answer {
    let answer = || -> rusqlite::Result<Vec<Vec<Option<String>>>> {
        let mut statement = connection.prepare(sql)?;
        let width = statement.column_count();
        let mut rows = statement.query([])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let mut cells = Vec::new();
            for i in 0..width {
                use rusqlite::types::ValueRef as V;
                cells.push(match row.get_ref(i)? {
                    V::Null => None,
                    V::Integer(i) => Some(i.to_string()),
                    V::Real(r) => Some(format!("{r:?}")),
                    V::Text(t) => Some(String::from_utf8_lossy(t).into_owned()),
                    V::Blob(b) => {
                        Some(b.iter().fold("\\x".to_owned(), |s, b| s + &format!("{b:02x}")))
                    }
                });
            }
            out.push(cells);
        }
        Ok(out)
    };
    answer().map_err(|e| e.to_string())
}

/// One client of a proxy.
struct Client {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Client {
    fn of(proxy: &Proxy) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = proxy.url();
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Self { runtime, client }
    }

    fn run(&self, sql: &str) -> Answer {
        self.runtime.block_on(async {
            match self.client.simple_query(sql).await {
                Ok(messages) => Ok(messages
                    .iter()
                    .filter_map(|m| match m {
                        SimpleQueryMessage::Row(row) => {
                            Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
                        }
                        _ => None,
                    })
                    .collect()),
                Err(error) => Err(match error.as_db_error() {
                    Some(e) => format!("{}: {}", e.code().code(), e.message()),
                    None => error.to_string(),
                }),
            }
        })
    }
}

/// Whether two cells hold the same value; types differ as documented (booleans, numbers).
fn same_cell(a: Option<&str>, b: Option<&str>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return a == b };
    let plain = |s: &str| match s {
        "t" => "1".to_owned(),
        "f" => "0".to_owned(),
        other => other.to_owned(),
    };
    let (a, b) = (plain(a), plain(b));
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) => x == y || (x - y).abs() <= 1e-9 * x.abs().max(y.abs()),
        _ => a == b,
    }
}

fn same(a: &Answer, b: &Answer) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => {
            a.len() == b.len()
                && a.iter().zip(b).all(|(a, b)| {
                    a.len() == b.len()
                        && a.iter().zip(b).all(|(a, b)| same_cell(a.as_deref(), b.as_deref()))
                })
        }
        _ => false,
    }
}

/// Runs the lists on one target; what went wrong.
fn compare(target: &str, client: &Client, connection: &rusqlite::Connection) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut equal, mut refused) = (0, 0);
    for (mark, sql) in statements(READS).chain(statements(WRITES)) {
        let (sql, same_for_stock) = sql.split_once(" ==> ").unwrap_or((sql, sql));
        let expected = mark == Mark::All || (mark == Mark::Postgres && target == "promoted");
        let found = client.run(sql);
        if expected {
            match found {
                Err(_) => refused += 1,
                Ok(rows) => wrong.push(format!("{target}: not refused: {sql}\n  {rows:?}")),
            }
            continue;
        }
        if mark == Mark::Following && target == "promoted" && found.is_err() {
            refused += 1;
            continue;
        }
        let wanted = stock(connection, same_for_stock);
        if same(&wanted, &found) {
            equal += 1;
        } else {
            wrong.push(format!("{target}: {sql}\n  SQLite: {wanted:?}\n  found:  {found:?}"));
        }
    }
    println!("{target}: {equal} equal, {refused} refused, {} wrong", wrong.len());
    wrong
}

#[test]
fn the_proxy_on_sqlite_answers_as_sqlite_does() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours.db"), folder.path().join("theirs.db"));
    make_file(&ours);
    make_file(&theirs);
    let proxy = Proxy::on_file(&ours, &[]);
    let connection = rusqlite::Connection::open(&theirs).unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    let wrong = compare("sqlite", &Client::of(&proxy), &connection);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_promoted_proxy_answers_as_sqlite_does() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (folder.path().join("ours.db"), folder.path().join("theirs.db"));
    make_file(&ours);
    make_file(&theirs);
    let journey = Journey::start(&ours, Pg::shared(), &[]);
    journey.mirror();
    journey.promote();
    let connection = rusqlite::Connection::open(&theirs).unwrap();
    connection.pragma_update(None, "foreign_keys", true).unwrap();
    let wrong = compare("promoted", &Client::of(&journey.proxy), &connection);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
