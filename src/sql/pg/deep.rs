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

/// Estimated nesting (tokens) beyond which no text is read: far beyond [`MAX_DEPTH`] levels.
const MAX_NESTING: usize = 4_000;

/// Estimated nesting (tokens) that half a stack of 2 MiB surely holds. Unoptimised code has
/// frames many times as large.
const SHALLOW: usize = if cfg!(debug_assertions) { 20 } else { 64 };

/// Stack of the extra thread in bytes for [`MAX_NESTING`]; only touched pages cost memory.
const STACK: usize = if cfg!(debug_assertions) { 1 << 30 } else { 128 << 20 };

/// Runs `work`, which recurses over the tree of `text`, on a stack that holds it.
///
/// # Errors
/// What `work` answers; 54001 when the text nests too deeply.
pub fn with_stack<T: Send>(text: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    // A tree whose text is not known: an expression of a function's body.
    if text.is_empty() {
        return on_thread(work);
    }
    // A token has at least one character.
    if text.len() <= SHALLOW {
        return work();
    }
    let nesting = lexer::nesting(text);
    if nesting <= SHALLOW {
        work()
    } else if nesting <= MAX_NESTING {
        on_thread(work)
    } else {
        Err(too_deep())
    }
}

fn on_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
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
