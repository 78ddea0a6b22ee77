//! ts_headline: the parts of a text in which a query's words stand.
//!
//! Owns the choice of fragments (MaxFragments above 0; without fragments it is 0A000): covers
//! of the query, cut to MaxWords, widened on both sides, trimmed of short words at their ends.
//! Start at [`headline`].

use super::query::Query;
use super::rank::{Seen, gather};
use super::token::{Kind, tokens};
use super::{Language, numbered};
use crate::error::{Error, Result, state};

/// What the third argument may say.
#[derive(Clone, Debug)]
pub struct Options {
    start: String,
    stop: String,
    delimiter: String,
    max_words: usize,
    min_words: usize,
    short: usize,
    fragments: usize,
    all: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            start: "<b>".to_owned(),
            stop: "</b>".to_owned(),
            delimiter: " ... ".to_owned(),
            max_words: 35,
            min_words: 15,
            short: 3,
            fragments: 0,
            all: false,
        }
    }
}

impl Options {
    /// `Name=value, …`
    ///
    /// # Errors
    /// 42601 for another form, 22023 for what is no option, 22P02 for what is no number.
    pub fn parse(text: &str) -> Result<Self> {
        let mut options = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, value, behind) = setting(text, rest)?;
            rest = behind;
            let number = |least: &str| match value.parse::<i32>() {
                Ok(number) => usize::try_from(number).map_err(|_| invalid(least.to_owned())),
                Err(_) => Err(Error::client(
                    state::INVALID_TEXT_REPRESENTATION,
                    format!("invalid input syntax for type integer: \"{value}\""),
                )),
            };
            match name.to_ascii_lowercase().as_str() {
                "maxwords" => options.max_words = number("MinWords should be less than MaxWords")?,
                "minwords" => options.min_words = number("MinWords should be positive")?,
                "shortword" => options.short = number("ShortWord should be >= 0")?,
                "maxfragments" => options.fragments = number("MaxFragments should be >= 0")?,
                "startsel" => options.start = value,
                "stopsel" => options.stop = value,
                "fragmentdelimiter" => options.delimiter = value,
                "highlightall" => {
                    let value = value.to_ascii_lowercase();
                    options.all = matches!(value.as_str(), "1" | "on" | "true" | "t" | "y" | "yes");
                }
                _ => return Err(invalid(format!("unrecognized headline parameter: \"{name}\""))),
            }
        }
        // With HighlightAll the words' numbers do not matter.
        if !options.all && options.min_words >= options.max_words {
            return Err(invalid("MinWords should be less than MaxWords".to_owned()));
        }
        if !options.all && options.min_words == 0 {
            return Err(invalid("MinWords should be positive".to_owned()));
        }
        Ok(options)
    }
}

fn invalid(message: String) -> Error {
    Error::client(state::INVALID_PARAMETER_VALUE, message)
}

/// The name and value that `rest` begins with, and what is behind them.
fn setting<'a>(whole: &str, rest: &'a str) -> Result<(&'a str, String, &'a str)> {
    let broken = || {
        let message = format!("invalid parameter list format: \"{whole}\"");
        Error::client(state::SYNTAX_ERROR, message)
    };
    let end = rest.find(|c: char| c.is_whitespace() || c == '=').ok_or_else(broken)?;
    let (name, after) = rest.split_at(end);
    let after = after.trim_start().strip_prefix('=').ok_or_else(broken)?.trim_start();
    let first = after.chars().next().ok_or_else(broken)?;
    let escaped = after.starts_with(['E', 'e']) && after[1..].starts_with('\'');
    if name.starts_with('"') || escaped {
        return Err(Error::unsupported("this form of a headline's options"));
    }
    let (value, behind) = if first == '"' || first == '\'' {
        let mut value = String::new();
        let mut inner = &after[1..];
        loop {
            let (part, behind) = inner.split_once(first).ok_or_else(broken)?;
            value.push_str(part);
            match behind.strip_prefix(first) {
                Some(more) => {
                    value.push(first);
                    inner = more;
                }
                None => break (value, behind),
            }
        }
    } else {
        // Whatever comes first is part of the value.
        let behind = &after[first.len_utf8()..];
        let more = behind.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(behind.len());
        (format!("{first}{}", &behind[..more]), &behind[more..])
    };
    if first == '\'' && value.contains('\\') {
        return Err(Error::unsupported("this form of a headline's options"));
    }
    Ok((name, value, behind.trim_start_matches(|c: char| c.is_whitespace() || c == ',')))
}

/// A token of the text, blanks included.
struct Piece<'a> {
    text: &'a str,
    kind: Option<Kind>,
    position: u16,
    /// Which words of the query it is.
    words: Vec<usize>,
    shown: bool,
}

impl Piece<'_> {
    /// Does not count as a word.
    fn is_blank(&self) -> bool {
        matches!(self.kind, None | Some(Kind::Tag | Kind::Compound(_) | Kind::Url))
    }

    /// A fragment should not end here.
    fn ends_badly(&self, short: usize) -> bool {
        let weak = self.is_blank()
            || matches!(self.kind, Some(Kind::Number | Kind::Ignored))
            || self.text.len() <= short;
        weak && self.words.is_empty()
    }
}

/// A stretch of pieces between two of the query's words.
#[derive(Clone, Copy)]
struct Cover {
    from: usize,
    to: usize,
    words: usize,
    hits: usize,
    open: bool,
}

/// ts_headline
///
/// # Errors
/// 0A000 without fragments, with HighlightAll, and for phrases of more than words.
pub fn headline(
    language: Language,
    text: &str,
    query: Option<&Query>,
    options: &Options,
) -> Result<String> {
    if options.fragments == 0 || options.all {
        return Err(Error::unsupported("ts_headline without MaxFragments"));
    }
    if !query.is_none_or(Query::has_plain_phrases) {
        return Err(Error::unsupported("this phrase in a text search"));
    }
    let mut asked = Vec::new();
    if let Some(query) = query {
        gather(query, &mut asked);
    }
    let mut pieces = pieces(language, text, &asked);
    let mut covers = Vec::new();
    if let Some(query) = query {
        all_covers(&pieces, query, asked.len(), options, &mut covers);
    }
    let mut found = false;
    for _ in 0..options.fragments {
        let best = covers
            .iter()
            .enumerate()
            .filter(|(_, c)| c.open)
            .max_by(|(i, a), (j, b)| a.hits.cmp(&b.hits).then(b.words.cmp(&a.words)).then(j.cmp(i)))
            .map(|(i, _)| i);
        let Some(best) = best else { break };
        let (from, to) = widened(&pieces, covers[best], options);
        for piece in &mut pieces[from..=to] {
            piece.shown = true;
        }
        found = true;
        for (i, cover) in covers.iter_mut().enumerate() {
            let inside = |n: usize| (from..=to).contains(&n);
            let around = cover.from < from && cover.to > to;
            if i == best || inside(cover.from) || inside(cover.to) || around {
                cover.open = false;
            }
        }
    }
    if !found {
        let mut words = 0;
        for piece in &mut pieces {
            if words >= options.min_words {
                break;
            }
            words += usize::from(!piece.is_blank());
            piece.shown = true;
        }
    }
    Ok(written(&pieces, options))
}

/// The text's tokens and the blanks between them.
fn pieces<'a>(language: Language, text: &'a str, asked: &[(&str, bool, u8)]) -> Vec<Piece<'a>> {
    let tokens = tokens(text);
    let numbered = numbered(language, &tokens);
    let mut out = Vec::new();
    let mut at = 0;
    for ((kind, token), lexeme) in tokens.into_iter().zip(numbered) {
        // A token is a part of the text.
        let from = (token.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        if from > at {
            out.push(blank(&text[at..from]));
            at = from;
        }
        let (position, word) = lexeme.unwrap_or_default();
        let words = asked
            .iter()
            .enumerate()
            .filter(|(_, (wanted, prefix, _))| {
                word.as_deref()
                    .is_some_and(|w| if *prefix { w.starts_with(wanted) } else { w == *wanted })
            })
            .map(|(i, _)| i)
            .collect();
        if !matches!(kind, Kind::Compound(_) | Kind::Url) {
            at = from + token.len();
        }
        out.push(Piece { text: token, kind: Some(kind), position, words, shown: false });
    }
    if at < text.len() {
        out.push(blank(&text[at..]));
    }
    out
}

fn blank(text: &str) -> Piece<'_> {
    Piece { text, kind: None, position: 0, words: Vec::new(), shown: false }
}

/// Every shortest stretch that satisfies the query, cut into fragments.
fn all_covers(
    pieces: &[Piece<'_>],
    query: &Query,
    words: usize,
    options: &Options,
    out: &mut Vec<Cover>,
) {
    let hits: Vec<usize> = (0..pieces.len()).filter(|i| !pieces[*i].words.is_empty()).collect();
    let longest = (options.max_words * 10).max(100).saturating_mul(options.fragments);
    for (n, from) in hits.iter().enumerate() {
        let mut seen = Seen::new(words);
        for to in hits[n..].iter().take_while(|to| **to == *from || **to - *from < longest) {
            seen.add(&pieces[*to].words, pieces[*to].position);
            if seen.satisfy(query) {
                cut(pieces, *from, *to, options.max_words, out);
                break;
            }
        }
    }
}

/// A cover in fragments of at most so many words, each from a word of the query to one.
fn cut(pieces: &[Piece<'_>], from: usize, last: usize, most: usize, out: &mut Vec<Cover>) {
    let is_hit = |i: usize| !pieces[i].words.is_empty();
    let mut from = from;
    while from <= last {
        let Some(start) = (from..=last).find(|i| is_hit(*i)) else { break };
        let (mut words, mut hits, mut i) = (0, 0, start);
        while i <= last && words < most {
            words += usize::from(!pieces[i].is_blank());
            hits += usize::from(is_hit(i));
            i += 1;
        }
        let mut to = last;
        if last > i {
            to = i;
            while to > start && !is_hit(to) {
                words = words.saturating_sub(usize::from(!pieces[to].is_blank()));
                to -= 1;
            }
        }
        out.push(Cover { from: start, to, words, hits, open: true });
        from = to + 1;
    }
}

/// A cover with more of the text on both sides.
fn widened(pieces: &[Piece<'_>], cover: Cover, options: &Options) -> (usize, usize) {
    let Cover { from, to, mut words, .. } = cover;
    if words >= options.max_words {
        return (from, to);
    }
    let count = |i: usize| usize::from(!pieces[i].is_blank());
    let bad = |i: usize| pieces[i].ends_badly(options.short);
    let most = (options.max_words - words) / 2;
    let (mut start, mut stretch) = (from, 0);
    while start > 0 && stretch < most && !pieces[start - 1].shown {
        start -= 1;
        words += count(start);
        stretch += count(start);
    }
    while start < from && bad(start) {
        words -= count(start);
        start += 1;
    }
    let mut end = to;
    while end + 1 < pieces.len() && words < options.max_words && !pieces[end + 1].shown {
        end += 1;
        words += count(end);
    }
    while end > to && bad(end) {
        end -= 1;
    }
    (start, end)
}

fn written(pieces: &[Piece<'_>], options: &Options) -> String {
    let mut out = String::new();
    let (mut inside, mut fragments) = (false, 0);
    for piece in pieces {
        if !piece.shown {
            inside = false;
            continue;
        }
        if !inside {
            inside = true;
            fragments += 1;
            if fragments > 1 {
                out.push_str(&options.delimiter);
            }
        }
        match piece.kind {
            Some(Kind::Tag) => out.push(' '),
            Some(Kind::Compound(_) | Kind::Url) => {}
            _ if piece.words.is_empty() => out.push_str(piece.text),
            _ => {
                out.push_str(&options.start);
                out.push_str(piece.text);
                out.push_str(&options.stop);
            }
        }
    }
    out
}
