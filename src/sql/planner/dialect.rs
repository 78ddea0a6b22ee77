//! Which dialect a text is in: decided once per plan.
//!
//! A text is PostgreSQL's if PostgreSQL's grammar *and typing* accept it. Otherwise the whole
//! statement is read as SQLite's; if that fails too, the client gets PostgreSQL's error. It
//! must never mix the two within a statement. Start at [`plan_in`].

use super::plan;
use crate::error::{Error, Result, SqlState, state};
use crate::sql::analyze::analyze_as;
use crate::sql::ast::{AlterAction, ColumnDef, Ddl, Dialect, Parsed, Statement};
use crate::sql::plan::Plan;
use crate::sql::{Context, lite, pg, print};

/// What the session says about its dialect (`crossfade.dialect`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// PostgreSQL's where it is accepted, else SQLite's.
    #[default]
    Auto,
    /// PostgreSQL's only.
    Postgres,
    /// SQLite's where its grammar accepts the text; double-quoted words may be strings.
    Sqlite,
}

impl Mode {
    /// Its value in `crossfade.dialect`.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "auto" => Some(Self::Auto),
            "postgres" => Some(Self::Postgres),
            "sqlite" => Some(Self::Sqlite),
            _ => None,
        }
    }
}

/// Whether an error of PostgreSQL's says that the text may be SQLite's. Analysis stops at the
/// first error; a function that PostgreSQL lacks would have been one of them anyway.
pub fn undecided(error: &Error, text: &str) -> bool {
    names_unknown(error.sqlstate()) || lite::calls_foreign(text)
}

fn names_unknown(code: SqlState) -> bool {
    code == state::SYNTAX_ERROR
        || code == state::UNDEFINED_FUNCTION
        || code == state::UNDEFINED_COLUMN
        || code == state::UNDEFINED_OBJECT
        || code == state::UNDEFINED_TABLE
}

/// Splits a query string into statements, each in the dialect whose grammar accepts it.
///
/// # Errors
/// As [`pg::parse`]: PostgreSQL's error when neither grammar accepts the text.
pub fn parse_in(text: &str, mode: Mode) -> Result<Vec<Parsed>> {
    let parsed = match mode {
        Mode::Postgres => return pg::parse(text),
        Mode::Auto => pg::parse(text),
        Mode::Sqlite => Err(Error::client(state::SYNTAX_ERROR, "SQLite's dialect is wanted")),
    };
    let error = match parsed {
        Ok(parsed) => return Ok(parsed),
        Err(error) if error.sqlstate() == state::SYNTAX_ERROR => error,
        Err(error) => return Err(error),
    };
    let mut done = Vec::new();
    for (start, end) in lite::split(text) {
        let own = &text[start..end];
        let offset = text[..start].chars().count();
        let first = if mode == Mode::Sqlite { Err(error.clone()) } else { one(own) };
        let read = first.or_else(|_| lite::parse(own, mode == Mode::Sqlite));
        let mut read = match read {
            Ok(read) => read,
            // What SQLite has no word for (SET, SHOW …) is PostgreSQL's in any mode.
            Err(refusal) if mode == Mode::Sqlite => one(own).map_err(|_| refusal)?,
            Err(refusal) => return Err(told(error, &refusal)),
        };
        read.offset = u32::try_from(offset).unwrap_or(u32::MAX);
        done.push(read);
    }
    Ok(done)
}

/// One statement in PostgreSQL's dialect.
fn one(text: &str) -> Result<Parsed> {
    let mut parsed = pg::parse(text)?;
    match (parsed.pop(), parsed.is_empty()) {
        (Some(parsed), true) => Ok(parsed),
        _ => Err(Error::client(state::SYNTAX_ERROR, "not one statement")),
    }
}

/// PostgreSQL's error, with a word about what SQLite's dialect lacks here.
fn told(error: Error, refusal: &Error) -> Error {
    if refusal.sqlstate() == state::FEATURE_NOT_SUPPORTED {
        let fields = refusal.fields();
        let hint = fields.hint.as_deref().map(|h| format!(" {h}")).unwrap_or_default();
        error.hint(format!("Read as SQLite's dialect: {}.{hint}", fields.message))
    } else {
        error
    }
}

/// Plans a statement in the dialect whose meaning it has.
///
/// # Errors
/// As [`plan`].
pub fn plan_in(parsed: &Parsed, context: &Context<'_>, mode: Mode) -> Result<Plan> {
    if parsed.dialect.is_sqlite() || mode == Mode::Postgres {
        return plan(parsed, context);
    }
    let error = match foreign_types(parsed).map_or_else(|| plan(parsed, context), Err) {
        Err(error) if undecided(&error, &parsed.text) => error,
        other => return other,
    };
    let other = lite::parse(&parsed.text, mode == Mode::Sqlite).and_then(|p| plan(&p, context));
    match other {
        Ok(plan) => Ok(plan),
        Err(refusal) => Err(told(error, &refusal)),
    }
}

/// 42704 for a table whose columns have types that only SQLite's users write.
fn foreign_types(parsed: &Parsed) -> Option<Error> {
    let Statement::Ddl(ddl) = &parsed.statement else { return None };
    let columns: Vec<&ColumnDef> = match ddl.as_ref() {
        Ddl::CreateTable(table) => table.columns.iter().collect(),
        Ddl::AlterTable { actions, .. } => {
            let added = actions.iter().filter_map(|action| match action {
                AlterAction::AddColumn(column, _) => Some(column),
                _ => None,
            });
            added.collect()
        }
        _ => return None,
    };
    let foreign = columns
        .into_iter()
        .map(|c| &c.ty)
        .find(|ty| ty.schema.is_none() && lite::is_foreign_type(&ty.name))?;
    let message = format!("type \"{}\" does not exist", foreign.name);
    Some(Error::client(state::UNDEFINED_OBJECT, message).at(foreign.pos))
}

/// The rules by which a statement of SQLite's dialect was translated.
pub fn rules(parsed: &Parsed, context: &Context<'_>, mode: Mode) -> Vec<String> {
    let read = match parsed.dialect {
        Dialect::Sqlite => Ok(parsed.clone()),
        _ => lite::parse(&parsed.text, mode == Mode::Sqlite),
    };
    let analysed = read.and_then(|p| match &p.statement {
        Statement::Explain(inner, _) => analyze_as(inner, context, true),
        other => analyze_as(other, context, true),
    });
    analysed.map_or_else(|_| Vec::new(), |a| crate::sql::analyze::rules(&a))
}

/// The statement as PostgreSQL alone is to answer it: None when it goes as it is.
///
/// # Errors
/// PostgreSQL's error when neither dialect accepts it, 0A000 when it cannot be printed.
pub fn live(parsed: &Parsed, context: &Context<'_>, mode: Mode) -> Result<Option<String>> {
    let plan = plan_in(parsed, context, mode)?;
    match plan.dialect {
        Dialect::Postgres => Ok(None),
        Dialect::Rewritten => Ok(Some(plan.text)),
        Dialect::Sqlite => {
            let strings = mode == Mode::Sqlite;
            let read = lite::parse(&parsed.text, strings)?;
            let (statement, explain) = match &read.statement {
                Statement::Explain(inner, _) => (inner.as_ref(), "EXPLAIN "),
                other => (other, ""),
            };
            let analysis = analyze_as(statement, context, true)?;
            let text = print::postgres::print_live(&analysis)?;
            Ok(Some(format!("{explain}{text}")))
        }
    }
}
