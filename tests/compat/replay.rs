//! Replays a corpus on PostgreSQL, on a second PostgreSQL and on the proxy, keeping all three in
//! the same state, and says of every statement how the proxy did.
//!
//! A statement that one side refuses is undone on the others; a definition that only the proxy
//! refuses stays on PostgreSQL, and what depends on it counts as blocked. Start at
//! [`Replay::run`].

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{self, Found};
use super::context;
use super::corpus::{Corpus, Exclusions, Statement};
use super::text;
use crate::common::client::{Answer, Client, Description, Failure};

/// How the proxy did on one statement.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Accepted with PostgreSQL's answer.
    Equal,
    /// Refused with PostgreSQL's SQLSTATE.
    EqualRefusal,
    /// Accepted; PostgreSQL's own answer is not stable.
    Unstable,
    /// The same rows in an order that PostgreSQL did not give; to be reviewed (ties).
    Order(String),
    /// The right rows under other types.
    Types(String),
    /// PostgreSQL refuses it too, for want of what preceded it in the recorded run.
    NoContext(Failure),
    /// PostgreSQL accepts it.
    Refused(Failure),
    /// Fails or differs, and names something whose definition was refused before.
    Blocked(String),
    Wrong(String),
    Excluded(String),
}

/// One statement's record.
pub struct Record {
    pub statement: Statement,
    pub verdict: Verdict,
    /// Error texts that differ though the code is the same: PostgreSQL's, ours.
    pub texts: Option<(Failure, Failure)>,
}

/// Agreement of Describe, in columns and parameters.
#[derive(Default)]
pub struct Agreement {
    pub columns: u64,
    pub columns_equal: u64,
    pub typmods_equal: u64,
    pub parameters: u64,
    pub parameters_equal: u64,
    /// Statements that PostgreSQL describes and the proxy refuses to.
    pub refused: u64,
    pub statements: u64,
    pub differences: Vec<String>,
}

/// The three sides, always in the same state.
pub struct Replay<'a> {
    pub pg: Client,
    pub twin: Client,
    pub proxy: Client,
    corpus: &'a Corpus,
    /// CREATE TABLE texts by name, for statements whose table is gone.
    pub creates: BTreeMap<String, Vec<usize>>,
    /// Names that mean something else, or nothing, on the proxy.
    tainted: BTreeSet<String>,
    /// A transaction is open on all sides.
    open: bool,
    defers: bool,
    pub agreement: Agreement,
    touched: BTreeSet<String>,
}

/// In what surroundings a statement runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// By itself, outside any transaction.
    Alone,
    /// In a transaction that stays open for the next one.
    Held,
    /// In a transaction of its own.
    Own,
    /// Definition: a transaction of its own, kept on PostgreSQL even where the proxy refuses it.
    Definition,
    /// Transaction control: in what it needs, everything undone afterwards.
    Control,
}

/// The three answers.
pub struct Answers {
    pub pg: Answer,
    pub twin: Answer,
    pub proxy: Answer,
}

impl<'a> Replay<'a> {
    pub fn new(corpus: &'a Corpus, pg: Client, twin: Client, proxy: Client) -> Self {
        let mut creates: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (i, statement) in corpus.statements.iter().enumerate() {
            if let Some(name) = text::created_table(&statement.sql) {
                creates.entry(name).or_default().push(i);
            }
        }
        Self {
            pg,
            twin,
            proxy,
            corpus,
            creates,
            tainted: BTreeSet::new(),
            open: false,
            defers: corpus.defers(),
            agreement: Agreement::default(),
            touched: BTreeSet::new(),
        }
    }

    /// Text of the statement at an index of [`Replay::creates`].
    pub fn text_at(&self, index: usize) -> &'a str {
        &self.corpus.statements[index].sql
    }

    /// All statements of the corpus.
    pub fn statements(&self) -> &'a [Statement] {
        &self.corpus.statements
    }

    /// Replays everything.
    pub fn run(&mut self, exclusions: &Exclusions) -> Vec<Record> {
        let corpus = self.corpus;
        corpus
            .statements
            .iter()
            .enumerate()
            .map(|(index, statement)| {
                let excluded = if statement.cut {
                    Some("the text was cut off")
                } else {
                    exclusions.reason(&corpus.name, &statement.sql)
                };
                let (verdict, texts) = match excluded {
                    Some(reason) => {
                        self.pass_over(statement);
                        (Verdict::Excluded(reason.to_owned()), None)
                    }
                    None => self.statement(index, statement),
                };
                Record { statement: statement.clone(), verdict, texts }
            })
            .collect()
    }

    /// What is excluded still makes tables on PostgreSQL that others need.
    fn pass_over(&mut self, statement: &Statement) {
        if form(statement, self.defers) == Form::Definition && !statement.cut {
            self.finish();
            let made = self.pg.simple(&statement.sql).ok();
            self.twin.simple(&statement.sql);
            let ours = self.proxy.simple(&statement.sql).ok();
            if made && !ours {
                self.tainted.extend(text::defined(&statement.sql));
            }
            self.idle();
        }
    }

    fn statement(
        &mut self,
        index: usize,
        statement: &Statement,
    ) -> (Verdict, Option<(Failure, Failure)>) {
        let form = form(statement, self.defers);
        let mut tried = BTreeSet::new();
        self.enter(form, statement);
        let mut pg = self.ask_pg(form, statement);
        while let Some(error) = pg.error.clone()
            && !statement.errors.contains(&error.code)
        {
            self.leave_failed(form);
            if !context::repair(self, index, statement, &error, &mut tried) {
                self.enter(form, statement);
                pg = self.ask_pg(form, statement);
                break;
            }
            self.enter(form, statement);
            pg = self.ask_pg(form, statement);
        }
        if form != Form::Definition && form != Form::Control && pg.ok() {
            self.describe(form, statement);
        }
        let answers = Answers {
            pg,
            twin: ask(&mut self.twin, statement),
            proxy: ask(&mut self.proxy, statement),
        };
        let result = self.judge(statement, &answers);
        self.leave(form, statement, &answers, &result.0);
        result
    }

    fn ask_pg(&mut self, form: Form, statement: &Statement) -> Answer {
        let answer = ask(&mut self.pg, statement);
        if answer.code() == "25001" && matches!(form, Form::Definition | Form::Own) {
            // Not in a transaction block, then.
            for client in [&mut self.pg, &mut self.twin, &mut self.proxy] {
                client.simple("ROLLBACK");
            }
            return ask(&mut self.pg, statement);
        }
        answer
    }

    fn all(&mut self, sql: &str) -> Answers {
        Answers {
            pg: self.pg.simple(sql),
            twin: self.twin.simple(sql),
            proxy: self.proxy.simple(sql),
        }
    }

    fn enter(&mut self, form: Form, statement: &Statement) {
        match form {
            Form::Alone => {
                if self.open {
                    self.all("SAVEPOINT compat");
                }
            }
            Form::Held => {
                if !self.open {
                    self.all("BEGIN");
                    self.open = true;
                }
                self.all("SAVEPOINT compat");
            }
            Form::Own | Form::Definition => {
                self.finish();
                self.all("BEGIN");
                self.all("SAVEPOINT compat");
            }
            Form::Control => {
                self.finish();
                for sql in context::surroundings(&statement.sql) {
                    self.all(&sql);
                }
            }
        }
    }

    fn leave_failed(&mut self, form: Form) {
        match form {
            Form::Alone | Form::Held if self.open => {
                self.all("ROLLBACK TO SAVEPOINT compat");
            }
            _ => self.idle(),
        }
    }

    /// Keeps or undoes what the statement did, the same on every side.
    fn leave(&mut self, form: Form, statement: &Statement, answers: &Answers, verdict: &Verdict) {
        let kept = matches!(
            verdict,
            Verdict::Equal | Verdict::Unstable | Verdict::Types(_) | Verdict::Order(_)
        );
        self.restore();
        match form {
            Form::Alone | Form::Held if self.open => {
                if [self.pg.status, self.twin.status, self.proxy.status].contains(&b'I') {
                    self.open = false;
                    self.idle();
                } else if kept {
                    self.all("RELEASE SAVEPOINT compat");
                } else {
                    self.all("ROLLBACK TO SAVEPOINT compat");
                    self.all("RELEASE SAVEPOINT compat");
                    self.align(statement);
                }
            }
            Form::Alone => self.idle(),
            Form::Held => {}
            Form::Own => {
                self.end(if kept { "COMMIT" } else { "ROLLBACK" });
                if !kept {
                    self.align(statement);
                }
            }
            Form::Definition => self.leave_definition(statement, answers, kept),
            Form::Control => {
                let several = text::statements(&statement.sql).len() > 1;
                if several && answers.pg.ok() {
                    self.leave_definition(statement, answers, kept);
                } else {
                    self.idle();
                }
            }
        }
        if text::written(&statement.sql).is_none() {
            for client in [&mut self.pg, &mut self.twin, &mut self.proxy] {
                client.forget_types();
            }
        }
    }

    /// A definition: PostgreSQL's outcome is what later statements meet.
    fn leave_definition(&mut self, statement: &Statement, answers: &Answers, kept: bool) {
        let parts = text::statements(&statement.sql);
        if kept {
            self.end("COMMIT");
        } else if answers.pg.ok() {
            self.pg.simple("COMMIT");
            self.twin.simple("COMMIT");
            self.proxy.simple("ROLLBACK");
            for part in &parts {
                let control = ["commit", "begin"]
                    .iter()
                    .any(|w| part.to_ascii_lowercase().trim_start().starts_with(w));
                if !control && !self.proxy.simple(part).ok() {
                    self.tainted.extend(text::defined(part));
                }
            }
            self.idle();
            return;
        } else {
            self.idle();
        }
        if answers.pg.ok() && answers.proxy.ok() {
            for part in parts.iter().filter(|p| !p.to_ascii_lowercase().contains("alter ")) {
                for name in text::defined(part) {
                    self.tainted.remove(&name);
                }
            }
        }
    }

    /// Ends a transaction on all sides; where only some can commit, what it touched is unknown.
    fn end(&mut self, how: &str) {
        let answers = self.all(how);
        if answers.pg.ok() != answers.proxy.ok() {
            self.tainted.append(&mut self.touched);
        }
        self.touched.clear();
        self.idle();
    }

    /// Commits the transaction held open.
    pub fn finish(&mut self) {
        if self.open {
            self.open = false;
            self.end("COMMIT");
        }
    }

    /// Out of any transaction, all of them.
    pub fn idle(&mut self) {
        self.restore();
        for client in [&mut self.pg, &mut self.twin, &mut self.proxy] {
            if client.status != b'I' {
                client.simple("ROLLBACK");
            }
        }
        self.open = false;
    }

    fn restore(&mut self) {
        for client in [&mut self.pg, &mut self.twin, &mut self.proxy] {
            if client.status == 0 {
                client.reconnect();
            }
        }
    }

    /// Runs a statement that brings context, in a transaction of its own; false where
    /// PostgreSQL refuses it.
    pub fn prepare(&mut self, sql: &str) -> Answer {
        self.finish();
        let answers = self.all(sql);
        if answers.pg.ok() {
            if answers.proxy.ok() {
                for name in text::defined(sql) {
                    self.tainted.remove(&name);
                }
            } else {
                self.tainted.extend(text::defined(sql));
            }
        }
        self.idle();
        answers.pg
    }

    /// Sequences move even where a statement is undone.
    fn align(&mut self, statement: &Statement) {
        let Some(table) = text::written(&statement.sql) else { return };
        let name = text::words(table).into_iter().next_back().unwrap_or_default();
        let list = self.pg.simple(&format!(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename), last_value \
             FROM pg_sequences WHERE last_value IS NOT NULL AND starts_with(sequencename, '{}')",
            name.replace('\'', "''")
        ));
        for row in list.outcomes.iter().flat_map(|o| &o.rows) {
            let text =
                |i: usize| String::from_utf8_lossy(row[i].as_deref().unwrap_or(b"")).into_owned();
            let sql = format!("SELECT setval('{}', {})", text(0).replace('\'', "''"), text(1));
            if self.open {
                self.proxy.simple("SAVEPOINT compat");
                let undo =
                    if self.proxy.simple(&sql).ok() { "" } else { "ROLLBACK TO SAVEPOINT compat;" };
                self.proxy.simple(&format!("{undo} RELEASE SAVEPOINT compat"));
            } else {
                self.proxy.simple(&sql);
            }
        }
    }

    fn judge(
        &mut self,
        statement: &Statement,
        answers: &Answers,
    ) -> (Verdict, Option<(Failure, Failure)>) {
        let (pg, proxy) = (&answers.pg, &answers.proxy);
        let blocked = {
            let words = text::words(&statement.sql);
            let catalog = statement.kind == "catalog" || statement.sql.contains("pg_catalog.");
            self.tainted.iter().any(|t| words.contains(t)) || catalog && !self.tainted.is_empty()
        };
        let block = |verdict: Verdict| match verdict {
            Verdict::Refused(f) if blocked => Verdict::Blocked(format!("{} {}", f.code, f.message)),
            Verdict::Wrong(d) if blocked => Verdict::Blocked(d),
            other => other,
        };
        match (&pg.error, &proxy.error) {
            _ if proxy.lost => (Verdict::Wrong("the connection ended".to_owned()), None),
            _ if pg.lost => (Verdict::Unstable, None),
            (None, None) => {
                let types = |client: &mut Client, answer: &Answer| -> Vec<Vec<String>> {
                    let columns = answer.outcomes.iter().map(|o| o.columns.iter().flatten());
                    columns.map(|c| c.map(|c| client.type_name(c.oid)).collect()).collect()
                };
                let expected = types(&mut self.pg, pg);
                let given = types(&mut self.proxy, proxy);
                let found = compare::answers(
                    &statement.sql,
                    (pg, &expected),
                    &answers.twin,
                    (proxy, &given),
                );
                let verdict = match found {
                    Found::Equal => self.effect(&statement.sql).unwrap_or(Verdict::Equal),
                    Found::Unstable => self.effect(&statement.sql).unwrap_or(Verdict::Unstable),
                    Found::Order(d) => Verdict::Order(d),
                    Found::Types(d) => Verdict::Types(d),
                    Found::Wrong(d) => Verdict::Wrong(d),
                };
                (block(verdict), None)
            }
            (None, Some(error)) => (block(Verdict::Refused(error.clone())), None),
            (Some(error), None) => (
                block(Verdict::Wrong(format!(
                    "accepted; PostgreSQL refuses: {} {}",
                    error.code, error.message
                ))),
                None,
            ),
            (Some(expected), Some(given)) => {
                let texts = (expected != given).then(|| (expected.clone(), given.clone()));
                let verdict = if !statement.errors.contains(&expected.code) {
                    Verdict::NoContext(expected.clone())
                } else if expected.code == given.code {
                    return (Verdict::EqualRefusal, texts);
                } else if given.code == "0A000" {
                    Verdict::Refused(given.clone())
                } else {
                    Verdict::Wrong(format!(
                        "{} {}, expected {} {}",
                        given.code, given.message, expected.code, expected.message
                    ))
                };
                let same = expected.code == given.code;
                (block(verdict), texts.filter(|_| same))
            }
        }
    }

    /// What a write did, looked at in its table; None where it is the same.
    fn effect(&mut self, sql: &str) -> Option<Verdict> {
        let table = text::written(sql)?;
        self.touched.extend(text::words(table));
        let answers = self.all(&format!("SELECT * FROM {table}"));
        let rows = |a: &Answer| a.outcomes.first().map(|o| o.rows.clone()).unwrap_or_default();
        let found = compare::rows(
            false,
            false,
            &rows(&answers.pg),
            &rows(&answers.twin),
            &rows(&answers.proxy),
        );
        match found {
            Found::Wrong(d) => Some(Verdict::Wrong(format!("effect on {table}: {d}"))),
            _ => None,
        }
    }

    fn describe(&mut self, form: Form, statement: &Statement) {
        if text::statements(&statement.sql).len() != 1 || statement.kind == "copy" {
            return;
        }
        // On sides of their own state: PostgreSQL has run the statement already.
        let expected = self.twin.describe(&statement.sql);
        if expected.is_err() {
            self.undo(form, true);
        }
        let given = self.proxy.describe(&statement.sql);
        if given.is_err() {
            self.undo(form, false);
        }
        let (Ok(expected), given) = (expected, given) else { return };
        self.agreement.statements += 1;
        let Ok(given) = given else {
            self.agreement.refused += 1;
            return;
        };
        self.agree(statement, &expected, &given);
    }

    fn undo(&mut self, form: Form, twin: bool) {
        let client = if twin { &mut self.twin } else { &mut self.proxy };
        if form != Form::Alone || self.open {
            client.simple("ROLLBACK TO SAVEPOINT compat");
        }
    }

    fn agree(&mut self, statement: &Statement, expected: &Description, given: &Description) {
        let mut notes = Vec::new();
        let none = Vec::new();
        let theirs = expected.columns.as_ref().unwrap_or(&none);
        let ours = given.columns.as_ref().unwrap_or(&none);
        for (i, e) in theirs.iter().enumerate() {
            self.agreement.columns += 1;
            let want = self.twin.type_name(e.oid);
            let have = ours.get(i).map(|c| self.proxy.type_name(c.oid)).unwrap_or_default();
            if want == have {
                self.agreement.columns_equal += 1;
                if ours[i].typmod == e.typmod {
                    self.agreement.typmods_equal += 1;
                }
            } else {
                notes.push(format!("column {} {}: {have}, expected {want}", i + 1, e.name));
            }
        }
        for (i, e) in expected.parameters.iter().enumerate() {
            self.agreement.parameters += 1;
            let want = self.twin.type_name(*e);
            let have = given.parameters.get(i).map(|p| self.proxy.type_name(*p));
            let have = have.unwrap_or_default();
            if want == have {
                self.agreement.parameters_equal += 1;
            } else {
                notes.push(format!("parameter ${}: {have}, expected {want}", i + 1));
            }
        }
        if !notes.is_empty() {
            self.agreement.differences.push(format!(
                "#{} {}\n      {}",
                statement.number,
                statement.sql,
                notes.join("\n      ")
            ));
        }
    }
}

fn ask(client: &mut Client, statement: &Statement) -> Answer {
    let answer = if statement.extended {
        client.extended(&statement.sql, statement.params.as_deref().unwrap_or(&[]))
    } else {
        client.simple(&statement.sql)
    };
    if answer.lost {
        client.status = 0;
    }
    answer
}

fn form(statement: &Statement, defers: bool) -> Form {
    let parts = text::statements(&statement.sql);
    let first: Vec<String> = parts
        .first()
        .map(|p| text::pieces(p))
        .unwrap_or_default()
        .into_iter()
        .filter(|(piece, _)| *piece == text::Piece::Word)
        .take(2)
        .map(|(_, word)| word.to_ascii_lowercase())
        .collect();
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    match (statement.kind.as_str(), &first[..]) {
        ("txn", _)
        | (_, ["begin" | "commit" | "end" | "rollback" | "start" | "abort" | "savepoint", ..])
        | (_, ["set", "transaction"]) => Form::Control,
        ("ddl", _) => Form::Definition,
        (_, ["declare" | "fetch" | "move" | "close" | "lock", ..])
        | (_, ["set", "local" | "constraints"]) => Form::Held,
        (_, ["create" | "alter" | "drop" | "truncate", ..]) => Form::Definition,
        ("dml", _) if defers => Form::Held,
        ("dml" | "copy", _) => Form::Own,
        _ if parts.len() > 1 => Form::Own,
        _ => Form::Alone,
    }
}
