//! nextval, currval, lastval and setval for each row of a statement.
//!
//! What they move is held by [`Draws`](crate::backend::sqlite::draws::Draws), which the session
//! puts into its scope for statements that call them.

use std::sync::Arc;

use super::args::Args;
use super::{Def, session, volatile};
use crate::backend::sqlite::draws::Draws;
use crate::error::{Error, Result};
use crate::value::Cell;

pub(super) const FUNCTIONS: &[Def] = &[
    volatile("pg_nextval", 1, |a| strictly(a, |a| draws()?.next(a.int(0)?))),
    volatile("pg_currval", 1, |a| strictly(a, |a| draws()?.current(a.int(0)?))),
    volatile("pg_lastval", 0, |_| draws()?.last().map(Cell::Integer)),
    volatile("pg_setval", 3, |a| {
        strictly(a, |a| {
            let value = a.int(1)?;
            draws()?.set(a.int(0)?, value, a.bool(2)?)?;
            Ok(value)
        })
    }),
];

fn strictly(a: &Args<'_>, run: impl FnOnce(&Args<'_>) -> Result<i64>) -> Result<Cell> {
    if a.any_null() { Ok(Cell::Null) } else { run(a).map(Cell::Integer) }
}

fn draws() -> Result<Arc<Draws>> {
    let session = session::current();
    session.draws.clone().ok_or_else(|| Error::unsupported("moving a sequence in this statement"))
}
