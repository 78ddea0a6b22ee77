//! The form in which values are compared across the two back ends.
//!
//! Start at [`equal`].

use std::hash::Hasher;

use super::{Datum, Type};

/// Feeds a value to a hasher so that equal values feed equal bytes, on every machine.
pub fn hash(_datum: &Datum, _ty: Type, _hasher: &mut impl Hasher) {}
/// Whether two values of a type are the same: numeric by value, -0.0 = 0.0, NaN = NaN,
/// jsonb by structure, bpchar without trailing blanks, NULL = NULL.
pub fn equal(_a: &Datum, _b: &Datum, _ty: Type) -> bool {
    false
}
