//! ts_rank_cd: how near to each other the words of a query stand in a document.

use std::collections::HashSet;

use super::query::Query;
use super::vector::{Place, Vector};
use crate::error::{Error, Result};

/// One occurrence: where, and which words of the query it is.
struct Occurrence {
    place: Place,
    lexeme: usize,
    words: Vec<usize>,
}

/// A stretch of the document in which the query holds.
struct Cover {
    begin: usize,
    end: usize,
    first: i32,
    last: i32,
}

/// ts_rank_cd with the weights of D, C, B, A and normalisation flags.
///
/// # Errors
/// 0A000 for a phrase of more than words.
pub fn rank_cd(weights: [f32; 4], document: &Vector, query: &Query, flags: i64) -> Result<f32> {
    if !query.has_plain_phrases() {
        return Err(Error::unsupported("this phrase in a text search"));
    }
    let inverse = weights.map(|w| 1.0 / f64::from(w));
    let mut words = Vec::new();
    gather(query, &mut words);
    let occurrences = occurrences(document, &words);
    let (mut total, mut distances) = (0.0_f64, 0.0_f64);
    let (mut covers, mut former) = (0_u32, 0.0_f64);
    let mut from = 0;
    while let Some(cover) = next_cover(&occurrences, query, &words, &mut from) {
        let inside = &occurrences[cover.begin..=cover.end];
        let sum: f64 = inside.iter().map(|o| inverse[usize::from(o.place.weight.min(3))]).sum();
        let density = inside.len() as f64 / sum;
        let steps = (cover.end - cover.begin) as i32;
        let noise = match (cover.last - cover.first) - steps {
            n if n < 0 => steps / 2,
            n => n,
        };
        total += density / f64::from(1 + noise);
        let middle = f64::from(cover.last + cover.first) / 2.0;
        if covers > 0 && middle > former {
            distances += 1.0 / (middle - former);
        }
        former = middle;
        covers += 1;
    }
    let length: usize = document.lexemes.iter().map(|(_, p)| p.len().max(1)).sum();
    let unique = document.lexemes.len() as f64;
    if flags & 1 != 0 && unique > 0.0 {
        total /= (length as f64 + 1.0).ln();
    }
    if flags & 2 != 0 && length > 0 {
        total /= length as f64;
    }
    if flags & 4 != 0 && covers > 0 && distances > 0.0 {
        total /= f64::from(covers) / distances;
    }
    if flags & 8 != 0 && unique > 0.0 {
        total /= unique;
    }
    if flags & 16 != 0 && unique > 0.0 {
        total /= (unique + 1.0).ln() / 2.0_f64.ln();
    }
    if flags & 32 != 0 {
        total /= total + 1.0;
    }
    Ok(total as f32)
}

/// The words of a query, in order.
pub(super) fn gather<'q>(query: &'q Query, out: &mut Vec<(&'q str, bool, u8)>) {
    match query {
        Query::Word(word, prefix, weights) => out.push((word, *prefix, *weights)),
        Query::Not(inner) => gather(inner, out),
        Query::And(a, b) | Query::Or(a, b) | Query::Phrase(a, b, _) => {
            gather(a, out);
            gather(b, out);
        }
    }
}

fn occurrences(document: &Vector, words: &[(&str, bool, u8)]) -> Vec<Occurrence> {
    let mut all: Vec<Occurrence> = Vec::new();
    for (lexeme, (text, places)) in document.lexemes.iter().enumerate() {
        let here: Vec<(usize, u8)> = words
            .iter()
            .enumerate()
            .filter(
                |(_, (word, prefix, _))| {
                    if *prefix { text.starts_with(word) } else { text == word }
                },
            )
            .map(|(i, (.., weights))| (i, *weights))
            .collect();
        if here.is_empty() {
            continue;
        }
        // A lexeme without positions has no place in a cover.
        for place in places {
            let words: Vec<usize> = here
                .iter()
                .filter(|(_, weights)| *weights == 0 || weights >> place.weight & 1 == 1)
                .map(|(i, _)| *i)
                .collect();
            if !words.is_empty() {
                all.push(Occurrence { place: *place, lexeme, words });
            }
        }
    }
    all.sort_by_key(|o| (o.place.position, o.place.weight, o.lexeme));
    all
}

/// The next shortest stretch at or behind `from`, which moves past its beginning.
fn next_cover(
    all: &[Occurrence],
    query: &Query,
    words: &[(&str, bool, u8)],
    from: &mut usize,
) -> Option<Cover> {
    loop {
        let mut seen = Seen::new(words.len());
        let end = (*from..all.len()).find(|i| {
            seen.add(&all[*i].words, all[*i].place.position);
            seen.satisfy(query)
        })?;
        let mut seen = Seen::new(words.len());
        let begin = (*from..=end).rev().find(|i| {
            seen.add(&all[*i].words, all[*i].place.position);
            seen.satisfy(query)
        });
        let Some(begin) = begin else {
            *from += 1;
            continue;
        };
        *from = begin + 1;
        let at = |i: usize| i32::from(all[i].place.position);
        return Some(Cover { begin, end, first: at(begin), last: at(end) });
    }
}

/// Which words have occurred, and where.
pub(super) struct Seen {
    places: Vec<HashSet<u16>>,
}

impl Seen {
    pub(super) fn new(words: usize) -> Self {
        Self { places: vec![HashSet::new(); words] }
    }

    pub(super) fn add(&mut self, words: &[usize], position: u16) {
        for word in words {
            self.places[*word].insert(position);
        }
    }

    pub(super) fn satisfy(&self, query: &Query) -> bool {
        let mut next = 0;
        self.holds(query, &mut next)
    }

    /// Words are numbered in the order in which they are gathered.
    fn holds(&self, query: &Query, next: &mut usize) -> bool {
        match query {
            Query::Word(..) => {
                *next += 1;
                self.places.get(*next - 1).is_some_and(|p| !p.is_empty())
            }
            Query::Not(inner) => !self.holds(inner, next),
            Query::And(a, b) => {
                let (a, b) = (self.holds(a, next), self.holds(b, next));
                a && b
            }
            Query::Or(a, b) => {
                let (a, b) = (self.holds(a, next), self.holds(b, next));
                a || b
            }
            Query::Phrase(..) => !self.ends(query, next).is_empty(),
        }
    }

    fn ends(&self, query: &Query, next: &mut usize) -> HashSet<u16> {
        match query {
            Query::Word(..) => {
                *next += 1;
                self.places.get(*next - 1).cloned().unwrap_or_default()
            }
            Query::Or(a, b) => {
                let mut ends = self.ends(a, next);
                ends.extend(self.ends(b, next));
                ends
            }
            Query::Phrase(a, b, distance) => {
                let firsts = self.ends(a, next);
                let mut ends = self.ends(b, next);
                ends.retain(|end| end.checked_sub(*distance).is_some_and(|f| firsts.contains(&f)));
                ends
            }
            // Not in a plain phrase.
            Query::And(..) | Query::Not(_) => HashSet::new(),
        }
    }
}
