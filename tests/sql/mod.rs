//! SQL logic tests: `*.slt` files, run on PostgreSQL, on the proxy on SQLite, and on a promoted
//! proxy. The answers written down are PostgreSQL's: `UPDATE_SQL=1` writes them anew from it.
//!
//! A file is records between blank lines: `statement ok`, `statement error SQLSTATE` or
//! `query [rowsort]`, then the text; a query's rows follow `----`, values between `|`. Lines that
//! start with `#` are comments. Tables carry their file's name: all files share the promoted
//! proxy's database. Start at [`run`].

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::common::client::{Address, Answer, Client};
use crate::common::{Journey, Pg, Proxy};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    head: String,
    sql: String,
    /// Rows after `----`.
    expected: Vec<String>,
    line: usize,
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sql");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|e| std::fs::DirEntry::path(&e))
        .filter(|p| p.extension().is_some_and(|e| e == "slt"))
        .collect();
    found.sort();
    found
}

/// Comments in front of a record, and the record.
fn parse(text: &str) -> Vec<(Vec<String>, Option<Step>)> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while lines.peek().is_some() {
        let mut comments = Vec::new();
        while let Some((_, line)) = lines.next_if(|(_, l)| l.starts_with('#') || l.is_empty()) {
            comments.push(line.to_owned());
        }
        let Some((line, head)) = lines.next() else {
            found.push((comments, None));
            break;
        };
        let mut sql = Vec::new();
        while let Some((_, l)) = lines.next_if(|(_, l)| !l.is_empty() && *l != "----") {
            sql.push(l);
        }
        let mut expected = Vec::new();
        if lines.next_if(|(_, l)| *l == "----").is_some() {
            while let Some((_, l)) = lines.next_if(|(_, l)| !l.is_empty()) {
                expected.push(l.to_owned());
            }
        }
        let step = Step { head: head.to_owned(), sql: sql.join("\n"), expected, line: line + 1 };
        found.push((comments, Some(step)));
    }
    found
}

/// What a record's head and rows are for this answer.
fn outcome(step: &Step, answer: &Answer) -> (String, Vec<String>) {
    if !answer.ok() {
        return (format!("statement error {}", answer.code()), Vec::new());
    }
    if !step.head.starts_with("query") {
        return ("statement ok".to_owned(), Vec::new());
    }
    let value = |v: &Option<Vec<u8>>| match v {
        None => "NULL".to_owned(),
        Some(v) if v.is_empty() => "(empty)".to_owned(),
        Some(v) => String::from_utf8_lossy(v).replace('\n', "\\n"),
    };
    let mut rows: Vec<String> = answer
        .outcomes
        .iter()
        .flat_map(|o| &o.rows)
        .map(|row| row.iter().map(value).collect::<Vec<_>>().join("|"))
        .collect();
    if step.head.contains("rowsort") {
        rows.sort();
    }
    (step.head.clone(), rows)
}

/// Runs a file; what differs from what is written down.
fn run(path: &Path, client: &mut Client) -> Vec<String> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut wrong = Vec::new();
    for (_, step) in parse(&std::fs::read_to_string(path).unwrap()) {
        let Some(step) = step else { continue };
        let answer = client.simple(&step.sql);
        let (head, rows) = outcome(&step, &answer);
        if head != step.head || rows != step.expected {
            let error = answer.error.map(|e| e.message).unwrap_or_default();
            wrong.push(format!(
                "{name}:{} {}\n  got      {head} {rows:?} {error}\n  expected {} {:?}",
                step.line, step.sql, step.head, step.expected
            ));
            if answer.lost {
                client.reconnect();
            }
        }
    }
    wrong
}

/// Writes PostgreSQL's answers into the file.
fn rewrite(path: &Path, client: &mut Client) {
    let mut out = String::new();
    for (comments, step) in parse(&std::fs::read_to_string(path).unwrap()) {
        comments.iter().for_each(|c| writeln!(out, "{c}").unwrap());
        let Some(step) = step else { continue };
        let (head, rows) = outcome(&step, &client.simple(&step.sql));
        writeln!(out, "{head}\n{}", step.sql).unwrap();
        if head.starts_with("query") {
            writeln!(out, "----").unwrap();
            rows.iter().for_each(|r| writeln!(out, "{r}").unwrap());
        }
    }
    std::fs::write(path, out).unwrap();
}

fn address(port: u16, database: &str) -> Address {
    Address {
        port,
        user: "postgres".to_owned(),
        database: database.to_owned(),
        options: "-c timezone=UTC".to_owned(),
    }
}

fn database() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let name = format!("logic_{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let sql = format!("CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C.UTF-8'");
    Pg::shared().cluster.psql("postgres", &sql).unwrap();
    name
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_written_down_is_what_postgres_answers() {
    let mut wrong = Vec::new();
    for file in files() {
        let mut client = Client::connect(address(Pg::shared().cluster.port(), &database()));
        if std::env::var_os("UPDATE_SQL").is_some() {
            rewrite(&file, &mut client);
        } else {
            wrong.extend(run(&file, &mut client));
        }
    }
    report(&wrong);
}

#[test]
fn sqlite_answers_what_is_written_down() {
    let mut wrong = Vec::new();
    for file in files() {
        let proxy = Proxy::direct();
        wrong.extend(run(&file, &mut Client::connect(address(proxy.port, "app"))));
    }
    report(&wrong);
}

#[test]
fn a_promoted_proxy_answers_what_is_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let journey = Journey::start(&folder.path().join("app.db"), Pg::shared(), &[]);
    journey.mirror();
    journey.promote();
    let mut wrong = Vec::new();
    for file in files() {
        let mut client = Client::connect(address(journey.proxy.port, "app"));
        wrong.extend(run(&file, &mut client));
    }
    report(&wrong);
}

#[test]
fn records_are_read() {
    let text = "# a\nstatement ok\nSELECT 1\n\nquery rowsort\nSELECT\n 2\n----\n2\n3\n";
    let records = parse(text);
    assert_eq!(records[0].0, ["# a"]);
    let step = records[1].1.clone().unwrap();
    assert_eq!((step.sql.as_str(), step.expected.len()), ("SELECT\n 2", 2));
}
