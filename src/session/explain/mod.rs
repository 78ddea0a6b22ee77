//! EXPLAIN: SQLite's own plan in PostgreSQL's words and four formats.
//!
//! Nothing is estimated: costs and row counts are left out, as with COSTS OFF. ANALYZE runs the
//! statement, and tells the time and the rows of the whole. Start at [`Session::explain`].

mod plan;
mod print;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::block_in_place;

use self::plan::{Line, Node, tree};
use super::query::Call;
use super::reply::{self, Tag};
use super::spool::Spool;
use super::{Session, Step};
use crate::error::Result;
use crate::name;
use crate::sql::ast::{Explain, ExplainFormat};
use crate::sql::plan::{Action, Plan, QueryKind, QueryPlan};
use crate::value::{Cell, CellRef, Format};

/// What ANALYZE has found.
#[derive(Clone, Copy)]
struct Measured {
    planning: Duration,
    execution: Duration,
    rows: u64,
}

/// A plan and what is told of it.
struct Told {
    root: Node,
    measured: Option<Measured>,
    /// Without times.
    timeless: bool,
    /// Planning and execution time.
    summary: bool,
}

impl Session {
    /// The plan of a query.
    pub(super) async fn explain(
        &mut self,
        (plan, query): (&Plan, &QueryPlan),
        explain: &Explain,
        params: &Arc<[Cell]>,
        describe: Option<&[Format]>,
    ) -> Step<Tag> {
        self.set_aside_live()?;
        let began = self.shared.clock.instant();
        let lines = self.query_plan(query, params).await?;
        let planning = self.shared.clock.instant().duration_since(began);
        let catalog = self.catalog();
        let mut tables: Vec<&str> = query.reads.iter().map(|t| name::bare(t)).collect();
        if query.system {
            let system = catalog.system.keys().chain(catalog.information.keys());
            tables.extend(system.map(String::as_str));
        }
        let operation = match query.tag.split(' ').next() {
            Some("INSERT") => Some("Insert"),
            Some("UPDATE") => Some("Update"),
            Some("DELETE") => Some("Delete"),
            _ => None,
        };
        let written = query.writes.as_deref().map(name::bare);
        let root = tree(&lines, &tables, operation.zip(written));
        let measured = match explain.analyze {
            false => None,
            true => {
                let began = self.shared.clock.instant();
                let rows = self.run_explained(plan, query, params).await?;
                let execution = self.shared.clock.instant().duration_since(began);
                Some(Measured { planning, execution, rows })
            }
        };
        let told = Told {
            root,
            measured,
            timeless: explain.timing == Some(false),
            summary: explain.summary.unwrap_or(explain.analyze),
        };
        let out = self.io.out();
        if let Some(formats) = describe {
            reply::describe_columns(out, &plan.columns, formats);
        }
        match explain.format {
            ExplainFormat::Text => {
                for line in print::text(&told) {
                    reply::text_row(out, &[Some(&line)]);
                }
            }
            ExplainFormat::Json => reply::text_row(out, &[Some(&print::json(&told))]),
            ExplainFormat::Xml => reply::text_row(out, &[Some(&print::xml(&told))]),
            ExplainFormat::Yaml => reply::text_row(out, &[Some(&print::yaml(&told))]),
        }
        Ok("EXPLAIN".into())
    }

    /// SQLite's plan, line by line.
    async fn query_plan(&mut self, query: &QueryPlan, params: &[Cell]) -> Step<Vec<Line>> {
        let sql = format!("EXPLAIN QUERY PLAN {}", query.sqlite);
        let sqlite = self.shared.sqlite.clone();
        let reader;
        let connection = match self.connection() {
            Some(connection) => connection,
            None => {
                reader = sqlite.reader(self.deadline).await?;
                &reader
            }
        };
        let lines = block_in_place(|| -> Result<Vec<Line>> {
            let mut statement = connection.prepare(&sql)?;
            let wanted = statement.parameter_count();
            for (i, cell) in params.iter().enumerate().take(wanted) {
                statement.bind(i + 1, cell.as_ref())?;
            }
            let mut depths = HashMap::new();
            let mut lines = Vec::new();
            while statement.step()? {
                let number = |i| match statement.column(i) {
                    CellRef::Integer(n) => n,
                    _ => 0,
                };
                let depth = depths.get(&number(1)).map_or(0, |d: &usize| d + 1);
                depths.insert(number(0), depth);
                let CellRef::Text(detail) = statement.column(3) else { continue };
                lines.push(Line { depth, detail: String::from_utf8_lossy(detail).into_owned() });
            }
            Ok(lines)
        })?;
        Ok(lines)
    }

    /// ANALYZE: the statement is run, its rows are only counted.
    async fn run_explained(
        &mut self,
        plan: &Plan,
        query: &QueryPlan,
        params: &Arc<[Cell]>,
    ) -> Step<u64> {
        let mut query = query.clone();
        // A read is not compared: nobody has seen its rows.
        query.system |= query.kind == QueryKind::Read;
        let run = Plan {
            action: Action::Query(Box::new(query)),
            columns: Vec::new(),
            text: plan.text.clone(),
            params: plan.params.clone(),
            catalog_version: plan.catalog_version,
            fingerprint: plan.fingerprint.clone(),
            dialect: plan.dialect,
        };
        let call = Call { plan: Arc::new(run), params: Arc::clone(params), formats: Arc::from([]) };
        let mut rows = Spool::default();
        self.query_into(&call, &mut rows).await?;
        Ok(rows.len())
    }
}
