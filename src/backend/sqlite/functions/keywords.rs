//! PostgreSQL's key words, as drivers ask for them: JDBC's getSQLKeywords, which Hibernate calls
//! at its start.
//!
//! Owns `pg_keywords()`, the rows of `pg_get_keywords()`. The list is a data file that
//! `scripts/dump-system` writes; what a category means is said here.

use super::{Def, strict};
use crate::error::Result;
use crate::value::{Cell, array};

/// Word, category, whether it may be a label without AS.
const WORDS: &str = include_str!("data/keywords.tsv");

pub(super) const FUNCTIONS: &[Def] = &[strict("pg_keywords", 0, |_| rows())];

fn rows() -> Result<Cell> {
    let mut rows = Vec::new();
    for line in WORDS.lines() {
        let mut fields = line.split('\t');
        let (Some(word), Some(category), Some(bare)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let bare = bare == "t";
        let label = if bare { "can be bare label" } else { "requires AS" };
        let text = |text: &str| Cell::Text(text.to_owned());
        let row = [
            text(word),
            text(category),
            Cell::Integer(i64::from(bare)),
            text(meaning(category)),
            text(label),
        ];
        rows.push(Cell::Text(array::encode(row.iter().map(Cell::as_ref))?));
    }
    Ok(Cell::Text(array::encode(rows.iter().map(Cell::as_ref))?))
}

fn meaning(category: &str) -> &'static str {
    match category {
        "U" => "unreserved",
        "C" => "unreserved (cannot be function or type name)",
        "T" => "reserved (can be function or type name)",
        _ => "reserved",
    }
}
