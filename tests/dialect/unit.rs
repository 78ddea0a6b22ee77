//! The decision: which dialect a text is in, and what the client is told when it is in none.

use super::{Client, make_file};
use crate::common::Proxy;

fn proxy() -> (tempfile::TempDir, Proxy) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    make_file(&file);
    let proxy = Proxy::on_file(&file, &[]);
    (folder, proxy)
}

fn one(client: &Client, sql: &str) -> String {
    let rows = client.run(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    rows[0][0].clone().unwrap_or_else(|| "NULL".to_owned())
}

fn code(client: &Client, sql: &str) -> String {
    match client.run(sql) {
        Ok(rows) => panic!("{sql}: {rows:?}"),
        Err(error) => error.split(':').next().unwrap_or("").to_owned(),
    }
}

#[test]
fn postgres_has_the_first_word() {
    let (_folder, proxy) = proxy();
    let client = Client::of(&proxy);
    // Both dialects accept these, with different meanings: PostgreSQL's counts.
    assert_eq!(one(&client, "SELECT 'A' LIKE 'a'"), "f");
    assert_eq!(one(&client, "SELECT substr('hello', -3, 5)"), "h");
    assert_eq!(one(&client, "SELECT round(2.5::float8)"), "2");
    // Neither accepts these: PostgreSQL's error.
    assert_eq!(code(&client, "SELECT nothing_here FROM users"), "42703");
    assert_eq!(code(&client, "SELECT 1 FROM nowhere"), "42P01");
    assert_eq!(code(&client, "SELECT nofunction(1)"), "42883");
    assert_eq!(code(&client, "SELEC 1"), "42601");
    // A misspelt column is never a string.
    assert_eq!(code(&client, "SELECT ifnull(\"nmae\", 'x') FROM users"), "42703");
}

#[test]
fn the_whole_statement_is_in_one_dialect() {
    let (_folder, proxy) = proxy();
    let client = Client::of(&proxy);
    // One function of SQLite's gives LIKE SQLite's meaning, too.
    assert_eq!(one(&client, "SELECT 'A' LIKE 'a' AND ifnull(1, 0)"), "1");
    // Statements of one text decide for themselves.
    let rows = client.run("SELECT 'A' LIKE 'a'; SELECT ifnull(NULL, 'A' LIKE 'a')").unwrap();
    assert_eq!(rows[0][0].as_deref(), Some("f"));
    assert_eq!(rows[1][0].as_deref(), Some("1"));
}

#[test]
fn a_session_names_its_dialect() {
    let (_folder, proxy) = proxy();
    let client = Client::of(&proxy);
    assert_eq!(one(&client, "SHOW crossfade.dialect"), "auto");
    client.run("SET crossfade.dialect = 'sqlite'").unwrap();
    assert_eq!(one(&client, "SHOW crossfade.dialect"), "sqlite");
    assert_eq!(one(&client, "SELECT 'A' LIKE 'a'"), "1");
    assert_eq!(one(&client, "SELECT \"no column\""), "no column");
    assert_eq!(one(&client, "SELECT 7 / 2"), "3");
    client.run("SET crossfade.dialect = 'postgres'").unwrap();
    assert_eq!(code(&client, "SELECT ifnull(1, 2)"), "42883");
    assert_eq!(code(&client, "SET crossfade.dialect = 'mysql'"), "22023");
    client.run("RESET crossfade.dialect").unwrap();
    assert_eq!(one(&client, "SELECT ifnull(1, 2)"), "1");
}

#[test]
fn pragmas_answer_from_the_catalogs() {
    let (_folder, proxy) = proxy();
    let client = Client::of(&proxy);
    let rows = client.run("PRAGMA table_info(orders)").unwrap();
    let names: Vec<_> = rows.iter().map(|r| r[1].clone().unwrap()).collect();
    assert_eq!(names, ["id", "user_id", "qty", "price", "note", "placed"]);
    let keys: Vec<_> = rows.iter().map(|r| r[5].clone().unwrap()).collect();
    assert_eq!(keys, ["1", "0", "0", "0", "0", "0"]);
    let rows = client.run("PRAGMA table_info('pairs')").unwrap();
    assert_eq!(rows[1][5].as_deref(), Some("2"));
    let rows = client.run("PRAGMA foreign_key_list(orders)").unwrap();
    assert_eq!(rows[0][2].as_deref(), Some("users"));
    assert_eq!(rows[0][6].as_deref(), Some("CASCADE"));
    let rows = client.run("PRAGMA index_list(orders)").unwrap();
    assert!(rows.iter().any(|r| r[1].as_deref() == Some("orders_user")));
    let rows = client.run("PRAGMA index_info(orders_user)").unwrap();
    assert_eq!(rows[0][2].as_deref(), Some("user_id"));
    assert_eq!(one(&client, "PRAGMA foreign_keys"), "1");
    assert_eq!(one(&client, "SELECT count(*) FROM pragma_table_info('kv')"), "3");
    client.run("PRAGMA busy_timeout = 5000").unwrap();
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let (_folder, proxy) = proxy();
    let client = Client::of(&proxy);
    // SQLite would keep these as they are; a column takes what its type takes.
    assert_eq!(code(&client, "REPLACE INTO kv(k, n) VALUES ('x', 'junk')"), "22P02");
    assert_eq!(code(&client, "REPLACE INTO kv(k, n) VALUES ('x', ifnull(NULL, 1.5))"), "22P02");
    assert_eq!(code(&client, "REPLACE INTO kv(k, n) VALUES ('x', x'00')"), "42804");
    assert_eq!(code(&client, "INSERT OR REPLACE INTO users(id) VALUES (9)"), "23502");
}

#[test]
fn translate_shows_both_sides() {
    let (folder, proxy) = proxy();
    let file = folder.path().join("app.db");
    let file = file.to_str().unwrap();
    let sql = "SELECT ifnull(name, 'x') FROM users WHERE name LIKE 'a%' LIMIT 2, 3";
    let (exit, out, err) = proxy.cli(&["translate", "--sqlite", file, "--json", sql]);
    assert_eq!(exit, 0, "{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let statement = &told["statements"][0];
    assert_eq!(statement["dialect"], "sqlite");
    assert!(statement["text"].as_str().unwrap().contains("OFFSET"), "{out}");
    let rules = statement["rules"].as_array().unwrap();
    assert!(rules.iter().any(|r| r.as_str().unwrap().contains("LIKE")), "{out}");
    let (exit, out, _) = proxy.cli(&["translate", "--sqlite", file, "--json", "SELECT 1"]);
    assert_eq!(exit, 0);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["statements"][0]["dialect"], "postgres");
}
