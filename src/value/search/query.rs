//! tsquery: lexemes joined by and, or, not and "followed by".
//!
//! Owns the text form both ways, the making of queries from words of a language, and matching.
//! Start at [`Query::parse`].

use super::syntax::{Scanner, push_lexeme};
use super::vector::{Place, Vector};
use super::{Language, lexemes_of};
use crate::error::{Error, Result, state};

/// A part of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// A lexeme: prefix or whole, and the weights it may have (bit n for weight n; 0: any).
    Word(String, bool, u8),
    /// !
    Not(Box<Query>),
    /// &
    And(Box<Query>, Box<Query>),
    /// |
    Or(Box<Query>, Box<Query>),
    /// <n>
    Phrase(Box<Query>, Box<Query>, u16),
}

/// A part while stop words are still in it.
#[derive(Clone, Debug)]
enum Draft {
    Stop,
    Word(String, bool, u8),
    Not(Box<Draft>),
    And(Box<Draft>, Box<Draft>),
    Or(Box<Draft>, Box<Draft>),
    Phrase(Box<Draft>, Box<Draft>, u16),
}

/// What an operand's words are joined with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joined {
    And,
    Phrase,
}

/// Depth beyond which a query is refused.
const MAX_DEPTH: usize = 500;

struct Parser<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    language: Option<Language>,
    depth: usize,
}

fn wrong(text: &str) -> Error {
    Error::client(state::SYNTAX_ERROR, format!("syntax error in tsquery: \"{text}\""))
}

impl Parser<'_> {
    fn or(&mut self) -> Result<Draft> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::client(state::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
        }
        self.depth += 1;
        let mut left = self.and()?;
        loop {
            self.scanner.skip_blanks();
            if !self.scanner.take('|') {
                self.depth -= 1;
                return Ok(left);
            }
            left = Draft::Or(Box::new(left), Box::new(self.and()?));
        }
    }

    fn and(&mut self) -> Result<Draft> {
        let mut left = self.phrase()?;
        loop {
            self.scanner.skip_blanks();
            if !self.scanner.take('&') {
                return Ok(left);
            }
            left = Draft::And(Box::new(left), Box::new(self.phrase()?));
        }
    }

    fn phrase(&mut self) -> Result<Draft> {
        let mut left = self.operand()?;
        loop {
            self.scanner.skip_blanks();
            if !self.scanner.take('<') {
                return Ok(left);
            }
            let distance = if self.scanner.take('-') {
                1
            } else {
                let n = self.scanner.number().ok_or_else(|| wrong(self.text))?;
                u16::try_from(n).ok().filter(|n| *n <= 16_384).ok_or_else(|| {
                    let message = "distance in phrase operator must be an integer value between \
                                   zero and 16384 inclusive";
                    Error::client(state::INVALID_PARAMETER_VALUE, message)
                })?
            };
            if !self.scanner.take('>') {
                return Err(wrong(self.text));
            }
            left = Draft::Phrase(Box::new(left), Box::new(self.operand()?), distance);
        }
    }

    fn operand(&mut self) -> Result<Draft> {
        self.scanner.skip_blanks();
        if self.scanner.take('!') {
            if self.depth >= MAX_DEPTH {
                let message = "stack depth limit exceeded";
                return Err(Error::client(state::STATEMENT_TOO_COMPLEX, message));
            }
            self.depth += 1;
            let inner = self.operand();
            self.depth -= 1;
            return Ok(Draft::Not(Box::new(inner?)));
        }
        if self.scanner.take('(') {
            let inner = self.or()?;
            self.scanner.skip_blanks();
            return if self.scanner.take(')') { Ok(inner) } else { Err(wrong(self.text)) };
        }
        let stops = [':', '|', '&', '!', '(', ')', '<'];
        let word = self.scanner.word(&stops, false).flatten().ok_or_else(|| wrong(self.text))?;
        if word.is_empty() {
            return Err(wrong(self.text));
        }
        let (mut prefix, mut weights) = (false, 0_u8);
        if self.scanner.take(':') {
            loop {
                if self.scanner.take('*') {
                    prefix = true;
                } else if let Some(weight) = self.scanner.weight() {
                    weights |= 1 << weight;
                } else {
                    break;
                }
            }
        }
        Ok(match self.language {
            None => Draft::Word(word, prefix, weights),
            Some(language) => drafted(language, &word, prefix, weights, Joined::Phrase),
        })
    }
}

/// The words of an operand's text, joined; a stop word between two leaves its room.
fn drafted(language: Language, text: &str, prefix: bool, weights: u8, joined: Joined) -> Draft {
    let mut whole: Option<(Draft, u16)> = None;
    for (position, word) in lexemes_of(language, text) {
        let Some(word) = word else { continue };
        let next = Draft::Word(word, prefix, weights);
        whole = Some(match whole {
            None => (next, position),
            Some((left, last)) => {
                let (left, next) = (Box::new(left), Box::new(next));
                let pair = match joined {
                    Joined::And => Draft::And(left, next),
                    Joined::Phrase => Draft::Phrase(left, next, position - last),
                };
                (pair, position)
            }
        });
    }
    whole.map_or(Draft::Stop, |(draft, _)| draft)
}

/// Signs that mean nothing to websearch_to_tsquery.
fn is_sign(c: char) -> bool {
    matches!(c, '|' | '&' | '!' | '(' | ')' | '<')
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || c == '"' || c == ':' || is_sign(c)
}

/// What follows the word `or`, when it stands alone and something follows the sign behind it.
fn strip_or(text: &str) -> Option<&str> {
    let head = text.get(..2).filter(|h| h.eq_ignore_ascii_case("or"))?;
    let after = &text[head.len()..];
    let mut behind = after.chars();
    let sign = behind.next()?;
    let goes_on = sign.is_alphanumeric() || sign == '-' || sign == '_';
    (!goes_on && behind.any(|c| !c.is_whitespace())).then_some(after)
}

/// Takes the stop words out. Inside a phrase they leave distance: the second and third results
/// are what is to be added before and behind.
fn cleaned(draft: Draft) -> (Option<Query>, u16, u16) {
    match draft {
        Draft::Stop => (None, 0, 0),
        Draft::Word(word, prefix, weights) => (Some(Query::Word(word, prefix, weights)), 0, 0),
        Draft::Not(inner) => {
            let (inner, _, _) = cleaned(*inner);
            (inner.map(|q| Query::Not(Box::new(q))), 0, 0)
        }
        Draft::Phrase(a, b, distance) => {
            let (a, a_left, a_right) = cleaned(*a);
            let (b, b_left, b_right) = cleaned(*b);
            match (a, b) {
                (None, None) => {
                    let room = a_left.saturating_add(distance).saturating_add(b_left);
                    (None, room, room)
                }
                (None, Some(b)) => {
                    (Some(b), a_left.saturating_add(distance).saturating_add(b_left), b_right)
                }
                (Some(a), None) => {
                    (Some(a), a_left, a_right.saturating_add(distance).saturating_add(b_right))
                }
                (Some(a), Some(b)) => {
                    let distance = a_right.saturating_add(distance).saturating_add(b_left);
                    (Some(Query::Phrase(Box::new(a), Box::new(b), distance)), a_left, b_right)
                }
            }
        }
        Draft::And(a, b) => pair(*a, *b, Query::And),
        Draft::Or(a, b) => pair(*a, *b, Query::Or),
    }
}

fn pair(
    a: Draft,
    b: Draft,
    make: fn(Box<Query>, Box<Query>) -> Query,
) -> (Option<Query>, u16, u16) {
    let ((a, ..), (b, ..)) = (cleaned(a), cleaned(b));
    let query = match (a, b) {
        (Some(a), Some(b)) => Some(make(Box::new(a), Box::new(b))),
        (one, None) | (None, one) => one,
    };
    (query, 0, 0)
}

impl Query {
    /// The input of type tsquery; None is the empty query.
    ///
    /// # Errors
    /// 42601 for text that is none.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        Self::read(text, None)
    }

    /// to_tsquery
    ///
    /// # Errors
    /// As [`Query::parse`].
    pub fn of(language: Language, text: &str) -> Result<Option<Self>> {
        Self::read(text, Some(language))
    }

    fn read(text: &str, language: Option<Language>) -> Result<Option<Self>> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let mut parser = Parser { text, scanner: Scanner::new(text), language, depth: 0 };
        let draft = parser.or()?;
        parser.scanner.skip_blanks();
        if parser.scanner.peek().is_some() {
            return Err(wrong(text));
        }
        Ok(cleaned(draft).0)
    }

    /// plainto_tsquery
    pub fn plain(language: Language, text: &str) -> Option<Self> {
        cleaned(drafted(language, text, false, 0, Joined::And)).0
    }

    /// phraseto_tsquery
    pub fn phrase(language: Language, text: &str) -> Option<Self> {
        cleaned(drafted(language, text, false, 0, Joined::Phrase)).0
    }

    /// websearch_to_tsquery: quotes make phrases, `or` alternatives, `-` negations; nothing is
    /// a syntax error.
    ///
    pub fn web(language: Language, text: &str) -> Option<Self> {
        let mut alternatives: Vec<Vec<Draft>> = vec![Vec::new()];
        let mut negations = 0_usize;
        let mut operand_next = true;
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            let draft = match c {
                c if c.is_whitespace() || is_sign(c) => {
                    rest = after;
                    continue;
                }
                '-' => {
                    negations += 1;
                    (rest, operand_next) = (after, true);
                    continue;
                }
                '"' => {
                    let end = after.find('"').unwrap_or(after.len());
                    rest = after.get(end + 1..).unwrap_or("");
                    drafted(language, &after[..end], false, 0, Joined::Phrase)
                }
                _ => {
                    if !operand_next && let Some(behind) = strip_or(rest) {
                        alternatives.push(Vec::new());
                        (rest, operand_next) = (behind, true);
                        continue;
                    }
                    // A word's first sign may be a colon, behind which `or` and `-` mean nothing.
                    let end = after.find(ends_word).map_or(rest.len(), |at| at + c.len_utf8());
                    let word = &rest[..end];
                    rest = &rest[end..];
                    drafted(language, word, false, 0, Joined::Phrase)
                }
            };
            operand_next = false;
            let negated = (0..std::mem::take(&mut negations).min(MAX_DEPTH))
                .fold(draft, |d, _| Draft::Not(Box::new(d)));
            if let Some(last) = alternatives.last_mut() {
                last.push(negated);
            }
        }
        let all = |drafts: Vec<Draft>| {
            drafts.into_iter().reduce(|a, b| Draft::And(Box::new(a), Box::new(b)))
        };
        let whole = alternatives
            .into_iter()
            .filter_map(all)
            .reduce(|a, b| Draft::Or(Box::new(a), Box::new(b)));
        whole.and_then(|draft| cleaned(draft).0)
    }

    /// Whether a document matches.
    pub fn matches(&self, document: &Vector) -> Result<bool> {
        Ok(match self {
            Self::Word(..) => self.found(document).next().is_some(),
            Self::Not(inner) => !inner.matches(document)?,
            Self::And(a, b) => a.matches(document)? && b.matches(document)?,
            Self::Or(a, b) => a.matches(document)? || b.matches(document)?,
            Self::Phrase(..) => {
                if document.lexemes.iter().any(|(_, places)| places.is_empty()) {
                    return Err(Error::unsupported("a phrase over a tsvector without positions"));
                }
                !self.ends(document)?.is_empty()
            }
        })
    }

    /// The lexemes of a document that a word stands for.
    fn found<'d>(&'d self, document: &'d Vector) -> impl Iterator<Item = Vec<Place>> + 'd {
        let (word, prefix, weights) = match self {
            Self::Word(word, prefix, weights) => (word.as_str(), *prefix, *weights),
            _ => ("", false, 0),
        };
        let from = document.lexemes.partition_point(|(w, _)| w.as_str() < word);
        document.lexemes[from..]
            .iter()
            .take_while(move |(w, _)| if prefix { w.starts_with(word) } else { w == word })
            .filter_map(move |(_, places)| {
                if weights == 0 {
                    return Some(places.clone());
                }
                let kept: Vec<Place> =
                    places.iter().filter(|p| weights >> p.weight & 1 == 1).copied().collect();
                (!kept.is_empty()).then_some(kept)
            })
    }

    /// Positions at which a part of a phrase may end.
    fn ends(&self, document: &Vector) -> Result<Vec<u16>> {
        let mut ends: Vec<u16> = match self {
            Self::Word(..) => self.found(document).flatten().map(|p| p.position).collect(),
            Self::Or(a, b) => {
                let mut ends = a.ends(document)?;
                ends.extend(b.ends(document)?);
                ends
            }
            Self::Phrase(a, b, distance) if plain(a) && is_choice(b) => {
                let firsts = a.ends(document)?;
                let mut ends = b.ends(document)?;
                ends.retain(|end| {
                    end.checked_sub(*distance).is_some_and(|first| firsts.contains(&first))
                });
                ends
            }
            _ => return Err(Error::unsupported("this phrase in a text search")),
        };
        ends.sort_unstable();
        ends.dedup();
        Ok(ends)
    }

    /// Whether every phrase in it is made of words and choices of words.
    pub(super) fn has_plain_phrases(&self) -> bool {
        match self {
            Self::Word(..) => true,
            Self::Not(inner) => inner.has_plain_phrases(),
            Self::And(a, b) | Self::Or(a, b) => a.has_plain_phrases() && b.has_plain_phrases(),
            Self::Phrase(a, b, _) => plain(a) && is_choice(b),
        }
    }

    /// Words and operators.
    pub fn nodes(&self) -> usize {
        match self {
            Self::Word(..) => 1,
            Self::Not(inner) => 1 + inner.nodes(),
            Self::And(a, b) | Self::Or(a, b) | Self::Phrase(a, b, _) => 1 + a.nodes() + b.nodes(),
        }
    }

    fn priority(&self) -> u8 {
        match self {
            Self::Or(..) => 1,
            Self::And(..) => 2,
            Self::Phrase(..) => 3,
            Self::Not(_) => 4,
            Self::Word(..) => 5,
        }
    }

    fn write(&self, out: &mut String, around: u8, right_of_phrase: bool) {
        match self {
            Self::Word(word, prefix, weights) => {
                push_lexeme(word, out);
                if *prefix || *weights != 0 {
                    out.push(':');
                    if *prefix {
                        out.push('*');
                    }
                    for (bit, letter) in [(3, 'A'), (2, 'B'), (1, 'C'), (0, 'D')] {
                        if weights >> bit & 1 == 1 {
                            out.push(letter);
                        }
                    }
                }
            }
            Self::Not(inner) => {
                out.push('!');
                let parenthesised = inner.priority() < 4;
                if parenthesised {
                    out.push_str("( ");
                }
                inner.write(out, 4, false);
                if parenthesised {
                    out.push_str(" )");
                }
            }
            Self::And(a, b) | Self::Or(a, b) | Self::Phrase(a, b, _) => {
                let own = self.priority();
                let parenthesised = own < around || (own == 3 && right_of_phrase);
                let parenthesised = parenthesised && around < 4;
                if parenthesised {
                    out.push_str("( ");
                }
                a.write(out, own, false);
                match self {
                    Self::And(..) => out.push_str(" & "),
                    Self::Or(..) => out.push_str(" | "),
                    Self::Phrase(_, _, 1) => out.push_str(" <-> "),
                    Self::Phrase(_, _, n) => out.push_str(&format!(" <{n}> ")),
                    _ => {}
                }
                b.write(out, own, own == 3);
                if parenthesised {
                    out.push_str(" )");
                }
            }
        }
    }
}

/// Whether a part of a phrase is made of words only.
fn plain(query: &Query) -> bool {
    match query {
        Query::Word(..) => true,
        Query::Or(a, b) | Query::Phrase(a, b, _) => plain(a) && plain(b),
        Query::And(..) | Query::Not(_) => false,
    }
}

/// Whether a part is one word or a choice of words.
fn is_choice(query: &Query) -> bool {
    match query {
        Query::Word(..) => true,
        Query::Or(a, b) => is_choice(a) && is_choice(b),
        Query::And(..) | Query::Not(_) | Query::Phrase(..) => false,
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        self.write(&mut out, 0, false);
        f.write_str(&out)
    }
}
