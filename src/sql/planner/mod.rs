//! One statement from its tree to a [`Plan`]: classify, analyse, print for both back ends.
//!
//! Owns [`plan`]. It decides nothing about types (that is `analyze`) nor about text (that
//! is `print`). Start at [`plan`].

mod dialect;
mod joined;
mod lift;
mod order;
mod proposed;
mod steps;
#[cfg(test)]
mod tests;
mod undetermined;

pub use proposed::{Change, Rows, rows_of};

use super::Context;
use super::analyze::{Analysis, analyze_as, expression};
use super::ast::{Dialect, ExplainFormat, Parsed, Statement};
use super::fingerprint::fingerprint;
use super::ir::{self, Expr, Output};
use super::pg::deep::with_stack;
use super::plan::{
    Action, Bounded, Computed, Frozen, FrozenArgument, FrozenSource, Plan, QueryKind, QueryPlan,
    Step,
};
use super::print;
use super::shape::{Skeleton, Slot};
use crate::error::{Error, Result};
use crate::schema::{Codec, IndexKey};
use crate::value::{Type, element_of, is_composite, oid};

/// The tag of MERGE, whose main statement counts the rows.
pub const MERGE: &str = "MERGE";

/// The tag of CALL.
pub const CALL: &str = "CALL";

pub use dialect::{Mode, live, parse_in, plan_in, rules, undecided};

/// Plans one parsed statement.
///
/// # Errors
/// PostgreSQL's own error for what PostgreSQL refuses, 0A000 for what SQLite cannot do
/// faithfully. Positions are within the statement's own text.
pub fn plan(parsed: &Parsed, context: &Context<'_>) -> Result<Plan> {
    let mut plan = Plan {
        action: Action::Empty,
        text: parsed.text.clone(),
        params: Vec::new(),
        columns: Vec::new(),
        catalog_version: context.catalog.version,
        fingerprint: fingerprint(&parsed.text),
        dialect: parsed.dialect,
    };
    let lite = parsed.dialect == Dialect::Sqlite;
    match &parsed.statement {
        Statement::Call(_) => {
            let (mut query, params, columns) =
                with_stack(&parsed.text, || query(&parsed.statement, context, lite))?;
            // It gives no rows but where the procedure has something to give back.
            let nothing =
                query.frozen.iter().all(|f| !matches!(f.source, FrozenSource::Field { .. }));
            query.tag = CALL;
            query.postgres = None;
            plan.params = params;
            plan.columns = if nothing { Vec::new() } else { columns };
            plan.action = Action::Query(Box::new(query));
        }
        Statement::Merge(_) => {
            let (mut query, params, _) =
                with_stack(&parsed.text, || query(&parsed.statement, context, lite))?;
            query.tag = MERGE;
            query.kind = QueryKind::Write;
            query.postgres = None;
            plan.params = params;
            plan.action = Action::Query(Box::new(query));
        }
        Statement::Select(_)
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_) => {
            let (query, params, columns) =
                with_stack(&parsed.text, || query(&parsed.statement, context, lite))?;
            plan.params = params;
            plan.columns = columns;
            plan.action = Action::Query(Box::new(query));
        }
        Statement::Explain(inner, explain) => match &**inner {
            Statement::Select(_)
            | Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_) => {
                let (query, params, _) = with_stack(&parsed.text, || query(inner, context, lite))?;
                plan.params = params;
                plan.columns = vec![Output {
                    name: "QUERY PLAN".to_owned(),
                    ty: Type::new(match explain.format {
                        ExplainFormat::Json => oid::JSON,
                        ExplainFormat::Xml => oid::XML,
                        ExplainFormat::Text | ExplainFormat::Yaml => oid::TEXT,
                    }),
                    origin: (0, 0),
                }];
                plan.action = Action::Explain(Box::new(query), *explain);
            }
            _ => return Err(Error::unsupported("EXPLAIN of this statement")),
        },
        Statement::Unsupported(what) => return Err(Error::unsupported(what)),
        Statement::Ddl(ddl) => plan.action = Action::Ddl(ddl.clone()),
        Statement::Copy(copy) => plan.action = Action::Copy(copy.clone()),
        other => plan.action = Action::Session(Box::new(other.clone())),
    }
    Ok(plan)
}

/// Plans a query or DML statement that is a text of its own, its literals as parameters: the
/// plan, and which literal is which parameter. None when it is another kind of statement or
/// none of its literals can be one.
///
/// # Errors
/// As [`plan`].
pub fn plan_shape(
    parsed: &Parsed,
    skeleton: &Skeleton<'_>,
    context: &Context<'_>,
) -> Result<Option<(Plan, Vec<Slot>)>> {
    if parsed.dialect.is_sqlite() {
        return Ok(None);
    }
    if !matches!(
        parsed.statement,
        Statement::Select(_) | Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_)
    ) {
        return Ok(None);
    }
    let at = |pos: u32| {
        let character = pos.checked_sub(1)?.checked_add(parsed.offset)?;
        Some(skeleton.byte(usize::try_from(character).ok()?))
    };
    let start = at(1).unwrap_or_default();
    let (slots, made) = with_stack(&parsed.text, || {
        let mut analysis = analyze_as(&parsed.statement, context, false)?;
        let slots = lift::lift(&mut analysis, skeleton, &at);
        if slots.is_empty() {
            Ok((slots, None))
        } else {
            Ok((slots, Some(printed(analysis, context)?)))
        }
    })?;
    let Some((query, params, columns)) = made else { return Ok(None) };
    let plan = Plan {
        action: Action::Query(Box::new(query)),
        text: numbered(parsed, skeleton, &slots, start),
        params,
        columns,
        catalog_version: context.catalog.version,
        fingerprint: fingerprint(&parsed.text),
        dialect: Dialect::Postgres,
    };
    Ok(Some((plan, slots)))
}

/// The statement's text with its lifted literals as `$1` …
fn numbered(parsed: &Parsed, skeleton: &Skeleton<'_>, slots: &[Slot], start: usize) -> String {
    let mut text = String::with_capacity(parsed.text.len());
    let mut copied = 0;
    for (number, literal) in skeleton.literals.iter().enumerate() {
        let Some(param) = slots.iter().position(|s| s.literal == number) else { continue };
        let from = slots[param].start(literal).saturating_sub(start);
        let Some(before) = parsed.text.get(copied..from) else { break };
        text.push_str(before);
        text.push_str(&format!("${}", param + 1));
        copied = (literal.start + literal.text.len()).saturating_sub(start);
    }
    text.push_str(parsed.text.get(copied..).unwrap_or_default());
    text
}

/// Analyses and prints a query or DML statement.
fn query(
    statement: &Statement,
    context: &Context<'_>,
    lite: bool,
) -> Result<(QueryPlan, Vec<Type>, Vec<Output>)> {
    printed(analyze_as(statement, context, lite)?, context)
}

fn printed(
    mut analysis: Analysis,
    context: &Context<'_>,
) -> Result<(QueryPlan, Vec<Type>, Vec<Output>)> {
    // The shadow is given the images of a statement with several that write.
    let postgres = match analysis.steps.as_slice() {
        [] => print::postgres::print(&analysis).ok(),
        _ => None,
    };
    let steps = match analysis.merging {
        true => steps::merged(&mut analysis)?,
        false => steps::arrange(&mut analysis, context.catalog)?,
    };
    let mut inputs = print::sqlite::Inputs {
        params: analysis.params.len(),
        frozen: analysis.frozen.len(),
        steps: Vec::new(),
    };
    let mut before = Vec::with_capacity(steps.len());
    for step in &steps {
        let checks = checks(&step.statement, context)?;
        let text = print::sqlite::print_step(&step.statement, &inputs, checks)?;
        let rows = !step.statement.outputs().is_empty();
        before.push(Step { sqlite: text, rows, unique: step.unique, single: step.single });
        inputs.steps.push(step.cte);
    }
    let checks = checks(&analysis.statement, context)?;
    let printed = print::sqlite::print(&analysis.statement, &inputs, checks)?;
    let mut columns = analysis.statement.outputs().to_vec();
    for column in &mut columns {
        // Only the analysis knows a record's fields by its modifier.
        if column.ty.oid == oid::RECORD {
            column.ty.typmod = -1;
        }
    }
    let row = |ty: u32| is_composite(element_of(ty).unwrap_or(ty));
    // Types of rows have OIDs of their own on each side.
    let postgres = postgres.filter(|_| !columns.iter().any(|c| row(c.ty.oid)));
    let (order, cuts) = order::of(&analysis.statement);
    let undetermined = undetermined::of(&analysis.statement);
    let alone = steps.is_empty() && postgres.is_some() && cuts && !undetermined;
    let unlimited = if alone { unlimited(&mut analysis) } else { None };
    // As our printer names them; a literal that reads the same only costs a comparison.
    let temporary = !context.temporary.is_empty()
        && postgres.as_ref().is_none_or(|text| text.contains("\"pg_temp\"."));
    let plan = QueryPlan {
        tag: tag(&analysis.statement),
        kind: if steps.is_empty() { kind(&analysis) } else { QueryKind::Write },
        steps: before,
        sqlite: printed.text,
        postgres,
        codecs: printed.codecs,
        frozen: print_arguments(analysis.frozen, analysis.params.len())?,
        reads: analysis.reads,
        writes: analysis.writes,
        volatile: analysis.volatile,
        draws: analysis.draws,
        order,
        domains: std::mem::take(&mut analysis.domains),
        bounded: Bounded::default(),
        unordered_limit: cuts || undetermined,
        unlimited,
        temporary,
        system: analysis.system,
    };
    Ok((plan, analysis.params, columns))
}

/// Prints the arguments of session functions that have to be computed.
fn print_arguments(mut frozen: Vec<Frozen>, params: usize) -> Result<Vec<Frozen>> {
    let inputs =
        print::sqlite::Inputs { params, frozen: frozen.len(), ..print::sqlite::Inputs::default() };
    for value in &mut frozen {
        let (FrozenSource::Session(_, arguments)
        | FrozenSource::Function(_, arguments)
        | FrozenSource::SetConfig(arguments)) = &mut value.source
        else {
            continue;
        };
        for argument in arguments {
            let FrozenArgument::Computed(expr) = argument else { continue };
            let expr = Expr::clone(expr);
            let ty = expr.ty;
            let columns = vec![Output { name: "value".to_owned(), ty, origin: (0, 0) }];
            let select = ir::Select { targets: vec![expr], ..ir::Select::default() };
            let query = ir::Query::of(select, columns);
            let statement = ir::Statement::Select(Box::new(query));
            let printed = print::sqlite::print(&statement, &inputs, Vec::new())?;
            let codec = printed.codecs.first().copied().unwrap_or(Codec::Identity);
            let computed = Computed { sqlite: printed.text, codec, ty };
            *argument = FrozenArgument::Query(Box::new(computed));
        }
    }
    Ok(frozen)
}

/// The text for PostgreSQL without the whole statement's LIMIT and OFFSET, when nothing else
/// leaves its rows open.
fn unlimited(analysis: &mut Analysis) -> Option<String> {
    let ir::Statement::Select(query) = &mut analysis.statement else { return None };
    let cut = (query.limit.take(), query.offset.take());
    let open = (cut.0.is_none() && cut.1.is_none()) || order::of(&analysis.statement).1;
    let text = if open { None } else { print::postgres::print(analysis).ok() };
    if let ir::Statement::Select(query) = &mut analysis.statement {
        (query.limit, query.offset) = cut;
    }
    text
}

/// The written table's CHECK constraints that SQLite does not enforce.
fn checks(
    statement: &ir::Statement,
    context: &Context<'_>,
) -> Result<Vec<print::sqlite::Enforced>> {
    let table = match statement {
        ir::Statement::Insert(insert) => &insert.table.0,
        ir::Statement::Update(update) => &update.table.0,
        ir::Statement::Select(_) | ir::Statement::Delete(_) => return Ok(Vec::new()),
    };
    let context = &context.stored();
    let checks = table.checks.iter().filter(|c| c.in_plan).map(|c| {
        let condition = expression(&c.expression, table, context)?;
        Ok(print::sqlite::Enforced { name: c.name.clone(), condition, folds: None })
    });
    let mut enforced = checks.collect::<Result<Vec<_>>>()?;
    for index in table.indexes.iter().filter(|i| i.unique && !i.absent && !i.sqlite) {
        for key in &index.keys {
            let IndexKey::Expression(text, _) = key else { continue };
            if let Some((upper, condition)) = ir::folded(expression(text, table, context)?) {
                let name = index.name.clone();
                enforced.push(print::sqlite::Enforced { name, condition, folds: Some(upper) });
            }
        }
    }
    Ok(enforced)
}

fn tag(statement: &ir::Statement) -> &'static str {
    match statement {
        ir::Statement::Select(_) => "SELECT",
        ir::Statement::Insert(_) => "INSERT 0",
        ir::Statement::Update(_) => "UPDATE",
        ir::Statement::Delete(_) => "DELETE",
    }
}

/// Sequences move on the writer, so a query that draws from one runs there.
fn kind(analysis: &Analysis) -> QueryKind {
    let draws = analysis.frozen.iter().any(|f| matches!(f.source, FrozenSource::NextValue(_)));
    match &analysis.statement {
        ir::Statement::Select(_) if analysis.locks || draws => QueryKind::LockingRead,
        ir::Statement::Select(_) => QueryKind::Read,
        _ => QueryKind::Write,
    }
}
