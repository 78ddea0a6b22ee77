//! Trigrams: how alike two texts are, as pg_trgm counts it.
//!
//! Words are runs of letters and digits, in small letters, with two blanks before and one
//! behind. Start at [`similarity`] and [`word_similarity`].

use std::collections::BTreeSet;

type Trigram = [char; 3];

/// A trigram with its place in the text.
#[derive(Clone, Copy)]
struct Placed {
    trigram: Trigram,
    /// The first of a word.
    first: bool,
    /// The last of a word.
    last: bool,
}

fn placed(text: &str) -> Vec<Placed> {
    let mut found = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let mut padded = vec![' ', ' '];
        padded.extend(word.chars().flat_map(char::to_lowercase));
        padded.push(' ');
        let last = padded.len() - 3;
        found.extend(padded.windows(3).enumerate().map(|(at, window)| Placed {
            trigram: [window[0], window[1], window[2]],
            first: at == 0,
            last: at == last,
        }));
    }
    found
}

/// The different trigrams of a text, in no order that PostgreSQL knows.
fn set(text: &str) -> BTreeSet<Trigram> {
    placed(text).into_iter().map(|p| p.trigram).collect()
}

/// The share of `both` in all.
fn share(both: usize, one: usize, other: usize) -> f32 {
    both as f32 / (one + other - both) as f32
}

/// similarity(): the share of trigrams that both texts have.
pub fn similarity(a: &str, b: &str) -> f32 {
    let (a, b) = (set(a), set(b));
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    share(a.intersection(&b).count(), a.len(), b.len())
}

/// word_similarity(): the greatest similarity of the first text with a stretch of the second;
/// strictly, with a stretch of whole words.
pub fn word_similarity(a: &str, b: &str, strict: bool) -> f32 {
    let wanted = set(a);
    let places = placed(b);
    // Each trigram of the second text by number, and which numbers the first text has.
    let numbers: Vec<Trigram> =
        places.iter().map(|p| p.trigram).collect::<BTreeSet<_>>().into_iter().collect();
    let number = |trigram: &Trigram| numbers.binary_search(trigram).unwrap_or(0);
    let indexes: Vec<usize> = places.iter().map(|p| number(&p.trigram)).collect();
    let found: Vec<bool> = numbers.iter().map(|trigram| wanted.contains(trigram)).collect();
    let mut stretch = Stretch {
        places: &places,
        indexes: &indexes,
        found: &found,
        wanted: wanted.len(),
        strict,
        last: vec![None; numbers.len()],
        // A strict stretch begins with the text, another one with the first trigram in common.
        lower: strict.then_some(0),
        distinct: 0,
        common: 0,
    };
    (0..indexes.len()).fold(0.0, |most: f32, at| most.max(stretch.reach(at)))
}

/// The stretch of the second text that is looked at.
struct Stretch<'a> {
    places: &'a [Placed],
    indexes: &'a [usize],
    found: &'a [bool],
    wanted: usize,
    strict: bool,
    /// Where each trigram was met last.
    last: Vec<Option<usize>>,
    lower: Option<usize>,
    /// Different trigrams of the stretch, and how many of them the first text has.
    distinct: usize,
    common: usize,
}

impl Stretch<'_> {
    /// Takes one more trigram; the greatest similarity of a stretch that ends with it, 0 where
    /// none may.
    fn reach(&mut self, at: usize) -> f32 {
        let index = self.indexes[at];
        if self.lower.is_some() || self.found[index] {
            if self.last[index].is_none() {
                self.distinct += 1;
                self.common += usize::from(self.found[index]);
            }
            self.last[index] = Some(at);
        }
        let ends = if self.strict { self.places[at].last } else { self.found[index] };
        if !ends {
            return 0.0;
        }
        let lower = match self.lower {
            Some(lower) => lower,
            None => {
                self.distinct = 1;
                self.lower = Some(at);
                at
            }
        };
        let mut best = share(self.common, self.wanted, self.distinct);
        // A shorter stretch may be more alike.
        let (mut common, mut distinct) = (self.common, self.distinct);
        let mut begin = lower;
        for start in lower..=at {
            if !self.strict || self.places[start].first {
                let other = share(common, self.wanted, distinct);
                if other > best {
                    (best, begin) = (other, start);
                    (self.common, self.distinct) = (common, distinct);
                }
            }
            let index = self.indexes[start];
            if self.last[index] == Some(start) {
                distinct -= 1;
                common -= usize::from(self.found[index]);
            }
        }
        self.lower = Some(begin);
        for start in lower..begin {
            let index = self.indexes[start];
            if self.last[index] == Some(start) {
                self.last[index] = None;
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_as_alike_as_pg_trgm_says() {
        assert_eq!(similarity("word", "two words"), 0.363_636_37);
        assert_eq!(similarity("", "x"), 0.0);
        assert_eq!(word_similarity("word", "two words", false), 0.8);
        assert_eq!(word_similarity("word", "two words", true), 0.571_428_6);
        assert_eq!(word_similarity("x", "", false), 0.0);
    }
}
