//! Parse analysis: from what was written ([`super::ast`]) to what it means ([`super::ir`]).
//!
//! Owns name resolution, typing, implicit casts, output names, parameter types, defaults of
//! INSERT and the freezing of volatile calls; behaves like PostgreSQL's parse analysis, error
//! texts and positions included. It must never run anything, read a clock, or look at a row.
//! One file per construct. Start at [`analyze`].

mod call;
mod cast;
mod conflict;
mod cte;
mod delete;
mod domain;
mod errors;
mod expr;
mod freeze;
mod from;
mod group;
mod grouping;
mod immutable;
mod inline;
mod insert;
mod join;
mod lite;
pub(super) mod literal;
mod locale;
mod merge;
mod names;
mod operator;
mod order;
mod own;
mod params;
mod routine;
mod row;
mod scope;
mod select;
mod setop;
mod sets;
mod subquery;
mod system;
mod table_function;
mod target;
#[cfg(test)]
mod tests;
mod typename;
mod update;
mod views;
pub(super) mod walk;
mod window;

pub(crate) use domain::{VALUE, named as named_domain, value_relation};

use std::collections::HashMap;

pub use self::immutable::immutable;
pub(crate) use self::inline::check_function;
pub use self::lite::{Stored, stored};
pub(crate) use self::own::result_columns;
pub(crate) use self::routine::assigning;
pub use self::routine::{NEW, OLD, RowVariables, generated, in_lite_trigger, in_trigger};

use self::params::Params;
use self::scope::{Level, Place};
use super::plan::Frozen;
use super::{Context, ast, ir};
use crate::error::{Error, Result};
use crate::schema::Relation;
use crate::value::Type;

/// Nesting of expressions and queries beyond which a statement is refused (54001), so that
/// no text can exhaust the stack.
const MAX_DEPTH: u32 = 400;

/// An analysed statement.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The statement.
    pub statement: ir::Statement,
    /// Types of $1 …
    pub params: Vec<Type>,
    /// Which of them are of domains, counted from 0: the types are those of the values.
    pub domains: Vec<(usize, u32)>,
    /// Values the session computes once per execution, bound after the parameters.
    pub frozen: Vec<Frozen>,
    /// User tables read (names), without duplicates; views are expanded.
    pub reads: Vec<String>,
    /// User table written.
    pub writes: Option<String>,
    /// A volatile call that is evaluated per row remains.
    pub volatile: bool,
    /// Reads pg_catalog or information_schema, or calls system functions.
    pub system: bool,
    /// Must run on the writer though it may only read: row locks are asked for anywhere, or
    /// a sequence moves for each row.
    pub locks: bool,
    /// Moves or asks sequences row by row.
    pub draws: bool,
    /// Data-modifying statements in WITH, in the order written; what a MERGE comes to.
    pub steps: Vec<ir::Step>,
    /// It is a MERGE.
    pub merging: bool,
    /// It has SQLite's meaning.
    pub lite: bool,
    /// The statement as it was written, where triggers and generated columns have changed it
    /// for SQLite: PostgreSQL runs them itself.
    pub plain: Option<ir::Statement>,
}

impl Analysis {
    /// The columns the statement returns; empty when it returns no rows.
    pub fn columns(&self) -> &[ir::Output] {
        self.statement.outputs()
    }
}

/// Analyses SELECT, INSERT, UPDATE and DELETE (also inside EXPLAIN and DECLARE).
///
/// # Errors
/// PostgreSQL's own error for what PostgreSQL refuses; 0A000 for what Crossfade cannot
/// translate; XX000 for statements that have no analysis (DDL, session commands).
pub fn analyze(statement: &ast::Statement, context: &Context<'_>) -> Result<Analysis> {
    analyze_as(statement, context, false)
}

/// [`analyze`], by SQLite's rules when `lite`.
///
/// # Errors
/// As [`analyze`].
pub fn analyze_as(
    statement: &ast::Statement,
    context: &Context<'_>,
    lite: bool,
) -> Result<Analysis> {
    let mut analyzer = Analyzer::new(*context, true);
    analyzer.lite = lite;
    analyzer.standing = inline::Standing::of(statement);
    let statement = analyzer.statement(statement)?;
    if analyzer.locale {
        locale::check(&statement)?;
    }
    let (params, domains) = analyzer.parameters()?;
    if let Some(written) = &analyzer.writes {
        crate::sql::trigger::check_before(written, &analyzer.reads, context.catalog)?;
    }
    if !analyzer.steps.is_empty() && analyzer.plain.is_some() {
        return Err(Error::unsupported("WITH that writes a table with such generated columns"));
    }
    Ok(Analysis {
        statement,
        params,
        domains,
        frozen: analyzer.frozen,
        reads: analyzer.reads,
        writes: analyzer.writes,
        volatile: analyzer.volatile,
        system: analyzer.system,
        locks: analyzer.locks,
        draws: analyzer.draws,
        steps: analyzer.steps,
        merging: analyzer.merging,
        lite,
        plain: analyzer.plain,
    })
}

/// The rules of SQLite's dialect that an analysed statement shows, for people.
pub fn rules(analysis: &Analysis) -> Vec<String> {
    if analysis.lite { lite::rules(&analysis.statement) } else { Vec::new() }
}

/// Analyses an expression kept as text in the catalog (default, check, generated column,
/// index key or predicate) over one relation, whose columns are `ExprKind::Column(0, index)`.
/// Nothing is frozen: `now()` and its kin stay calls.
///
/// # Errors
/// As [`analyze`].
pub fn expression(text: &str, relation: &Relation, context: &Context<'_>) -> Result<ir::Expr> {
    let tree = parse_expression(text)?;
    let mut analyzer = Analyzer::new(*context, false);
    analyzer.push_level();
    analyzer.add_relation_item(relation);
    let expr = analyzer.at_place(Place::Stored, |a| a.expr(&tree))?;
    let expr = analyzer.settle(expr)?;
    if locale::concerns(relation) {
        locale::check_expression(&expr, relation)?;
    }
    analyzer.params.finish()?;
    Ok(expr)
}

/// The type a written type name means, with its modifier.
///
/// # Errors
/// 42704 for an unknown type, 22023 for a modifier out of range.
pub fn type_name(name: &ast::TypeName, context: &Context<'_>) -> Result<Type> {
    typename::resolve(name, context)
}

/// The tree of an expression's text.
fn parse_expression(text: &str) -> Result<ast::Expr> {
    let parsed = super::parse(&format!("SELECT ({text})"))?;
    if let [ast::Parsed { statement: ast::Statement::Select(select), .. }] = parsed.as_slice()
        && let ast::SelectBody::Simple(simple) = &select.body
        && let [target] = simple.targets.as_slice()
    {
        return Ok(target.expr.clone());
    }
    Err(Error::internal("a stored expression is not an expression"))
}

/// Stands for the row `excluded` among the relations whose level is known.
const EXCLUDED: u32 = u32::MAX;

/// The state of one analysis.
struct Analyzer<'a> {
    context: Context<'a>,
    /// Queries being analysed, outermost first.
    levels: Vec<Level>,
    /// Level at which each relation number was made.
    rel_levels: HashMap<u32, usize>,
    next_rel: u32,
    next_cte: u32,
    params: Params,
    frozen: Vec<Frozen>,
    /// Whether volatile calls are frozen at all (not in stored expressions).
    freeze: bool,
    reads: Vec<String>,
    writes: Option<String>,
    volatile: bool,
    system: bool,
    locks: bool,
    draws: bool,
    steps: Vec<ir::Step>,
    plain: Option<ir::Statement>,
    /// The fields of rows without a type's name: a record's modifier is its place here.
    records: Vec<Vec<(String, Type)>>,
    /// A column is met whose order a collation of a language decides.
    locale: bool,
    depth: u32,
    /// By SQLite's rules.
    lite: bool,
    /// What is analysed now is all that the statement does, once: a function may have effects.
    alone: bool,
    /// What else the statement does than what is analysed.
    standing: inline::Standing,
    /// Functions that are being written out, the innermost last.
    inlining: Vec<String>,
    /// Only whether a body can be written out is asked.
    probing: bool,
    /// The statement is a MERGE.
    merging: bool,
}

impl<'a> Analyzer<'a> {
    fn new(context: Context<'a>, freeze: bool) -> Self {
        Self {
            context,
            levels: Vec::new(),
            rel_levels: HashMap::new(),
            next_rel: 0,
            next_cte: 0,
            params: Params::new(context.param_types),
            frozen: Vec::new(),
            freeze,
            reads: Vec::new(),
            writes: None,
            volatile: false,
            system: false,
            locks: false,
            draws: false,
            steps: Vec::new(),
            plain: None,
            records: Vec::new(),
            locale: false,
            depth: 0,
            lite: false,
            alone: false,
            standing: inline::Standing::default(),
            inlining: Vec::new(),
            probing: false,
            merging: false,
        }
    }

    fn statement(&mut self, statement: &ast::Statement) -> Result<ir::Statement> {
        Ok(match statement {
            ast::Statement::Select(select) => {
                ir::Statement::Select(Box::new(self.query(select, true)?))
            }
            ast::Statement::Merge(merge) => return self.merge(merge),
            ast::Statement::Call(call) => ir::Statement::Select(Box::new(self.procedure(call)?)),
            ast::Statement::Insert(insert) => ir::Statement::Insert(Box::new(self.insert(insert)?)),
            ast::Statement::Update(update) => ir::Statement::Update(Box::new(self.update(update)?)),
            ast::Statement::Delete(delete) => ir::Statement::Delete(Box::new(self.delete(delete)?)),
            ast::Statement::Explain(inner, _) => return self.statement(inner),
            ast::Statement::Declare { query, .. } => {
                ir::Statement::Select(Box::new(self.query(query, true)?))
            }
            ast::Statement::Unsupported(what) => return Err(Error::unsupported(what)),
            _ => return Err(Error::internal("this statement has no analysis")),
        })
    }

    fn new_rel(&mut self) -> u32 {
        let rel = self.next_rel;
        self.next_rel += 1;
        self.rel_levels.insert(rel, self.levels.len());
        rel
    }

    /// Runs `inner` one level of nesting deeper.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return Err(errors::too_deep());
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }
}
