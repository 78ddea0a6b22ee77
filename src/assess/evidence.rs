//! What the rows of a table show: looks, counts, extremes and keys of examples.
//!
//! Owns one bounded pass over each table. It must never keep a value of a row, only keys
//! and figures. Start at [`of_table`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::shape::{self, Shape, Topic};
use crate::backend::postgres::project::{self, Target};
use crate::backend::sqlite::Connection;
use crate::backend::sqlite::adopt::{self, Bounds, Habit, Looked, Walk};
use crate::error::Result;
use crate::schema::{Codec, Relation};
use crate::sql::stored;
use crate::value::datetime::MICROS_PER_DAY;
use crate::value::{CellRef, Datum, Type, oid, storage};

/// Keys of examples for each kind of value.
const EXAMPLES: usize = 3;
/// Columns read by one statement.
const COLUMNS: usize = 200;
/// Characters of a key that are shown.
const KEY_CHARS: usize = 40;

/// Rows of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) rows: u64,
    /// Keys of the first few.
    pub(super) examples: Vec<String>,
}

impl Seen {
    fn add(&mut self, key: impl FnOnce() -> String) {
        self.rows += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(key());
        }
    }
}

/// What one column shows.
#[derive(Clone, Debug)]
pub(super) struct ColumnEvidence {
    /// What the declaration alone says.
    pub(super) declared: (Type, Codec),
    pub(super) values: u64,
    /// By looks, and whether the declared type holds them as they are.
    pub(super) shapes: BTreeMap<(Shape, bool), Seen>,
    /// What the chosen type cannot read.
    pub(super) unread: Seen,
    /// Least and greatest integer.
    pub(super) integers: Option<(i64, i64)>,
    /// Values larger than a megabyte.
    pub(super) large: Seen,
    /// Texts that are moments, or uuids, in a column of text.
    pub(super) moments: u64,
    pub(super) uuids: u64,
    /// Reals with more digits than a decimal of 15 has.
    pub(super) long_decimals: Seen,
    /// Texts that the chosen type reads and PostgreSQL writes in another form.
    pub(super) rewritten: Seen,
    /// Moments with more digits than PostgreSQL keeps.
    pub(super) finer: Seen,
    /// Values that may be too long for a key.
    pub(super) long_keys: Seen,
    /// Forms of dates in a column of text.
    pub(super) dates: BTreeMap<&'static str, Seen>,
    /// What the chosen type reads, and PostgreSQL's does not hold; and the first reason.
    pub(super) unheld: Seen,
    pub(super) unheld_why: String,
    /// Moments of which the chosen type keeps the day only.
    pub(super) cut: Seen,
    /// What the type that a person gave does not hold, where another was chosen.
    pub(super) beyond: Seen,
    /// What the column that is on PostgreSQL already does not hold; and the first reason.
    pub(super) beyond_there: Seen,
    pub(super) beyond_there_why: String,
    /// NULLs, where that column takes none.
    pub(super) nulls: Seen,
}

/// What else is asked of a column.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// The type that a person gave, where it was not chosen.
    pub(super) given: Option<Type>,
    /// The column that is on PostgreSQL already.
    pub(super) there: Option<Target>,
}

impl ColumnEvidence {
    fn new(declared: (Type, Codec)) -> Self {
        Self {
            declared,
            values: 0,
            shapes: BTreeMap::new(),
            unread: Seen::default(),
            integers: None,
            large: Seen::default(),
            moments: 0,
            uuids: 0,
            long_decimals: Seen::default(),
            rewritten: Seen::default(),
            finer: Seen::default(),
            long_keys: Seen::default(),
            dates: BTreeMap::new(),
            unheld: Seen::default(),
            unheld_why: String::new(),
            cut: Seen::default(),
            beyond: Seen::default(),
            beyond_there: Seen::default(),
            beyond_there_why: String::new(),
            nulls: Seen::default(),
        }
    }

    /// Rows of some looks, whether they fit or not.
    pub(super) fn seen(&self, shape: Shape) -> Option<Seen> {
        let mut all: Option<Seen> = None;
        for ((_, _), seen) in self.shapes.iter().filter(|((s, _), _)| *s == shape) {
            let sum = all.get_or_insert_with(Seen::default);
            sum.rows += seen.rows;
            sum.examples.extend(seen.examples.iter().cloned());
            sum.examples.truncate(EXAMPLES);
        }
        all
    }

    /// Rows that the declared type does not hold as they are.
    pub(super) fn misfits(&self) -> u64 {
        self.shapes.iter().filter(|((_, fits), _)| !fits).map(|(_, seen)| seen.rows).sum()
    }
}

/// What one table shows.
#[derive(Clone, Debug, Default)]
pub(super) struct TableEvidence {
    pub(super) looked: Looked,
    /// As in the relation.
    pub(super) columns: Vec<ColumnEvidence>,
}

/// Values above this may be too long for an index of PostgreSQL: 2704 bytes are, once compressed.
const KEY_BYTES: usize = 2600;
/// Values above this are named: they cost memory on both sides.
const LARGE: usize = 1 << 20;

/// One pass over what the bounds allow of a table.
pub(super) fn of_table(
    connection: &Connection,
    relation: &Relation,
    table: &stored::Table,
    habit: Option<Habit>,
    asked: &[Asked],
    bounds: &Bounds,
) -> Result<TableEvidence> {
    let mut evidence = TableEvidence::default();
    let key = key_names(relation);
    let rowid = adopt::rowid_name(table);
    for (number, columns) in table.columns.chunks(COLUMNS).enumerate() {
        let mut names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        names.extend(&key);
        let mut found: Vec<(ColumnEvidence, Topic, (Type, Codec))> = columns
            .iter()
            .enumerate()
            .map(|(i, column)| {
                let declared = adopt::declared(column, habit);
                let chosen = relation
                    .columns
                    .get(number * COLUMNS + i)
                    .map_or(declared, |c| (c.ty, c.codec.plain()));
                (ColumnEvidence::new(declared), Topic::of(declared.0), chosen)
            })
            .collect();
        let mut walk = Walk::open(connection, &table.name, &names, rowid, bounds)?;
        while walk.step()? {
            for (i, (column, topic, chosen)) in found.iter_mut().enumerate() {
                let cell = walk.cell(i);
                let key = || key_of(&walk, columns.len(), &key);
                column.look(*topic, *chosen, cell, key);
                if let Some(asked) = asked.get(number * COLUMNS + i) {
                    column.ask(asked, *chosen, cell, key);
                }
            }
        }
        let looked = walk.looked()?;
        let partial = looked.partial || evidence.looked.partial;
        evidence.looked = Looked { partial, ..looked };
        evidence.columns.extend(found.into_iter().map(|(column, ..)| column));
    }
    Ok(evidence)
}

/// The key's columns, SQLite's names.
fn key_names(relation: &Relation) -> Vec<&str> {
    let columns = relation.key().unwrap_or_default();
    columns.iter().map(|c| relation.columns[*c].sqlite_name.as_str()).collect()
}

/// The row's key as people read it.
fn key_of(walk: &Walk<'_>, from: usize, names: &[&str]) -> String {
    if names.is_empty() {
        return walk
            .rowid()
            .map_or_else(|| "a row without key".to_owned(), |r| format!("rowid {r}"));
    }
    let parts: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(i, name)| format!("{name}={}", shown(walk.cell(from + i))))
        .collect();
    parts.join(" ")
}

fn shown(cell: CellRef<'_>) -> String {
    match cell {
        CellRef::Null => "NULL".to_owned(),
        CellRef::Integer(i) => i.to_string(),
        CellRef::Real(r) => r.to_string(),
        CellRef::Text(t) => {
            let text = String::from_utf8_lossy(t);
            let mut short: String = text.chars().take(KEY_CHARS).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            format!("{short:?}")
        }
        CellRef::Blob(b) => {
            let digits: String = b.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            format!("x'{digits}'")
        }
    }
}

impl ColumnEvidence {
    fn look(
        &mut self,
        topic: Topic,
        (ty, codec): (Type, Codec),
        cell: CellRef<'_>,
        key: impl Fn() -> String,
    ) {
        let Some(shape) = shape::shape(topic, cell) else { return };
        self.values += 1;
        let fits = adopt::fits(self.declared.0, self.declared.1, cell);
        self.shapes.entry((shape, fits)).or_default().add(&key);
        // A reader of jsonb never sees what it drops.
        let trusted = (ty, codec) == self.declared && fits && ty.oid != oid::JSONB;
        if !trusted {
            self.look_by_type(ty, codec, cell, &key);
        }
        if let CellRef::Text(t) | CellRef::Blob(t) = cell
            && t.len() > KEY_BYTES
        {
            self.long_keys.add(&key);
        }
        match cell {
            CellRef::Integer(i) => {
                let (low, high) = self.integers.unwrap_or((i, i));
                self.integers = Some((low.min(i), high.max(i)));
            }
            CellRef::Real(r) if long_decimal(r) => self.long_decimals.add(&key),
            CellRef::Text(t) | CellRef::Blob(t) if t.len() >= LARGE => self.large.add(&key),
            CellRef::Text(t) if topic == Topic::Text => self.look_at_text(t, &key),
            _ => {}
        }
    }

    /// Whether the chosen type reads a value, and PostgreSQL's type holds it.
    fn look_by_type(
        &mut self,
        ty: Type,
        codec: Codec,
        cell: CellRef<'_>,
        key: impl Fn() -> String,
    ) {
        let Ok(datum) = storage::decode(codec, ty, cell) else {
            return self.unread.add(key);
        };
        self.compare((ty, codec), cell, &datum, &key);
        if is_cut(ty, codec, cell) {
            return self.cut.add(key);
        }
        if let Err(why) = held(ty, codec, cell) {
            if self.unheld.rows == 0 {
                self.unheld_why = why.into_owned();
            }
            self.unheld.add(key);
        }
    }

    /// What a person's own type and PostgreSQL's column say of a value.
    fn ask(
        &mut self,
        asked: &Asked,
        (ty, codec): (Type, Codec),
        cell: CellRef<'_>,
        key: impl Fn() -> String,
    ) {
        if let Some(given) = asked.given
            && cell != CellRef::Null
            && (ty.oid != given.oid || held(given, codec, cell).is_err())
        {
            self.beyond.add(&key);
        }
        let Some(there) = &asked.there else { return };
        let Err(why) = there.takes(cell) else { return };
        if cell == CellRef::Null {
            return self.nulls.add(key);
        }
        // What cannot be read at all is told of already.
        if storage::decode(codec, ty, cell).is_ok() {
            if self.beyond_there.rows == 0 {
                self.beyond_there_why = why.into_owned();
            }
            self.beyond_there.add(key);
        }
    }

    /// Whether PostgreSQL gives a text back as it is stored.
    fn compare(
        &mut self,
        (ty, codec): (Type, Codec),
        cell: CellRef<'_>,
        datum: &Datum,
        key: impl Fn() -> String,
    ) {
        let CellRef::Text(text) = cell else { return };
        // Of texts and bytes the bytes stay; numbers are told of by their looks.
        let written = matches!(
            ty.oid,
            oid::DATE | oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::UUID | oid::BOOL
        );
        if !written {
            return;
        }
        if shape::is_finer(text) && ty.oid != oid::UUID {
            self.finer.add(key);
        } else if storage::encode(codec, ty, datum).is_ok_and(|back| back.as_ref() != cell) {
            self.rewritten.add(key);
        }
    }

    fn look_at_text(&mut self, bytes: &[u8], key: impl Fn() -> String) {
        if let Some(form) = shape::date_form(bytes) {
            self.dates.entry(form).or_default().add(key);
        }
        // Most texts are told from dates and uuids by one byte.
        let at = |i: usize| bytes.get(i).copied();
        if at(4) == Some(b'-') && at(7) == Some(b'-') {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            let shape = shape::moment(text);
            let is = matches!(shape, Shape::IsoDate | Shape::IsoMoment | Shape::IsoZoned);
            self.moments += u64::from(is);
        } else if bytes.len() == 36 && at(8) == Some(b'-') && at(13) == Some(b'-') {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            self.uuids += u64::from(crate::value::text::parse_uuid(text).is_ok());
        }
    }
}

/// Whether PostgreSQL's type holds a value as it is: with all its digits and characters.
fn held(ty: Type, codec: Codec, cell: CellRef<'_>) -> std::result::Result<(), Cow<'static, str>> {
    // With its size the type would round before it is asked.
    let bare = match codec {
        Codec::NumericScaled => ty,
        _ if ty.oid == oid::NUMERIC => Type::new(oid::NUMERIC),
        _ => ty,
    };
    let Ok(datum) = storage::decode(codec, bare, cell) else { return Ok(()) };
    project::keeps_all(codec, ty, cell)?;
    project::fits(&datum, ty)
}

/// Whether a date is read from a moment that has a time of day.
fn is_cut(ty: Type, codec: Codec, cell: CellRef<'_>) -> bool {
    if ty.oid != oid::DATE || !matches!(cell, CellRef::Text(_)) {
        return false;
    }
    let moment = storage::decode(codec, Type::new(oid::TIMESTAMP), cell);
    matches!(moment, Ok(Datum::Timestamp(micros)) if micros % MICROS_PER_DAY != 0)
}

/// More than 15 significant digits: SQLite holds a double, not what was written.
fn long_decimal(value: f64) -> bool {
    if value == 0.0 || !value.is_finite() {
        return false;
    }
    let text = format!("{value:e}");
    let digits = text.split('e').next().unwrap_or_default();
    digits.bytes().filter(u8::is_ascii_digit).count() > 15
}
