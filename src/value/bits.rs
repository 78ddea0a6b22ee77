//! Bit strings: text of zeros and ones, which is their logical cell and sorts as they do.
//!
//! It must never pad or cut a value but where PostgreSQL does. Start at [`parse`].

use super::{Type, oid};
use crate::error::{Error, Result, state};

/// Reads a bit string: zeros and ones, or hexadecimal digits after an `x`; 22P02.
pub fn parse(text: &str) -> Result<String> {
    let bad = |c: char, what: &str| {
        let message = format!("\"{c}\" is not a valid {what} digit");
        Error::client(state::INVALID_TEXT_REPRESENTATION, message)
    };
    match text.as_bytes().first() {
        Some(b'x' | b'X') => text[1..]
            .chars()
            .map(|c| {
                let digit = c.to_digit(16).ok_or_else(|| bad(c, "hexadecimal"))?;
                Ok(format!("{digit:04b}"))
            })
            .collect(),
        first => {
            let body = if matches!(first, Some(b'b' | b'B')) { &text[1..] } else { text };
            match body.chars().find(|c| !matches!(c, '0' | '1')) {
                Some(c) => Err(bad(c, "binary")),
                None => Ok(body.to_owned()),
            }
        }
    }
}

/// Applies the declared length. An explicit cast fits a bit(n) by cutting or filling on the
/// right; otherwise another length is 22026, and one too long for varbit 22001.
pub fn fit(mut bits: String, ty: Type, explicit: bool) -> Result<String> {
    let Some(length) = usize::try_from(ty.typmod).ok().filter(|n| *n > 0) else {
        return Ok(bits);
    };
    let has = bits.len();
    match (ty.oid, explicit) {
        (oid::BIT, false) if has != length => {
            let message = format!("bit string length {has} does not match type bit({length})");
            return Err(Error::client(state::STRING_DATA_LENGTH_MISMATCH, message));
        }
        (oid::BIT, _) => {
            bits.truncate(length);
            bits.extend(std::iter::repeat_n('0', length - bits.len()));
        }
        (_, false) if has > length => {
            let message = format!("bit string too long for type bit varying({length})");
            return Err(Error::client(state::STRING_DATA_RIGHT_TRUNCATION, message));
        }
        _ => bits.truncate(length),
    }
    Ok(bits)
}

/// PostgreSQL's binary form: the number of bits, then the bits from the left.
pub fn to_binary(bits: &str) -> Result<Vec<u8>> {
    let count = i32::try_from(bits.len()).map_err(|_| {
        Error::client(state::PROGRAM_LIMIT_EXCEEDED, "bit string length exceeds the maximum")
    })?;
    let mut out = count.to_be_bytes().to_vec();
    for octet in bits.as_bytes().chunks(8) {
        let ones = octet.iter().enumerate().filter(|(_, bit)| **bit == b'1');
        out.push(ones.fold(0, |byte, (i, _)| byte | 0x80 >> i));
    }
    Ok(out)
}

/// Reads PostgreSQL's binary form; 22P03.
pub fn from_binary(bytes: &[u8]) -> Result<String> {
    let invalid = || {
        let message = "invalid length in external bit string";
        Error::client(state::INVALID_BINARY_REPRESENTATION, message)
    };
    let (count, octets) = bytes.split_first_chunk::<4>().ok_or_else(invalid)?;
    let count = usize::try_from(i32::from_be_bytes(*count)).map_err(|_| invalid())?;
    if octets.len() != count.div_ceil(8) {
        return Err(invalid());
    }
    let bit = |i: usize| if octets[i / 8] >> (7 - i % 8) & 1 == 1 { '1' } else { '0' };
    Ok((0..count).map(bit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(parse("b101").unwrap(), "101");
        assert_eq!(parse("x1F").unwrap(), "00011111");
        assert!(parse("102").is_err());
        let three = Type::with_typmod(oid::BIT, 3);
        assert_eq!(fit("1".into(), three, true).unwrap(), "100");
        assert!(fit("1".into(), three, false).is_err());
        let bits = "1010000011";
        assert_eq!(from_binary(&to_binary(bits).unwrap()).unwrap(), bits);
        assert!(from_binary(&[0, 0, 0, 9, 1]).is_err());
    }
}
