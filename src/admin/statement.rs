//! What a statement of the console is, and what it answers: known before it runs.
//!
//! Owns [`Prepared`]. It must never run anything. Start at [`prepare`].

use super::order::{self, Order};
use super::tables;
use crate::error::{Error, Result, state};
use crate::sql::ast::{Parsed, SessionCommand, Statement, Transaction};
use crate::sql::ir::Output;
use crate::sql::plan::{Action, Plan};
use crate::sql::{self, Context};
use crate::value::{Type, oid};

/// A statement, understood.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) what: What,
    /// Types of its parameters.
    pub(super) params: Vec<Type>,
    /// Its result columns; None when it returns no rows.
    pub(super) columns: Option<Vec<Output>>,
}

/// What to do.
#[derive(Debug)]
pub(super) enum What {
    /// An empty text.
    Empty,
    /// A query over the console's tables; SHOW of one when the flag is set.
    Query(Box<Plan>, bool),
    /// An order.
    Order(Order),
    /// SHOW of a PostgreSQL setting, or of all.
    Setting(Option<String>),
    /// SET, RESET, DISCARD
    Session(SessionCommand),
    /// BEGIN and kin; the flag says START TRANSACTION.
    Transaction(Transaction, bool),
    /// DEALLOCATE name, or ALL
    Deallocate(Option<String>),
    /// Harmless; only its tag is answered.
    Nothing(&'static str),
}

impl What {
    /// Whether a failed transaction block still takes it.
    pub(super) fn ends_block(&self) -> bool {
        use Transaction::{Commit, Rollback, RollbackTo};
        matches!(self, Self::Transaction(Commit(_) | Rollback(_) | RollbackTo(_), _))
    }
}

fn columns(list: &[(&str, u32)]) -> Vec<Output> {
    list.iter()
        .map(|(name, ty)| Output { name: (*name).to_owned(), ty: Type::new(*ty), origin: (0, 0) })
        .collect()
}

/// Understands one statement. Positions in errors count from its own start.
///
/// # Errors
/// 42601 and what PostgreSQL's analysis finds, 25006 for writes, 0A000 for the rest.
pub(super) fn prepare(text: &str, types: &[u32]) -> Result<Prepared> {
    if let Some(order) = order::parse(text) {
        let columns = Some(columns(tables::STEPS));
        return Ok(Prepared { what: What::Order(order?), params: Vec::new(), columns });
    }
    let parsed = sql::parse(text)?.into_iter().next();
    let Some(parsed) = parsed else { return Ok(silent(What::Empty)) };
    Ok(match &parsed.statement {
        Statement::Select(_) => query(&parsed, types, false)?,
        Statement::Session(SessionCommand::Show(Some(name))) => match tables::find(name) {
            Some(table) => show(table.name)?,
            None => Prepared {
                what: What::Setting(Some(name.clone())),
                params: Vec::new(),
                columns: Some(columns(&[(name, oid::TEXT)])),
            },
        },
        Statement::Session(SessionCommand::Show(None)) => {
            let all = ["name", "setting", "description"].map(|name| (name, oid::TEXT));
            let columns = Some(columns(&all));
            Prepared { what: What::Setting(None), params: Vec::new(), columns }
        }
        Statement::Session(command) => silent(What::Session(command.clone())),
        Statement::Transaction(control) => {
            let start = parsed.text.get(..5).is_some_and(|w| w.eq_ignore_ascii_case("start"));
            silent(What::Transaction(control.clone(), start))
        }
        Statement::Deallocate(name) => silent(What::Deallocate(name.clone())),
        Statement::Close(None) => silent(What::Nothing("CLOSE CURSOR ALL")),
        Statement::Listen(_) => silent(What::Nothing("LISTEN")),
        Statement::Unlisten(_) => silent(What::Nothing("UNLISTEN")),
        Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Ddl(_)
        | Statement::Maintenance(_) => {
            let message = "the console's tables are read-only";
            return Err(Error::client(state::READ_ONLY_SQL_TRANSACTION, message)
                .hint("Name the application's database to reach its tables."));
        }
        _ => return Err(Error::unsupported("this statement on the console")),
    })
}

fn silent(what: What) -> Prepared {
    Prepared { what, params: Vec::new(), columns: None }
}

fn show(table: &str) -> Result<Prepared> {
    let text = format!("SELECT * FROM public.{}", sql::print::quoted(table));
    let parsed = sql::parse(&text)?.into_iter().next();
    let parsed = parsed.ok_or_else(|| Error::internal("an empty SHOW"))?;
    query(&parsed, &[], true)
}

fn query(parsed: &Parsed, types: &[u32], show: bool) -> Result<Prepared> {
    let context = Context {
        catalog: tables::catalog(),
        temporary: &std::collections::BTreeMap::new(),
        search_path: &["public".to_owned()],
        param_types: types,
    };
    let plan = sql::plan(parsed, &context).map_err(|e| e.shifted(parsed.offset))?;
    if !matches!(plan.action, Action::Query(_)) {
        return Err(Error::internal("a query without a plan"));
    }
    let (params, columns) = (plan.params.clone(), Some(plan.columns.clone()));
    Ok(Prepared { what: What::Query(Box::new(plan), show), params, columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_show_is_typed() {
        for table in tables::all() {
            let prepared = prepare(&format!("SHOW {}", table.name), &[]).unwrap();
            let found = prepared.columns.unwrap();
            let found: Vec<_> = found.iter().map(|c| (c.name.as_str(), c.ty.oid)).collect();
            assert_eq!(found, table.columns, "{}", table.name);
        }
        let prepared = prepare("SELECT name FROM gates WHERE ok = $1 ORDER BY 1", &[]).unwrap();
        assert_eq!(prepared.params[0].oid, oid::BOOL);
    }

    #[test]
    fn writes_are_refused() {
        for text in ["DELETE FROM gates", "CREATE TABLE t (a int)", "UPDATE status SET phase = ''"]
        {
            let error = prepare(text, &[]).unwrap_err();
            assert_eq!(error.sqlstate(), state::READ_ONLY_SQL_TRANSACTION, "{text}");
        }
    }
}
