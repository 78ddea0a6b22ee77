//! What the session runs: one statement, analysed once, printed for both back ends.
//!
//! Immutable and shared through `Arc` by the plan cache. Start at [`Plan`].

use std::sync::atomic::{AtomicU8, Ordering};

use super::ast;
use super::ir::{Expr, Output};
use crate::schema::Codec;
use crate::value::Type;

/// An analysed statement.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the session has to do.
    pub action: Action,
    /// The statement's own text in the client's dialect.
    pub text: String,
    /// Types of $1 …; as the client's Parse named them, or inferred.
    pub params: Vec<Type>,
    /// Result columns; empty for statements that return no rows.
    pub columns: Vec<Output>,
    /// Catalog version it was made for.
    pub catalog_version: u64,
    /// Normalised text and its 64-bit hash: the statement's shape.
    pub fingerprint: Fingerprint,
    /// The dialect whose meaning it has.
    pub dialect: ast::Dialect,
}

/// A statement with its literals normalised away.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Fingerprint {
    /// Hash.
    pub id: u64,
    /// Text with `$1`-style placeholders for literals.
    pub text: String,
}

/// What the session has to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Nothing (an empty query string).
    Empty,
    /// SELECT and DML.
    Query(Box<QueryPlan>),
    /// DDL, run by `backend::sqlite`'s schema editor.
    Ddl(Box<ast::Ddl>),
    /// Everything the session does by itself.
    Session(Box<ast::Statement>),
    /// COPY: the table or query is resolved when it runs.
    Copy(Box<ast::Copy>),
    /// EXPLAIN of a query.
    Explain(Box<QueryPlan>, ast::Explain),
}

/// A statement that runs before the main one of its plan, in the same atomic step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// SQLite's text; its parameters are the plan's, then the frozen values, then the rows of
    /// the steps before it.
    pub sqlite: String,
    /// Its rows are read by later steps: a JSON array of arrays of logical cells.
    pub rows: bool,
    /// Of its rows only the first with the same so many leading cells is kept; 0 keeps all.
    pub unique: usize,
    /// A second one is 21000.
    pub single: bool,
}

/// A query or DML statement, printed.
#[derive(Clone, Debug)]
pub struct QueryPlan {
    /// Command tag's first word(s): `SELECT`, `INSERT 0`, `UPDATE`, `DELETE`.
    pub tag: &'static str,
    /// Changes rows, or must run on the writer all the same (FOR UPDATE, nextval).
    pub kind: QueryKind,
    /// What runs first: data-modifying statements in WITH, and what must be read before them.
    pub steps: Vec<Step>,
    /// SQLite's text; parameters are ?1 … ?n, then the frozen values, then the steps' rows.
    pub sqlite: String,
    /// The same statement in PostgreSQL's dialect with frozen values as further parameters;
    /// None when it cannot be printed (then lane B skips it).
    pub postgres: Option<String>,
    /// How each SQLite result column's cell is turned into the output's type. Parallel to
    /// `Plan::columns`; `Identity` means the logical cell.
    pub codecs: Vec<Codec>,
    /// Values computed once by the session, bound after the client's parameters.
    pub frozen: Vec<Frozen>,
    /// User tables read (names), without duplicates.
    pub reads: Vec<String>,
    /// User table written.
    pub writes: Option<String>,
    /// A volatile call that is evaluated per row remains: not comparable by statement.
    pub volatile: bool,
    /// Moves or asks sequences row by row.
    pub draws: bool,
    /// Order of the rows for comparing.
    pub order: RowOrder,
    /// The answer is not determined: LIMIT or OFFSET without a total order, or anything else
    /// that depends on an order of rows which the statement does not name.
    pub unordered_limit: bool,
    /// Where a LIMIT or OFFSET of the whole statement is all that leaves its rows open: its text
    /// for PostgreSQL without them.
    pub unlimited: Option<String>,
    /// Uses a temporary table: PostgreSQL has no such one.
    pub temporary: bool,
    /// Uses pg_catalog, information_schema or system functions: not compared.
    pub system: bool,
    /// Parameters that clients are told are of a domain, counted from 0.
    pub domains: Vec<(usize, u32)>,
    /// Whether its work is bounded by its text, once that is known.
    pub bounded: Bounded,
}

/// A plan's property that is asked for when the plan runs for the second time.
#[derive(Debug, Default)]
pub struct Bounded(AtomicU8);

impl Bounded {
    const RUN_ONCE: u8 = 1;
    const NO: u8 = 2;
    const YES: u8 = 3;

    /// Whether it holds, as far as it is known; `look` finds out.
    pub fn ask(&self, look: impl FnOnce() -> bool) -> bool {
        match self.0.load(Ordering::Relaxed) {
            Self::YES => true,
            Self::NO => false,
            Self::RUN_ONCE => {
                let found = look();
                self.0.store(if found { Self::YES } else { Self::NO }, Ordering::Relaxed);
                found
            }
            _ => {
                self.0.store(Self::RUN_ONCE, Ordering::Relaxed);
                false
            }
        }
    }
}

/// A copy of a plan may be changed: it finds out for itself.
impl Clone for Bounded {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What a query does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryKind {
    /// Only reads.
    Read,
    /// Reads and takes row locks.
    LockingRead,
    /// Changes rows.
    Write,
}

/// How rows may be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOrder {
    /// No ORDER BY.
    None,
    /// ORDER BY over these output columns; ties in any order.
    Keys(Vec<usize>),
    /// ORDER BY on something that is not in the output: sorted, but ties unknown.
    Hidden,
    /// ORDER BY covers a unique key: one order only.
    Total,
}

/// A value the session computes once per execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    /// Type.
    pub ty: Type,
    /// What to compute.
    pub source: FrozenSource,
}

/// Sources of frozen values.
#[derive(Clone, Debug, PartialEq)]
pub enum FrozenSource {
    /// now(), CURRENT_TIMESTAMP, transaction_timestamp(): start of the transaction.
    TransactionTime,
    /// statement_timestamp()
    StatementTime,
    /// clock_timestamp()
    ClockTime,
    /// random()
    Random,
    /// gen_random_uuid()
    Uuid,
    /// nextval('name'); one value for each occurrence.
    NextValue(String),
    /// currval('name')
    CurrentValue(String),
    /// lastval()
    LastValue,
    /// current_user, session_user, current_database(), current_schema(), version(),
    /// pg_backend_pid(), current_setting(name, missing_ok), txid_current(), pg_notify(…),
    /// pg_sleep(…), pg_cancel_backend(pid), the pg_advisory_lock family …: by function name
    /// with its arguments (constants as text, or client parameters of any type).
    Session(String, Vec<FrozenArgument>),
    /// A function or procedure of a client, by its OID, run with these arguments: its value, or
    /// a row or rows as JSON of texts.
    Function(u32, Vec<FrozenArgument>),
    /// A field of the row that the frozen value `of` is; of rows an array of it.
    Field {
        /// Index of the frozen value.
        of: u32,
        /// Column, from 0.
        position: usize,
    },
    /// set_config(name, value, is_local): arguments are parameter numbers or constants.
    SetConfig(Vec<FrozenArgument>),
}

/// An argument of a session function that is evaluated by the session.
#[derive(Clone, Debug, PartialEq)]
pub enum FrozenArgument {
    /// $n
    Param(u32),
    /// A constant; None is NULL.
    Const(Option<String>),
    /// The frozen value of this index, which comes earlier.
    Frozen(u32),
    /// Any other expression without columns, as analysed.
    Computed(Box<Expr>),
    /// The same, printed: a query of one row and one column on SQLite, with the plan's
    /// parameters and the frozen values so far.
    Query(Box<Computed>),
}

/// A printed expression without columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Computed {
    /// SQLite's text.
    pub sqlite: String,
    /// Form of its value.
    pub codec: Codec,
    /// Type of its value.
    pub ty: Type,
}
