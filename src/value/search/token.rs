//! Text taken apart into words, numbers, hosts, paths … as PostgreSQL's default parser does.
//!
//! Owns the kinds of tokens and where each ends; blanks are skipped. Checked against `ts_parse`
//! over random texts. Start at [`tokens`].

use std::sync::LazyLock;

use regex::Regex;

/// What a token is, as far as dictionaries care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Words of letters only, hyphenated or parts of such: the language's dictionary.
    Word,
    /// Everything else: kept as it is, in lower case.
    Other,
    /// A number of any form, kept likewise.
    Number,
    /// A hyphenated word as a whole, its parts follow; the flag says that it is of letters.
    Compound(bool),
    /// An address with its path, both follow.
    Url,
    /// `<…>`; no word of a document.
    Tag,
    /// `&…;` or `http://`; no words of a document.
    Ignored,
}

/// One token.
pub(super) type Token<'a> = (Kind, &'a str);

macro_rules! pattern {
    ($name:ident, $($part:expr),+) => {
        static $name: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(concat!("^(?:", $($part),+, ")")).ok());
    };
}

macro_rules! label {
    () => {
        "[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*"
    };
}

macro_rules! name {
    () => {
        r"[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*"
    };
}

macro_rules! domain {
    () => {
        concat!(label!(), r"(?:\.", label!(), r")*\.[A-Za-z][A-Za-z][A-Za-z0-9]*")
    };
}

pattern!(HOST, domain!(), "(?::[0-9]+)?");
pattern!(EMAIL, "[A-Za-z0-9]+(?:[-_.]+[A-Za-z0-9]+)*@", domain!());
pattern!(
    TAG,
    r#"<(?:[A-Za-z_:][\w:.-]*(?:/>|>|\s(?:[A-Za-z0-9\s#%&./:=?_~-]|"[^"]*"|'[^']*')*>)"#,
    r#"|/[A-Za-z_:][\w:.-]*\s*>|!--(?s:.*?)-->"#,
    r#"|[?](?i:xml)(?:[A-Za-z0-9\s#%&./:=?_~-]|"[^"]*"|'[^']*')*>)"#
);
pattern!(ENTITY, r"&(?:[A-Za-z_:][\w:.-]*|#[0-9]+|#[xX][0-9a-fA-F]+);");
pattern!(NAME, r"\.?", name!());
pattern!(HOME, "~", name!());
pattern!(FIRST_NAME, r"[A-Za-z0-9]+(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*");
pattern!(URL_PATH, r#"/[!#$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]+"#);
pattern!(PROTOCOL, "[A-Za-z]+://");
pattern!(SCIENTIFIC, r"[-+]?[0-9]+(?:\.[0-9]+)?[eE][-+]?[0-9]+");
pattern!(DECIMAL, r"[-+]?[0-9]+\.[0-9]+");
pattern!(VERSION, r"[0-9]+(?:\.[0-9]+){2,}");
pattern!(SIGNED, "[-+][0-9]+");

fn matched<'a>(pattern: &LazyLock<Option<Regex>>, text: &'a str) -> Option<&'a str> {
    LazyLock::force(pattern).as_ref()?.find(text).map(|m| m.as_str())
}

/// A letter, or a digit of another script.
fn is_letter(c: char) -> bool {
    c.is_alphabetic()
        || (!c.is_ascii() && c.is_numeric() && c.to_digit(10).is_none() && is_digit(c))
}

/// Decimal digits beyond ASCII.
fn is_digit(c: char) -> bool {
    // Numbers that are no letters: fractions and superscripts do not count.
    matches!(u32::from(c),
        0x660..=0x669 | 0x6F0..=0x6F9 | 0x7C0..=0x7C9 | 0x966..=0x96F | 0x9E6..=0x9EF
        | 0xA66..=0xA6F | 0xAE6..=0xAEF | 0xB66..=0xB6F | 0xBE6..=0xBEF | 0xC66..=0xC6F
        | 0xCE6..=0xCEF | 0xD66..=0xD6F | 0xE50..=0xE59 | 0xED0..=0xED9 | 0xF20..=0xF29
        | 0x1040..=0x1049 | 0x17E0..=0x17E9 | 0x1810..=0x1819 | 0xFF10..=0xFF19)
}

fn is_word(c: char) -> bool {
    c.is_ascii_digit() || is_letter(c)
}

/// Marks without a width of their own go on with a word, but begin none.
fn is_mark(c: char) -> bool {
    matches!(u32::from(c),
        0x300..=0x36F | 0x483..=0x489 | 0x591..=0x5BD | 0x610..=0x61A | 0x64B..=0x65F
        | 0x6D6..=0x6DC | 0x6DF..=0x6E4 | 0x93C | 0x94D | 0x951..=0x957 | 0x9BC | 0x9CD
        | 0xE31 | 0xE34..=0xE3A | 0xE47..=0xE4E | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF
        | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x2063 | 0x20D0..=0x20FF
        | 0x3099..=0x309A | 0xFE00..=0xFE0F | 0xFE20..=0xFE2F | 0xFEFF)
}

fn word_end(text: &str) -> usize {
    text.char_indices()
        .find(|(at, c)| !(is_word(*c) || *at > 0 && is_mark(*c)))
        .map_or(text.len(), |(at, _)| at)
}

/// Whether a word has a digit, or a mark after a digit, and so is no plain word.
fn kind(word: &str) -> Kind {
    if word.bytes().any(|b| b.is_ascii_digit()) { Kind::Other } else { Kind::Word }
}

/// The tokens of a text.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut rest = text;
    // Dots and tildes begin a path only where no blank stands before them.
    let mut fresh = true;
    while let Some(c) = rest.chars().next() {
        let before = out.len();
        let used = match c {
            '<' => ignored(Kind::Tag, matched(&TAG, rest), &mut out),
            '&' => ignored(Kind::Ignored, matched(&ENTITY, rest), &mut out),
            '/' => path(rest, segments(rest), &mut out),
            '~' if fresh => path(rest, home(rest), &mut out),
            '.' if fresh => path(rest, dotted(rest), &mut out),
            '+' | '-' if rest[1..].starts_with(|d: char| d.is_ascii_digit()) => {
                if matched(&VERSION, &rest[1..]).is_some() {
                    1
                } else {
                    let number = matched(&SCIENTIFIC, rest)
                        .or_else(|| matched(&DECIMAL, rest))
                        .or_else(|| matched(&SIGNED, rest));
                    out.extend(number.map(|n| (Kind::Number, n)));
                    number.map_or(1, str::len)
                }
            }
            c if is_word(c) => word(rest, &mut out),
            c => c.len_utf8(),
        };
        fresh = out.len() > before;
        rest = &rest[used..];
    }
    out
}

/// Where the path that a text begins with ends: `/name`s, among them `/.` before others and `/..`.
fn segments(text: &str) -> usize {
    let (mut end, mut at) = (0, 0);
    while let Some(after) = text[at..].strip_prefix('/') {
        if let Some(name) = matched(&NAME, after) {
            at += 1 + name.len();
            end = at;
        } else if is_parent(after) {
            at += 3;
            end = at;
        } else if after.starts_with("./") {
            at += 2;
        } else {
            break;
        }
    }
    end
}

/// `..` and nothing more of a name.
fn is_parent(text: &str) -> bool {
    let after = text.strip_prefix("..").map(|after| after.chars().next());
    after.is_some_and(|c| c.is_none_or(|c| c.is_whitespace() || c == '/'))
}

/// `../x`, `./x`, or `..` by itself.
fn dotted(text: &str) -> usize {
    if is_parent(text) {
        return 2 + segments(&text[2..]);
    }
    match segments(&text[1..]) {
        0 => 0,
        path => 1 + path,
    }
}

/// `~name/x`
fn home(text: &str) -> usize {
    let name = matched(&HOME, text).map_or(1, str::len);
    name + segments(&text[name..])
}

fn ignored<'a>(kind: Kind, found: Option<&'a str>, out: &mut Vec<Token<'a>>) -> usize {
    out.extend(found.map(|f| (kind, f)));
    found.map_or(1, str::len)
}

/// A path up to there; by itself a sign is none.
fn path<'a>(text: &'a str, end: usize, out: &mut Vec<Token<'a>>) -> usize {
    if end > 1 {
        out.push((Kind::Other, &text[..end]));
    }
    end.max(1)
}

/// What begins with a letter or digit; the bytes it takes.
fn word<'a>(text: &'a str, out: &mut Vec<Token<'a>>) -> usize {
    let first = text.as_bytes()[0];
    if first.is_ascii() {
        if let Some(email) = matched(&EMAIL, text) {
            out.push((Kind::Other, email));
            return email.len();
        }
        if let Some(protocol) = matched(&PROTOCOL, text) {
            out.push((Kind::Ignored, protocol));
            let after = &text[protocol.len()..];
            return protocol.len()
                + matched(&HOST, after).map_or(0, |host| address(after, host, out));
        }
        if let Some(host) = matched(&HOST, text) {
            return address(text, host, out);
        }
    }
    if first.is_ascii_digit() {
        return number(text, out);
    }
    if let Some(name) = matched(&FIRST_NAME, text) {
        let path = segments(&text[name.len()..]);
        if path > 0 || name.contains('.') {
            out.push((Kind::Other, &text[..name.len() + path]));
            return name.len() + path;
        }
    }
    hyphenated(text, out)
}

fn number<'a>(text: &'a str, out: &mut Vec<Token<'a>>) -> usize {
    let name = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let path = segments(&text[name..]);
    if path > 0 {
        out.push((Kind::Other, &text[..name + path]));
        return name + path;
    }
    let found = matched(&VERSION, text)
        .or_else(|| matched(&SCIENTIFIC, text))
        .or_else(|| matched(&DECIMAL, text));
    if let Some(number) = found {
        out.push((Kind::Number, number));
        return number.len();
    }
    let word = &text[..word_end(text)];
    let digits = word.bytes().all(|b| b.is_ascii_digit());
    out.push((if digits { Kind::Number } else { Kind::Other }, word));
    word.len()
}

/// A host, and with a path the whole address before and the path after it.
fn address<'a>(text: &'a str, host: &'a str, out: &mut Vec<Token<'a>>) -> usize {
    let path = matched(&URL_PATH, &text[host.len()..]).filter(|p| p.len() > 1);
    let Some(path) = path else {
        out.push((Kind::Other, host));
        return host.len();
    };
    let whole = &text[..host.len() + path.len()];
    out.extend([(Kind::Url, whole), (Kind::Other, host), (Kind::Other, path)]);
    whole.len()
}

/// A word, or a hyphenated one with its parts.
fn hyphenated<'a>(text: &'a str, out: &mut Vec<Token<'a>>) -> usize {
    let mut end = word_end(text);
    let mut parts = vec![&text[..end]];
    while let Some(after) = text[end..].strip_prefix('-') {
        let part = &after[..if after.starts_with(is_word) { word_end(after) } else { 0 }];
        if part.is_empty() || part.bytes().all(|b| b.is_ascii_digit()) {
            break;
        }
        parts.push(part);
        end += 1 + part.len();
    }
    if parts.len() == 1 {
        out.push((kind(parts[0]), parts[0]));
        return end;
    }
    let whole = &text[..end];
    out.push((Kind::Compound(kind(whole) == Kind::Word), whole));
    out.extend(parts.into_iter().map(|part| (kind(part), part)));
    // A hyphen behind the last part is no sign of what follows.
    end + usize::from(text[end..].starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_numbers_and_addresses() {
        let words = |text: &str| {
            let words = tokens(text).into_iter();
            let words = words.filter(|(kind, _)| !matches!(kind, Kind::Tag | Kind::Ignored));
            words.map(|(_, t)| t.to_owned()).collect::<Vec<_>>().join("|")
        };
        assert_eq!(words("The foo-bar, baz-2 don't"), "The|foo-bar|foo|bar|baz|-2|don|t");
        assert_eq!(
            words("http://x.y.com/a?b=c e.g. a@b.co"),
            "x.y.com/a?b=c|x.y.com|/a?b=c|e.g|a@b.co"
        );
        assert_eq!(words("<b>bold</b> &amp; 1.2.3 1e5 +1.5.2"), "bold|1.2.3|1e5|1.5.2");
        assert_eq!(
            words("a.1 /usr/lib/ ~/x naïve-word 漢字 v2"),
            "a.1|/usr/lib|/x|naïve-word|naïve|word|漢字|v2"
        );
    }
}
