//! Rows as values: making them and taking them apart.

use super::args::{Args, owned};
use super::{Def, lenient, session, strict};
use crate::error::{Error, Result};
use crate::value::{Cell, Type, composite, oid, text};

pub(super) const FUNCTIONS: &[Def] = &[
    // Fields, each followed by its type's OID.
    lenient("pg_record", -1, |a| {
        let fields = (0..a.len() / 2).map(|i| Ok((a.oid(2 * i + 1)?, owned(a.cell(2 * i)))));
        composite::encode(&fields.collect::<Result<Vec<_>>>()?).map(Cell::Text)
    }),
    strict("pg_record_text", 1, |a| {
        let row = a.datum(0, oid::RECORD)?;
        let mut out = Vec::new();
        text::format(&row, Type::new(oid::RECORD), &session::current().style, &mut out);
        Ok(Cell::Text(String::from_utf8_lossy(&out).into_owned()))
    }),
    // A field by its place, counted from 0.
    strict("pg_record_get", 2, get),
];

fn get(a: &Args<'_>) -> Result<Cell> {
    let place = usize::try_from(a.int(1)?).unwrap_or(usize::MAX);
    match composite::decode(a.text(0)?)?.into_iter().nth(place) {
        // A row keeps the blanks; the logical cell has none.
        Some((oid::BPCHAR, Cell::Text(text))) => {
            Ok(Cell::Text(text.trim_end_matches(' ').to_owned()))
        }
        Some((_, cell)) => Ok(cell),
        None => Err(Error::internal("a row without the field asked for")),
    }
}
