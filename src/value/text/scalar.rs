//! Text forms of the plain scalars: integers, bool, bytea, uuid.

use crate::error::{Error, Result, state};
use crate::value::{oid, type_name};

/// White space as C's `isspace` sees it in PostgreSQL's input functions.
pub fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// 22P02 `invalid input syntax for type …`.
pub(super) fn bad_syntax(name: &str, text: &str) -> Error {
    Error::client(
        state::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {name}: \"{text}\""),
    )
}

/// The limits of an integer type, by OID.
pub fn integer_range(integer: u32) -> (i64, i64) {
    match integer {
        oid::INT2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        oid::INT4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        oid::INT8 => (i64::MIN, i64::MAX),
        _ => (0, i64::from(u32::MAX)),
    }
}

/// Reads int2, int4, int8 (by OID); 22P02, 22003.
pub fn parse_integer(integer: u32, text: &str) -> Result<i64> {
    let name = type_name(integer);
    let body = text.trim_start_matches(is_space).as_bytes();
    let (negative, digits) = match body.first() {
        Some(b'-') => (true, &body[1..]),
        Some(b'+') => (false, &body[1..]),
        _ => (false, body),
    };
    let (low, high) = integer_range(integer);
    let out_of_range = || {
        Error::client(
            state::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("value \"{text}\" is out of range for type {name}"),
        )
    };
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return Err(bad_syntax(name, text));
    }
    // Accumulating below zero reaches the lowest value without overflow.
    let mut value = 0i64;
    for digit in &digits[..count] {
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_sub(i64::from(digit - b'0')))
            .filter(|v| *v >= low)
            .ok_or_else(out_of_range)?;
    }
    if digits[count..].iter().any(|b| !is_space(char::from(*b))) {
        return Err(bad_syntax(name, text));
    }
    if negative {
        return Ok(value);
    }
    value.checked_neg().filter(|v| *v <= high).ok_or_else(out_of_range)
}

/// The byte that the text of a `"char"` stands for: `\ooo`, or the first byte.
pub fn char_byte(text: &str) -> u8 {
    match text.as_bytes() {
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7'] => {
            (a - b'0') << 6 | (b - b'0') << 3 | (c - b'0')
        }
        bytes => bytes.first().copied().unwrap_or(0),
    }
}

/// The text of a `"char"`: nothing for 0, `\ooo` beyond ASCII.
pub fn char_text(byte: u8) -> String {
    match byte {
        0 => String::new(),
        1..=0x7f => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    }
}

/// Reads an oid as `strtoul` does: a minus sign wraps around.
pub fn parse_oid(text: &str) -> Result<i64> {
    let body = text.trim_matches(is_space);
    let value: i64 = match body.parse::<i128>() {
        Ok(v) if (-(1i128 << 31)..1i128 << 32).contains(&v) => (v & 0xffff_ffff) as i64,
        Ok(_) => {
            return Err(Error::client(
                state::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("value \"{text}\" is out of range for type oid"),
            ));
        }
        Err(_) => return Err(bad_syntax("oid", text)),
    };
    Ok(value)
}

/// Reads a bool: 1, 0 and unambiguous beginnings of true, false, yes, no, on, off.
pub fn parse_bool(text: &str) -> Result<bool> {
    bool_word(text.trim_matches(is_space)).ok_or_else(|| bad_syntax("boolean", text))
}

fn bool_word(word: &str) -> Option<bool> {
    let lower = word.to_ascii_lowercase();
    let begins = |full: &str, least: usize| lower.len() >= least && full.starts_with(&lower);
    if begins("true", 1) || begins("yes", 1) || lower == "on" || lower == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || lower == "0" {
        Some(false)
    } else {
        None
    }
}

/// Reads bytea in hex (`\x…`) or escape form.
pub fn parse_bytea(text: &str) -> Result<Vec<u8>> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return parse_hex(hex);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    let octal = |at: usize, max: u8| bytes.get(at).filter(|b| (b'0'..=max).contains(*b));
    while let Some(byte) = bytes.get(i) {
        if *byte != b'\\' {
            out.push(*byte);
            i += 1;
        } else if bytes.get(i + 1) == Some(&b'\\') {
            out.push(b'\\');
            i += 2;
        } else if let (Some(a), Some(b), Some(c)) =
            (octal(i + 1, b'3'), octal(i + 2, b'7'), octal(i + 3, b'7'))
        {
            out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            i += 4;
        } else {
            return Err(Error::client(
                state::INVALID_TEXT_REPRESENTATION,
                "invalid input syntax for type bytea",
            ));
        }
    }
    Ok(out)
}

fn parse_hex(hex: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(hex.len() / 2);
    let mut chars = hex.chars();
    let digit = |c: char| {
        c.to_digit(16).map(|d| d as u8).ok_or_else(|| {
            Error::client(
                state::INVALID_PARAMETER_VALUE,
                format!("invalid hexadecimal digit: \"{c}\""),
            )
        })
    };
    while let Some(c) = chars.next() {
        // Blanks may stand between bytes, not inside one.
        if matches!(c, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = digit(c)?;
        let low = chars.next().ok_or_else(|| {
            Error::client(
                state::INVALID_PARAMETER_VALUE,
                "invalid hexadecimal data: odd number of digits",
            )
        })?;
        out.push(high << 4 | digit(low)?);
    }
    Ok(out)
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends bytes as lower-case hexadecimal digits.
pub fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

/// Appends a bytea.
pub fn format_bytea(bytes: &[u8], hex: bool, out: &mut Vec<u8>) {
    if hex {
        out.extend_from_slice(b"\\x");
        return push_hex(bytes, out);
    }
    for byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7e => out.push(*byte),
            _ => {
                out.push(b'\\');
                out.extend([byte >> 6, byte >> 3 & 7, byte & 7].map(|d| d + b'0'));
            }
        }
    }
}

/// Reads a uuid: 32 digits, a hyphen allowed after each group of four, braces allowed.
pub fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    uuid_bytes(text.as_bytes()).ok_or_else(|| bad_syntax("uuid", text))
}

fn uuid_bytes(text: &[u8]) -> Option<[u8; 16]> {
    let body = match text.strip_prefix(b"{") {
        Some(rest) => rest.strip_suffix(b"}")?,
        None => text,
    };
    let mut out = [0u8; 16];
    let mut rest = body;
    for (i, slot) in out.iter_mut().enumerate() {
        let (pair, tail) = rest.split_at_checked(2)?;
        let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
        *slot = digit(pair[0])? << 4 | digit(pair[1])?;
        rest = tail;
        if i % 2 == 1 && i < 15 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
    }
    rest.is_empty().then_some(out)
}

/// Appends a uuid in lower case with hyphens.
pub fn format_uuid(bytes: &[u8; 16], out: &mut Vec<u8>) {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        push_hex(&[*byte], out);
    }
}

/// Appends an integer in decimal.
pub fn push_integer(value: i64, out: &mut Vec<u8>) {
    let mut buffer = [0u8; 20];
    out.extend_from_slice(integer_text(value, &mut buffer));
}

/// An integer in decimal, written to the end of a buffer.
pub fn integer_text(value: i64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    &buffer[at..]
}
