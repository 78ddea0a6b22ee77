//! The statements and expressions of a body of DO.
//!
//! Start at [`Session::run_source`].

use std::sync::Arc;

use super::super::commands::cell_text;
use super::super::execute::Request;
use super::super::query::Call;
use super::super::spool::Spool;
use super::super::{Session, Step, Stop};
use super::variables::{Sight, Typed, bound, constant};
use super::{Flow, Running, looped, named};
use crate::error::{Error, SqlState, state};
use crate::sql::ast::{
    Expr, ExprKind, Into, Line, Select, SelectBody, SessionCommand, SimpleSelect, Source,
    Statement, Target, TypeName,
};
use crate::sql::pg::plpgsql;
use crate::sql::plan::{Action, Plan, QueryKind};
use crate::sql::types::sql_name_with_typmod;
use crate::value::Type;

/// Rows of a query, with the types and names of their columns.
pub(super) struct Rows {
    plan: Arc<Plan>,
    spool: Spool,
    changed: u64,
}

impl Rows {
    /// Types of the columns.
    pub(super) fn types(&self) -> Vec<Type> {
        self.plan.columns.iter().map(|c| c.ty).collect()
    }
}

impl Session {
    /// What names of variables could also mean.
    fn sight(&self) -> Sight {
        Sight { catalog: self.catalog(), temporary: Arc::clone(self.temporary()) }
    }

    /// An expression's value, as a type's text.
    pub(super) async fn value(
        &mut self,
        expr: &Expr,
        ty: Option<&TypeName>,
        running: &Running,
    ) -> Step<Option<String>> {
        let mut expr = running.variables.put(expr, &self.sight())?;
        if let Some(ty) = ty {
            expr = Expr { kind: ExprKind::Cast(Box::new(expr), ty.clone()), pos: 0 };
        }
        Ok(self.typed(&expr).await?.1)
    }

    /// The value and type of an expression without variables.
    async fn typed(&mut self, expr: &Expr) -> Step<Typed> {
        let target = Target { expr: expr.clone(), alias: None };
        let simple = SimpleSelect { targets: vec![target], ..SimpleSelect::default() };
        let select = Select { body: SelectBody::Simple(Box::new(simple)), ..Select::default() };
        let mut rows = self.rows(Statement::Select(Box::new(select)), "").await?;
        let first = self.fields(&mut rows, 0)?.and_then(|mut fields| fields.pop());
        Ok(first.map_or((named("text"), None), |(_, value)| value))
    }

    async fn rows(&mut self, statement: Statement, text: &str) -> Step<Rows> {
        let plan = self.plan_statement(statement, text, &[])?;
        self.planned_rows(plan).await
    }

    async fn planned_rows(&mut self, plan: Arc<Plan>) -> Step<Rows> {
        if !plan.params.is_empty() {
            // Read in SQLite's dialect, from the text: values are put into the tree.
            return Err(Error::unsupported("a parameter in SQLite's dialect in PL/pgSQL").into());
        }
        let call = Call { plan: Arc::clone(&plan), params: Arc::from([]), formats: Arc::from([]) };
        let mut spool = Spool::default();
        let changed = self.query_into(&call, &mut spool).await?;
        Ok(Rows { plan, spool, changed })
    }

    /// A row, field by field; None after the last.
    pub(super) fn fields(&self, rows: &mut Rows, row: u64) -> Step<Option<Vec<(String, Typed)>>> {
        let Action::Query(query) = &rows.plan.action else {
            return Err(Error::unsupported("this query in PL/pgSQL").into());
        };
        let style = self.settings.derived().style.clone();
        let columns = &rows.plan.columns;
        let texts = rows.spool.row(row, |cells| {
            let text = |(i, column): (usize, &crate::sql::ir::Output)| {
                cell_text(cells.get(i).copied(), query.codecs.get(i).copied(), column.ty, &style)
            };
            columns.iter().enumerate().map(text).collect::<crate::error::Result<Vec<_>>>()
        })?;
        let Some(texts) = texts else { return Ok(None) };
        let mut fields = Vec::with_capacity(texts.len());
        for (column, text) in columns.iter().zip(texts) {
            let ty = plpgsql::type_name(&sql_name_with_typmod(column.ty))?;
            fields.push((column.name.clone(), (ty, text)));
        }
        Ok(Some(fields))
    }

    /// Any statement of SQL, or EXECUTE.
    pub(super) async fn run_source(
        &mut self,
        source: &Source,
        into: &Into,
        running: &mut Running,
    ) -> Step<()> {
        let dynamic = matches!(source, Source::Dynamic(..));
        for (statement, text) in self.statements(source, running).await? {
            let outcome = self.run_one(statement, &text, into, dynamic, running).await;
            outcome.map_err(|stop| in_statement(stop, &text))?;
        }
        Ok(())
    }

    /// What is to be run, with values in the places of variables and parameters.
    async fn statements(
        &mut self,
        source: &Source,
        running: &Running,
    ) -> Step<Vec<(Statement, String)>> {
        match source {
            Source::Static(statement, text) => {
                let statement = running.variables.put_in(statement, &self.sight())?;
                Ok(vec![(statement, text.clone())])
            }
            Source::Dynamic(text, values) => {
                let text = self.value(text, Some(&named("text")), running).await?;
                let text = text.ok_or_else(|| {
                    let message = "query string argument of EXECUTE is null";
                    Error::client(state::NULL_VALUE_NOT_ALLOWED, message)
                })?;
                let mut typed = Vec::with_capacity(values.len());
                for value in values {
                    let value = running.variables.put(value, &self.sight())?;
                    typed.push(self.typed(&value).await?);
                }
                let parsed = crate::sql::parse(&text).map_err(Error::without_position)?;
                let statements = parsed.into_iter().map(|mut parsed| {
                    bound(&mut parsed.statement, &typed);
                    (parsed.statement, parsed.text)
                });
                Ok(statements.collect())
            }
        }
    }

    async fn run_one(
        &mut self,
        statement: Statement,
        text: &str,
        into: &Into,
        dynamic: bool,
        running: &mut Running,
    ) -> Step<()> {
        check(&statement)?;
        let plan = self.plan_statement(statement, text, &[])?;
        if running.steady && changes(&plan) {
            return Err(not_volatile(text).into());
        }
        match &plan.action {
            Action::Query(query) => {
                if into.targets.is_empty() && !plan.columns.is_empty() && !dynamic {
                    return Err(no_destination(query.kind == QueryKind::Read).into());
                }
                let writes = query.kind == QueryKind::Write;
                let mut rows = self.planned_rows(Arc::clone(&plan)).await?;
                running.count = if writes { rows.changed } else { rows.spool.len() };
                if !dynamic {
                    running.variables.found(running.count > 0);
                }
                if !into.targets.is_empty() {
                    self.keep(&mut rows, into, writes, running).await?;
                }
            }
            Action::Ddl(change) => {
                self.ddl(change, &plan).await?;
                running.count = 0;
            }
            Action::Session(statement) => {
                let request = Request {
                    plan: Arc::clone(&plan),
                    inner: None,
                    params: Arc::from([]),
                    formats: Arc::from([]),
                    describe: false,
                };
                Box::pin(self.command(statement, &plan, request)).await?;
            }
            Action::Empty | Action::Explain(..) | Action::Copy(_) => {
                return Err(Error::unsupported("this statement in PL/pgSQL").into());
            }
        }
        Ok(())
    }

    /// INTO
    async fn keep(
        &mut self,
        rows: &mut Rows,
        into: &Into,
        writes: bool,
        running: &mut Running,
    ) -> Step<()> {
        let many = rows.spool.len() > 1 && (into.strict || writes);
        if many {
            let message = "query returned more than one row";
            let hint = "Make sure the query returns a single row, or use LIMIT 1.";
            return Err(Error::client(SqlState::from_code("P0003"), message).hint(hint).into());
        }
        let first = self.fields(rows, 0)?;
        if first.is_none() && into.strict {
            let message = "query returned no rows";
            return Err(Error::client(SqlState::from_code("P0002"), message).into());
        }
        let fields = match first {
            Some(fields) => fields,
            None => {
                let mut empty = Vec::new();
                for column in &rows.plan.columns {
                    let ty = plpgsql::type_name(&sql_name_with_typmod(column.ty))?;
                    empty.push((column.name.clone(), (ty, None)));
                }
                empty
            }
        };
        self.assign_row(&into.targets, fields, running).await
    }

    async fn assign_row(
        &mut self,
        targets: &[String],
        fields: Vec<(String, Typed)>,
        running: &mut Running,
    ) -> Step<()> {
        if let [target] = targets
            && running.variables.is_record(target)
        {
            return Ok(running.variables.set_record(target, fields)?);
        }
        for (position, target) in targets.iter().enumerate() {
            let ty = running.variables.type_of(target)?;
            let value = match fields.get(position) {
                Some((_, typed)) => self.converted(typed.clone(), ty).await?,
                None => None,
            };
            running.variables.set(target, value)?;
        }
        Ok(())
    }

    /// A value as another type's text.
    pub(super) async fn converted(&mut self, typed: Typed, ty: TypeName) -> Step<Option<String>> {
        if typed.0 == ty {
            return Ok(typed.1);
        }
        let inner = Box::new(constant(&typed));
        Ok(self.typed(&Expr { kind: ExprKind::Cast(inner, ty), pos: 0 }).await?.1)
    }

    /// The rows of RETURN QUERY.
    pub(super) async fn source_rows(
        &mut self,
        source: &Source,
        running: &Running,
    ) -> Step<(Rows, String)> {
        let mut statements = self.statements(source, running).await?;
        let (Some((statement, text)), true) = (statements.pop(), statements.is_empty()) else {
            return Err(Error::unsupported("this RETURN QUERY in PL/pgSQL").into());
        };
        check(&statement)?;
        let plan = self.plan_statement(statement, &text, &[])?;
        if running.steady && changes(&plan) {
            return Err(not_volatile(&text).into());
        }
        if plan.columns.is_empty() {
            return Err(Error::unsupported("this RETURN QUERY in PL/pgSQL").into());
        }
        let rows = self.planned_rows(plan).await.map_err(|stop| in_statement(stop, &text))?;
        Ok((rows, text))
    }

    /// PERFORM
    pub(super) async fn perform(&mut self, query: &Select, running: &mut Running) -> Step<()> {
        let query = running.variables.put_in_query(query, &self.sight())?;
        let rows = self.rows(Statement::Select(Box::new(query)), "").await?;
        running.count = rows.spool.len();
        running.variables.found(running.count > 0);
        Ok(())
    }

    /// FOREACH
    pub(super) async fn each_element(
        &mut self,
        variable: &str,
        array: &Expr,
        lines: &[Line],
        running: &mut Running,
    ) -> Step<Flow> {
        let array = running.variables.put(array, &self.sight())?;
        let (ty, value) = self.typed(&array).await?;
        if !ty.array {
            let message = format!("FOREACH expression must yield an array, not type {}", ty.name);
            return Err(Error::client(state::DATATYPE_MISMATCH, message).into());
        }
        if value.is_none() {
            let message = "FOREACH expression must not be null";
            return Err(Error::client(state::NULL_VALUE_NOT_ALLOWED, message).into());
        }
        let call = crate::sql::ast::Call {
            name: crate::sql::ast::Name { name: "unnest".to_owned(), ..Default::default() },
            args: vec![(None, constant(&(ty, value)))],
            ..crate::sql::ast::Call::default()
        };
        let expr = Expr { kind: ExprKind::Call(Box::new(call)), pos: 0 };
        let simple =
            SimpleSelect { targets: vec![Target { expr, alias: None }], ..SimpleSelect::default() };
        let select = Select { body: SelectBody::Simple(Box::new(simple)), ..Select::default() };
        let source = Source::Static(Box::new(Statement::Select(Box::new(select))), String::new());
        self.each_row(&[variable.to_owned()], &source, lines, running).await
    }

    /// FOR variables IN query
    pub(super) async fn each_row(
        &mut self,
        targets: &[String],
        source: &Source,
        lines: &[Line],
        running: &mut Running,
    ) -> Step<Flow> {
        let mut statements = self.statements(source, running).await?;
        let (Some((statement, text)), true) = (statements.pop(), statements.is_empty()) else {
            return Err(Error::unsupported("this FOR in PL/pgSQL").into());
        };
        check(&statement)?;
        let mut rows = self.rows(statement, &text).await?;
        let mut row = 0;
        while let Some(fields) = self.fields(&mut rows, row)? {
            self.assign_row(targets, fields, running).await?;
            if let Some(ended) = looped(self.lines(lines, running).await?) {
                running.variables.found(true);
                return Ok(ended);
            }
            row += 1;
        }
        running.variables.found(row > 0);
        Ok(Flow::Next)
    }
}

/// Whether a statement changes more than variables.
fn changes(plan: &Plan) -> bool {
    match &plan.action {
        Action::Query(query) => query.kind != QueryKind::Read,
        _ => true,
    }
}

/// An error with the statement that made it.
pub(super) fn in_statement(stop: Stop, text: &str) -> Stop {
    match stop {
        Stop::Error(error)
            if error.fields().context.is_none() && error.message() != NO_DESTINATION =>
        {
            error.context(format!("SQL statement \"{text}\"")).into()
        }
        other => other,
    }
}

fn not_volatile(text: &str) -> Error {
    let what = text.split_whitespace().next().unwrap_or_default().to_uppercase();
    let message = format!("{what} is not allowed in a non-volatile function");
    Error::client(state::FEATURE_NOT_SUPPORTED, message)
}

/// Refuses what has no place in a body.
fn check(statement: &Statement) -> Step<()> {
    let what = match statement {
        Statement::Transaction(_) => "transaction control in PL/pgSQL",
        Statement::Copy(_) => "COPY in PL/pgSQL",
        Statement::Session(SessionCommand::Show(_) | SessionCommand::Discard(_)) => {
            "this statement in PL/pgSQL"
        }
        Statement::Explain(..)
        | Statement::Prepare { .. }
        | Statement::Execute { .. }
        | Statement::Declare { .. }
        | Statement::Fetch { .. }
        | Statement::Close(_)
        // A body that runs itself would have no end but the stack's.
        | Statement::Do(_)
        | Statement::Call(_)
        | Statement::Merge(_)
        | Statement::Database { .. }
        | Statement::Maintenance(_) => "this statement in PL/pgSQL",
        _ => return Ok(()),
    };
    Err(Error::unsupported(what).into())
}

const NO_DESTINATION: &str = "query has no destination for result data";

fn no_destination(reads: bool) -> Error {
    let error = Error::client(state::SYNTAX_ERROR, NO_DESTINATION);
    match reads {
        true => error.hint("If you want to discard the results of a SELECT, use PERFORM instead."),
        false => error,
    }
}
