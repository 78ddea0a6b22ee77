//! Full text search: documents, queries, and how well they match.
//!
//! Owns PostgreSQL's `simple` and `english` configurations over its default parser, the types
//! tsvector and tsquery in their text forms, ts_rank, ts_rank_cd and ts_headline. It must never give a
//! lexeme that PostgreSQL would not. Start at [`document`].

mod frequency;
mod headline;
mod query;
mod rank;
mod syntax;
mod token;
mod vector;

use std::collections::HashSet;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

pub use frequency::rank;
pub use headline::{Options, headline};
pub use query::Query;
pub use rank::rank_cd;
pub use vector::{Place, Vector};

use token::Kind;
use vector::LAST_POSITION;

/// Words longer than this are no lexemes.
const LONGEST: usize = 2047;

/// A text search configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Words in lower case.
    Simple,
    /// English: stop words go, others lose their endings.
    English,
}

impl Language {
    /// A configuration by its name.
    pub fn named(name: &str) -> Option<Self> {
        match name.strip_prefix("pg_catalog.").unwrap_or(name) {
            "simple" => Some(Self::Simple),
            "english" => Some(Self::English),
            _ => None,
        }
    }

    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::English => "english",
        }
    }

    /// The OID of its row in pg_ts_config.
    pub fn oid(self) -> u32 {
        match self {
            Self::Simple => OID_SIMPLE,
            Self::English => OID_ENGLISH,
        }
    }

    /// By the OID of its row in pg_ts_config.
    pub fn by_oid(oid: u32) -> Option<Self> {
        match oid {
            OID_SIMPLE => Some(Self::Simple),
            OID_ENGLISH => Some(Self::English),
            _ => None,
        }
    }
}

/// `simple` in pg_ts_config.
const OID_SIMPLE: u32 = 3748;
/// `english` in pg_ts_config, as the catalog shows it.
const OID_ENGLISH: u32 = 13_164;

static STOP_WORDS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("data/english.stop").lines().collect());

static STEMMER: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));

/// The words of a text with their positions; None for stop words, which keep theirs.
pub(super) fn lexemes_of(language: Language, text: &str) -> Vec<(u16, Option<String>)> {
    let tokens = token::tokens(text);
    numbered(language, &tokens).into_iter().flatten().collect()
}

/// Position and lexeme of each token; None for what is no word.
fn numbered(language: Language, tokens: &[token::Token<'_>]) -> Vec<Option<(u16, Option<String>)>> {
    let mut position = 0_u16;
    let mut out = Vec::with_capacity(tokens.len());
    for (kind, token) in tokens {
        if token.len() >= LONGEST || matches!(kind, Kind::Tag | Kind::Ignored) {
            out.push(None);
            continue;
        }
        position = position.saturating_add(1).min(LAST_POSITION);
        let lower: String = token.chars().flat_map(lower).collect();
        let stemmed =
            language == Language::English && matches!(kind, Kind::Word | Kind::Compound(true));
        let word = match stemmed {
            true if STOP_WORDS.contains(lower.as_str()) => None,
            true => Some(STEMMER.stem(&lower).into_owned()),
            false => Some(lower),
        };
        out.push(Some((position, word)));
    }
    out
}

/// Lower case as towlower gives it: one character for one.
fn lower(c: char) -> impl Iterator<Item = char> {
    let mut mapped = c.to_lowercase();
    let one = match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    };
    std::iter::once(one)
}

/// to_tsvector
pub fn document(language: Language, text: &str) -> Vector {
    Vector::collect(lexemes_of(language, text).into_iter().filter_map(|(position, word)| {
        word.map(|word| (word, vec![Place { position, weight: 0 }]))
    }))
}
