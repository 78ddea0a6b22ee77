//! The untyped tree both parsers lower into: what was written, before names and types
//! are resolved.
//!
//! Names are folded and unquoted already. `pos` is the 1-based character position in the
//! statement's own text (0 when unknown); the position in the whole query string is
//! `pos + Parsed::offset`. Start at [`Statement`].

mod ddl;
mod merge;
mod routine;
mod script;

pub use ddl::{
    AlterAction, AttributeChange, ColumnDef, Constraint, ConstraintKind, CreateIndex, CreateTable,
    Ddl, EnumChange, Exclusion, Like, ObjectKind, RenameWhat, SequenceOptions,
};
pub use merge::{Merge, MergeAction, When};
pub use routine::{
    Block, CreateFunction, CreateTrigger, Parameter, Raise, Returned, RoutineKind, RoutineName,
    Step,
};
pub use script::{Declared, Into, Line, Order, Range, Script, Source};

/// One statement of a query string.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// What it says.
    pub statement: Statement,
    /// The statement's own text, trimmed, without the closing semicolon.
    pub text: String,
    /// 0-based character offset of `text` in the whole query string.
    pub offset: u32,
    /// The dialect it was read in.
    pub dialect: Dialect,
}

/// The dialect a statement was read in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Dialect {
    /// PostgreSQL's.
    #[default]
    Postgres,
    /// SQLite's: names, comparisons, functions and results are SQLite's throughout.
    Sqlite,
    /// It came in SQLite's dialect, and `text` and the tree are PostgreSQL's of the same
    /// meaning.
    Rewritten,
}

impl Dialect {
    /// Whether the client wrote it in SQLite's dialect.
    pub fn is_sqlite(self) -> bool {
        self != Self::Postgres
    }

    /// Its name for people: of two words.
    pub fn name(self) -> &'static str {
        if self.is_sqlite() { "sqlite" } else { "postgres" }
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// SELECT, VALUES, TABLE
    Select(Box<Select>),
    /// INSERT
    Insert(Box<Insert>),
    /// UPDATE
    Update(Box<Update>),
    /// DELETE
    Delete(Box<Delete>),
    /// Schema changes.
    Ddl(Box<Ddl>),
    /// BEGIN, COMMIT, SAVEPOINT …
    Transaction(Transaction),
    /// SET, SHOW, RESET, DISCARD
    Session(SessionCommand),
    /// COPY
    Copy(Box<Copy>),
    /// EXPLAIN [ANALYZE]; the flag says ANALYZE.
    Explain(Box<Statement>, Explain),
    /// PREPARE name (types) AS statement
    Prepare { name: String, types: Vec<TypeName>, statement: Box<Statement>, text: String },
    /// EXECUTE name (arguments)
    Execute { name: String, arguments: Vec<Expr> },
    /// DEALLOCATE name, or ALL
    Deallocate(Option<String>),
    /// DECLARE name CURSOR FOR query
    Declare { name: String, query: Box<Select>, hold: bool, scroll: Option<bool>, binary: bool },
    /// FETCH or MOVE
    Fetch { cursor: String, direction: FetchDirection, is_move: bool },
    /// CLOSE name, or ALL
    Close(Option<String>),
    /// LISTEN channel
    Listen(String),
    /// UNLISTEN channel, or *
    Unlisten(Option<String>),
    /// NOTIFY channel, payload
    Notify(String, String),
    /// LOCK TABLE
    Lock { tables: Vec<Name>, mode: String, nowait: bool },
    /// VACUUM, ANALYZE, CHECKPOINT, REINDEX, CLUSTER: the command tag.
    Maintenance(&'static str),
    /// CREATE DATABASE, DROP DATABASE
    Database { name: String, create: bool, if_exists: bool },
    /// DO: the text of its body, which is PL/pgSQL.
    Do(String),
    /// CALL
    Call(Box<Call>),
    /// MERGE
    Merge(Box<Merge>),
    /// Parsed, known, and refused: the construct's name for the 0A000 message.
    Unsupported(&'static str),
}

/// A possibly qualified name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Name {
    /// Schema, when written.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
    /// Position.
    pub pos: u32,
}

/// A type as written: `numeric(10,2)`, `int4[]`, `timestamp with time zone`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TypeName {
    /// Schema, when written (`pg_catalog` is what the grammar adds for SQL-standard names).
    pub schema: Option<String>,
    /// pg_type.typname (`int4`, `bpchar`, `timestamptz`, `serial` …).
    pub name: String,
    /// Modifiers in parentheses.
    pub modifiers: Vec<i64>,
    /// Array.
    pub array: bool,
    /// Position.
    pub pos: u32,
}

/// A whole query: WITH, body, ORDER BY, LIMIT, locking.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Select {
    /// WITH
    pub with: Option<With>,
    /// What is selected.
    pub body: SelectBody,
    /// ORDER BY of the whole.
    pub order_by: Vec<OrderItem>,
    /// LIMIT; `Limit::All` for LIMIT ALL and no limit.
    pub limit: Option<Expr>,
    /// FETCH FIRST … WITH TIES
    pub with_ties: bool,
    /// OFFSET
    pub offset: Option<Expr>,
    /// FOR UPDATE and kin.
    pub locking: Vec<Locking>,
}

/// The body of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectBody {
    /// SELECT …
    Simple(Box<SimpleSelect>),
    /// VALUES (…), (…)
    Values(Vec<Vec<Expr>>),
    /// UNION, INTERSECT, EXCEPT
    SetOperation { op: SetOp, all: bool, left: Box<Select>, right: Box<Select> },
}

impl Default for SelectBody {
    fn default() -> Self {
        Self::Values(Vec::new())
    }
}

/// SELECT … FROM … WHERE … GROUP BY … HAVING … WINDOW
#[derive(Clone, Debug, PartialEq, Default)]
pub struct SimpleSelect {
    /// None: ALL. Some(empty): DISTINCT. Some(list): DISTINCT ON.
    pub distinct: Option<Vec<Expr>>,
    /// Select list.
    pub targets: Vec<Target>,
    /// FROM; several items are a cross join.
    pub from: Vec<TableRef>,
    /// WHERE
    pub filter: Option<Expr>,
    /// GROUP BY
    pub group_by: Vec<Expr>,
    /// HAVING
    pub having: Option<Expr>,
    /// WINDOW name AS (…)
    pub windows: Vec<(String, Window)>,
}

/// Set operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SetOp {
    Union,
    Intersect,
    Except,
}

/// WITH
#[derive(Clone, Debug, PartialEq, Default)]
pub struct With {
    /// RECURSIVE
    pub recursive: bool,
    /// The queries.
    pub ctes: Vec<Cte>,
}

/// One query of WITH.
#[derive(Clone, Debug, PartialEq)]
pub struct Cte {
    /// Name.
    pub name: String,
    /// Column names, when written.
    pub columns: Vec<String>,
    /// MATERIALIZED or NOT MATERIALIZED, when written.
    pub materialized: Option<bool>,
    /// SELECT, or DML with RETURNING.
    pub query: Box<Statement>,
    /// Position.
    pub pos: u32,
}

/// One item of a select list or RETURNING.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The expression; `Expr::Star` for `*` and `t.*`.
    pub expr: Expr,
    /// AS name.
    pub alias: Option<String>,
}

/// ORDER BY item.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderItem {
    /// What to order by (a bare integer constant is an ordinal).
    pub expr: Expr,
    /// DESC
    pub descending: bool,
    /// NULLS FIRST, when written.
    pub nulls_first: Option<bool>,
}

/// FOR UPDATE, FOR SHARE …
#[derive(Clone, Debug, PartialEq)]
pub struct Locking {
    /// FOR UPDATE or FOR NO KEY UPDATE (otherwise a share lock).
    pub update: bool,
    /// OF tables.
    pub tables: Vec<String>,
    /// NOWAIT
    pub nowait: bool,
    /// SKIP LOCKED
    pub skip_locked: bool,
}

/// An item of FROM.
#[derive(Clone, Debug, PartialEq)]
pub enum TableRef {
    /// A table, view or CTE.
    Table { name: Name, alias: Option<Alias> },
    /// (SELECT …) alias
    Subquery { query: Box<Select>, alias: Option<Alias>, lateral: bool, pos: u32 },
    /// f(…) [WITH ORDINALITY] alias
    Function {
        call: Box<Expr>,
        alias: Option<Alias>,
        lateral: bool,
        ordinality: bool,
        columns: Vec<(String, TypeName)>,
    },
    /// a JOIN b
    Join {
        kind: JoinKind,
        left: Box<TableRef>,
        right: Box<TableRef>,
        condition: JoinCondition,
        alias: Option<Alias>,
    },
}

/// AS name (columns)
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Alias {
    /// Name.
    pub name: String,
    /// Column names, when written.
    pub columns: Vec<String>,
}

/// Join kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
}

/// How two tables are joined.
#[derive(Clone, Debug, PartialEq)]
pub enum JoinCondition {
    /// CROSS JOIN
    None,
    /// ON expression
    On(Expr),
    /// USING (columns)
    Using(Vec<String>),
    /// NATURAL
    Natural,
}

/// INSERT
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// WITH
    pub with: Option<With>,
    /// Target.
    pub table: Name,
    /// AS alias
    pub alias: Option<String>,
    /// Columns, when written.
    pub columns: Vec<String>,
    /// Positions of `columns`, in the same order.
    pub column_positions: Vec<u32>,
    /// Rows; `None` is DEFAULT VALUES. A VALUES item may be `Expr::Default`.
    pub source: Option<Box<Select>>,
    /// OVERRIDING USER VALUE or SYSTEM VALUE
    pub overriding: Option<Overriding>,
    /// ON CONFLICT
    pub on_conflict: Option<OnConflict>,
    /// SQLite's INSERT OR …
    pub or: Conflict,
    /// RETURNING
    pub returning: Vec<Target>,
}

/// What a row that breaks a constraint does to SQLite's INSERT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Conflict {
    /// The statement fails.
    #[default]
    Abort,
    /// The row is left out.
    Ignore,
    /// The rows it meets on a unique key go.
    Replace,
}

/// OVERRIDING clause of INSERT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Overriding {
    User,
    System,
}

/// ON CONFLICT
#[derive(Clone, Debug, PartialEq)]
pub struct OnConflict {
    /// Inference columns or expressions.
    pub keys: Vec<Expr>,
    /// WHERE of a partial index.
    pub filter: Option<Expr>,
    /// ON CONSTRAINT name
    pub constraint: Option<String>,
    /// DO UPDATE SET …; `None` is DO NOTHING.
    pub update: Option<(Vec<Assignment>, Option<Expr>)>,
}

/// SET a = expr, or SET (a, b) = expr.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Target columns; one unless a row is assigned.
    pub columns: Vec<String>,
    /// Subscript of the array element that is set, instead of the whole column; a subscript of
    /// its own for a slice.
    pub element: Option<Box<Expr>>,
    /// The value (`Expr::Default` allowed); a row or subquery when several columns.
    pub value: Expr,
    /// Position.
    pub pos: u32,
}

/// UPDATE
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// WITH
    pub with: Option<With>,
    /// Target.
    pub table: Name,
    /// AS alias
    pub alias: Option<String>,
    /// SET
    pub assignments: Vec<Assignment>,
    /// FROM
    pub from: Vec<TableRef>,
    /// WHERE
    pub filter: Option<Expr>,
    /// RETURNING
    pub returning: Vec<Target>,
}

/// DELETE
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// WITH
    pub with: Option<With>,
    /// Target.
    pub table: Name,
    /// AS alias
    pub alias: Option<String>,
    /// USING
    pub using: Vec<TableRef>,
    /// WHERE
    pub filter: Option<Expr>,
    /// RETURNING
    pub returning: Vec<Target>,
}

/// A constant as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// NULL
    Null,
    /// TRUE, FALSE
    Bool(bool),
    /// An integer that fits int4.
    Integer(i32),
    /// A number with a point, an exponent, or beyond int4, as written.
    Number(String),
    /// A string of unknown type.
    String(String),
    /// B'…' or X'…', with its letter.
    Bits(String),
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Position.
    pub pos: u32,
}

/// Kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// $n
    Param(u32),
    /// a, t.a, s.t.a: the parts.
    Column(Vec<String>),
    /// *, t.*: the qualifying parts.
    Star(Vec<String>),
    /// DEFAULT in VALUES or SET.
    Default,
    /// Operator by name: `+`, `||`, `~~` (LIKE), `!~~`, `~~*`, `->>` …; left is None for prefix.
    Op { op: String, left: Option<Box<Expr>>, right: Box<Expr> },
    /// AND of two or more.
    And(Vec<Expr>),
    /// OR of two or more.
    Or(Vec<Expr>),
    /// NOT
    Not(Box<Expr>),
    /// IS [NOT] NULL; the flag says NOT.
    IsNull(Box<Expr>, bool),
    /// IS [NOT] TRUE | FALSE | UNKNOWN: value (None is UNKNOWN), NOT.
    IsBool(Box<Expr>, Option<bool>, bool),
    /// IS [NOT] DISTINCT FROM; the flag says NOT.
    IsDistinct(Box<Expr>, Box<Expr>, bool),
    /// [NOT] BETWEEN [SYMMETRIC]
    Between { expr: Box<Expr>, low: Box<Expr>, high: Box<Expr>, not: bool, symmetric: bool },
    /// [NOT] IN (list)
    InList { expr: Box<Expr>, list: Vec<Expr>, not: bool },
    /// expr op ANY|ALL (array)
    AnyAll { expr: Box<Expr>, op: String, array: Box<Expr>, all: bool },
    /// CASE [operand] WHEN … THEN … ELSE … END
    Case { operand: Option<Box<Expr>>, branches: Vec<(Expr, Expr)>, otherwise: Option<Box<Expr>> },
    /// CAST(x AS t), x::t, t 'literal'
    Cast(Box<Expr>, TypeName),
    /// x COLLATE name
    Collate(Box<Expr>, Name),
    /// COALESCE
    Coalesce(Vec<Expr>),
    /// GREATEST (true) or LEAST
    MinMax(bool, Vec<Expr>),
    /// NULLIF
    NullIf(Box<Expr>, Box<Expr>),
    /// CURRENT_DATE, CURRENT_TIMESTAMP(p), CURRENT_USER …: lower-case name, precision.
    ValueFunction(&'static str, Option<i32>),
    /// f(…)
    Call(Box<Call>),
    /// (SELECT …) as a value
    Subquery(Box<Select>),
    /// EXISTS (SELECT …)
    Exists(Box<Select>),
    /// expr op ANY|ALL (SELECT …); IN is `= ANY`. The expr may be a row.
    SubqueryCompare { expr: Box<Expr>, op: String, query: Box<Select>, all: bool },
    /// ARRAY(SELECT …)
    ArraySubquery(Box<Select>),
    /// ARRAY[…]
    Array(Vec<Expr>),
    /// ROW(…), (a, b)
    Row(Vec<Expr>),
    /// x[i] or x[a:b]: lower, upper (None, None for an omitted bound), slice or not.
    Subscript { expr: Box<Expr>, lower: Option<Box<Expr>>, upper: Option<Box<Expr>>, slice: bool },
    /// (x).field
    Field(Box<Expr>, String),
    /// GROUPING SETS, ROLLUP, CUBE or () in GROUP BY.
    GroupingSet(GroupingSet, Vec<Expr>),
    /// GROUPING(…)
    Grouping(Vec<Expr>),
    /// Refused constructs, by name.
    Unsupported(&'static str),
}

/// Kinds of grouping sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum GroupingSet {
    Empty,
    Rollup,
    Cube,
    Sets,
}

/// A function call.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Call {
    /// Name.
    pub name: Name,
    /// Arguments; named ones carry their name.
    pub args: Vec<(Option<String>, Expr)>,
    /// f(*)
    pub star: bool,
    /// f(DISTINCT …)
    pub distinct: bool,
    /// The last argument is VARIADIC.
    pub variadic: bool,
    /// ORDER BY inside the call.
    pub order_by: Vec<OrderItem>,
    /// WITHIN GROUP
    pub within_group: bool,
    /// FILTER (WHERE …)
    pub filter: Option<Expr>,
    /// OVER
    pub over: Option<Window>,
}

/// A window definition.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Window {
    /// OVER name, or a definition that starts from a named window.
    pub base: Option<String>,
    /// `OVER name` with nothing else (otherwise a definition in parentheses).
    pub reference: bool,
    /// PARTITION BY
    pub partition_by: Vec<Expr>,
    /// ORDER BY
    pub order_by: Vec<OrderItem>,
    /// Frame, when written.
    pub frame: Option<Frame>,
}

/// A window frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// ROWS, RANGE or GROUPS.
    pub mode: &'static str,
    /// Start.
    pub start: Bound,
    /// End.
    pub end: Bound,
    /// EXCLUDE CURRENT ROW | GROUP | TIES
    pub exclude: Option<&'static str>,
}

/// A frame bound.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// UNBOUNDED PRECEDING
    UnboundedPreceding,
    /// n PRECEDING
    Preceding(Box<Expr>),
    /// CURRENT ROW
    CurrentRow,
    /// n FOLLOWING
    Following(Box<Expr>),
    /// UNBOUNDED FOLLOWING
    UnboundedFollowing,
}

/// Transaction control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// BEGIN, START TRANSACTION
    Begin(Modes),
    /// COMMIT, END; the flag says AND CHAIN.
    Commit(bool),
    /// ROLLBACK, ABORT; the flag says AND CHAIN.
    Rollback(bool),
    /// SAVEPOINT name
    Savepoint(String),
    /// RELEASE name
    Release(String),
    /// ROLLBACK TO name
    RollbackTo(String),
    /// PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED: refused.
    TwoPhase,
    /// SET TRANSACTION modes
    SetTransaction(Modes),
    /// SET SESSION CHARACTERISTICS AS TRANSACTION modes
    SetCharacteristics(Modes),
    /// SET CONSTRAINTS names (empty: ALL) DEFERRED (true) or IMMEDIATE
    SetConstraints(Vec<String>, bool),
}

/// Transaction modes, when written.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Modes {
    /// Isolation level in lower case.
    pub isolation: Option<String>,
    /// READ ONLY
    pub read_only: Option<bool>,
    /// DEFERRABLE
    pub deferrable: Option<bool>,
}

/// SET and friends.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionCommand {
    /// SET [LOCAL] name = values; None is DEFAULT.
    Set { name: String, values: Option<Vec<String>>, local: bool },
    /// RESET name; None is ALL.
    Reset(Option<String>),
    /// SHOW name; None is ALL.
    Show(Option<String>),
    /// DISCARD ALL | PLANS | SEQUENCES | TEMP
    Discard(&'static str),
}

/// COPY
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// Table, unless a query is copied.
    pub table: Option<Name>,
    /// Columns, when written.
    pub columns: Vec<String>,
    /// COPY (query) TO
    pub query: Option<Box<Statement>>,
    /// FROM (true) or TO.
    pub from: bool,
    /// STDIN/STDOUT (otherwise a file or program: refused).
    pub stdio: bool,
    /// Options by lower-case name; a value when written.
    pub options: Vec<(String, Option<String>)>,
    /// WHERE of COPY FROM.
    pub filter: Option<Expr>,
}

/// FETCH direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchDirection {
    /// FORWARD n (negative: BACKWARD); `i64::MAX` is ALL.
    Relative(i64),
    /// ABSOLUTE n
    Absolute(i64),
    /// RELATIVE n: one row, n from here.
    Offset(i64),
}

/// Options of EXPLAIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Explain {
    /// ANALYZE
    pub analyze: bool,
    /// FORMAT
    pub format: ExplainFormat,
    /// TIMING, when written.
    pub timing: Option<bool>,
    /// SUMMARY, when written.
    pub summary: Option<bool>,
}

/// How EXPLAIN prints a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum ExplainFormat {
    #[default]
    Text,
    Json,
    Xml,
    Yaml,
}
