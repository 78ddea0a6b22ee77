//! From what SQLite stores to what PostgreSQL's column holds, one row at a time.
//!
//! Owns the rule that decides which values PostgreSQL cannot hold and what its row has
//! instead: NULL where the column allows it, else no row at all. Backfill, applier, verify
//! and repair all come through here, so they never disagree. It must never change a value
//! without saying so. Start at [`Projection::project`].

mod convert;
mod identity;
mod quick;

use std::borrow::Cow;
use std::sync::Arc;

use crate::schema::{Codec, Relation};
use crate::value::composite::{element_numbered_apart, is_made};
use crate::value::enums::{self, array_of_enum};
use crate::value::extension::is_extended;
use crate::value::{
    CellRef, Datum, Type, canonical, coerce, element_of, is_composite, is_enum, is_range, json,
    oid, storage,
};

use convert::convert;
pub use convert::{back, is_apart, is_same};
pub use quick::Quick;

/// One column on PostgreSQL.
#[derive(Clone, Debug)]
pub struct Target {
    /// Index into the relation's columns.
    pub index: usize,
    /// Name.
    pub name: String,
    /// PostgreSQL's type of the column.
    pub ty: Type,
    /// NOT NULL on PostgreSQL.
    pub not_null: bool,
    /// GENERATED: read for comparison, never written.
    pub generated: bool,
    codec: Codec,
    stored: Type,
    /// Letter case or the like does not count on PostgreSQL: its collation says so.
    collated: bool,
    /// Labels of PostgreSQL's enum type, when it is one.
    labels: Option<Arc<[String]>>,
}

/// A column as PostgreSQL has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actual {
    /// Name.
    pub name: String,
    /// Type with modifier.
    pub ty: Type,
    /// NOT NULL.
    pub not_null: bool,
    /// The enum or composite type, or the extension's, of the column or of its elements.
    pub apart: Option<Apart>,
    /// The table is partitioned by it: every unique index has it.
    pub partitions: bool,
    /// Unique indexes over it, and over how many columns each one is.
    pub uniques: Vec<(u32, usize)>,
    /// It, or a unique index over it, has a collation that is not deterministic.
    pub collated: bool,
}

/// A type whose OID PostgreSQL chose when the type was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Its OID there.
    pub oid: u32,
    /// The column is an array of it.
    pub array: bool,
    /// Ours for it: citext, hstore; None for an enum or composite type.
    pub extension: Option<u32>,
    /// A composite type.
    pub composite: bool,
    /// An enum type's labels.
    pub labels: Arc<[String]>,
}

/// How the rows of one table become PostgreSQL's.
#[derive(Clone, Debug)]
pub struct Projection {
    /// The table.
    pub relation: Arc<Relation>,
    /// Columns, in the relation's order.
    pub columns: Vec<Target>,
    /// The key, as indexes into `columns`; None when rows cannot be told apart on PostgreSQL.
    pub key: Option<Vec<usize>>,
    /// SQLite's key, as indexes into `columns`: it names a row whatever PostgreSQL has.
    pub named_by: Option<Vec<usize>>,
    /// The columns of PostgreSQL's unique index over the key: the key, and what the table is
    /// partitioned by. None where PostgreSQL has no such index.
    pub arbiter: Option<Vec<usize>>,
    /// Where a row lies says `tableoid` as well as `ctid`, and only for rows that are read.
    pub partitioned: bool,
}

/// A value that PostgreSQL cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Index into `Projection::columns`.
    pub column: usize,
    /// Why, without the value.
    pub reason: String,
}

/// A row as PostgreSQL should hold it.
#[derive(Clone, Debug, PartialEq)]
pub struct Projected {
    /// One value per column of the projection; NULL for misfits.
    pub values: Vec<Datum>,
    /// Values replaced by NULL.
    pub misfits: Vec<Misfit>,
    /// Values stored in another form, changed as the configuration says: indexes into
    /// `Projection::columns`.
    pub coerced: Vec<usize>,
    /// A misfit's column takes no NULL: the row cannot be on PostgreSQL.
    pub left_out: bool,
}

impl Projection {
    /// For a table whose columns on PostgreSQL are those of the catalog.
    pub fn new(relation: &Arc<Relation>) -> Self {
        Self::over(relation, &[])
    }

    /// For a table as PostgreSQL has it; columns not named in `actual` are taken from the
    /// catalog, but for generated ones: what PostgreSQL cannot compute it has not.
    pub fn over(relation: &Arc<Relation>, actual: &[Actual]) -> Self {
        let there = |name: &str| actual.iter().find(|a| a.name == name);
        let key = relation.key();
        let carried = |index: usize| {
            let column = &relation.columns[index];
            column.generated.is_none()
                || actual.is_empty()
                || there(&column.name).is_some()
                || key.is_some_and(|key| key.contains(&index))
        };
        let columns: Vec<Target> = (0..relation.columns.len())
            .filter(|index| carried(*index))
            .map(|index| {
                let column = &relation.columns[index];
                let there = there(&column.name);
                Target {
                    index,
                    name: column.name.clone(),
                    ty: there.map_or(column.ty, |a| a.of(column.ty)),
                    not_null: there.map_or(column.not_null, |a| a.not_null),
                    generated: column.generated.is_some(),
                    codec: column.codec,
                    stored: column.ty,
                    collated: there.is_some_and(|a| a.collated),
                    labels: there.and_then(Actual::labels),
                }
            })
            .collect();
        let at = |index: &usize| columns.iter().position(|c| c.index == *index);
        let key: Option<Vec<usize>> = key.and_then(|key| key.iter().map(at).collect());
        let unique = |key: &Vec<usize>| {
            let of = |i: &usize| there(&columns[*i].name).map_or(&[][..], |a| &a.uniques);
            let first = key.first().map_or(&[][..], of);
            let over_all = |index: &(u32, usize)| {
                index.1 == key.len() && key.iter().all(|i| of(i).contains(index))
            };
            actual.is_empty() || first.iter().any(over_all)
        };
        let arbiter = key.clone().map(|mut key| {
            for actual in actual.iter().filter(|a| a.partitions) {
                let at = columns.iter().position(|c| c.name == actual.name);
                key.extend(at.filter(|at| !key.contains(at)));
            }
            key
        });
        let arbiter = arbiter.filter(unique);
        let partitioned = actual.iter().any(|a| a.partitions);
        let (relation, named_by) = (Arc::clone(relation), key.clone());
        let mut made = Self { relation, columns, key, named_by, arbiter, partitioned };
        if made.arbiter.is_none() && !made.key_is_certain() {
            // PostgreSQL may hold several rows of one key: all their values tell them apart.
            made.key = None;
        }
        made
    }

    /// Picks one of equal rows, in a table without a key.
    pub fn one_of(&self, table: &str, condition: &str) -> String {
        match self.partitioned {
            false => format!("ctid = (SELECT ctid FROM {table} WHERE {condition} LIMIT 1)"),
            true => format!(
                "(tableoid, ctid) IN (SELECT tableoid, ctid FROM {table} WHERE {condition} LIMIT 1)"
            ),
        }
    }

    /// Whether a column is of another kind on PostgreSQL than here.
    pub fn is_apart(&self) -> bool {
        self.columns.iter().any(|c| family(c.ty.oid) != family(c.stored.oid))
    }

    /// Indexes of the columns that are written: all but generated ones.
    pub fn written(&self) -> Vec<usize> {
        (0..self.columns.len()).filter(|i| !self.columns[*i].generated).collect()
    }

    /// PostgreSQL's types of the columns.
    pub fn types(&self) -> Vec<Type> {
        self.columns.iter().map(|c| c.ty).collect()
    }

    /// The row PostgreSQL should hold for a stored one; `cell` gives the stored cell of a
    /// column of the projection.
    pub fn project<'a>(&self, cell: impl Fn(usize) -> CellRef<'a>) -> Projected {
        let mut out = Projected {
            values: Vec::with_capacity(self.columns.len()),
            misfits: Vec::new(),
            coerced: Vec::new(),
            left_out: false,
        };
        for (i, column) in self.columns.iter().enumerate() {
            match column.value(cell(i)) {
                Ok(datum) => {
                    if column.codec.coerces() && storage::is_changed(column.stored, cell(i), &datum)
                    {
                        out.coerced.push(i);
                    }
                    out.values.push(datum);
                }
                Err(reason) => {
                    out.values.push(Datum::Null);
                    out.left_out |= column.not_null;
                    out.misfits.push(Misfit { column: i, reason: reason.into_owned() });
                }
            }
        }
        if let Some(key) = &self.named_by {
            // Without its key the row could never be found again.
            out.left_out |= out.misfits.iter().any(|m| key.contains(&m.column));
        }
        out
    }
}

impl Actual {
    /// The type that values for this column are written as. Types that clients or extensions made
    /// have OIDs of their own on each side: ours stands for both, and over an array the modifier
    /// carries the element type's OID there, which the binary form names. A type that is not known
    /// from here is read as text, and never written.
    fn of(&self, ours: Type) -> Type {
        let Some(apart) = &self.apart else {
            return if is_writable(self.ty.oid) { self.ty } else { Type::new(oid::UNKNOWN) };
        };
        let over = |array: u32| Type::with_typmod(array, i32::try_from(apart.oid).unwrap_or(-1));
        let is_ours = |element: u32| match apart.extension {
            Some(extension) => element == extension,
            None if apart.composite => is_made(element),
            None => is_enum(element),
        };
        if !apart.array {
            return match apart.extension {
                _ if is_ours(ours.oid) => ours,
                Some(extension) => Type::new(extension),
                None if apart.composite => Type::new(oid::UNKNOWN),
                None => Type::new(enums::FOREIGN),
            };
        }
        let element = element_numbered_apart(ours.oid);
        match (element.filter(|e| is_ours(*e)), apart.extension) {
            (Some(_), _) => over(ours.oid),
            (None, Some(oid::HSTORE)) => over(oid::HSTORE_ARRAY),
            (None, Some(_)) => over(oid::CITEXT_ARRAY),
            (None, None) if apart.composite => Type::new(oid::UNKNOWN),
            (None, None) => over(array_of_enum(enums::FOREIGN).unwrap_or(oid::UNKNOWN)),
        }
    }

    fn labels(&self) -> Option<Arc<[String]>> {
        let apart = self.apart.as_ref().filter(|a| a.extension.is_none() && !a.composite)?;
        Some(Arc::clone(&apart.labels))
    }
}

impl Target {
    fn value(&self, cell: CellRef<'_>) -> std::result::Result<Datum, Cow<'static, str>> {
        let said = |e: crate::error::Error| Cow::Owned(e.message().to_owned());
        let datum = storage::decode(self.codec, self.stored, cell).map_err(said)?;
        keeps_all(self.codec, self.stored, cell)?;
        if datum.is_null() {
            return match self.not_null && !self.generated {
                true => Err(Cow::Borrowed("NULL in a column that is NOT NULL")),
                false => Ok(datum),
            };
        }
        if self.ty.oid == oid::UNKNOWN {
            return Err(Cow::Borrowed("PostgreSQL's column is of a type that is not known here"));
        }
        let datum = convert(datum, self.stored, self.ty).map_err(said)?;
        if datum.is_null() && self.not_null && !self.generated {
            return Err(Cow::Borrowed("NULL in a column that is NOT NULL"));
        }
        if let Some(labels) = &self.labels {
            is_label(&datum, labels)?;
        }
        fits(&datum, self.ty)?;
        Ok(datum)
    }

    /// Whether values can be written at all.
    pub fn is_known(&self) -> bool {
        self.ty.oid != oid::UNKNOWN
    }

    /// Whether what a cell stores fits PostgreSQL's column.
    ///
    /// # Errors
    /// The reason, without the value.
    pub fn takes(&self, cell: CellRef<'_>) -> std::result::Result<(), Cow<'static, str>> {
        self.value(cell).map(drop)
    }

    /// The column in a SELECT list.
    pub fn selected(&self) -> String {
        let name = super::apply::quoted(&self.name);
        if self.is_known() { name } else { format!("{name}::text") }
    }

    /// Whether PostgreSQL has no equality for its type, or none that is known: compared by its
    /// text.
    pub fn by_text(&self) -> bool {
        matches!(self.ty.oid, oid::JSON | oid::UNKNOWN)
    }
}

/// Whether an enum's value, or every one of an array, is among the labels.
fn is_label(datum: &Datum, labels: &[String]) -> std::result::Result<(), Cow<'static, str>> {
    match datum {
        Datum::Text(t) if !labels.contains(t) => {
            Err(Cow::Borrowed("not a label of PostgreSQL's enum type"))
        }
        Datum::Array(_, elements) => elements.iter().try_for_each(|e| is_label(e, labels)),
        _ => Ok(()),
    }
}

/// Whether values of a type have a binary form here.
fn is_writable(type_oid: u32) -> bool {
    let plain = matches!(
        type_oid,
        oid::BOOL
            | oid::INT2
            | oid::INT4
            | oid::INT8
            | oid::OID
            | oid::FLOAT4
            | oid::FLOAT8
            | oid::NUMERIC
            | oid::TEXT
            | oid::VARCHAR
            | oid::BPCHAR
            | oid::NAME
            | oid::CHAR
            | oid::BYTEA
            | oid::DATE
            | oid::TIME
            | oid::TIMETZ
            | oid::TIMESTAMP
            | oid::TIMESTAMPTZ
            | oid::INTERVAL
            | oid::UUID
            | oid::JSON
            | oid::JSONB
            | oid::INET
            | oid::CIDR
            | oid::MACADDR
            | oid::BIT
            | oid::VARBIT
            | oid::TSVECTOR
            | oid::XID
            | oid::CID
            | oid::REGCLASS
            | oid::REGTYPE
            | oid::REGPROC
            | oid::REGNAMESPACE
            | oid::INT2VECTOR
            | oid::OIDVECTOR
    );
    plain
        || is_range(type_oid)
        || (is_enum(type_oid) && !is_composite(type_oid))
        || is_extended(type_oid)
        || element_of(type_oid).is_some_and(is_writable)
}

/// Types whose values share one form of [`Datum`].
fn family(type_oid: u32) -> u32 {
    match type_oid {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => oid::INT8,
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::CITEXT => oid::TEXT,
        other => other,
    }
}

/// Whether what is stored, and can be read as its type, loses nothing by that: jsonb keeps one of
/// the members that have the same key, and nobody would know that there were more.
///
/// # Errors
/// The reason, without the value.
pub fn keeps_all(
    codec: Codec,
    ty: Type,
    cell: CellRef<'_>,
) -> std::result::Result<(), Cow<'static, str>> {
    match cell {
        CellRef::Text(document) if ty.oid == oid::JSONB && !codec.coerces() => {
            let document = String::from_utf8_lossy(document);
            json::keeps_all(&document).map_err(|e| Cow::Owned(e.message().to_owned()))
        }
        _ => Ok(()),
    }
}

/// Whether PostgreSQL's column gives back exactly this value.
///
/// # Errors
/// The reason, without the value.
pub fn fits(datum: &Datum, ty: Type) -> std::result::Result<(), Cow<'static, str>> {
    match datum {
        Datum::Text(t) => text_fits(t, ty),
        Datum::Json(t) => json::validate(t).map_err(|_| Cow::Borrowed("not valid JSON")),
        Datum::Jsonb(t) => match holds_nul_escape(t) {
            true => Err(Cow::Borrowed("jsonb cannot hold \\u0000")),
            false => Ok(()),
        },
        Datum::Int(i) => {
            let fits = match ty.oid {
                oid::INT2 => i16::try_from(*i).is_ok(),
                oid::INT4 => i32::try_from(*i).is_ok(),
                oid::OID => u32::try_from(*i).is_ok(),
                _ => true,
            };
            if fits { Ok(()) } else { Err(Cow::Borrowed("out of the integer type's range")) }
        }
        Datum::Numeric(_)
        | Datum::Time(_)
        | Datum::Timestamp(_)
        | Datum::Timestamptz(_)
        | Datum::Interval(_)
            if ty.typmod >= 0 =>
        {
            let held =
                coerce(datum.clone(), ty, false).map_err(|e| Cow::Owned(e.message().to_owned()))?;
            match canonical::equal(&held, datum, ty) {
                true => Ok(()),
                false => Err(Cow::Borrowed("more digits than the type keeps")),
            }
        }
        Datum::Array(element, elements) => {
            let element = Type::with_typmod(*element, ty.typmod);
            elements.iter().try_for_each(|e| fits(e, element))
        }
        Datum::Record(fields) => {
            fields.iter().try_for_each(|(of, value)| fits(value, Type::new(*of)))
        }
        _ => Ok(()),
    }
}

fn text_fits(text: &str, ty: Type) -> std::result::Result<(), Cow<'static, str>> {
    if text.as_bytes().contains(&0) {
        return Err(Cow::Borrowed("text with a NUL character"));
    }
    if ty.without_fill(text) != text {
        return Err(Cow::Borrowed("blanks at the end would be lost"));
    }
    if let Some(length) = ty.length()
        && text.len() > length
        && text.chars().nth(length).is_some()
    {
        return Err(Cow::Owned(format!("longer than {length} characters")));
    }
    match ty.oid {
        oid::NAME if text.len() > 63 => Err(Cow::Borrowed("longer than 63 bytes")),
        oid::CHAR if text.len() > 1 => Err(Cow::Borrowed("longer than one byte")),
        _ => Ok(()),
    }
}

/// Whether JSON text has the escape `\u0000` (and not `\\u0000`).
fn holds_nul_escape(text: &str) -> bool {
    text.match_indices("\\u0000").any(|(at, _)| {
        let before = text.as_bytes()[..at].iter().rev().take_while(|b| **b == b'\\').count();
        before % 2 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Column, RelationKind};

    fn table(columns: Vec<Column>, key: Option<Vec<usize>>) -> Arc<Relation> {
        let mut relation = Relation::new(1, "t", RelationKind::Table);
        relation.columns = columns;
        relation.primary_key = key;
        Arc::new(relation)
    }

    #[test]
    fn a_misfit_becomes_null_or_takes_its_row_along() {
        let id = Column { not_null: true, ..Column::new(1, "id", Type::new(oid::INT4)) };
        let name = Column::new(2, "name", Type::new(oid::TEXT));
        let projection = Projection::new(&table(vec![id, name], Some(vec![0])));
        let row = |cells: [CellRef<'static>; 2]| projection.project(move |i| cells[i]);
        let good = row([CellRef::Integer(1), CellRef::Text(b"a")]);
        assert_eq!(good.values, [Datum::Int(1), Datum::Text("a".into())]);
        assert!(good.misfits.is_empty() && !good.left_out);
        for bad in [CellRef::Text(b"a\0b"), CellRef::Text(b"\xff"), CellRef::Blob(b"x")] {
            let projected = row([CellRef::Integer(1), bad]);
            assert_eq!(projected.values[1], Datum::Null);
            assert_eq!(projected.misfits.len(), 1);
            assert!(!projected.left_out);
        }
        assert!(row([CellRef::Integer(1 << 40), CellRef::Null]).left_out);
        assert!(row([CellRef::Null, CellRef::Null]).left_out);
    }

    #[test]
    fn json_whose_member_jsonb_drops_does_not_fit() {
        let json = Column { codec: Codec::JsonLoose, ..Column::new(1, "j", Type::new(oid::JSONB)) };
        let projection = Projection::new(&table(vec![json], None));
        let fits = |text: &'static str| {
            projection.columns[0].takes(CellRef::Text(text.as_bytes())).is_ok()
        };
        for same in ["{\"b\" : 1, \"a\":[1.10]}", "[{\"a\":1},{\"a\":2}]", "{\"a\":{\"a\":1}}"] {
            assert!(fits(same), "{same}");
        }
        for lost in ["{\"a\":1,\"a\":2}", "[{\"x\":{\"b\":1,\"b\":1}}]", "{\"\\u0061\":1,\"a\":2}"]
        {
            assert!(!fits(lost), "{lost}");
        }
    }

    #[test]
    fn values_that_would_change_do_not_fit() {
        let varchar = Type::with_typmod(oid::VARCHAR, 3 + 4);
        assert!(fits(&Datum::Text("äöü".into()), varchar).is_ok());
        assert!(fits(&Datum::Text("äöüx".into()), varchar).is_err());
        assert!(fits(&Datum::Jsonb("\"\\u0000\"".into()), Type::new(oid::JSONB)).is_err());
        assert!(fits(&Datum::Jsonb("\"\\\\u0000\"".into()), Type::new(oid::JSONB)).is_ok());
        let numeric = Type::with_typmod(oid::NUMERIC, Type::numeric_typmod(4, 1));
        let n = |s| Datum::Numeric(crate::value::numeric::Numeric::parse(s).unwrap());
        assert!(fits(&n("123.4"), numeric).is_ok());
        assert!(fits(&n("1.25"), numeric).is_err());
        assert!(fits(&n("12345.1"), numeric).is_err());
    }

    #[test]
    fn another_type_is_reached_through_text() {
        let column = Column::new(1, "at", Type::new(oid::TEXT));
        let actual = [Actual {
            name: "at".into(),
            ty: Type::new(oid::DATE),
            not_null: false,
            apart: None,
            partitions: false,
            uniques: Vec::new(),
            collated: false,
        }];
        let projection = Projection::over(&table(vec![column], None), &actual);
        let of = |t: &'static [u8]| projection.project(move |_| CellRef::Text(t));
        assert_eq!(of(b"2000-01-03").values, [Datum::Date(2)]);
        assert_eq!(of(b"never").misfits.len(), 1);
    }
}
