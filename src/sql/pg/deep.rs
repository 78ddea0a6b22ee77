//! Stack for deep trees.
//!
//! Reading and lowering a tree recurses as deeply as the statement nests. Ordinary texts
//! run where they are; a text whose nesting could be deep runs on a thread of its own with
//! a large stack. It must never guess too low: the estimate is an upper bound.

use crate::error::{Error, Result, state};
use crate::sql::lexer;

/// Deepest tree that is accepted. SQLite's own limit is 1000 levels of one expression, and
/// translation adds calls around operators.
pub const MAX_DEPTH: u32 = 400;

/// Estimated nesting that the current stack surely holds.
const SHALLOW: usize = 160;

/// Texts up to this length (bytes) cannot nest deeper than [`SHALLOW`] tokens.
const SHORT: usize = SHALLOW;

/// Stack of the extra thread in bytes; only touched pages cost memory.
const STACK: usize = 256 << 20;

/// Runs `work` on a stack that holds the tree of `text`.
///
/// # Errors
/// What `work` answers; 54001 when there is no thread to be had for a deep text.
pub fn with_stack<T: Send>(text: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if text.len() <= SHORT || lexer::nesting(text) <= SHALLOW {
        return work();
    }
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("deep statement".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .map_err(|_| too_deep())?
            .join()
            .unwrap_or_else(|_| Err(Error::internal("a deep statement could not be read")))
    })
}

/// PostgreSQL's answer to a statement that nests too deeply.
pub(super) fn too_deep() -> Error {
    Error::client(state::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .hint("Simplify the statement: it nests too deeply, for example a long chain of operators.")
}
