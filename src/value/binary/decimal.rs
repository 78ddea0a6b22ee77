//! The binary form of `numeric` for decimals of up to 18 digits, without big numbers.
//!
//! Owns the digits in base 10,000. It must never write or read another value than the long way
//! does: what it is not made for it leaves alone. Start at [`write`] and [`read`].

/// Digits of PostgreSQL's that a 64-bit number needs at most.
const GROUPS_MAX: usize = 5;
const BASE: u64 = 10_000;
const NEGATIVE: u16 = 0x4000;
/// The highest power of ten that a 64-bit number holds.
const EXPONENT_MAX: u32 = 18;

/// Writes `unscaled * 10^-scale`; false, with nothing written, where that takes more room.
pub fn write(unscaled: i64, scale: u32, out: &mut Vec<u8>) -> bool {
    // Zeros at the end line the decimal point up with a border between groups.
    let right = (4 - scale % 4) % 4;
    let Some(mut left) = unscaled.unsigned_abs().checked_mul(10_u64.pow(right)) else {
        return false;
    };
    let (Ok(sent), Ok(behind)) = (u16::try_from(scale), i16::try_from((scale + right) / 4)) else {
        return false;
    };
    let mut groups = [0_u16; GROUPS_MAX];
    let mut count = 0;
    while left > 0 {
        groups[count] = u16::try_from(left % BASE).unwrap_or_default();
        left /= BASE;
        count += 1;
    }
    let zeros = groups[..count].iter().take_while(|g| **g == 0).count();
    let weight = if count == 0 { 0 } else { i16::try_from(count).unwrap_or(0) - behind - 1 };
    let kept = &groups[zeros.min(count)..count];
    let sign = if unscaled < 0 { NEGATIVE } else { 0 };
    let words = [u16::try_from(kept.len()).unwrap_or_default(), weight.cast_unsigned(), sign, sent];
    for word in words.iter().chain(kept.iter().rev()) {
        out.extend_from_slice(&word.to_be_bytes());
    }
    true
}

/// Reads the unscaled value and the scale; None for what is long, no number, or not valid.
pub fn read(bytes: &[u8]) -> Option<(i64, u32)> {
    let (head, digits) = bytes.split_at_checked(8)?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let (count, weight, sign, scale) = (word(0), word(2).cast_signed(), word(4), word(6));
    if usize::from(count) >= GROUPS_MAX || digits.len() != usize::from(count) * 2 {
        return None;
    }
    if !matches!(sign, 0 | NEGATIVE) || scale > 0x3fff {
        return None;
    }
    let mut value: u64 = 0;
    for pair in digits.chunks_exact(2) {
        let digit = u16::from_be_bytes([pair[0], pair[1]]);
        if digit > 9999 {
            return None;
        }
        value = value * BASE + u64::from(digit);
    }
    let exponent = (i32::from(weight) - i32::from(count) + 1) * 4 + i32::from(scale);
    let power = 10_u64.pow(Some(exponent.unsigned_abs()).filter(|e| *e <= EXPONENT_MAX)?);
    let unscaled = if exponent >= 0 { value.checked_mul(power)? } else { value / power };
    let unscaled = i64::try_from(unscaled).ok()?;
    Some((if sign == NEGATIVE { -unscaled } else { unscaled }, u32::from(scale)))
}

#[cfg(test)]
mod tests {
    use super::super::{decode, push_digits};
    use super::*;
    use crate::value::numeric::Numeric;
    use crate::value::{Datum, Type, oid};

    #[test]
    fn short_and_long_forms_are_one() {
        let mut seed = 7_u64;
        let mut short = 0;
        for n in 0..20_000_u32 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let unscaled = seed.cast_signed() >> (n % 64);
            let unscaled = if n % 7 == 0 { unscaled / 1000 * 1000 } else { unscaled };
            let scale = n % 23;
            let mut bytes = Vec::new();
            if !write(unscaled, scale, &mut bytes) {
                continue;
            }
            short += 1;
            let ty = Type::new(oid::NUMERIC);
            let Datum::Numeric(Numeric::Finite(back, same)) = decode(ty, &bytes).unwrap() else {
                panic!("{unscaled}e-{scale}")
            };
            assert_eq!((back, same), (unscaled.into(), scale));
            if let Some(read) = read(&bytes) {
                assert_eq!(read, (unscaled, scale));
            }
            let mut long = Vec::new();
            push_digits(&unscaled.into(), scale, &mut long);
            assert_eq!(long, bytes);
        }
        assert!(short > 15_000, "only {short}");
    }

    #[test]
    fn forms_that_postgresql_sends() {
        // 1234.5, 0.0001, 10000, -0.5 with a scale of 3, 0.00
        let cases: [(&[u8], (i64, u32)); 5] = [
            (&[0, 2, 0, 0, 0, 0, 0, 1, 4, 210, 19, 136], (12_345, 1)),
            (&[0, 1, 255, 255, 0, 0, 0, 4, 0, 1], (1, 4)),
            (&[0, 1, 0, 1, 0, 0, 0, 0, 0, 1], (10_000, 0)),
            (&[0, 1, 255, 255, 64, 0, 0, 3, 19, 136], (-500, 3)),
            (&[0, 0, 0, 0, 0, 0, 0, 2], (0, 2)),
        ];
        for (bytes, wanted) in cases {
            assert_eq!(read(bytes), Some(wanted));
            let mut out = Vec::new();
            assert!(write(wanted.0, wanted.1, &mut out));
            assert_eq!(out, bytes);
        }
        assert_eq!(read(&[0, 0, 0, 0, 0xc0, 0, 0, 0]), None);
        assert_eq!(read(&[0, 1, 0, 0, 0, 0, 0, 0, 39, 16]), None);
        assert_eq!(read(&[0, 1]), None);
    }
}
