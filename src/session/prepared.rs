//! Prepared statements: one namespace for the wire's and SQL's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::plans::{Entry, For, Text};
use super::{Session, transaction};
use crate::error::{Error, Result, state};
use crate::schema::Catalog;
use crate::sql::Mode;
use crate::sql::ast::{Dialect, Parsed, Statement};
use crate::sql::ir::Output;
use crate::sql::plan::{Action, Plan};
use crate::value::Type;

/// A prepared statement.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The text it came from; None for SQL's PREPARE, whose statement is `own`.
    source: Source,
    /// Types as the client named them; 0 is unspecified.
    pub(super) types: Vec<u32>,
    /// The plan when it was prepared; None for an empty text.
    pub(super) plan: Option<Arc<Plan>>,
    /// The search path that the plan was made for.
    path: Arc<Vec<String>>,
    /// For DECLARE CURSOR: the plan of its query, which has the parameters.
    pub(super) inner: Option<Arc<Plan>>,
    /// Made by SQL's PREPARE.
    pub(super) from_sql: bool,
    /// When, in microseconds since 2000.
    pub(super) since: i64,
    /// The client was told the parameters' types.
    described: AtomicBool,
}

#[derive(Debug)]
enum Source {
    Text(Arc<Text>),
    Own(Box<Entry>),
}

impl Prepared {
    fn entry(&self) -> Option<&Entry> {
        match &self.source {
            Source::Text(text) => text.statements.first(),
            Source::Own(entry) => Some(entry),
        }
    }

    /// The statement's tree.
    pub(super) fn statement(&self) -> Option<&Statement> {
        self.entry().map(|e| &e.parsed.statement)
    }

    /// The statement as it was read.
    pub(super) fn parsed(&self) -> Option<&Parsed> {
        self.entry().map(|e| &e.parsed)
    }

    /// The statement's own text; empty for an empty one.
    pub(super) fn text(&self) -> &str {
        self.entry().map_or("", |e| e.parsed.text.as_str())
    }

    /// The client is told the parameters' types.
    pub(super) fn described(&self) {
        self.described.store(true, Ordering::Relaxed);
    }

    /// Parameter types as the client knows them: what it said itself, else what it was told,
    /// else 0.
    pub(super) fn told_types(&self) -> Vec<u32> {
        let params = self.params();
        let told = self.described.load(Ordering::Relaxed) || self.from_sql;
        let own = |i: usize| self.types.get(i).copied().filter(|t| *t != 0);
        let of = |i: usize| params.get(i).filter(|_| told).map_or(0, |t| t.oid);
        (0..params.len().max(self.types.len())).map(|i| own(i).unwrap_or_else(|| of(i))).collect()
    }

    /// OIDs of the types of its parameters as clients are told them.
    pub(super) fn told(&self) -> Vec<u32> {
        let mut types: Vec<u32> = self.params().iter().map(|t| t.oid).collect();
        if let Some(plan) = self.inner.as_ref().or(self.plan.as_ref())
            && let Action::Query(query) = &plan.action
        {
            for (index, domain) in &query.domains {
                if let Some(ty) = types.get_mut(*index) {
                    *ty = *domain;
                }
            }
        }
        types
    }

    /// Types of its parameters.
    pub(super) fn params(&self) -> &[Type] {
        match (&self.inner, &self.plan) {
            (Some(plan), _) | (None, Some(plan)) => &plan.params,
            (None, None) => &[],
        }
    }
}

/// All prepared statements of a session; the unnamed one has the empty name.
#[derive(Debug, Default)]
pub(super) struct Statements(HashMap<String, Arc<Prepared>>);

impl Statements {
    /// The statement of this name, or 26000.
    pub(super) fn get(&self, name: &str) -> Result<Arc<Prepared>> {
        self.0.get(name).cloned().ok_or_else(|| missing(name))
    }

    /// Adds a statement; 42P05 when a named one exists.
    pub(super) fn insert(&mut self, name: &str, prepared: Prepared) -> Result<()> {
        if !name.is_empty() && self.0.contains_key(name) {
            return Err(duplicate(name));
        }
        self.0.insert(name.to_owned(), Arc::new(prepared));
        Ok(())
    }

    /// Replaces a statement by its newer plan.
    pub(super) fn renew(&mut self, name: &str, prepared: Arc<Prepared>) {
        self.0.insert(name.to_owned(), prepared);
    }

    /// Removes a statement; whether it was there.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Arc<Prepared>)> {
        self.0.iter().map(|(name, prepared)| (name.as_str(), prepared))
    }

    /// Keeps only some.
    pub(super) fn retain(&mut self, keep: impl Fn(&str, &Prepared) -> bool) {
        self.0.retain(|name, prepared| keep(name, prepared));
    }

    /// Removes all (DEALLOCATE ALL keeps none).
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether a named statement exists.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// 26000
pub(super) fn missing(name: &str) -> Error {
    let message = if name.is_empty() {
        "unnamed prepared statement does not exist".to_owned()
    } else {
        format!("prepared statement \"{name}\" does not exist")
    };
    Error::client(state::INVALID_SQL_STATEMENT_NAME, message)
}

/// 42P05
pub(super) fn duplicate(name: &str) -> Error {
    Error::client(
        state::DUPLICATE_PREPARED_STATEMENT,
        format!("prepared statement \"{name}\" already exists"),
    )
}

/// Statements a failed block still takes.
pub(super) fn ends_transaction(statement: &Statement) -> bool {
    use crate::sql::ast::Transaction::{Commit, Rollback, RollbackTo, TwoPhase};
    matches!(statement, Statement::Transaction(Commit(_) | Rollback(_) | RollbackTo(_) | TwoPhase))
}

impl Session {
    /// Plans an entry for what this session sees now.
    pub(super) fn plan(&self, entry: &Entry, types: &[u32]) -> Result<Arc<Plan>> {
        let catalog = self.catalog();
        let plan = entry.plan(For { types, ..self.sees(&catalog) });
        let plan = plan.map_err(|e| {
            self.shared.observer.refused(&entry.parsed.text, &e);
            // Analysis counts from the start of the statement, the client from that of its text.
            e.shifted(entry.parsed.offset)
        })?;
        if plan.dialect.is_sqlite() {
            self.sends_sqlite.store(true, Ordering::Relaxed);
        } else {
            self.note_ambiguous(&plan);
        }
        Ok(plan)
    }

    /// Notes a plan of PostgreSQL's meaning when the session also sends SQLite's SQL.
    pub(super) fn note_ambiguous(&self, plan: &Plan) {
        let undecided = self.settings.derived().dialect == Mode::Auto;
        if undecided && self.sends_sqlite.load(Ordering::Relaxed) {
            self.shared.ambiguous.note(&plan.fingerprint);
        }
    }

    /// What a plan for this session is made for, without parameters.
    pub(super) fn sees<'a>(&'a self, catalog: &'a Catalog) -> For<'a> {
        For {
            catalog,
            temporary: self.temporary(),
            search_path: &self.settings.derived().search_path,
            types: &[],
            mode: self.settings.derived().dialect,
        }
    }

    /// Plans a statement that is part of another one.
    pub(super) fn plan_statement(
        &self,
        statement: Statement,
        text: &str,
        types: &[u32],
    ) -> Result<Arc<Plan>> {
        let parsed =
            Parsed { statement, text: text.to_owned(), offset: 0, dialect: Dialect::Postgres };
        self.plan(&Entry::new(parsed), types)
    }

    /// Parse: a text of one statement, or none.
    pub(super) fn prepare_text(&self, sql: &str, types: &[u32]) -> Result<Prepared> {
        let text = self.shared.plans.text(sql, self.settings.derived().dialect)?;
        if text.statements.len() > 1 {
            return Err(Error::client(
                state::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        self.prepare(Source::Text(text), types.to_vec(), false)
    }

    /// Does a whole PREPARE again, from its text.
    pub(super) fn prepare_again(&mut self, text: &str) -> Result<()> {
        let parsed = crate::sql::parse(text)?;
        let statement = parsed.into_iter().next().map(|p| p.statement);
        let Some(Statement::Prepare { name, types, statement, text }) = statement else {
            return Err(Error::internal("not a PREPARE"));
        };
        self.sql_prepare(&name, &types, &statement, &text).map(drop)
    }

    /// SQL's PREPARE.
    pub(super) fn prepare_statement(&self, parsed: Parsed, types: Vec<u32>) -> Result<Prepared> {
        self.prepare(Source::Own(Box::new(Entry::new(parsed))), types, true)
    }

    fn prepare(&self, source: Source, types: Vec<u32>, from_sql: bool) -> Result<Prepared> {
        let mut prepared = Prepared {
            source,
            types,
            plan: None,
            path: Arc::clone(&self.settings.derived().search_path),
            inner: None,
            from_sql,
            since: self.message_at,
            described: AtomicBool::new(false),
        };
        let Some(entry) = prepared.entry() else { return Ok(prepared) };
        let failed = self.transaction.block == transaction::Block::Failed;
        if failed && !ends_transaction(&entry.parsed.statement) {
            return Err(transaction::aborted());
        }
        let plan = self.plan(entry, &prepared.types)?;
        let inner = match &entry.parsed.statement {
            Statement::Declare { query, .. } => {
                let statement = Statement::Select(query.clone());
                Some(self.plan_statement(statement, &entry.parsed.text, &prepared.types)?)
            }
            _ => None,
        };
        prepared.plan = Some(plan);
        prepared.inner = inner;
        Ok(prepared)
    }

    /// The statement with a plan for today's catalog and settings. 0A000 when its result
    /// has changed since it was prepared.
    pub(super) fn fresh(&mut self, name: &str, prepared: &Arc<Prepared>) -> Result<Arc<Prepared>> {
        let Some(old) = &prepared.plan else { return Ok(Arc::clone(prepared)) };
        // Looking the plan up again is cheap, and right whatever changed.
        let current = match old.action {
            Action::Query(_) | Action::Explain(..) => {
                let same_path = prepared.path == self.settings.derived().search_path;
                let same = same_path && old.catalog_version == self.catalog().version;
                if same && self.temporary().is_empty() {
                    return Ok(Arc::clone(prepared));
                }
                let entry = prepared.entry().ok_or_else(|| missing(name))?;
                self.plan(entry, &prepared.types)?
            }
            _ => return Ok(Arc::clone(prepared)),
        };
        if !same_shape(&old.columns, &current.columns) || old.params != current.params {
            return Err(Error::client(
                state::FEATURE_NOT_SUPPORTED,
                "cached plan must not change result type",
            ));
        }
        let source = match &prepared.source {
            Source::Text(text) => Source::Text(Arc::clone(text)),
            Source::Own(entry) => Source::Own(Box::new(Entry::new(entry.parsed.clone()))),
        };
        let renewed = Arc::new(Prepared {
            source,
            types: prepared.types.clone(),
            plan: Some(current),
            path: Arc::clone(&self.settings.derived().search_path),
            inner: prepared.inner.clone(),
            from_sql: prepared.from_sql,
            since: prepared.since,
            described: AtomicBool::new(prepared.described.load(Ordering::Relaxed)),
        });
        self.statements.renew(name, Arc::clone(&renewed));
        Ok(renewed)
    }

    /// The columns a statement answers; None when it returns no rows.
    pub(super) fn result_columns(&self, prepared: &Prepared) -> Result<Option<Vec<Output>>> {
        let Some(plan) = &prepared.plan else { return Ok(None) };
        if !plan.columns.is_empty() {
            return Ok(Some(plan.columns.clone()));
        }
        match (&plan.action, prepared.statement()) {
            (Action::Query(query), _) if query.tag == "SELECT" => Ok(Some(Vec::new())),
            (_, Some(statement)) => self.columns_of(statement),
            _ => Ok(None),
        }
    }
}

fn same_shape(a: &[Output], b: &[Output]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.name == b.name && a.ty == b.ty)
}
