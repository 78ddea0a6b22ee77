//! Bytes that memcmp orders as PostgreSQL orders the values, for types whose stored or
//! logical cell does not sort that way.
//!
//! Equal values have equal keys, so a key also serves `=`, DISTINCT and GROUP BY.

use super::numeric::Numeric;
use super::{Interval, datetime, json, network, oid};
use crate::error::Result;

/// Key of an interval: 16 bytes. A month counts 30 days, a day 24 hours, as PostgreSQL
/// compares them.
pub fn interval(value: &Interval) -> [u8; 16] {
    // Flipping the sign bit orders two's complement as unsigned bytes.
    (interval_micros(value) as u128 ^ (1 << 127)).to_be_bytes()
}

/// The length by which intervals compare, in microseconds.
pub fn interval_micros(value: &Interval) -> i128 {
    let days = i128::from(value.months) * 30 + i128::from(value.days);
    days * i128::from(super::datetime::MICROS_PER_DAY) + i128::from(value.micros)
}

/// Key of a numeric.
pub fn numeric(value: &Numeric) -> Vec<u8> {
    value.sort_key()
}

/// Key of a jsonb's text; 22P02 when it is not JSON.
pub fn jsonb(text: &str) -> Result<Vec<u8>> {
    Ok(json::parse(text)?.sort_key())
}

/// Key of the text of an inet, cidr or timetz; None when it is none.
pub fn of_text(type_oid: u32, text: &str) -> Option<Vec<u8>> {
    match type_oid {
        oid::INET | oid::CIDR => Some(network::read(text)?.sort_key()),
        oid::TIMETZ => Some(datetime::TimeTz::read(text)?.sort_key()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let key = |months, days, micros| interval(&Interval { months, days, micros });
        assert_eq!(key(1, 0, 0), key(0, 30, 0));
        assert_eq!(key(0, 1, 0), key(0, 0, 86_400_000_000));
        assert!(key(0, -1, 0) < key(0, 0, 0));
        assert!(key(-1, 0, 0) < key(0, -29, 0));
        assert!(key(i32::MAX, i32::MAX, i64::MAX) > key(0, 0, 1));
    }
}
