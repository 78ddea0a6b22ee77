//! Statements by kind. Those that have no rows of their own to translate become PostgreSQL's
//! text, which is then read as any other.

use sqlite3_parser::ast::{Cmd, Stmt, TransactionType};

use super::{Lower, ddl, pragma, refused};
use crate::error::{Error, Result};
use crate::sql::ast::{Explain, Statement};
use crate::sql::print::quoted;
use crate::sql::stored::unquote;

/// A tree, and PostgreSQL's text when it was made from that.
type Lowered = (Statement, Option<String>);

/// The tree of a statement given as PostgreSQL's text.
fn rewritten(sql: String) -> Result<Lowered> {
    let mut parsed = crate::sql::pg::parse(&sql)?;
    match (parsed.pop(), parsed.is_empty()) {
        (Some(parsed), true) => Ok((parsed.statement, Some(sql))),
        _ => Err(Error::internal("a rewritten statement is not one statement")),
    }
}

impl Lower {
    pub(super) fn command(&mut self, command: &Cmd<'_>, text: &str) -> Result<Lowered> {
        match command {
            Cmd::Stmt(statement) => self.statement(statement, text),
            Cmd::Explain(statement) | Cmd::ExplainQueryPlan(statement) => {
                let (inner, rewritten) = self.statement(statement, text)?;
                match (&inner, rewritten) {
                    (
                        Statement::Select(_)
                        | Statement::Insert(_)
                        | Statement::Update(_)
                        | Statement::Delete(_),
                        None,
                    ) => Ok((Statement::Explain(Box::new(inner), Explain::default()), None)),
                    _ => Err(refused("EXPLAIN of this statement")),
                }
            }
        }
    }

    fn statement(&mut self, statement: &Stmt<'_>, text: &str) -> Result<Lowered> {
        let name = |raw: &str| quoted(&unquote(raw).to_ascii_lowercase());
        match statement {
            Stmt::Select(select) => Ok((Statement::Select(Box::new(self.select(select)?)), None)),
            Stmt::Insert { .. } => Ok((Statement::Insert(Box::new(self.insert(statement)?)), None)),
            Stmt::Update { .. } => Ok((Statement::Update(Box::new(self.update(statement)?)), None)),
            Stmt::Delete { .. } => Ok((Statement::Delete(Box::new(self.delete(statement)?)), None)),
            Stmt::Begin(kind, _) => rewritten(
                match kind {
                    None | Some(TransactionType::Deferred) => "BEGIN",
                    // What it read, nobody may change before it writes.
                    Some(TransactionType::Immediate | TransactionType::Exclusive) => {
                        "BEGIN ISOLATION LEVEL SERIALIZABLE"
                    }
                }
                .to_owned(),
            ),
            Stmt::Commit(_) => rewritten("COMMIT".to_owned()),
            Stmt::Rollback { savepoint_name: None, .. } => rewritten("ROLLBACK".to_owned()),
            Stmt::Rollback { savepoint_name: Some(savepoint), .. } => {
                rewritten(format!("ROLLBACK TO SAVEPOINT {}", name(savepoint.0)))
            }
            Stmt::Savepoint(savepoint) => rewritten(format!("SAVEPOINT {}", name(savepoint.0))),
            Stmt::Release(savepoint) => {
                rewritten(format!("RELEASE SAVEPOINT {}", name(savepoint.0)))
            }
            Stmt::Pragma(pragma, body) => rewritten(pragma::statement(pragma, body.as_ref())?),
            Stmt::Analyze(_) => rewritten("ANALYZE".to_owned()),
            Stmt::Vacuum(_, None) => rewritten("VACUUM".to_owned()),
            Stmt::Vacuum(_, Some(_)) => Err(refused("VACUUM INTO")
                .hint("Copy the file with SQLite's own tools, or dump through PostgreSQL's.")),
            Stmt::Reindex { .. } => Err(refused("REINDEX")),
            Stmt::Attach { .. } | Stmt::Detach(_) => Err(refused("ATTACH and DETACH")
                .hint("One database is served; import the other file into it.")),
            Stmt::CreateVirtualTable { .. } => Err(refused("CREATE VIRTUAL TABLE")),
            Stmt::CreateTrigger { .. } | Stmt::DropTrigger { .. } => Err(refused("triggers")),
            _ => rewritten(ddl::statement(self, statement, text)?),
        }
    }
}
