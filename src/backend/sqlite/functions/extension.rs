//! Functions of pg_trgm, unaccent, pgcrypto and fuzzystrmatch.

use sha2::Digest;

use super::args::{Args, boolean, text};
use super::{Def, strict};
use crate::error::{Error, Result, state};
use crate::value::trigram::{similarity, word_similarity};
use crate::value::{Cell, CellRef, unaccent};

/// What pg_trgm's operators take for alike, as long as nobody sets it otherwise: texts, a text
/// and a stretch of another, a text and words of another.
const ALIKE: [f32; 3] = [0.3, 0.6, 0.5];

/// Bytes that levenshtein() takes at most.
const LEVENSHTEIN_MAX: usize = 255;

pub(super) const FUNCTIONS: &[Def] = &[
    // The last argument says which similarity: see `ALIKE`.
    strict("pg_trgm_similarity", 3, |a| real(alike(a)?.0)),
    strict("pg_trgm_distance", 3, |a| real(1.0 - alike(a)?.0)),
    strict("pg_trgm_match", 3, |a| {
        let (found, least) = alike(a)?;
        boolean(found >= least)
    }),
    strict("pg_unaccent", 1, |a| text(unaccent::unaccent(a.text(0)?))),
    strict("pg_digest", 2, |a| {
        let name = a.text(1)?;
        digest(name, bytes(a, 0)?).map(Cell::Blob).ok_or_else(|| unknown(name))
    }),
    strict("pg_hmac", 3, |a| {
        let name = a.text(2)?;
        hmac(name, bytes(a, 0)?, bytes(a, 1)?).map(Cell::Blob).ok_or_else(|| unknown(name))
    }),
    strict("pg_levenshtein", 5, levenshtein),
    strict("pg_soundex", 1, |a| text(soundex(a.text(0)?))),
    strict("pg_difference", 2, |a| {
        let (one, other) = (soundex(a.text(0)?), soundex(a.text(1)?));
        let same = one.bytes().zip(other.bytes()).filter(|(x, y)| x == y).count();
        // Of texts without letters nothing differs.
        super::args::count(if one.is_empty() && other.is_empty() { 4 } else { same })
    }),
];

fn real(value: f32) -> Result<Cell> {
    Ok(Cell::Real(f64::from(value)))
}

fn alike(a: &Args<'_>) -> Result<(f32, f32)> {
    let (one, other) = (a.text(0)?, a.text(1)?);
    Ok(match a.int(2)? {
        0 => (similarity(one, other), ALIKE[0]),
        1 => (word_similarity(one, other, false), ALIKE[1]),
        _ => (word_similarity(one, other, true), ALIKE[2]),
    })
}

fn bytes<'a>(a: &'a Args<'_>, i: usize) -> Result<&'a [u8]> {
    match a.cell(i) {
        CellRef::Blob(bytes) | CellRef::Text(bytes) => Ok(bytes),
        _ => a.bytes(i),
    }
}

fn unknown(name: &str) -> Error {
    let message = format!("Cannot use \"{name}\": No such hash algorithm");
    Error::client(state::INVALID_PARAMETER_VALUE, message)
}

/// None for an algorithm that is not known.
fn digest(name: &str, data: &[u8]) -> Option<Vec<u8>> {
    Some(match name.to_ascii_lowercase().as_str() {
        "md5" => <md5::Md5 as md5::Digest>::digest(data).to_vec(),
        "sha1" => sha1::Sha1::digest(data).to_vec(),
        "sha224" => sha2::Sha224::digest(data).to_vec(),
        "sha256" => sha2::Sha256::digest(data).to_vec(),
        "sha384" => sha2::Sha384::digest(data).to_vec(),
        "sha512" => sha2::Sha512::digest(data).to_vec(),
        _ => return None,
    })
}

/// A keyed digest, as RFC 2104 says.
fn hmac(name: &str, data: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let block =
        if matches!(name.to_ascii_lowercase().as_str(), "sha384" | "sha512") { 128 } else { 64 };
    let mut key = if key.len() > block { digest(name, key)? } else { key.to_vec() };
    key.resize(block, 0);
    let padded = |pad: u8, rest: &[u8]| {
        let mut all: Vec<u8> = key.iter().map(|b| b ^ pad).collect();
        all.extend_from_slice(rest);
        digest(name, &all)
    };
    padded(0x5c, &padded(0x36, data)?)
}

/// The least cost of making one text of another: insertions, deletions, substitutions.
fn levenshtein(a: &Args<'_>) -> Result<Cell> {
    let (one, other) = (a.text(0)?, a.text(1)?);
    if one.len().max(other.len()) > LEVENSHTEIN_MAX {
        let message =
            format!("levenshtein argument exceeds maximum length of {LEVENSHTEIN_MAX} characters");
        return Err(Error::client(state::INVALID_PARAMETER_VALUE, message));
    }
    let (insert, delete, replace) = (a.int(2)?, a.int(3)?, a.int(4)?);
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<i64> = (0..=other.len()).map(|n| n as i64 * insert).collect();
    for c in one.chars() {
        let mut diagonal = row[0];
        row[0] += delete;
        for (at, d) in other.iter().enumerate() {
            let kept = diagonal + if c == *d { 0 } else { replace };
            diagonal = row[at + 1];
            row[at + 1] = kept.min(row[at + 1] + delete).min(row[at] + insert);
        }
    }
    Ok(Cell::Integer(row.last().copied().unwrap_or(0)))
}

/// The code of a word's sound; nothing for a text without letters.
fn soundex(word: &str) -> String {
    const CODES: &[u8; 26] = b"01230120022455012623010202";
    let code = |c: u8| CODES[usize::from(c.to_ascii_uppercase() - b'A')];
    let mut rest = word.bytes().skip_while(|c| !c.is_ascii_alphabetic());
    let Some(first) = rest.next() else { return String::new() };
    let mut out = String::from(char::from(first.to_ascii_uppercase()));
    let mut before = first;
    for c in rest {
        if out.len() == 4 {
            break;
        }
        if c.is_ascii_alphabetic() {
            let repeated = before.is_ascii_alphabetic() && code(c) == code(before);
            if !repeated && code(c) != b'0' {
                out.push(char::from(code(c)));
            }
        }
        before = c;
    }
    while out.len() < 4 {
        out.push('0');
    }
    out
}
