//! Matches as PostgreSQL finds them, where the `regex` crate can be trusted to find the same.
//!
//! PostgreSQL's match is the longest (or, when its quantifiers are non-greedy, the shortest)
//! that begins leftmost; the `regex` crate's is the one a backtracking search finds first.
//! Each match is compared with the longest one at its place, and refused where they differ;
//! groups beside alternatives are served only where there is nothing to choose. Start at
//! [`Matcher::new`].

use regex::Captures;
use regex_automata::nfa::thompson::pikevm::{self, PikeVM};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use crate::error::{Error, Result};

/// A compiled regular expression that finds what PostgreSQL would.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    regex: regex::Regex,
    /// Finds the longest match; None where the shortest is wanted.
    longest: Option<PikeVM>,
}

fn ambiguous() -> Error {
    Error::unsupported("a regular expression whose longest match is not the first one found")
}

impl Matcher {
    /// `pattern` is what the client wrote, `translated` the same for the `regex` crate.
    /// `groups` says that the groups' texts decide a result.
    pub(super) fn new(
        regex: regex::Regex,
        pattern: &str,
        translated: &str,
        options: syntax::Config,
        groups: bool,
    ) -> Result<Self> {
        let shape = Shape::of(pattern);
        if shape.lazy {
            if shape.greedy || shape.alternation || shape.grouped_quantifier {
                return Err(Error::unsupported(
                    "mixing non-greedy quantifiers with others where a match decides the result",
                ));
            }
            return Ok(Self { regex, longest: None });
        }
        let grouped = groups && regex.captures_len() > 1 && !is_one_group(pattern);
        if grouped && shape.alternation && !distinct_literals(pattern) {
            return Err(Error::unsupported("alternatives beside groups that are asked for"));
        }
        let longest = PikeVM::builder()
            .configure(pikevm::Config::new().match_kind(MatchKind::All))
            .syntax(options)
            .build(translated)
            .map_err(|_| ambiguous())?;
        Ok(Self { regex, longest: Some(longest) })
    }

    /// Up to `limit` matches from a byte on, one after the other.
    pub(super) fn all<'s>(
        &self,
        s: &'s str,
        from: usize,
        limit: usize,
    ) -> Result<Vec<Captures<'s>>> {
        let mut found = Vec::new();
        let mut cache = self.longest.as_ref().map(PikeVM::create_cache);
        let mut at = from;
        while found.len() < limit && at <= s.len() {
            let Some(captures) = self.regex.captures_at(s, at) else { break };
            let Some(whole) = captures.get(0) else { break };
            if let (Some(longest), Some(cache)) = (&self.longest, &mut cache) {
                let input = Input::new(s).range(whole.start()..).anchored(Anchored::Yes);
                let end = longest.find(cache, input).map(|m| m.end());
                if end != Some(whole.end()) {
                    return Err(ambiguous());
                }
            }
            at = whole.end();
            if whole.is_empty() {
                at += s[at..].chars().next().map_or(1, char::len_utf8);
            }
            found.push(captures);
        }
        Ok(found)
    }

    /// The number of groups, the whole match included.
    pub(super) fn groups(&self) -> usize {
        self.regex.captures_len()
    }
}

/// Whether the whole pattern is one group, so that its text is the match's.
fn is_one_group(pattern: &str) -> bool {
    let Some(inner) = pattern.strip_prefix('(').and_then(|p| p.strip_suffix(')')) else {
        return false;
    };
    !inner.starts_with('?') && !inner.contains(['(', ')', '\\'])
}

/// What occurs in a pattern.
#[derive(Default)]
struct Shape {
    lazy: bool,
    greedy: bool,
    alternation: bool,
    /// A quantifier after a group.
    grouped_quantifier: bool,
}

impl Shape {
    fn of(pattern: &str) -> Self {
        let mut shape = Self::default();
        let mut chars = pattern.chars().peekable();
        let mut former = ' ';
        let mut in_class = false;
        while let Some(c) = chars.next() {
            if in_class {
                match c {
                    '\\' => {
                        chars.next();
                    }
                    // [:alpha:] and its kin.
                    '[' if chars.peek() == Some(&':') => {
                        while let Some(c) = chars.next() {
                            if c == ':' && chars.peek() == Some(&']') {
                                chars.next();
                                break;
                            }
                        }
                    }
                    ']' => in_class = false,
                    _ => {}
                }
                former = 'x';
                continue;
            }
            match c {
                '\\' => {
                    chars.next();
                    former = 'x';
                    continue;
                }
                '[' => {
                    in_class = true;
                    chars.next_if_eq(&'^');
                    chars.next_if_eq(&']');
                }
                '|' => shape.alternation = true,
                '(' if chars.peek() == Some(&'?') => {
                    // (?: and embedded options: no quantifier.
                    chars.next();
                    former = '(';
                    continue;
                }
                '{' if !chars.peek().is_some_and(char::is_ascii_digit) => {}
                '*' | '+' | '?' | '{' => {
                    let exact = if c == '{' { bounds_are_exact(&mut chars) } else { false };
                    let lazy = chars.next_if_eq(&'?').is_some();
                    shape.grouped_quantifier |= former == ')';
                    if lazy {
                        shape.lazy = true;
                    } else if !exact {
                        shape.greedy = true;
                    }
                }
                _ => {}
            }
            former = c;
        }
        shape
    }
}

/// Reads `{…}` to its end; whether it says one number.
fn bounds_are_exact(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> bool {
    let mut exact = true;
    for c in chars.by_ref() {
        match c {
            '}' => break,
            ',' => exact = false,
            _ => {}
        }
    }
    exact
}

/// Whether every alternation is between plain words of which none begins another, so that at
/// most one of them can match at a place.
fn distinct_literals(pattern: &str) -> bool {
    let plain =
        |word: &str| !word.is_empty() && !word.contains(|c: char| "\\[](){}*+?.^$|".contains(c));
    let apart = |words: &[&str]| {
        words.iter().all(|w| plain(w))
            && words
                .iter()
                .enumerate()
                .all(|(i, a)| words.iter().enumerate().all(|(j, b)| i == j || !a.starts_with(b)))
    };
    if !pattern.contains('(') {
        let body = pattern.strip_prefix('^').unwrap_or(pattern);
        // `^a|b` anchors only the first word.
        return body == pattern && apart(&pattern.split('|').collect::<Vec<_>>());
    }
    let mut rest = pattern;
    let mut outside = String::new();
    while let Some(open) = rest.find('(') {
        outside.push_str(&rest[..open]);
        let inner = rest[open + 1..].strip_prefix("?:").unwrap_or(&rest[open + 1..]);
        let Some(close) = inner.find(')') else { return false };
        let group = &inner[..close];
        if group.contains('|') && !apart(&group.split('|').collect::<Vec<_>>()) {
            return false;
        }
        if group.contains('(') {
            return false;
        }
        rest = &inner[close + 1..];
    }
    outside.push_str(rest);
    !outside.contains('|') && !pattern.contains("\\(") && !pattern.contains("[(")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> Option<String> {
        let regex = regex::Regex::new(pattern).unwrap();
        let matcher = Matcher::new(regex, pattern, pattern, syntax::Config::new(), true).ok()?;
        let all = matcher.all(text, 0, 1).ok()?;
        all.first().map(|c| c[0].to_owned())
    }

    #[test]
    fn only_what_cannot_differ_is_served() {
        assert_eq!(found("a.*b", "xaabb").as_deref(), Some("aabb"));
        assert_eq!(found("<.*?>", "<i>x</i>").as_deref(), Some("<i>"));
        assert_eq!(found("(foo|bar)+", "xbarfoo").as_deref(), Some("barfoo"));
        assert_eq!(found("(\\d+)-(\\d+)", "10-20").as_deref(), Some("10-20"));
        assert_eq!(found("(ab|a)", "ab").as_deref(), Some("ab"));
        for (pattern, text) in [
            ("(a|ab)", "ab"),
            ("a|ab", "ab"),
            ("a.*?b.*", "ab"),
            ("(a.*?)+", "a"),
            ("x(a|ab)", "xa"),
            ("a*(ab)?", "aab"),
        ] {
            assert_eq!(found(pattern, text), None, "{pattern}");
        }
    }
}
