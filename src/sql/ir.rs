//! The typed tree: every name resolved, every expression with its PostgreSQL type,
//! every implicit cast written out. Both printers start here.
//!
//! Relations in FROM have numbers (`rel`) unique within the whole statement; a column
//! reference is (rel, column index). Stars are expanded, ordinals and aliases of ORDER BY
//! and GROUP BY are replaced, defaults of INSERT are filled in, volatile calls that can be
//! frozen are [`ExprKind::Frozen`]. Start at [`Statement`].

use std::sync::Arc;

use super::ast::{JoinKind, SetOp};
use crate::schema::Relation;
use crate::value::{Cell, Type};

/// A statement that runs on a back end.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Statement {
    Select(Box<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
}

impl Statement {
    /// The columns the statement returns; empty when it returns no rows.
    pub fn outputs(&self) -> &[Output] {
        match self {
            Self::Select(query) => &query.columns,
            Self::Insert(insert) => &insert.outputs,
            Self::Update(update) => &update.outputs,
            Self::Delete(delete) => &delete.outputs,
        }
    }

    /// The queries of its own WITH.
    pub fn ctes(&self) -> &[Cte] {
        match self {
            Self::Select(query) => &query.ctes,
            Self::Insert(insert) => &insert.ctes,
            Self::Update(update) => &update.ctes,
            Self::Delete(delete) => &delete.ctes,
        }
    }

    /// The queries of its own WITH, and whether that is RECURSIVE.
    pub fn ctes_mut(&mut self) -> (&mut Vec<Cte>, &mut bool) {
        match self {
            Self::Select(query) => (&mut query.ctes, &mut query.recursive),
            Self::Insert(insert) => (&mut insert.ctes, &mut insert.recursive),
            Self::Update(update) => (&mut update.ctes, &mut update.recursive),
            Self::Delete(delete) => (&mut delete.ctes, &mut delete.recursive),
        }
    }
}

/// A relation that can be compared by identity of its catalog entry.
#[derive(Clone, Debug)]
pub struct Table(pub Arc<Relation>);

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.0.oid == other.0.oid
    }
}

/// A query with its output columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// WITH RECURSIVE
    pub recursive: bool,
    /// WITH
    pub ctes: Vec<Cte>,
    /// Body.
    pub body: Body,
    /// ORDER BY.
    pub order_by: Vec<Sort>,
    /// LIMIT (int8), None for all.
    pub limit: Option<Expr>,
    /// OFFSET (int8)
    pub offset: Option<Expr>,
    /// Row locks asked for: the session takes the writer.
    pub locks: bool,
    /// FETCH FIRST … WITH TIES: rows that sort equal to the last one come too.
    pub with_ties: bool,
    /// Output names and types, in order.
    pub columns: Vec<Output>,
}

impl Query {
    /// One SELECT and nothing around it.
    pub fn of(select: Select, columns: Vec<Output>) -> Self {
        Self {
            recursive: false,
            ctes: Vec::new(),
            body: Body::Select(Box::new(select)),
            order_by: Vec::new(),
            limit: None,
            offset: None,
            locks: false,
            with_ties: false,
            columns,
        }
    }
}

/// One output column.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Name in RowDescription.
    pub name: String,
    /// Type.
    pub ty: Type,
    /// Table OID and attnum when it is a plain column, else (0, 0).
    pub origin: (u32, i16),
}

/// WITH name AS query
#[derive(Clone, Debug, PartialEq)]
pub struct Cte {
    /// Number by which [`From::Cte`] refers to it, unique in the statement.
    pub id: u32,
    /// Name.
    pub name: String,
    /// Query.
    pub query: Query,
    /// MATERIALIZED or NOT, when written.
    pub materialized: Option<bool>,
}

/// A statement that runs before the main one, and whose rows the main one reads as a CTE:
/// a data-modifying statement in WITH, or a query that must see the state before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Number by which [`From::Cte`] refers to its rows.
    pub cte: u32,
    /// The statement.
    pub statement: Statement,
    /// Of its rows only the first with the same so many leading cells is kept; 0 keeps all.
    pub unique: usize,
    /// A second one is an error: MERGE changes no row twice.
    pub single: bool,
}

/// A query's body.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// SELECT
    Select(Box<Select>),
    /// VALUES; all rows have the types of `Query::columns`.
    Values(Vec<Vec<Expr>>),
    /// Set operation; both sides already have the common types.
    Set { op: SetOp, all: bool, left: Box<Query>, right: Box<Query> },
}

/// SELECT …
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Select {
    /// None: ALL. Some(empty): DISTINCT. Some(list): DISTINCT ON.
    pub distinct: Option<Vec<Expr>>,
    /// Output expressions; parallel to `Query::columns`.
    pub targets: Vec<Expr>,
    /// FROM, cross-joined.
    pub from: Vec<From>,
    /// WHERE
    pub filter: Option<Expr>,
    /// GROUP BY
    pub group_by: Vec<Expr>,
    /// GROUPING SETS: which of `group_by` each set has.
    pub grouping_sets: Option<Vec<Vec<usize>>>,
    /// HAVING
    pub having: Option<Expr>,
    /// There are aggregates or GROUP BY or HAVING.
    pub grouped: bool,
}

/// ORDER BY item. `Expr` may be [`ExprKind::OutputColumn`] in set operations and when an
/// output column is meant.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Sort {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: bool,
}

/// An item of FROM.
#[derive(Clone, Debug, PartialEq)]
pub enum From {
    /// A stored, temporary or system table.
    Table { rel: u32, table: Table, alias: String },
    /// A CTE: its id, and columns as seen here.
    Cte { rel: u32, cte: u32, alias: String, columns: Vec<Output> },
    /// A subquery (or an expanded view).
    Subquery { rel: u32, query: Box<Query>, alias: String, columns: Vec<Output>, lateral: bool },
    /// A set-returning function call.
    Function {
        rel: u32,
        call: Call,
        alias: String,
        columns: Vec<Output>,
        ordinality: bool,
        lateral: bool,
    },
    /// A join; USING and NATURAL are lowered into `on`.
    Join { kind: JoinKind, left: Box<From>, right: Box<From>, on: Option<Expr> },
}

/// A typed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// PostgreSQL type. Never `unknown` after analysis, except a bare output literal (then text).
    pub ty: Type,
    /// Position in the text, for errors.
    pub pos: u32,
}

/// What [`ExprKind::ArrayPart`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrayPart {
    /// `a[lower:upper]`: the array, then the bounds that are written.
    Slice {
        /// The lower bound is written.
        lower: bool,
        /// The upper bound is written.
        upper: bool,
    },
    /// `a[i][j]`: the array, then a subscript for each dimension.
    At,
    /// The array with one element replaced: the array, the subscript, the element.
    Set,
    /// The array with a slice replaced: the array, the bounds that are written, the new slice.
    SetSlice {
        /// The lower bound is written.
        lower: bool,
        /// The upper bound is written.
        upper: bool,
    },
    /// A field of a row, counted from 0.
    Field(u32),
}

/// Kinds of typed expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant, as the logical cell of `ty`.
    Const(Cell),
    /// Client parameter $n, 1-based, of type `ty`.
    Param(u32),
    /// The n-th frozen value of the plan (0-based; see `plan::Frozen`).
    Frozen(u32),
    /// Column of a relation in scope: rel, 0-based column index.
    Column(u32, u32),
    /// Output column of the query being sorted, 0-based.
    OutputColumn(u32),
    /// `excluded.column` inside ON CONFLICT DO UPDATE.
    Excluded(u32),
    /// An operator resolved in pg_operator.
    Op(Op),
    /// A function, aggregate or window function resolved in pg_proc.
    Call(Box<Call>),
    /// AND of two or more.
    And(Vec<Expr>),
    /// OR of two or more.
    Or(Vec<Expr>),
    /// NOT
    Not(Box<Expr>),
    /// IS [NOT] NULL
    IsNull(Box<Expr>, bool),
    /// IS [NOT] TRUE | FALSE | UNKNOWN
    IsBool(Box<Expr>, Option<bool>, bool),
    /// IS [NOT] DISTINCT FROM, both of one type; the flag says NOT.
    IsDistinct(Box<Expr>, Box<Expr>, bool),
    /// IN (list), all of one comparable type; `op` is `=` or, for NOT IN, `<>` with `not`.
    InList { expr: Box<Expr>, list: Vec<Expr>, not: bool },
    /// expr op ANY|ALL (array)
    AnyAll { expr: Box<Expr>, op: Comparison, array: Box<Expr>, all: bool },
    /// CASE WHEN; a CASE with operand is lowered to comparisons (the operand has been checked
    /// free of side effects).
    Case { branches: Vec<(Expr, Expr)>, otherwise: Option<Box<Expr>> },
    /// COALESCE, all of one type.
    Coalesce(Vec<Expr>),
    /// GREATEST or LEAST, all of one type.
    MinMax(bool, Vec<Expr>),
    /// NULLIF
    NullIf(Box<Expr>, Box<Expr>),
    /// A cast that changes the value or its check: from `expr.ty` to `ty`, by kind.
    Cast(Box<Expr>, CastKind),
    /// x COLLATE name
    Collate(Box<Expr>, String),
    /// Scalar subquery.
    Subquery(Box<Query>),
    /// EXISTS
    Exists(Box<Query>),
    /// row op ANY|ALL (subquery); IN is `=` ANY.
    SubqueryCompare { row: Vec<Expr>, op: Comparison, query: Box<Query>, all: bool },
    /// ARRAY(SELECT …)
    ArraySubquery(Box<Query>),
    /// ARRAY[…]
    Array(Vec<Expr>),
    /// Row comparison: left, op, right.
    RowCompare(Vec<Expr>, Comparison, Vec<Expr>),
    /// x[i] of an array.
    Subscript(Box<Expr>, Box<Expr>),
    /// A part of an array taken or put, with its operands.
    ArrayPart(ArrayPart, Vec<Expr>),
    /// A row as one value, for functions that take any: names and values of its fields, and
    /// what is NULL when the whole row is (a row that an outer join did not find).
    Record(Vec<(String, Expr)>, Option<Box<Expr>>),
    /// A value under the constraints of a domain.
    Domain(Box<InDomain>),
}

/// A value of a domain's base type as one of the domain.
#[derive(Clone, Debug, PartialEq)]
pub struct InDomain {
    /// The domain.
    pub name: String,
    /// It is the session's own.
    pub temporary: bool,
    /// It takes no NULL.
    pub not_null: bool,
    /// The value.
    pub value: Expr,
    /// Names of its checks with their conditions, in which the value stands again.
    pub conditions: Vec<(String, Expr)>,
}

/// Comparison operators that SQL defines for any ordered type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// An operator other than the six (LIKE ANY …), by pg_operator name index in the printer.
    Like,
    NotLike,
    ILike,
    NotILike,
}

/// An operator call. `left.ty`/`right.ty` are the operator's declared input types
/// (polymorphic ones resolved): casts have been added.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// Name as in pg_operator: `+`, `=`, `||`, `~~` …
    pub name: String,
    /// Left operand; None for prefix operators.
    pub left: Option<Box<Expr>>,
    /// Right operand.
    pub right: Box<Expr>,
}

/// A function call; argument types are the declared ones (polymorphic ones resolved).
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Call {
    /// pg_proc.proname
    pub name: String,
    /// pg_proc.oid
    pub oid: u32,
    /// Kind.
    pub kind: CallKind,
    /// Arguments.
    pub args: Vec<Expr>,
    /// count(*)
    pub star: bool,
    /// DISTINCT
    pub distinct: bool,
    /// ORDER BY inside.
    pub order_by: Vec<Sort>,
    /// FILTER
    pub filter: Option<Expr>,
    /// OVER
    pub over: Option<Window>,
    /// A function or operator of SQLite's own (`sql::lite::functions`, or by an operator's
    /// sign); arguments are of SQLite's kinds.
    pub lite: bool,
}

/// The text of `lower(text)` (false) or `upper(text)` (true).
pub fn folded(expr: Expr) -> Option<(bool, Expr)> {
    let ExprKind::Call(mut call) = expr.kind else { return None };
    let upper = match call.name.as_str() {
        "lower" => false,
        "upper" => true,
        _ => return None,
    };
    let plain = call.kind == CallKind::Scalar && !call.lite && call.args.len() == 1;
    call.args.pop().filter(|arg| plain && arg.ty.oid == crate::value::oid::TEXT).map(|a| (upper, a))
}

/// Kinds of functions (pg_proc.prokind, and set-returning ones).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum CallKind {
    #[default]
    Scalar,
    Aggregate,
    Window,
    SetReturning,
}

/// OVER (…); named windows are inlined.
#[derive(Clone, Debug, PartialEq, Default)]
#[allow(missing_docs)]
pub struct Window {
    pub partition_by: Vec<Expr>,
    pub order_by: Vec<Sort>,
    pub frame: Option<Frame>,
}

/// A window frame.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Frame {
    pub mode: &'static str,
    pub start: Bound,
    pub end: Bound,
    pub exclude: Option<&'static str>,
}

/// A frame bound.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Bound {
    UnboundedPreceding,
    Preceding(Box<Expr>),
    CurrentRow,
    Following(Box<Expr>),
    UnboundedFollowing,
}

/// Why a cast stands in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastKind {
    /// Written by the client (varchar(n) cuts, numeric rounds).
    Explicit,
    /// Added on the way into a column (varchar(n) overflow is 22001).
    Assignment,
    /// Added by resolution.
    Implicit,
    /// Same representation, only the type's name changes (text → varchar).
    Relabel,
}

/// INSERT
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// WITH
    pub ctes: Vec<Cte>,
    /// WITH RECURSIVE
    pub recursive: bool,
    /// Number of the target as a relation (for RETURNING and DO UPDATE).
    pub rel: u32,
    /// Target.
    pub table: Table,
    /// AS alias (the table's name when none is written).
    pub alias: String,
    /// Target columns (indexes); every column that gets a value, defaults included.
    pub columns: Vec<u32>,
    /// Rows.
    pub source: InsertSource,
    /// ON CONFLICT
    pub on_conflict: Option<OnConflict>,
    /// Rows that a new one meets on a unique key go first (SQLite's INSERT OR REPLACE).
    pub replace: bool,
    /// RETURNING
    pub returning: Vec<Expr>,
    /// Output columns of RETURNING.
    pub outputs: Vec<Output>,
}

/// Where INSERT's rows come from; values already have the columns' types (assignment casts).
#[derive(Clone, Debug, PartialEq)]
pub enum InsertSource {
    /// VALUES
    Values(Vec<Vec<Expr>>),
    /// A query as relation `rel`; `exprs` turn its outputs into the column values.
    Query { rel: u32, query: Box<Query>, exprs: Vec<Expr> },
}

/// ON CONFLICT
#[derive(Clone, Debug, PartialEq)]
pub struct OnConflict {
    /// Index columns (empty: any conflict).
    pub columns: Vec<u32>,
    /// Expression keys of the inferred index, when it has some.
    pub expressions: Vec<Expr>,
    /// WHERE of a partial index.
    pub index_filter: Option<Expr>,
    /// DO UPDATE: assignments and WHERE; None is DO NOTHING.
    pub update: Option<(Vec<(u32, Expr)>, Option<Expr>)>,
}

/// UPDATE
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Update {
    pub ctes: Vec<Cte>,
    pub recursive: bool,
    pub rel: u32,
    pub table: Table,
    pub alias: String,
    /// Column index and value (assignment casts included).
    pub assignments: Vec<(u32, Expr)>,
    /// SET (a, b) = (subquery): columns and query whose outputs have the columns' types.
    pub row_assignments: Vec<(Vec<u32>, Query)>,
    pub from: Vec<From>,
    pub filter: Option<Expr>,
    pub returning: Vec<Expr>,
    pub outputs: Vec<Output>,
}

/// DELETE
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Delete {
    pub ctes: Vec<Cte>,
    pub recursive: bool,
    pub rel: u32,
    pub table: Table,
    pub alias: String,
    pub using: Vec<From>,
    pub filter: Option<Expr>,
    pub returning: Vec<Expr>,
    pub outputs: Vec<Output>,
}

impl Expr {
    /// Calls `f` for each direct operand that may be changed; subqueries and windows are left
    /// alone.
    pub fn children_mut(&mut self, f: &mut dyn FnMut(&mut Self)) {
        match &mut self.kind {
            ExprKind::Op(op) => {
                op.left.iter_mut().for_each(|e| f(e));
                f(&mut op.right);
            }
            ExprKind::Call(call) => call.args.iter_mut().for_each(f),
            ExprKind::And(items)
            | ExprKind::Or(items)
            | ExprKind::Coalesce(items)
            | ExprKind::MinMax(_, items)
            | ExprKind::Array(items)
            | ExprKind::SubqueryCompare { row: items, .. } => items.iter_mut().for_each(f),
            ExprKind::Not(e)
            | ExprKind::IsNull(e, _)
            | ExprKind::IsBool(e, ..)
            | ExprKind::Cast(e, _)
            | ExprKind::Collate(e, _) => f(e),
            ExprKind::IsDistinct(a, b, _) | ExprKind::NullIf(a, b) | ExprKind::Subscript(a, b) => {
                f(a);
                f(b);
            }
            ExprKind::InList { expr, list, .. } => {
                f(expr);
                list.iter_mut().for_each(f);
            }
            ExprKind::AnyAll { expr, array, .. } => {
                f(expr);
                f(array);
            }
            ExprKind::Case { branches, otherwise } => {
                for (when, then) in branches {
                    f(when);
                    f(then);
                }
                otherwise.iter_mut().for_each(|e| f(e));
            }
            ExprKind::RowCompare(left, _, right) => left.iter_mut().chain(right).for_each(f),
            _ => {}
        }
    }

    /// Calls `f` for each direct operand of an expression; subqueries are left to the caller.
    pub fn children(&self, f: &mut dyn FnMut(&Self)) {
        match &self.kind {
            ExprKind::Const(_)
            | ExprKind::Param(_)
            | ExprKind::Frozen(_)
            | ExprKind::Column(..)
            | ExprKind::OutputColumn(_)
            | ExprKind::Excluded(_)
            | ExprKind::Subquery(_)
            | ExprKind::Exists(_)
            | ExprKind::ArraySubquery(_) => {}
            ExprKind::Op(op) => {
                op.left.iter().for_each(|e| f(e));
                f(&op.right);
            }
            ExprKind::Call(call) => {
                call.args.iter().for_each(&mut *f);
                call.order_by.iter().for_each(|s| f(&s.expr));
                call.filter.iter().for_each(&mut *f);
                if let Some(over) = &call.over {
                    over.partition_by.iter().for_each(&mut *f);
                    over.order_by.iter().for_each(|s| f(&s.expr));
                }
            }
            ExprKind::And(items)
            | ExprKind::Or(items)
            | ExprKind::Coalesce(items)
            | ExprKind::MinMax(_, items)
            | ExprKind::Array(items)
            | ExprKind::ArrayPart(_, items)
            | ExprKind::SubqueryCompare { row: items, .. } => items.iter().for_each(f),
            ExprKind::Not(e)
            | ExprKind::IsNull(e, _)
            | ExprKind::IsBool(e, ..)
            | ExprKind::Cast(e, _)
            | ExprKind::Collate(e, _) => f(e),
            ExprKind::IsDistinct(a, b, _) | ExprKind::NullIf(a, b) | ExprKind::Subscript(a, b) => {
                f(a);
                f(b);
            }
            ExprKind::InList { expr, list, .. } => {
                f(expr);
                list.iter().for_each(f);
            }
            ExprKind::AnyAll { expr, array, .. } => {
                f(expr);
                f(array);
            }
            ExprKind::Case { branches, otherwise } => {
                for (when, then) in branches {
                    f(when);
                    f(then);
                }
                otherwise.iter().for_each(|e| f(e));
            }
            ExprKind::RowCompare(left, _, right) => left.iter().chain(right).for_each(f),
            ExprKind::Record(fields, exists) => {
                fields.iter().for_each(|(_, e)| f(e));
                exists.iter().for_each(|e| f(e));
            }
            ExprKind::Domain(d) => {
                f(&d.value);
                d.conditions.iter().for_each(|(_, e)| f(e));
            }
        }
    }
}
