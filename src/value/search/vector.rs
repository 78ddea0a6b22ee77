//! tsvector: lexemes with their positions and weights.
//!
//! Owns the text form both ways, and the order of lexemes. Start at [`Vector::parse`].

use super::syntax::{Scanner, push_lexeme};
use crate::error::{Error, Result, state};

/// Positions a lexeme keeps.
const MOST_POSITIONS: usize = 255;
/// The highest position; later words all have it.
pub(super) const LAST_POSITION: u16 = 16_383;

/// A place of a lexeme: its position and its weight (3: A … 0: D).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// 1-based.
    pub position: u16,
    /// 0 (D) to 3 (A).
    pub weight: u8,
}

/// A document: lexemes in order, each with its places in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vector {
    /// Lexemes, sorted by bytes.
    pub lexemes: Vec<(String, Vec<Place>)>,
}

impl Vector {
    /// From words in any order; equal ones are put together.
    pub fn collect(words: impl IntoIterator<Item = (String, Vec<Place>)>) -> Self {
        let mut all: Vec<(String, Vec<Place>)> = words.into_iter().collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let mut lexemes: Vec<(String, Vec<Place>)> = Vec::with_capacity(all.len());
        for (word, places) in all {
            match lexemes.last_mut() {
                Some((last, known)) if *last == word => known.extend(places),
                _ => lexemes.push((word, places)),
            }
        }
        for (_, places) in &mut lexemes {
            // Of two weights at one position the higher counts.
            places.sort_by(|a, b| a.position.cmp(&b.position).then(b.weight.cmp(&a.weight)));
            places.dedup_by(|later, kept| later.position == kept.position);
            places.truncate(MOST_POSITIONS);
        }
        Self { lexemes }
    }

    /// The input of type tsvector.
    ///
    /// # Errors
    /// 42601 for text that is none.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong =
            || Error::client(state::SYNTAX_ERROR, format!("syntax error in tsvector: \"{text}\""));
        let mut scanner = Scanner::new(text);
        let mut words = Vec::new();
        while let Some(word) = scanner.word(&[':'], true).ok_or_else(wrong)? {
            if word.is_empty() {
                return Err(wrong());
            }
            let mut places = Vec::new();
            if scanner.take(':') {
                loop {
                    let position = scanner.number().ok_or_else(wrong)?;
                    if position == 0 {
                        return Err(Error::client(
                            state::SYNTAX_ERROR,
                            format!("wrong position info in tsvector: \"{text}\""),
                        ));
                    }
                    let position = u16::try_from(position).unwrap_or(u16::MAX).min(LAST_POSITION);
                    let weight = scanner.weight().unwrap_or(0);
                    places.push(Place { position, weight });
                    if !scanner.take(',') {
                        break;
                    }
                }
                if !scanner.at_blank() {
                    return Err(wrong());
                }
            }
            words.push((word, places));
        }
        Ok(Self::collect(words))
    }

    /// `a || b`: the positions of b follow those of a.
    #[must_use]
    pub fn concat(&self, other: &Self) -> Self {
        let last = self.lexemes.iter().flat_map(|(_, p)| p).map(|p| p.position).max().unwrap_or(0);
        let moved = other.lexemes.iter().map(|(word, places)| {
            let places = places
                .iter()
                .map(|p| Place {
                    position: p.position.saturating_add(last).min(LAST_POSITION),
                    ..*p
                })
                .collect();
            (word.clone(), places)
        });
        Self::collect(self.lexemes.iter().cloned().chain(moved))
    }

    /// Every place with another weight.
    #[must_use]
    pub fn weighted(mut self, weight: u8) -> Self {
        for place in self.lexemes.iter_mut().flat_map(|(_, p)| p) {
            place.weight = weight;
        }
        self
    }

    /// Without positions.
    #[must_use]
    pub fn stripped(mut self) -> Self {
        self.lexemes.iter_mut().for_each(|(_, p)| p.clear());
        self
    }
}

impl std::fmt::Display for Vector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        for (i, (word, places)) in self.lexemes.iter().enumerate() {
            if i > 0 {
                out.push(' ');
            }
            push_lexeme(word, &mut out);
            for (n, place) in places.iter().enumerate() {
                out.push(if n == 0 { ':' } else { ',' });
                out.push_str(&place.position.to_string());
                if place.weight > 0 {
                    out.push(['D', 'C', 'B', 'A'][usize::from(place.weight.min(3))]);
                }
            }
        }
        f.write_str(&out)
    }
}
