//! Type modifiers: what an assignment or an explicit cast to `varchar(n)`,
//! `numeric(p, s)`, `timestamp(p)` … does to a value.

use super::{Datum, Type};
use crate::error::{Error, Result};

/// Applies a type's modifier. `explicit` casts cut strings, assignments answer 22001.
pub fn coerce(_datum: Datum, _ty: Type, _explicit: bool) -> Result<Datum> {
    Err(Error::unsupported("this conversion"))
}
