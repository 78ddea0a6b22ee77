//! Text forms of float4 and float8.
//!
//! Output is the shortest decimal that reads back as the same float, laid out as
//! PostgreSQL does, or `%g` for `extra_float_digits` below 1.

use std::io::Write;

use crate::error::{Error, Result, state};

/// Digits of a float without its sign: `0.d1d2d3… * 10^point`.
struct Decimal {
    digits: [u8; 40],
    len: usize,
    /// Exponent of the first digit.
    exponent: i32,
}

impl Decimal {
    /// From Rust's `{:e}` output of a finite, positive float.
    fn read(text: &[u8]) -> Self {
        let at = text.iter().position(|b| *b == b'e').unwrap_or(text.len());
        let mut decimal = Self { digits: [0; 40], len: 0, exponent: 0 };
        for digit in text[..at].iter().filter(|b| **b != b'.').take(40) {
            decimal.digits[decimal.len] = *digit;
            decimal.len += 1;
        }
        let exponent = text.get(at + 1..).and_then(|e| std::str::from_utf8(e).ok());
        decimal.exponent = exponent.and_then(|e| e.parse().ok()).unwrap_or(0);
        decimal
    }

    /// Whether a condition holds for the decimal's own text.
    fn reads_as(&self, buffer: &mut [u8; 64], accept: impl FnOnce(&str) -> bool) -> bool {
        let (len, exponent) = (self.len, self.exponent - (self.len as i32 - 1));
        buffer[..len].copy_from_slice(&self.digits[..len]);
        let mut rest = &mut buffer[len..];
        let _ = write!(rest, "e{exponent}");
        let left = rest.len();
        std::str::from_utf8(&buffer[..64 - left]).is_ok_and(accept)
    }

    fn strip_zeros(&mut self) {
        while self.len > 1 && self.digits[self.len - 1] == b'0' {
            self.len -= 1;
        }
    }

    /// The digits as an integer; at most 17 of them are looked at.
    fn integer(&self) -> u64 {
        self.digits[..self.len.min(17)].iter().fold(0, |n, d| n * 10 + u64::from(d - b'0'))
    }

    /// Writes scientific form when the exponent is below -4 or not below `limit`.
    fn write(&self, limit: i32, out: &mut Vec<u8>) {
        let digits = &self.digits[..self.len];
        if self.exponent < -4 || self.exponent >= limit {
            out.push(digits[0]);
            if digits.len() > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.extend_from_slice(if self.exponent < 0 { b"e-" } else { b"e+" });
            let size = self.exponent.unsigned_abs();
            if size < 10 {
                out.push(b'0');
            }
            super::push_integer(i64::from(size), out);
        } else if self.exponent < 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-self.exponent - 1) as usize));
            out.extend_from_slice(digits);
        } else {
            let whole = self.exponent as usize + 1;
            if digits.len() <= whole {
                out.extend_from_slice(digits);
                out.extend(std::iter::repeat_n(b'0', whole - digits.len()));
            } else {
                out.extend_from_slice(&digits[..whole]);
                out.push(b'.');
                out.extend_from_slice(&digits[whole..]);
            }
        }
    }
}

/// Whether `digits * 10^power` is exactly `odd * 2^exponent`.
fn is_exactly(digits: u64, power: i32, odd: u64, exponent: i32) -> bool {
    let twos = digits.trailing_zeros() as i32;
    let digits = u128::from(digits >> twos);
    let Some(fives) = 5u128.checked_pow(power.unsigned_abs()).filter(|_| power.abs() <= 27) else {
        return false;
    };
    let equal = if power >= 0 {
        digits.checked_mul(fives) == Some(u128::from(odd))
    } else {
        u128::from(odd).checked_mul(fives) == Some(digits)
    };
    equal && twos + power == exponent
}

/// Whether a decimal lies exactly half way between a float (`mantissa * 2^exponent`) and a
/// neighbour. PostgreSQL never prints such a decimal; Rust does when the mantissa is even.
fn is_tie(decimal: &Decimal, mantissa: u64, exponent: i32, lowest: bool) -> bool {
    if mantissa % 2 == 1 || decimal.len > 17 {
        return false;
    }
    let digits = decimal.integer();
    let power = decimal.exponent - (decimal.len as i32 - 1);
    is_exactly(digits, power, mantissa * 2 + 1, exponent - 1)
        || is_exactly(digits, power, mantissa * 2 - 1, exponent - 1)
        || (lowest && is_exactly(digits, power, mantissa * 4 - 1, exponent - 2))
}

/// Whether a float (`mantissa * 2^exponent`) may lie exactly half way between the shortest
/// decimal and its neighbour with as many digits: PostgreSQL then takes the even digit.
fn may_be_between(decimal: &Decimal, mantissa: u64, exponent: i32) -> bool {
    // The exact value ends at this power of ten (or above, for whole numbers).
    let last = exponent + mantissa.trailing_zeros() as i32;
    last >= 0 || last == decimal.exponent - decimal.len as i32
}

/// Appends a float8.
pub fn format_f64(value: f64, extra_digits: i32, out: &mut Vec<u8>) {
    if special(value, out) {
        return;
    }
    let size = value.abs();
    let mut buffer = [0u8; 64];
    if extra_digits < 1 {
        let precision = (15 + extra_digits).max(1);
        return format_general(size, precision as usize, precision, out);
    }
    let bits = size.to_bits();
    let (fraction, biased) = (bits & ((1 << 52) - 1), (bits >> 52) as i32);
    let (mantissa, exponent) =
        if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) };
    let lowest = fraction == 0 && biased > 1;
    let mut decimal = print(&mut buffer, |b| write!(b, "{size:e}"));
    while is_tie(&decimal, mantissa, exponent, lowest) {
        let more = decimal.len;
        decimal = print(&mut buffer, |b| write!(b, "{size:.more$e}"));
    }
    if may_be_between(&decimal, mantissa, exponent) {
        let digits = decimal.len - 1;
        let even = print(&mut buffer, |b| write!(b, "{size:.digits$e}"));
        if even.reads_as(&mut buffer, |text| text.parse() == Ok(size)) {
            decimal = even;
        }
    }
    decimal.write(15, out);
}

/// Appends a float as `%g` does with so many significant digits (at most 17), in
/// scientific form from 10^`limit` on.
pub fn format_general(value: f64, digits: usize, limit: i32, out: &mut Vec<u8>) {
    if special(value, out) {
        return;
    }
    let (mut buffer, size) = ([0u8; 64], value.abs());
    let more = digits.clamp(1, 17) - 1;
    let mut decimal = print(&mut buffer, |b| write!(b, "{size:.more$e}"));
    decimal.strip_zeros();
    decimal.write(limit, out);
}

/// Appends a float4.
pub fn format_f32(value: f32, extra_digits: i32, out: &mut Vec<u8>) {
    if special(f64::from(value), out) {
        return;
    }
    let size = value.abs();
    let mut buffer = [0u8; 64];
    if extra_digits < 1 {
        let precision = (6 + extra_digits).max(1);
        let mut decimal = print(&mut buffer, |b| write!(b, "{size:.*e}", precision as usize - 1));
        decimal.strip_zeros();
        return decimal.write(precision, out);
    }
    let bits = size.to_bits();
    let (fraction, biased) = (u64::from(bits & ((1 << 23) - 1)), (bits >> 23) as i32);
    let (mantissa, exponent) =
        if biased == 0 { (fraction, -149) } else { (fraction | 1 << 23, biased - 150) };
    let lowest = fraction == 0 && biased > 1;
    let mut decimal = print(&mut buffer, |b| write!(b, "{size:e}"));
    while is_tie(&decimal, mantissa, exponent, lowest) {
        let more = decimal.len;
        decimal = print(&mut buffer, |b| write!(b, "{size:.more$e}"));
    }
    if may_be_between(&decimal, mantissa, exponent) {
        let digits = decimal.len - 1;
        let even = print(&mut buffer, |b| write!(b, "{size:.digits$e}"));
        if even.reads_as(&mut buffer, |text| text.parse() == Ok(size)) {
            decimal = even;
        }
    }
    decimal.write(6, out);
}

/// Writes zero, NaN, the infinities, or only the sign; whether the value is done.
fn special(value: f64, out: &mut Vec<u8>) -> bool {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
        return true;
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value.is_infinite() {
        out.extend_from_slice(b"Infinity");
    } else if value == 0.0 {
        out.push(b'0');
    }
    value.is_infinite() || value == 0.0
}

fn print(
    buffer: &mut [u8; 64],
    write: impl FnOnce(&mut &mut [u8]) -> std::io::Result<()>,
) -> Decimal {
    let mut rest = &mut buffer[..];
    // 64 bytes hold every form asked for; a failure would only cut digits.
    let _ = write(&mut rest);
    let left = rest.len();
    Decimal::read(&buffer[..64 - left])
}

/// What `strtod` makes of text: a special value, or the longest beginning that is a
/// decimal and what follows it.
enum Scanned<'a> {
    Special(f64),
    Decimal(&'a str, &'a str),
}

fn scan(text: &str) -> Option<Scanned<'_>> {
    let body = text.trim_matches(super::is_space);
    let unsigned = body.strip_prefix(['+', '-']).unwrap_or(body);
    let negative = body.starts_with('-');
    match unsigned.to_ascii_lowercase().as_str() {
        "nan" => return Some(Scanned::Special(f64::NAN)),
        "infinity" | "inf" if negative => return Some(Scanned::Special(f64::NEG_INFINITY)),
        "infinity" | "inf" => return Some(Scanned::Special(f64::INFINITY)),
        _ => {}
    }
    let bytes = unsigned.as_bytes();
    let digits = |from: usize| {
        bytes.get(from..).map_or(0, |rest| rest.iter().take_while(|b| b.is_ascii_digit()).count())
    };
    let whole = digits(0);
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if whole + fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    } else if whole == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let power = digits(end + 1 + sign);
        if power > 0 {
            end += 1 + sign + power;
        }
    }
    let (number, rest) = body.split_at(body.len() - unsigned.len() + end);
    Some(Scanned::Decimal(number, rest))
}

fn has_nonzero_digit(body: &str) -> bool {
    body.bytes().take_while(|b| !matches!(b, b'e' | b'E')).any(|b| matches!(b, b'1'..=b'9'))
}

fn bad_syntax(text: &str, name: &str) -> Error {
    Error::client(
        state::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {name}: \"{text}\""),
    )
}

fn out_of_range(body: &str, name: &str) -> Error {
    Error::client(
        state::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("\"{body}\" is out of range for type {name}"),
    )
}

/// Reads a float8; 22P02, or 22003 for what becomes infinite or zero.
pub fn parse_f64(text: &str) -> Result<f64> {
    const NAME: &str = "double precision";
    refuse_hexadecimal(text)?;
    match scan(text) {
        None => Err(bad_syntax(text, NAME)),
        Some(Scanned::Special(value)) => Ok(value),
        Some(Scanned::Decimal(number, rest)) => {
            let value: f64 = number.parse().map_err(|_| bad_syntax(text, NAME))?;
            // The range is judged before what follows the number.
            if value.is_infinite() || (value == 0.0 && has_nonzero_digit(number)) {
                return Err(out_of_range(number, NAME));
            }
            if rest.is_empty() { Ok(value) } else { Err(bad_syntax(text, NAME)) }
        }
    }
}

/// C reads hexadecimal floats, and so does PostgreSQL.
fn refuse_hexadecimal(text: &str) -> Result<()> {
    let body = text.trim_start_matches(super::is_space).trim_start_matches(['+', '-']);
    let digits = body.strip_prefix("0x").or_else(|| body.strip_prefix("0X"));
    if digits.is_some_and(|d| d.starts_with(|c: char| c.is_ascii_hexdigit() || c == '.')) {
        return Err(Error::unsupported("a floating-point number in hexadecimal digits"));
    }
    Ok(())
}

/// Reads a float4; 22P02, or 22003 for what becomes infinite or zero.
pub fn parse_f32(text: &str) -> Result<f32> {
    const NAME: &str = "real";
    refuse_hexadecimal(text)?;
    match scan(text) {
        None => Err(bad_syntax(text, NAME)),
        Some(Scanned::Special(value)) => Ok(value as f32),
        Some(Scanned::Decimal(number, rest)) => {
            let value: f32 = number.parse().map_err(|_| bad_syntax(text, NAME))?;
            // The range is judged before what follows the number.
            if value.is_infinite() || (value == 0.0 && has_nonzero_digit(number)) {
                return Err(out_of_range(text.trim_start_matches(super::is_space), NAME));
            }
            if rest.is_empty() { Ok(value) } else { Err(bad_syntax(text, NAME)) }
        }
    }
}
