//! Encodings and quoting: md5, hex, base64, quote_*, format().

use super::args::{Args, text};
use super::{Def, lenient, strict};
use crate::error::{Error, Result, state};
use crate::value::{Cell, CellRef};
use base64::Engine as _;
use sha2::Digest as _;

pub(super) const FUNCTIONS: &[Def] = &[
    strict("pg_md5", 1, |a| match a.cell(0) {
        CellRef::Text(b) | CellRef::Blob(b) => text(hex(&<md5::Md5 as md5::Digest>::digest(b))),
        _ => a.text(0).map(|_| Cell::Null),
    }),
    strict("pg_sha224", 1, |a| Ok(Cell::Blob(sha2::Sha224::digest(a.bytes(0)?).to_vec()))),
    strict("pg_sha256", 1, |a| Ok(Cell::Blob(sha2::Sha256::digest(a.bytes(0)?).to_vec()))),
    strict("pg_sha384", 1, |a| Ok(Cell::Blob(sha2::Sha384::digest(a.bytes(0)?).to_vec()))),
    strict("pg_sha512", 1, |a| Ok(Cell::Blob(sha2::Sha512::digest(a.bytes(0)?).to_vec()))),
    strict("pg_to_hex", 2, |a| {
        // The second argument is the width in bits: negative numbers show theirs.
        let n = a.int(0)?;
        text(if a.int(1)? == 32 { format!("{:x}", n as i32) } else { format!("{n:x}") })
    }),
    // Sixteen random bytes as a version 4 uuid.
    strict("pg_uuid_v4", 1, |a| {
        let mut bytes: [u8; 16] =
            a.bytes(0)?.try_into().map_err(|_| Error::internal("a uuid of other than 16 bytes"))?;
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        super::args::logical(&crate::value::Datum::Uuid(bytes), crate::value::oid::UUID)
    }),
    strict("pg_encode", 2, encode),
    strict("pg_decode", 2, decode),
    strict("pg_convert_to", 2, |a| {
        utf8_only(a.text(1)?)?;
        Ok(Cell::Blob(a.text(0)?.as_bytes().to_vec()))
    }),
    strict("pg_convert_from", 2, |a| {
        utf8_only(a.text(1)?)?;
        match std::str::from_utf8(a.bytes(0)?) {
            Ok(s) => text(s),
            Err(_) => Err(Error::client(
                state::CHARACTER_NOT_IN_REPERTOIRE,
                "invalid byte sequence for encoding \"UTF8\"",
            )),
        }
    }),
    strict("pg_quote_literal", 1, |a| text(quote_literal(a.text(0)?))),
    lenient("pg_quote_nullable", 1, |a| {
        if a.is_null(0) { text("NULL") } else { text(quote_literal(a.text(0)?)) }
    }),
    strict("pg_quote_ident", 1, |a| text(quote_ident(a.text(0)?))),
    lenient("pg_format", -1, format),
];

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        out.push_str(&format!("{b:02x}"));
        out
    })
}

pub(super) fn utf8_only(name: &str) -> Result<()> {
    if matches!(name.to_ascii_lowercase().replace('-', "").as_str(), "utf8" | "unicode") {
        Ok(())
    } else {
        Err(Error::unsupported(format_args!("encoding {name}")))
    }
}

fn unknown_encoding(name: &str) -> Error {
    Error::client(state::INVALID_PARAMETER_VALUE, format!("unrecognized encoding: \"{name}\""))
}

fn encode(a: &Args<'_>) -> Result<Cell> {
    let (bytes, name) = (a.bytes(0)?, a.text(1)?);
    match name.to_ascii_lowercase().as_str() {
        "hex" => text(hex(bytes)),
        "base64" => {
            let all = base64::engine::general_purpose::STANDARD.encode(bytes);
            // Lines of 76 characters, as RFC 2045 has them.
            let lines: Vec<&str> =
                (0..all.len()).step_by(76).map(|i| &all[i..all.len().min(i + 76)]).collect();
            text(lines.join("\n"))
        }
        "escape" => {
            let mut out = String::new();
            for b in bytes {
                match b {
                    0 | 0x80.. => out.push_str(&format!("\\{b:03o}")),
                    b'\\' => out.push_str("\\\\"),
                    _ => out.push(char::from(*b)),
                }
            }
            text(out)
        }
        _ => Err(unknown_encoding(name)),
    }
}

fn decode(a: &Args<'_>) -> Result<Cell> {
    let (s, name) = (a.text(0)?, a.text(1)?);
    match name.to_ascii_lowercase().as_str() {
        "hex" => {
            let digits: Vec<char> = s.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            let mut out = Vec::with_capacity(digits.len() / 2);
            for pair in digits.chunks(2) {
                let [high, low] = pair else {
                    return Err(Error::client(
                        state::INVALID_PARAMETER_VALUE,
                        "invalid hexadecimal data: odd number of digits",
                    ));
                };
                let digit = |c: &char| {
                    c.to_digit(16).ok_or_else(|| {
                        Error::client(
                            state::INVALID_PARAMETER_VALUE,
                            format!("invalid hexadecimal digit: \"{c}\""),
                        )
                    })
                };
                out.push((digit(high)? * 16 + digit(low)?) as u8);
            }
            Ok(Cell::Blob(out))
        }
        "base64" => {
            let packed: String = s.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            base64::engine::general_purpose::STANDARD.decode(packed).map(Cell::Blob).map_err(|_| {
                Error::client(state::INVALID_PARAMETER_VALUE, "invalid base64 end sequence")
            })
        }
        "escape" => {
            let parsed = crate::value::text::parse(
                crate::value::Type::new(crate::value::oid::BYTEA),
                s,
                &crate::value::Style::default(),
            )?;
            super::args::logical(&parsed, crate::value::oid::BYTEA)
        }
        _ => Err(unknown_encoding(name)),
    }
}

pub(super) fn quote_literal(s: &str) -> String {
    let doubled = s.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// Words that must be quoted although they look like names.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
    "authorization",
    "binary",
    "collation",
    "concurrently",
    "cross",
    "current_schema",
    "freeze",
    "full",
    "ilike",
    "inner",
    "is",
    "isnull",
    "join",
    "left",
    "like",
    "natural",
    "notnull",
    "outer",
    "overlaps",
    "right",
    "similar",
    "tablesample",
    "verbose",
    "between",
    "bigint",
    "bit",
    "boolean",
    "char",
    "character",
    "coalesce",
    "dec",
    "decimal",
    "exists",
    "extract",
    "float",
    "greatest",
    "grouping",
    "inout",
    "int",
    "integer",
    "interval",
    "least",
    "national",
    "nchar",
    "none",
    "normalize",
    "nullif",
    "numeric",
    "out",
    "overlay",
    "position",
    "precision",
    "real",
    "row",
    "setof",
    "smallint",
    "substring",
    "time",
    "timestamp",
    "treat",
    "trim",
    "values",
    "varchar",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

pub(super) fn quote_ident(s: &str) -> String {
    let plain = s.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !RESERVED.contains(&s);
    if plain { s.to_owned() } else { format!("\"{}\"", s.replace('"', "\"\"")) }
}

fn bad_format(message: impl Into<String>) -> Error {
    Error::client(state::INVALID_PARAMETER_VALUE, message.into())
}

/// `format(pattern, …)`: `%s`, `%I`, `%L`, positions, `-` and a width.
fn format(a: &Args<'_>) -> Result<Cell> {
    if a.is_null(0) {
        return Ok(Cell::Null);
    }
    let mut out = String::new();
    let mut chars = a.text(0)?.chars().peekable();
    let mut next = 1;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let (mut left, mut digits) = (false, String::new());
        let mut position = None;
        loop {
            match chars.peek() {
                Some('-') if digits.is_empty() => left = true,
                Some(d) if d.is_ascii_digit() => digits.push(*d),
                Some('$') if !digits.is_empty() && position.is_none() => {
                    position = digits.parse::<usize>().ok();
                    digits.clear();
                }
                Some('*') => return Err(Error::unsupported("a width taken from an argument")),
                _ => break,
            }
            chars.next();
        }
        let kind = chars.next().ok_or_else(|| {
            bad_format("unterminated format() type specifier")
                .hint("For a single \"%\" use \"%%\".")
        })?;
        let index = position.unwrap_or(next);
        next = index + 1;
        if index == 0 {
            return Err(bad_format(
                "format specifies argument 0, but arguments are numbered from 1",
            ));
        }
        if index >= a.len() {
            return Err(bad_format("too few arguments for format()"));
        }
        let piece = match (kind, a.is_null(index)) {
            ('s', true) => String::new(),
            ('s', false) => a.text(index)?.to_owned(),
            ('I', true) => {
                return Err(Error::client(
                    state::NULL_VALUE_NOT_ALLOWED,
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            ('I', false) => quote_ident(a.text(index)?),
            ('L', true) => "NULL".to_owned(),
            ('L', false) => quote_literal(a.text(index)?),
            (other, _) => {
                return Err(bad_format(format!(
                    "unrecognized format() type specifier \"{other}\""
                ))
                .hint("For a single \"%\" use \"%%\"."));
            }
        };
        let width = digits.parse::<usize>().unwrap_or(0).min(1 << 20);
        let missing = " ".repeat(width.saturating_sub(piece.chars().count()));
        out.push_str(&if left { piece + &missing } else { missing + &piece });
    }
    text(out)
}
