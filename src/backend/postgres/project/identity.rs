//! What names a row: the key that SQLite stores, and how far PostgreSQL's tells rows apart by it.
//!
//! Two stored keys may be one to PostgreSQL: as a value (`7` and `007` in a column of integers, one
//! uuid or moment in two spellings), or under its unique index (citext, a collation under which
//! letters of both cases are equal). So a projected key alone names a row only where
//! [`Projection::key_is_exact`] and its stored form is the usual one; everywhere else the stored key
//! goes with it. Quarantine, applier, verify and repair ask here. It must never let one row stand
//! for another. Start at [`Projection::owns_its_key`].

use super::convert::{convert, is_one_to_one};
use super::{Projected, Projection, Target};
use crate::backend::postgres::apply::quoted;
use crate::value::{Cell, CellRef, Codec, Datum, oid, storage};

/// How PostgreSQL's column and its unique indexes compare texts that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fold {
    No,
    /// citext: to itself it is another text only as plain text.
    Caseless,
    /// A collation that is not deterministic, of the column or of an index.
    Collated,
}

impl Projection {
    /// Whether keys that differ here differ on PostgreSQL: not where a key's values come in several
    /// spellings, or PostgreSQL takes different ones for the same.
    pub fn key_is_exact(&self) -> bool {
        self.key.iter().flatten().all(|i| self.columns[*i].is_exact())
    }

    /// Whether no two stored keys can be one on PostgreSQL, whatever the file holds: by this alone
    /// rows are told apart where PostgreSQL has no unique index over the key, as where it refused one
    /// because two spellings are one value to it.
    pub(super) fn key_is_certain(&self) -> bool {
        self.key_is_exact() && self.key.iter().flatten().all(|i| self.columns[*i].has_one_form())
    }

    /// Whether a row's key is stored in another form than the usual one of its values: another row
    /// may have the same ones.
    pub fn is_spelled<'a>(
        &self,
        cell: impl Fn(usize) -> CellRef<'a>,
        projected: &Projected,
    ) -> bool {
        let key = self.named_by.iter().flatten();
        key.copied().any(|i| self.columns[i].is_spelled(cell(i), &projected.values[i]))
    }

    /// Whether no other row of SQLite can have a row's key on PostgreSQL: what is there under it may
    /// be written over.
    pub fn owns_its_key<'a>(
        &self,
        cell: impl Fn(usize) -> CellRef<'a>,
        projected: &Projected,
    ) -> bool {
        self.key_is_exact() && !self.is_spelled(cell, projected)
    }

    /// The values PostgreSQL has for a stored key; None where it has none for it.
    pub fn key_of(&self, stored: &[Cell]) -> Option<Vec<Datum>> {
        let value = |(i, cell): (&usize, &Cell)| {
            let value = self.columns[*i].value(cell.as_ref()).ok();
            value.filter(|value| !value.is_null())
        };
        self.key.as_ref()?.iter().zip(stored).map(value).collect()
    }

    /// Whether no other row of SQLite can have the values of a stored key on PostgreSQL.
    pub fn owns(&self, stored: &[Cell], values: &[Datum]) -> bool {
        let mut key = self.named_by.iter().flatten().zip(stored).zip(values);
        self.key_is_exact()
            && !key.any(|((i, cell), value)| self.columns[*i].is_spelled(cell.as_ref(), value))
    }

    /// Whether rows are told apart by one column that holds integers on both sides, in the same
    /// order.
    pub fn counts_by_key(&self) -> bool {
        let Some([only]) = self.key.as_deref() else { return false };
        let column = &self.columns[*only];
        let integer = |ty: u32| matches!(ty, oid::INT2 | oid::INT4 | oid::INT8);
        let there = integer(column.ty.oid) || column.ty.oid == oid::NUMERIC;
        column.codec == Codec::Identity && integer(column.stored.oid) && there
    }
}

impl Target {
    /// Whether different stored values are different ones to PostgreSQL.
    fn is_exact(&self) -> bool {
        self.codec.preserves_equality(self.stored)
            && is_one_to_one(self.stored.oid, self.ty.oid)
            && self.fold() == Fold::No
    }

    /// Whether no value of the column can be stored in two forms.
    fn has_one_form(&self) -> bool {
        // Of a scale that is declared, digits beyond it are not looked at.
        let number = self.codec == Codec::NumericNative && self.stored.precision_scale().is_none();
        number || self.codec.has_one_form(self.stored)
    }

    /// Whether a cell is another one than what its value would be stored as.
    pub(super) fn is_spelled(&self, cell: CellRef<'_>, value: &Datum) -> bool {
        if let (Codec::Identity, CellRef::Integer(_), Datum::Int(_)) = (self.codec, cell, value) {
            return false;
        }
        let usual = convert(value.clone(), self.ty, self.stored)
            .and_then(|value| storage::encode(self.codec, self.stored, &value));
        usual.map_or(true, |usual| !is_same(usual.as_ref(), cell))
    }

    fn fold(&self) -> Fold {
        match () {
            () if self.ty.oid == oid::CITEXT && self.stored.oid != oid::CITEXT => Fold::Caseless,
            () if self.collated => Fold::Collated,
            () => Fold::No,
        }
    }

    /// Finds rows by the column as part of a key: `=`, which finds its index.
    pub fn key_term(&self, parameter: usize) -> String {
        let name = quoted(&self.name);
        match self.fold() {
            Fold::No => format!("{name} = ${parameter}"),
            Fold::Caseless => {
                format!("{name} = ${parameter} AND {name}::text = ${parameter}::text")
            }
            Fold::Collated => format!(
                "{name} = ${parameter} AND {name}::text COLLATE \"C\" = ${parameter}::text COLLATE \"C\""
            ),
        }
    }
}

/// Whether SQLite takes one cell for the other.
#[allow(clippy::cast_precision_loss, clippy::float_cmp)]
fn is_same(a: CellRef<'_>, b: CellRef<'_>) -> bool {
    match (a, b) {
        (CellRef::Integer(i), CellRef::Real(r)) | (CellRef::Real(r), CellRef::Integer(i)) => {
            i as f64 == r
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::postgres::project::Actual;
    use crate::schema::{Column, Relation, RelationKind};
    use crate::value::Type;

    fn projection(ours: u32, theirs: u32, unique: bool, collated: bool) -> Projection {
        let mut relation = Relation::new(1, "t", RelationKind::Table);
        relation.columns = vec![Column::new(1, "id", Type::new(ours))];
        relation.primary_key = Some(vec![0]);
        let actual = Actual {
            name: "id".into(),
            ty: Type::new(theirs),
            not_null: true,
            apart: None,
            partitions: false,
            uniques: if unique { vec![(1, 1)] } else { Vec::new() },
            collated,
        };
        Projection::over(&Arc::new(relation), &[actual])
    }

    #[test]
    fn keys_are_exact_where_every_value_has_one_spelling() {
        for (ours, theirs, wanted) in [
            (oid::INT8, oid::NUMERIC, true),
            (oid::INT8, oid::FLOAT8, true),
            (oid::INT8, oid::TEXT, true),
            (oid::BOOL, oid::INT2, true),
            (oid::FLOAT8, oid::NUMERIC, true),
            (oid::TEXT, oid::BPCHAR, true),
            (oid::TEXT, oid::BYTEA, true),
            (oid::TEXT, oid::UUID, false),
            (oid::TEXT, oid::INT4, false),
            (oid::TEXT, oid::TIMESTAMPTZ, false),
            (oid::BYTEA, oid::UUID, false),
        ] {
            let made = projection(ours, theirs, true, false);
            assert_eq!(
                (made.key.is_some(), made.key_is_exact()),
                (true, wanted),
                "{ours} {theirs}"
            );
            // PostgreSQL holds as many rows of one key as come.
            assert_eq!(projection(ours, theirs, false, false).key.is_some(), wanted);
        }
        assert!(!projection(oid::TEXT, oid::TEXT, true, true).key_is_exact());
    }

    #[test]
    fn without_a_unique_index_only_what_has_one_form_names_a_row() {
        for (ty, wanted) in [
            (oid::INT8, true),
            (oid::BOOL, true),
            (oid::TEXT, true),
            (oid::FLOAT8, true),
            (oid::BYTEA, true),
            (oid::FLOAT4, false),
            (oid::BPCHAR, false),
            (oid::UUID, false),
            (oid::DATE, false),
            (oid::TIMESTAMP, false),
            (oid::INET, false),
            (oid::MACADDR, false),
        ] {
            assert!(projection(ty, ty, true, false).key.is_some(), "{ty}");
            assert_eq!(projection(ty, ty, false, false).key.is_some(), wanted, "{ty}");
        }
    }

    #[test]
    fn the_usual_spelling_is_the_one_that_values_come_back_in() {
        let spelled = |ours, theirs, cell: CellRef<'static>| {
            let made = projection(ours, theirs, true, false);
            let projected = made.project(|_| cell);
            assert!(projected.misfits.is_empty(), "{cell:?}");
            made.is_spelled(|_| cell, &projected)
        };
        assert!(!spelled(oid::TEXT, oid::INT4, CellRef::Text(b"7")));
        assert!(spelled(oid::TEXT, oid::INT4, CellRef::Text(b"007")));
        assert!(!spelled(oid::FLOAT8, oid::NUMERIC, CellRef::Integer(2)));
        assert!(spelled(oid::TIMESTAMP, oid::TIMESTAMP, CellRef::Text(b"2024-01-02T03:04:05")));
        assert!(!spelled(oid::TIMESTAMP, oid::TIMESTAMP, CellRef::Text(b"2024-01-02 03:04:05")));
        assert!(spelled(oid::INET, oid::INET, CellRef::Text(b"10.0.0.1/32")));
        assert!(!spelled(oid::INET, oid::INET, CellRef::Text(b"10.0.0.1")));
        assert!(spelled(oid::MACADDR, oid::MACADDR, CellRef::Text(b"08002b010203")));
        assert!(spelled(oid::BYTEA, oid::UUID, CellRef::Blob(b"550e8400e29b41d4a716446655440000")));
    }
}
