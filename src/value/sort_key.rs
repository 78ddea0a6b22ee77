//! Bytes that memcmp orders as PostgreSQL orders the values.

use super::{Interval, numeric::Numeric};

/// Key of an interval: 16 bytes.
pub fn interval(_value: &Interval) -> [u8; 16] {
    [0; 16]
}
/// Key of a numeric.
pub fn numeric(value: &Numeric) -> Vec<u8> {
    value.sort_key()
}
