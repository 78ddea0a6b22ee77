//! Text form of arrays: `{a,"b c",NULL}`, `{{1,2},{3,4}}`; lower bounds are 1.

use crate::error::{Error, Result, state};
use crate::value::{Datum, Style, Type};

use super::is_space;

fn malformed(text: &str, detail: impl Into<String>) -> Error {
    Error::client(
        state::INVALID_TEXT_REPRESENTATION,
        format!("malformed array literal: \"{text}\""),
    )
    .detail(detail)
}

/// What has just been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Nothing,
    LevelStarted,
    LevelCompleted,
    LevelDelimited,
    Element,
    Quoted,
    QuotedCompleted,
    ElementDelimited,
}

/// Most dimensions PostgreSQL allows.
const MAX_DIMENSIONS: usize = 6;

/// Checks the structure of `{…}` and returns how deep it nests. Every literal passes here
/// before an element is looked at, so that malformed text is told from what is unsupported.
fn check(body: &str) -> Result<usize> {
    use State::{
        Element, ElementDelimited, LevelCompleted, LevelDelimited, LevelStarted, Nothing, Quoted,
        QuotedCompleted,
    };
    let unexpected = |c: char| malformed(body, format!("Unexpected \"{c}\" character."));
    let ended = || malformed(body, "Unexpected end of input.");
    let (mut state, mut level, mut deepest) = (Nothing, 0usize, 0usize);
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        state = match (c, state) {
            ('\\', LevelStarted | Element | Quoted | ElementDelimited) => {
                chars.next().ok_or_else(ended)?;
                if state == Quoted { Quoted } else { Element }
            }
            ('\\', _) => return Err(unexpected(c)),
            ('"', Quoted) => QuotedCompleted,
            ('"', LevelStarted | ElementDelimited) => Quoted,
            ('"', _) => return Err(malformed(body, "Unexpected array element.")),
            (_, Quoted) => Quoted,
            ('{', Nothing | LevelStarted | LevelDelimited) => {
                if level == MAX_DIMENSIONS {
                    return Err(Error::client(
                        state::PROGRAM_LIMIT_EXCEEDED,
                        format!(
                            "number of array dimensions ({}) exceeds the maximum allowed (6)",
                            level + 1
                        ),
                    ));
                }
                level += 1;
                deepest = deepest.max(level);
                LevelStarted
            }
            ('}', Element | QuotedCompleted | LevelCompleted) => {
                level -= 1;
                LevelCompleted
            }
            ('}', LevelStarted) if level == 1 => {
                level = 0;
                LevelCompleted
            }
            (',', LevelCompleted) => LevelDelimited,
            (',', Element | QuotedCompleted) => ElementDelimited,
            ('{' | '}' | ',', _) => return Err(unexpected(c)),
            (c, _) if is_space(c) => state,
            (_, LevelStarted | Element | ElementDelimited) => Element,
            _ => return Err(malformed(body, "Unexpected array element.")),
        };
        if state == LevelCompleted && level == 0 {
            return if chars.all(is_space) {
                Ok(deepest)
            } else {
                Err(malformed(body, "Junk after closing right brace."))
            };
        }
    }
    Err(ended())
}

/// Cuts `[1:n]=` off; other lower bounds and more dimensions are 0A000. The number of
/// elements it promises, and the rest.
fn bounds<'a>(text: &'a str, whole: &str) -> Result<(Option<i64>, &'a str)> {
    let Some(rest) = text.strip_prefix('[') else { return Ok((None, text)) };
    let missing =
        || malformed(whole, "\"[\" must introduce explicitly-specified array dimensions.");
    let (range, after) = rest.split_once(']').ok_or_else(missing)?;
    let (low, high) = range.split_once(':').unwrap_or(("1", range));
    let low: i64 = low.trim().parse().map_err(|_| missing())?;
    let high: i64 = high.trim().parse().map_err(|_| missing())?;
    let trimmed = after.trim_start_matches(is_space);
    if trimmed.starts_with('[') {
        return Err(Error::unsupported("an array of more than one dimension"));
    }
    let Some(tail) = trimmed.strip_prefix('=') else {
        return Err(malformed(whole, "Missing \"=\" after array dimensions."));
    };
    if low != 1 {
        return Err(Error::unsupported("an array whose lower bound is not 1"));
    }
    Ok((Some(high), tail.trim_start_matches(is_space)))
}

/// The element texts of an array literal; `None` is NULL. 22P02 for malformed text, 0A000
/// for more than one dimension.
pub fn split(text: &str) -> Result<Vec<Option<String>>> {
    let whole = text.trim_start_matches(is_space);
    let (promised, body) = bounds(whole, whole)?;
    if !body.starts_with('{') {
        return Err(if promised.is_some() {
            malformed(text, "Array contents must start with \"{\".")
        } else {
            malformed(text, "Array value must start with \"{\" or dimension information.")
        });
    }
    if check(body)? > 1 {
        return Err(Error::unsupported("an array of more than one dimension"));
    }
    let elements = elements(body);
    if promised.is_some_and(|n| n != elements.len() as i64) {
        return Err(malformed(whole, "Specified array dimensions do not match array contents."));
    }
    Ok(elements)
}

/// The elements of a checked one-dimensional literal.
fn elements(body: &str) -> Vec<Option<String>> {
    let mut elements = Vec::new();
    // Length up to the last character that is not a bare blank; quotes and escapes make a
    // text that cannot mean NULL.
    let (mut value, mut keep, mut quoted, mut escaped) = (String::new(), 0, false, false);
    let mut chars = body.chars().skip(1);
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                value.extend(chars.next());
                (keep, escaped) = (value.len(), true);
            }
            '"' => (quoted, escaped) = (!quoted, true),
            ',' | '}' if !quoted => {
                value.truncate(keep);
                let none = c == '}' && elements.is_empty() && value.is_empty() && !escaped;
                if !none {
                    let null = !escaped && value.eq_ignore_ascii_case("null");
                    elements.push(if null { None } else { Some(std::mem::take(&mut value)) });
                }
                value.clear();
                (keep, escaped) = (0, false);
                if c == '}' {
                    break;
                }
            }
            c if !quoted && value.is_empty() && is_space(c) => {}
            c => {
                value.push(c);
                if quoted || !is_space(c) {
                    keep = value.len();
                }
            }
        }
    }
    elements
}

/// Reads an array literal of an element type.
pub(super) fn parse(element: Type, text: &str, style: &Style) -> Result<Datum> {
    let whole = text.trim_start_matches(is_space);
    if whole.starts_with('{') && check(whole)? > 1 {
        let mut chars = whole.chars().skip(1).peekable();
        let tree = tree(&mut chars);
        let shape = shape(&tree).ok_or_else(|| {
            let detail = "Multidimensional arrays must have sub-arrays with matching dimensions.";
            malformed(text, detail)
        })?;
        let none = shape.contains(&0);
        let elements = if none { Vec::new() } else { values(tree, element, style)? };
        return Ok(Datum::Array(element.oid, elements));
    }
    let elements = split(text)?
        .into_iter()
        .map(|e| e.map_or(Ok(Datum::Null), |e| super::parse(element, &e, style)))
        .collect::<Result<_>>()?;
    Ok(Datum::Array(element.oid, elements))
}

/// A part of a literal of several dimensions.
enum Part {
    Element(Option<String>),
    List(Vec<Part>),
}

/// Reads a checked literal behind an opening brace, up to the brace that closes it.
fn tree(chars: &mut std::iter::Peekable<impl Iterator<Item = char>>) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some(c) = chars.peek().copied() {
        match c {
            '}' => {
                chars.next();
                break;
            }
            '{' => {
                chars.next();
                parts.push(Part::List(tree(chars)));
            }
            ',' => {
                chars.next();
            }
            c if is_space(c) => {
                chars.next();
            }
            _ => parts.push(Part::Element(one(chars))),
        }
    }
    parts
}

/// One element of a checked literal, up to its separator.
fn one(chars: &mut std::iter::Peekable<impl Iterator<Item = char>>) -> Option<String> {
    let (mut value, mut keep, mut quoted, mut escaped) = (String::new(), 0, false, false);
    while let Some(c) = chars.next_if(|c| quoted || !matches!(c, ',' | '}')) {
        match c {
            '\\' => {
                value.extend(chars.next());
                (keep, escaped) = (value.len(), true);
            }
            '"' => (quoted, escaped, keep) = (!quoted, true, value.len()),
            c => {
                value.push(c);
                if quoted || !is_space(c) {
                    keep = value.len();
                }
            }
        }
    }
    value.truncate(keep);
    if !escaped && value.eq_ignore_ascii_case("null") { None } else { Some(value) }
}

/// The lengths of the dimensions; None when they do not agree.
fn shape(parts: &[Part]) -> Option<Vec<usize>> {
    let mut inner: Option<Vec<usize>> = None;
    for part in parts {
        let own = match part {
            Part::Element(_) => Vec::new(),
            Part::List(list) => shape(list)?,
        };
        match &inner {
            Some(first) if *first != own => return None,
            _ => inner = Some(own),
        }
    }
    let mut found = vec![parts.len()];
    found.extend(inner.unwrap_or_default());
    Some(found)
}

fn values(parts: Vec<Part>, element: Type, style: &Style) -> Result<Vec<Datum>> {
    parts
        .into_iter()
        .map(|part| match part {
            Part::Element(None) => Ok(Datum::Null),
            Part::Element(Some(text)) => super::parse(element, &text, style),
            Part::List(list) => Ok(Datum::Array(element.oid, values(list, element, style)?)),
        })
        .collect()
}

/// Appends one element with the quotes it needs.
pub(super) fn push_element(element: &[u8], out: &mut Vec<u8>) {
    let special =
        |b: &u8| matches!(b, b'"' | b'\\' | b'{' | b'}' | b',') || is_space(char::from(*b));
    let quote =
        element.is_empty() || element.eq_ignore_ascii_case(b"null") || element.iter().any(special);
    if !quote {
        return out.extend_from_slice(element);
    }
    out.push(b'"');
    for byte in element {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
