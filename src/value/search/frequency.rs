//! ts_rank: how often the words of a query stand in a document, and how near to each other.
//!
//! Numbers are rounded where PostgreSQL rounds them.

use super::query::Query;
use super::rank::gather;
use super::vector::{Place, Vector};

/// Where a lexeme without positions stands: behind all others, with the lowest weight.
const NOWHERE: Place = Place { position: 16_383, weight: 0 };
/// The distance of two lexemes of which nobody knows one.
const FAR: i32 = 16_384;

/// ts_rank with the weights of D, C, B, A and normalisation flags.
pub fn rank(weights: [f32; 4], document: &Vector, query: &Query, flags: i64) -> f32 {
    if document.lexemes.is_empty() {
        return 0.0;
    }
    let mut words = Vec::new();
    gather(query, &mut words);
    // Each word once, sorted by bytes.
    words.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    words.dedup_by(|a, b| a.0 == b.0);
    let all: Vec<Vec<&[Place]>> =
        words.iter().map(|(word, prefix, _)| entries(document, word, *prefix)).collect();
    let together = matches!(query, Query::And(..) | Query::Phrase(..)) && words.len() > 1;
    let mut total = match together {
        true => nearness(weights, &all),
        false => frequency(weights, &all),
    };
    if total < 0.0 {
        total = 1e-20;
    }
    let length: usize = document.lexemes.iter().map(|(_, places)| places.len().max(1)).sum();
    let unique = document.lexemes.len();
    let divided = |total: f32, by: f64| (f64::from(total) / by) as f32;
    if flags & 1 != 0 && unique > 0 {
        total = divided(total, (length as f64 + 1.0).ln() / 2.0_f64.ln());
    }
    if flags & 2 != 0 && length > 0 {
        total /= length as f32;
    }
    if flags & 8 != 0 && unique > 0 {
        total /= unique as f32;
    }
    if flags & 16 != 0 && unique > 0 {
        total = divided(total, (unique as f64 + 1.0).ln() / 2.0_f64.ln());
    }
    if flags & 32 != 0 {
        total /= total + 1.0;
    }
    total
}

/// The places of each lexeme that a word of the query means.
fn entries<'a>(document: &'a Vector, word: &str, prefix: bool) -> Vec<&'a [Place]> {
    let meant = |text: &String| if prefix { text.starts_with(word) } else { text == word };
    let found = document.lexemes.iter().filter(|(text, _)| meant(text));
    found
        .map(|(_, places)| match places.is_empty() {
            true => std::slice::from_ref(&NOWHERE),
            false => places.as_slice(),
        })
        .collect()
}

fn weight(weights: [f32; 4], place: &Place) -> f32 {
    weights[usize::from(place.weight.min(3))]
}

fn frequency(weights: [f32; 4], all: &[Vec<&[Place]>]) -> f32 {
    // The limit of the sum of 1/i².
    const LIMIT: f64 = 1.644_934_066_85;
    let mut total = 0.0_f32;
    for places in all.iter().flatten() {
        let (mut sum, mut most, mut most_at) = (0.0_f32, -1.0_f32, 0);
        for (at, place) in places.iter().enumerate() {
            let own = weight(weights, place);
            sum += own / ((at + 1) * (at + 1)) as f32;
            if own > most {
                (most, most_at) = (own, at);
            }
        }
        let share = most + sum - most / ((most_at + 1) * (most_at + 1)) as f32;
        total = (f64::from(total) + f64::from(share) / LIMIT) as f32;
    }
    if all.is_empty() { total } else { total / all.len() as f32 }
}

/// How much two words a distance apart count.
fn closeness(distance: i32) -> f32 {
    if distance > 100 {
        return 1e-30;
    }
    (1.0 / (1.005 + 0.05 * (f64::from(distance as f32) / 1.5 - 2.0).exp())) as f32
}

fn nearness(weights: [f32; 4], all: &[Vec<&[Place]>]) -> f32 {
    let mut total = -1.0_f32;
    // Of a word that means several lexemes the last one stands for all to the words behind.
    let mut before: Vec<&[Place]> = Vec::new();
    for entries in all {
        for here in entries {
            for there in &before {
                for place in *here {
                    for other in *there {
                        let mut distance =
                            (i32::from(place.position) - i32::from(other.position)).abs();
                        let unknown = here[0] == NOWHERE || there[0] == NOWHERE;
                        if distance == 0 && !unknown {
                            continue;
                        }
                        if distance == 0 {
                            distance = FAR;
                        }
                        let both = weight(weights, place) * weight(weights, other);
                        let own = f64::from(both * closeness(distance)).sqrt() as f32;
                        total = match total < 0.0 {
                            true => own,
                            false => {
                                let rest = (1.0 - f64::from(total)) * (1.0 - f64::from(own));
                                (1.0 - rest) as f32
                            }
                        };
                    }
                }
            }
        }
        before.extend(entries.last());
    }
    total
}
