//! A schema change that was noted on PostgreSQL: which statement it was.
//!
//! Owns the note's form and the way from the client's text to the one statement that the note is
//! about. A text may hold several, and what runs inside a function is only named in PostgreSQL's
//! account of what called what. It must never guess: where two statements could be meant, none is.
//! Start at [`Note::statement`].

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::backend::postgres::decode::{Table, TableColumn};
use crate::error::Result;
use crate::name;
use crate::sql::ast::{Ddl, Parsed, Statement, Transaction};
use crate::sql::pg::commands;

/// Characters of a statement that a message tells.
const SHOWN: usize = 200;

/// What an event trigger wrote.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Note {
    /// PostgreSQL's command tag.
    pub(super) tag: String,
    /// What the client sent.
    pub(super) query: String,
    /// Why the change could not be noted: then there is no more than this.
    #[serde(default)]
    pub(super) lost: Option<String>,
    /// Nothing that SQLite has was changed: the statement only has its place in the text.
    #[serde(default)]
    pub(super) pass: bool,
    /// What called what, the event trigger's function first.
    #[serde(default)]
    frames: String,
    /// search_path
    #[serde(default)]
    path: String,
    /// The role for which `$user` stands there.
    #[serde(default)]
    caller: String,
    /// TimeZone
    #[serde(default)]
    pub(super) zone: String,
    /// DateStyle
    #[serde(default)]
    dates: String,
    /// standard_conforming_strings
    #[serde(default)]
    strings: String,
    /// When the client's message came, PostgreSQL microseconds.
    #[serde(default)]
    pub(super) at: i64,
    /// When its transaction began.
    #[serde(default)]
    pub(super) began: i64,
    /// The changed tables as they are behind the change.
    #[serde(default)]
    pub(super) tables: Vec<Noted>,
}

/// A table as PostgreSQL has it behind a change.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(super) struct Noted {
    /// OID.
    pub(super) relid: u32,
    schema: String,
    name: String,
    /// It is a partition of another.
    #[serde(default)]
    pub(super) partition: bool,
    /// Its number in the trigger journal.
    #[serde(default)]
    pub(super) id: Option<i32>,
    /// Name, type, modifier, and whether it is generated.
    columns: Vec<(String, u32, i32, bool)>,
}

impl Noted {
    /// The key of the table.
    pub(super) fn key(&self) -> String {
        name::key(&self.schema, &self.name)
    }

    /// As the trigger journal writes its rows.
    pub(super) fn table(&self) -> Table {
        self.with(|_| true)
    }

    /// As the stream tells of it: without generated columns.
    pub(super) fn streamed(&self) -> Table {
        self.with(|generated| !generated)
    }

    fn with(&self, wanted: impl Fn(bool) -> bool) -> Table {
        let column = |(name, type_oid, typmod, _): &(String, u32, i32, bool)| TableColumn {
            key: true,
            name: name.clone(),
            type_oid: *type_oid,
            typmod: *typmod,
        };
        Table {
            oid: self.relid,
            schema: self.schema.clone(),
            name: self.name.clone(),
            identity: b'f',
            columns: self.columns.iter().filter(|c| wanted(c.3)).map(column).collect(),
        }
    }
}

/// How many changes of a tag each text has made so far in a transaction.
pub(super) type Counts = HashMap<(i64, String), usize>;

/// Whose part a statement is.
enum Origin<'a> {
    /// The client sent it.
    Client,
    /// A function ran this text.
    Function(&'a str),
}

impl Note {
    /// Reads what was written.
    pub(super) fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| {
            crate::error::Error::internal(format!("a note of a schema change is damaged: {e}"))
        })
    }

    /// Schemas that unqualified names were looked for in.
    pub(super) fn search_path(&self) -> Vec<String> {
        let names = name::search_path(&self.path).into_iter();
        let names = names.map(|n| if n == "$user" { self.caller.clone() } else { n });
        names.filter(|n| !n.starts_with("pg_temp")).collect()
    }

    /// The start of the text, for messages.
    pub(super) fn shown(&self) -> String {
        let text = match self.origin() {
            Ok(Origin::Function(text)) => text,
            _ => &self.query,
        };
        shown(text)
    }

    /// The statement that made the change; why that is not known.
    pub(super) fn statement(&self, counts: &mut Counts) -> Result<Parsed, String> {
        let origin = self.origin()?;
        let text = match origin {
            Origin::Client => self.query.as_str(),
            Origin::Function(text) => text,
        };
        self.check_settings(text)?;
        let all = commands(text).map_err(|e| format!("it cannot be read: {}", e.message()))?;
        let at: Vec<usize> = (0..all.len()).filter(|i| all[*i].1 == Some(&*self.tag)).collect();
        let nth = match (at.as_slice(), origin) {
            ([], _) => return Err(format!("a {} is not in its text", self.tag)),
            ([one], _) => *one,
            (_, Origin::Function(_)) => {
                return Err("a function ran several at once".to_owned());
            }
            (several, Origin::Client) => {
                if turns(&all) {
                    return Err("its text ends transactions between several".to_owned());
                }
                let count = counts.entry((self.at, self.tag.clone())).or_default();
                let nth = several.get(*count).ok_or("its text holds fewer of them")?;
                // What is dropped is noted before the end of its statement, which is noted too.
                *count += usize::from(!self.tag.starts_with("DROP "));
                *nth
            }
        };
        let found = all.into_iter().nth(nth).map(|(parsed, _)| parsed);
        found.filter(|it| self.fits(it)).ok_or_else(|| "its text names another object".to_owned())
    }

    /// Notes that a statement was passed by.
    pub(super) fn pass_by(&self, counts: &mut Counts) {
        *counts.entry((self.at, self.tag.clone())).or_default() += 1;
    }

    /// Whether a statement is about the table that was changed.
    fn fits(&self, parsed: &Parsed) -> bool {
        let (Statement::Ddl(ddl), [table, ..]) = (&parsed.statement, self.tables.as_slice()) else {
            return true;
        };
        match &**ddl {
            Ddl::CreateTable(create) => create.name.name == table.name,
            Ddl::CreateTableAs { name, .. } | Ddl::AlterTable { name, .. } => {
                name.name == table.name
            }
            _ => true,
        }
    }

    /// Whether the note is about what an extension's script does.
    pub(super) fn is_of_extension(&self) -> bool {
        let of = |text: &str| {
            commands(text).is_ok_and(|all| {
                matches!(all.as_slice(), [(_, Some("CREATE EXTENSION" | "ALTER EXTENSION"))])
            })
        };
        self.tag.ends_with(" EXTENSION") || of(&self.query)
    }

    /// Whether rows and what they may be stay as they are: comments, and indexes that only speed
    /// things up.
    pub(super) fn is_lesser(&self) -> bool {
        match self.tag.as_str() {
            "COMMENT" | "DROP INDEX" | "ALTER INDEX" => true,
            "CREATE INDEX" => !self.query.to_ascii_lowercase().contains("unique"),
            _ => false,
        }
    }

    /// What ran it. Behind the event trigger's own line PostgreSQL tells the statement that a
    /// function ran, then the function; several of each when functions call one another.
    fn origin(&self) -> Result<Origin<'_>, String> {
        let Some((_, callers)) = self.frames.split_once('\n') else { return Ok(Origin::Client) };
        let unknown = || "it ran inside a function that does not tell its text".to_owned();
        let rest = callers.strip_prefix("SQL statement \"").ok_or_else(unknown)?;
        let (text, _) = rest.split_once("\"\nPL/pgSQL function ").ok_or_else(unknown)?;
        Ok(Origin::Function(text))
    }

    /// Settings under which a text means something else than here.
    fn check_settings(&self, text: &str) -> Result<(), String> {
        if self.strings != "on" && text.contains('\\') {
            return Err("it ran with standard_conforming_strings off".to_owned());
        }
        if !self.dates.ends_with("MDY") && text.contains('\'') && is_date_like(text) {
            return Err(format!("it ran with DateStyle {}", self.dates));
        }
        Ok(())
    }
}

/// Whether digits stand on both sides of what parts a date.
fn is_date_like(text: &str) -> bool {
    text.as_bytes().windows(3).any(|w| {
        w[0].is_ascii_digit() && matches!(w[1], b'/' | b'-' | b'.') && w[2].is_ascii_digit()
    })
}

/// Whether a text ends transactions, or parts of them, but for COMMIT as its end.
fn turns(all: &[(Parsed, Option<&'static str>)]) -> bool {
    all.iter().enumerate().any(|(i, (parsed, _))| match &parsed.statement {
        Statement::Transaction(Transaction::Begin(_)) => i > 0,
        Statement::Transaction(Transaction::Commit(chain)) => *chain || i + 1 < all.len(),
        Statement::Transaction(
            Transaction::Rollback(_) | Transaction::RollbackTo(_) | Transaction::TwoPhase,
        ) => true,
        _ => false,
    })
}

/// A statement in one line, cut.
pub(super) fn shown(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((at, _)) = line.char_indices().nth(SHOWN) {
        line.truncate(at);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "PL/pgSQL function crossfade.way_back_changed() line 5 at GET DIAGNOSTICS";

    fn note(tag: &str, query: &str, callers: &str) -> Note {
        let frames = if callers.is_empty() { OWN.to_owned() } else { format!("{OWN}\n{callers}") };
        Note {
            tag: tag.into(),
            query: query.into(),
            lost: None,
            pass: false,
            frames,
            path: "\"$user\", Public, \"Odd, one\", pg_temp".into(),
            caller: "anna".into(),
            zone: "UTC".into(),
            dates: "ISO, MDY".into(),
            strings: "on".into(),
            at: 7,
            began: 6,
            tables: Vec::new(),
        }
    }

    fn text(note: &Note, counts: &mut Counts) -> String {
        note.statement(counts).map_or_else(|why| format!("! {why}"), |parsed| parsed.text)
    }

    #[test]
    fn one_of_several_statements_is_found_by_its_tag_and_its_place() {
        let query = "BEGIN; CREATE TABLE a (x int); INSERT INTO a VALUES (1); SAVEPOINT s; \
                     ALTER TABLE a ADD y int; CREATE TABLE b (x int); COMMIT";
        let mut counts = Counts::new();
        let mut one = |tag| text(&note(tag, query, ""), &mut counts);
        assert_eq!(one("CREATE TABLE"), "CREATE TABLE a (x int)");
        assert_eq!(one("ALTER TABLE"), "ALTER TABLE a ADD y int");
        assert_eq!(one("CREATE TABLE"), "CREATE TABLE b (x int)");
        assert!(one("CREATE TABLE").starts_with("! its text holds fewer"));
        assert!(one("DROP TABLE").starts_with("! a DROP TABLE is not"));
        // The same text once more is another message.
        let mut again = note("CREATE TABLE", query, "");
        again.at = 8;
        assert_eq!(text(&again, &mut counts), "CREATE TABLE a (x int)");
    }

    #[test]
    fn statements_that_did_nothing_keep_their_places() {
        let query = "CREATE TABLE IF NOT EXISTS a (x int); CREATE TABLE IF NOT EXISTS b (x int); \
                     DROP TABLE IF EXISTS c; DROP TABLE IF EXISTS d; DROP TABLE IF EXISTS e";
        let mut counts = Counts::new();
        note("CREATE TABLE", query, "").pass_by(&mut counts);
        let found = text(&note("CREATE TABLE", query, ""), &mut counts);
        assert_eq!(found, "CREATE TABLE IF NOT EXISTS b (x int)");
        // c is not there; d is, and its end is noted behind it; then e.
        let drop = note("DROP TABLE", query, "");
        drop.pass_by(&mut counts);
        assert_eq!(text(&drop, &mut counts), "DROP TABLE IF EXISTS d");
        drop.pass_by(&mut counts);
        assert_eq!(text(&drop, &mut counts), "DROP TABLE IF EXISTS e");
        // The table's own name has the last word.
        let mut other = note("CREATE TABLE", "CREATE TABLE a (x int)", "");
        other.tables = serde_json::from_str(
            r#"[{"relid": 1, "schema": "public", "name": "b", "columns": []}]"#,
        )
        .expect("a table");
        assert!(text(&other, &mut counts).contains("names another"));
    }

    #[test]
    fn where_two_could_be_meant_none_is() {
        for query in [
            "SAVEPOINT s; CREATE TABLE a (); ROLLBACK TO s; CREATE TABLE b ()",
            "CREATE TABLE a (); COMMIT; CREATE TABLE b ()",
            "CREATE TABLE a (); COMMIT AND CHAIN; CREATE TABLE b ()",
            "CREATE TABLE a (); BEGIN; CREATE TABLE b ()",
        ] {
            let said = text(&note("CREATE TABLE", query, ""), &mut Counts::new());
            assert!(said.contains("ends transactions"), "{query}: {said}");
        }
        // Only one of the tag: it is that one, whatever else was undone.
        let query = "SAVEPOINT s; CREATE TABLE a (); ROLLBACK TO s; CREATE INDEX ON b (x)";
        let found = text(&note("CREATE INDEX", query, ""), &mut Counts::new());
        assert_eq!(found, "CREATE INDEX ON b (x)");
    }

    #[test]
    fn what_a_function_ran_is_found_in_the_account_of_its_calls() {
        let block = "DO $$ BEGIN CREATE TYPE m AS ENUM ('a'); END $$";
        let callers = "SQL statement \"CREATE TYPE m AS ENUM ('a')\"\n\
                       PL/pgSQL function inline_code_block line 1 at SQL statement";
        let mut counts = Counts::new();
        let found = text(&note("CREATE TYPE", block, callers), &mut counts);
        assert_eq!(found, "CREATE TYPE m AS ENUM ('a')");
        let callers = "SQL statement \"CREATE TABLE d (\"x y\" int)\"\n\
                       PL/pgSQL function f() line 1 at EXECUTE\nSQL statement \"SELECT f()\"\n\
                       PL/pgSQL function g() line 3 at PERFORM";
        let found = text(&note("CREATE TABLE", "SELECT g()", callers), &mut counts);
        assert_eq!(found, "CREATE TABLE d (\"x y\" int)");
        for (callers, why) in [
            ("SQL function \"f\" statement 1", "does not tell"),
            ("SQL statement \"CREATE TABLE d ()\"\nPL/Python function \"f\"", "does not tell"),
            (
                "SQL statement \"CREATE TABLE d (); CREATE TABLE e ()\"\n\
                 PL/pgSQL function f() line 1 at EXECUTE",
                "several at once",
            ),
            ("SQL statement \"SELECT f()\"\nPL/pgSQL function g() line 1 at PERFORM", "is not in"),
        ] {
            let said = text(&note("CREATE TABLE", "SELECT g()", callers), &mut counts);
            assert!(said.contains(why), "{callers}: {said}");
        }
        // A function that the client's text calls, and the account is silent.
        let said = text(&note("CREATE TABLE", "SELECT f()", ""), &mut counts);
        assert!(said.contains("is not in"), "{said}");
    }

    #[test]
    fn settings_that_change_what_a_text_means_are_refused() {
        let mut one = note("ALTER TABLE", "ALTER TABLE t ADD d date DEFAULT '01/02/2024'", "");
        assert!(one.statement(&mut Counts::new()).is_ok());
        one.dates = "ISO, DMY".into();
        assert!(one.statement(&mut Counts::new()).is_err());
        one.query = "ALTER TABLE t ADD d text DEFAULT 'x'".into();
        assert!(one.statement(&mut Counts::new()).is_ok());
        one.query = "ALTER TABLE t ADD d text DEFAULT 'a\\'".into();
        assert!(one.statement(&mut Counts::new()).is_ok());
        one.strings = "off".into();
        assert!(one.statement(&mut Counts::new()).is_err());
        assert_eq!(one.search_path(), ["anna", "public", "Odd, one"]);
    }

    #[test]
    fn tags_are_postgresqls() {
        for (query, tag) in [
            ("SELECT 1 AS a INTO t", Some("SELECT INTO")),
            ("SELECT 1 UNION SELECT 2", None),
            ("ALTER TABLE t RENAME COLUMN a TO b", Some("ALTER TABLE")),
            ("ALTER TABLE t RENAME CONSTRAINT a TO b", Some("ALTER TABLE")),
            ("ALTER VIEW v RENAME TO w", Some("ALTER VIEW")),
            ("ALTER INDEX i RENAME TO j", Some("ALTER INDEX")),
            ("ALTER SEQUENCE s OWNER TO x", Some("ALTER SEQUENCE")),
            ("ALTER TYPE m ADD VALUE 'b'", Some("ALTER TYPE")),
            ("ALTER TABLE t SET SCHEMA s", Some("ALTER TABLE")),
            ("DROP MATERIALIZED VIEW v", Some("DROP MATERIALIZED VIEW")),
            ("CREATE MATERIALIZED VIEW v AS SELECT 1", Some("CREATE MATERIALIZED VIEW")),
            ("CREATE TABLE t AS SELECT 1", Some("CREATE TABLE AS")),
            ("CREATE TYPE c AS (a int)", Some("CREATE TYPE")),
            ("GRANT SELECT ON t TO x", None),
            ("TRUNCATE t", None),
        ] {
            let all = commands(query).expect(query);
            assert_eq!(all.first().and_then(|(_, found)| *found), tag, "{query}");
        }
    }
}
