//! Statements that a schema change runs itself, through the whole planner.

use std::sync::Arc;

use super::Editor;
use super::materialized::query_of;
use crate::error::{Error, Result};
use crate::schema::{Catalog, Relation, RelationKind};
use crate::sql::ast::{Dialect, Parsed, Statement};
use crate::sql::plan::{Action, FrozenSource, Plan, QueryPlan};
use crate::sql::{Context, parse, plan};
use crate::value::Cell;

/// A statement of the writer.
type Prepared = crate::backend::sqlite::Statement;

impl Editor<'_> {
    /// Plans one statement against the catalog as it is now.
    pub(super) fn plan(&self, statement: Statement) -> Result<Plan> {
        let parsed =
            Parsed { statement, text: String::new(), offset: 0, dialect: Dialect::Postgres };
        plan(&parsed, &self.context())
    }

    /// Runs an INSERT, UPDATE or DELETE; the rows it changed.
    pub(super) fn execute(&self, statement: Statement) -> Result<u64> {
        let plan = self.plan(statement)?;
        self.execute_plan(&plan)
    }

    /// Plans PostgreSQL text of one statement.
    pub(super) fn plan_text(&self, text: &str) -> Result<Plan> {
        plan_text(text, &self.context())
    }

    fn execute_plan(&self, plan: &Plan) -> Result<u64> {
        let mut statement = self.bound(query_plan(plan)?, plan.params.len())?;
        while statement.step()? {}
        Ok(self.writer.changes())
    }

    /// Whether a query has a row.
    pub(super) fn has_row(&self, text: &str) -> Result<bool> {
        let plan = self.plan_text(text)?;
        self.bound(query_plan(&plan)?, plan.params.len())?.step()
    }

    /// The statement of a plan without parameters of the client, frozen values bound.
    pub(super) fn bound(&self, query: &QueryPlan, params: usize) -> Result<Prepared> {
        let mut statement = self.writer.prepare(&query.sqlite)?;
        for (position, frozen) in query.frozen.iter().enumerate() {
            // The session does not know sequences that this change has made.
            let own = match &frozen.source {
                FrozenSource::NextValue(name) => self.catalog.sequences.get(name),
                _ => None,
            };
            let value = match own {
                Some(sequence) => Cell::Integer(self.side.sequences.next(self.writer, sequence)?.0),
                None => (self.freeze)(frozen)?,
            };
            statement.bind(params + position + 1, value.as_ref())?;
        }
        Ok(statement)
    }

    /// Runs with row images off: what happens inside is an event of its own.
    pub(super) fn muted<R>(&mut self, body: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        self.writer.mute(true);
        let result = body(self);
        self.writer.mute(false);
        result
    }

    /// Whether every view that works under a catalog works under another.
    pub(super) fn views_hold(&self, before: &Catalog, now: &Catalog) -> bool {
        let views = before.relations.values().filter(|r| r.kind == RelationKind::View);
        let works = |catalog: &Catalog, text: &str| {
            plan_stored(text, &Context { catalog, ..self.context() }).is_ok()
        };
        let mut texts = views.filter_map(|v| query_of(v));
        texts.all(|text| works(now, text) || !works(before, text))
    }

    /// Names of views that would no longer work under another catalog: those depend on what
    /// it lacks.
    pub(super) fn broken_views(&self, after: &Catalog) -> Vec<Arc<Relation>> {
        let views = self.catalog.relations.values().filter(|r| query_of(r).is_some());
        let works = |catalog: &Catalog, view: &Relation| {
            let context = Context { catalog, ..self.context() };
            let text = query_of(view).unwrap_or_default();
            plan_stored(text, &context).is_ok()
        };
        views
            .filter(|v| after.relations.contains_key(&v.name))
            .filter(|v| works(&self.catalog, v) && !works(after, v))
            .cloned()
            .collect()
    }
}

fn plan_stored(text: &str, context: &Context<'_>) -> Result<Plan> {
    plan_text(text, &context.stored())
}

fn plan_text(text: &str, context: &Context<'_>) -> Result<Plan> {
    let parsed = parse(text)?;
    match parsed.as_slice() {
        [one] => plan(one, context),
        _ => Err(Error::internal("a schema change made more than one statement")),
    }
}

/// The query of a plan.
pub(super) fn query_plan(plan: &Plan) -> Result<&QueryPlan> {
    match &plan.action {
        Action::Query(query) => Ok(query),
        _ => Err(Error::internal("a schema change made a statement that is no query")),
    }
}
