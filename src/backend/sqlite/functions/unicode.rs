//! Unicode: normal forms, escapes; and names taken apart.

use unicode_normalization::UnicodeNormalization;

use super::args::{Args, boolean, text};
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::value::{Cell, array};

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_normalize", 2, |a| text(normal(a.text(0)?, a.text(1)?)?)),
    strict("pg_is_normalized", 2, |a| boolean(normal(a.text(0)?, a.text(1)?)? == a.text(0)?)),
    strict("pg_unistr", 1, |a| text(unistr(a.text(0)?)?)),
    strict("pg_parse_ident", 2, parse_ident),
];

fn normal(s: &str, form: &str) -> Result<String> {
    Ok(match form.to_ascii_uppercase().as_str() {
        "NFC" => s.nfc().collect(),
        "NFD" => s.nfd().collect(),
        "NFKC" => s.nfkc().collect(),
        "NFKD" => s.nfkd().collect(),
        _ => {
            let message = format!("invalid normalization form: {form}");
            return Err(Error::client(state::INVALID_PARAMETER_VALUE, message));
        }
    })
}

fn invalid() -> Error {
    Error::client(state::SYNTAX_ERROR, "invalid Unicode escape")
        .hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
}

/// Text with its Unicode escapes resolved; surrogate pairs are joined.
fn unistr(s: &str) -> Result<String> {
    let bad_pair = || Error::client(state::SYNTAX_ERROR, "invalid Unicode surrogate pair");
    let mut out = String::with_capacity(s.len());
    let mut high: Option<u32> = None;
    let mut rest = s;
    while let Some(c) = rest.chars().next() {
        if c != '\\' {
            if high.is_some() {
                return Err(bad_pair());
            }
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        if let Some(after) = rest.strip_prefix("\\\\") {
            if high.is_some() {
                return Err(bad_pair());
            }
            out.push('\\');
            rest = after;
            continue;
        }
        let (skip, digits) = match rest.as_bytes().get(1) {
            Some(b'u') => (2, 4),
            Some(b'+') => (2, 6),
            Some(b'U') => (2, 8),
            _ => (1, 4),
        };
        let hex = rest.get(skip..skip + digits).ok_or_else(invalid)?;
        if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        let code = u32::from_str_radix(hex, 16).map_err(|_| invalid())?;
        rest = &rest[skip + digits..];
        let code = match (high.take(), code) {
            (Some(high), 0xDC00..=0xDFFF) => 0x1_0000 + ((high & 0x3FF) << 10) + (code & 0x3FF),
            (Some(_), _) | (None, 0xDC00..=0xDFFF) => return Err(bad_pair()),
            (None, 0xD800..=0xDBFF) => {
                high = Some(code);
                continue;
            }
            (None, code) => code,
        };
        let c = char::from_u32(code).filter(|c| *c != '\0').ok_or_else(|| {
            Error::client(state::SYNTAX_ERROR, format!("invalid Unicode code point: {code:04X}"))
        })?;
        out.push(c);
    }
    if high.is_some() { Err(bad_pair()) } else { Ok(out) }
}

/// A qualified name as the array of its parts.
fn parse_ident(a: &Args<'_>) -> Result<Cell> {
    let (whole, strict) = (a.text(0)?, a.bool(1)?);
    let refuse = |detail: Option<String>| {
        let message = format!("string is not a valid identifier: \"{whole}\"");
        let error = Error::client(state::INVALID_PARAMETER_VALUE, message);
        match detail {
            Some(detail) => error.detail(detail),
            None => error,
        }
    };
    let mut parts = Vec::new();
    let mut rest = whole.trim_start();
    let mut after_dot = false;
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut tail = quoted;
            loop {
                let end = tail
                    .find('"')
                    .ok_or_else(|| refuse(Some("String has unclosed double quotes.".into())))?;
                part.push_str(&tail[..end]);
                tail = &tail[end + 1..];
                match tail.strip_prefix('"') {
                    Some(more) => {
                        part.push('"');
                        tail = more;
                    }
                    None => break,
                }
            }
            if part.is_empty() {
                return Err(refuse(Some("Quoted identifier must not be empty.".into())));
            }
            parts.push(Cell::Text(part));
            rest = tail;
        } else {
            let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
            let goes_on = |c: char| starts(c) || c.is_ascii_digit() || c == '$';
            match rest.chars().next() {
                Some(c) if starts(c) => {
                    let end = rest.find(|c| !goes_on(c)).unwrap_or(rest.len());
                    parts.push(Cell::Text(rest[..end].to_ascii_lowercase()));
                    rest = &rest[end..];
                }
                Some('.') => {
                    return Err(refuse(Some("No valid identifier before \".\".".into())));
                }
                _ if after_dot => {
                    return Err(refuse(Some("No valid identifier after \".\".".into())));
                }
                _ => return Err(refuse(None)),
            }
        }
        rest = rest.trim_start();
        match rest.strip_prefix('.') {
            Some(more) => {
                after_dot = true;
                rest = more.trim_start();
            }
            None if rest.is_empty() || !strict => break,
            None => return Err(refuse(None)),
        }
    }
    Ok(Cell::Text(array::encode(parts.iter().map(Cell::as_ref))?))
}
