//! Enum types: order by declaration, and the functions over a type's labels.
//!
//! The labels are those the session knows (`Style::enums`). It must never order by a
//! label's text. Start at [`position`].

use super::args::logical;
use super::{Def, lenient, session};
use crate::error::{Error, Result, state};
use crate::value::enums::EnumType;
use crate::value::{Cell, CellRef, Datum, oid};

pub(super) const FUNCTIONS: &[Def] = &[
    // pg_enum_first(type), pg_enum_last(type)
    lenient("pg_enum_first", 1, |a| {
        let ty = known(a.oid(0)?)?;
        ty.labels.first().map_or_else(|| Err(empty(&ty)), |l| Ok(Cell::Text(l.text.clone())))
    }),
    lenient("pg_enum_last", 1, |a| {
        let ty = known(a.oid(0)?)?;
        ty.labels.last().map_or_else(|| Err(empty(&ty)), |l| Ok(Cell::Text(l.text.clone())))
    }),
    // pg_enum_range(type, from, to): NULL is no bound.
    lenient("pg_enum_range", 3, |a| {
        let type_oid = a.oid(0)?;
        let ty = known(type_oid)?;
        let bound = |i: usize| -> Result<Option<usize>> {
            if a.is_null(i) { Ok(None) } else { Ok(ty.position(a.text(i)?)) }
        };
        let (from, to) = (bound(1)?, bound(2)?);
        let labels = ty.labels.iter().enumerate();
        let inside = labels
            .filter(|(i, _)| from.is_none_or(|from| *i >= from) && to.is_none_or(|to| *i <= to));
        let items = inside.map(|(_, l)| Datum::Text(l.text.clone())).collect();
        logical(&Datum::Array(type_oid, items), oid::TEXT_ARRAY)
    }),
];

fn known(type_oid: u32) -> Result<std::sync::Arc<EnumType>> {
    let session = session::current();
    session
        .style
        .enums
        .get(type_oid)
        .cloned()
        .ok_or_else(|| Error::internal("an enum type that this session does not know"))
}

fn empty(ty: &EnumType) -> Error {
    let message = format!("enum {} contains no values", ty.name);
    Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

/// A label's place in the order; what is no label comes last.
pub(super) fn position(type_oid: u32, cell: CellRef<'_>) -> Result<Cell> {
    let CellRef::Text(label) = cell else { return Ok(super::args::owned(cell)) };
    let ty = known(type_oid)?;
    let place = ty.labels.iter().position(|l| l.text.as_bytes() == label);
    Ok(Cell::Integer(place.map_or(i64::MAX, |p| p as i64)))
}
