//! What `[tables.NAME]` decides about tables on PostgreSQL: partitions and indexes.
//!
//! Owns [`Split`] and the texts of partitions. What cannot be followed is a finding, and the table
//! is made without it. Pure. Start at [`split`].

use super::{Findings, Options, Step};
use crate::backend::postgres::apply::{quoted, table_name};
use crate::backend::sqlite::adopt::object_name;
use crate::backend::sqlite::system::format_type;
use crate::config::{Every, Table};
use crate::name;
use crate::schema::{Column, Relation};
use crate::value::datetime::{civil_from_days, days_from_civil, format_date};
use crate::value::{Datum, oid};

/// Partitions of a table at most; rows before them are in the one for the rest.
const PARTITIONS_MAX: i64 = 500;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// How a table is partitioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Index of the column.
    pub column: usize,
    /// What a partition spans.
    pub every: Every,
}

fn decided<'a>(relation: &Relation, options: &'a Options) -> Option<&'a Table> {
    Table::of(&options.tables, [&relation.name, &relation.sqlite_name])
}

/// How a table is to be partitioned, if it can be.
pub(super) fn split(
    relation: &Relation,
    options: &Options,
    findings: &mut Findings<'_>,
) -> Option<Split> {
    let wanted = decided(relation, options)?.partition_by.as_ref()?;
    let mut no = |why: &str| {
        findings.add("partition_by", why);
        None
    };
    let found = relation
        .columns
        .iter()
        .position(|c| crate::config::is_named(&wanted.column, [&c.name, &c.sqlite_name]));
    let Some(column) = found else {
        return no("not partitioned: it has no such column");
    };
    let ours = &relation.columns[column];
    if ours.generated.is_some() {
        return no("not partitioned: a generated column cannot be what it is partitioned by");
    }
    let every = match (ours.ty.oid, wanted.every) {
        (oid::DATE | oid::TIMESTAMP | oid::TIMESTAMPTZ, None) => Every::Month,
        (oid::DATE | oid::TIMESTAMP | oid::TIMESTAMPTZ, Some(every))
            if !matches!(every, Every::Number(_)) =>
        {
            every
        }
        (oid::INT2 | oid::INT4 | oid::INT8, Some(every @ Every::Number(_))) => every,
        (oid::INT2 | oid::INT4 | oid::INT8, _) => {
            return no("not partitioned: over integers it needs EVERY with a number");
        }
        _ => return no("not partitioned: the column holds neither dates, moments nor integers"),
    };
    let references = relation.uniques.iter().any(|u| u.primary && !u.columns.contains(&column));
    if references {
        findings.add("partition_by", "foreign keys that lead to it cannot be made");
    }
    Some(Split { column, every })
}

/// Tells of columns that have another type than a person gave them: SQLite numbers rows by it, the
/// values do not fit, or PostgreSQL held a copy when it was given.
pub(super) fn not_followed(relation: &Relation, options: &Options, findings: &mut Findings<'_>) {
    let Some(table) = decided(relation, options) else { return };
    for (given, over) in &table.columns {
        let named = |c: &&Column| crate::config::is_named(given, [&c.name, &c.sqlite_name]);
        let Some(column) = relation.columns.iter().find(named) else { continue };
        if column.ty != over.ty {
            let message = format!(
                "its override {} is not followed: it is served as {}",
                format_type(over.ty.oid, over.ty.typmod),
                format_type(column.ty.oid, column.ty.typmod)
            );
            findings.add(&format!("column {:?}", column.name), &message);
        }
    }
}

/// Indexes that only PostgreSQL has.
pub(super) fn indexes(relation: &Relation, options: &Options) -> Vec<Step> {
    let list = decided(relation, options).map_or(&[][..], |t| &t.indexes);
    list.iter()
        .map(|text| {
            // The same text is the same index, wherever it stands in the list.
            let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
                (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
            });
            let name = object_name(relation.bare(), None, &format!("own_{hash:08x}"));
            Step {
                table: relation.name.clone(),
                object: format!("index {name:?}"),
                sql: format!("CREATE INDEX {} ON {} {text}", quoted(&name), table_name(relation)),
                validate: None,
                needed: false,
            }
        })
        .collect()
}

/// Whether an integer column of this type holds the number.
fn fits(ty: u32, number: i64) -> bool {
    match ty {
        oid::INT2 => i16::try_from(number).is_ok(),
        oid::INT4 => i32::try_from(number).is_ok(),
        _ => true,
    }
}

impl Split {
    /// The end of CREATE TABLE.
    pub(super) fn clause(&self, relation: &Relation) -> String {
        format!(" PARTITION BY RANGE ({})", quoted(&relation.columns[self.column].name))
    }

    /// CREATE TABLE of each partition, for rows between the two values, some spans beyond, and
    /// the rest. A table without a primary key names whole rows in PostgreSQL's log.
    pub fn partitions(&self, relation: &Relation, ends: Option<(&Datum, &Datum)>) -> Vec<String> {
        let keyed =
            relation.uniques.iter().any(|u| u.primary) && relation.columns[self.column].not_null;
        let mut texts = Vec::new();
        let mut add = |label: &str, values: &str| {
            let name = object_name(relation.bare(), None, label);
            let name = name::quoted(&name::beside(&relation.name, &name));
            let table = table_name(relation);
            texts.push(format!("CREATE TABLE {name} PARTITION OF {table} {values}"));
            if !keyed {
                texts.push(format!("ALTER TABLE {name} REPLICA IDENTITY FULL"));
            }
        };
        let span = |datum: &Datum| self.number(datum).map(|n| self.span(n));
        if let Some((first, last)) = ends.and_then(|(a, b)| Some((span(a)?, span(b)?))) {
            let last = last.saturating_add(self.ahead());
            for span in first.max(last.saturating_sub(PARTITIONS_MAX - 1))..=last {
                let next = span.checked_add(1).and_then(|next| self.start(next));
                let (Some(from), Some(to)) = (self.start(span), next) else { continue };
                // What lies beyond the type's end goes to the rest.
                let fits = |bound| fits(relation.columns[self.column].ty.oid, bound);
                if !fits(from) || !fits(to) {
                    continue;
                }
                let zone = match relation.columns[self.column].ty.oid {
                    oid::TIMESTAMPTZ => " 00:00:00+00",
                    _ => "",
                };
                let values = format!(
                    "FOR VALUES FROM ('{}{zone}') TO ('{}{zone}')",
                    self.bound(from),
                    self.bound(to)
                );
                add(&self.label(from), &values);
            }
        }
        add("rest", "DEFAULT");
        texts
    }

    /// Spans that are made beyond the last row.
    fn ahead(&self) -> i64 {
        match self.every {
            Every::Day => 31,
            Every::Week => 8,
            Every::Month => 6,
            Every::Year => 2,
            Every::Number(_) => 16,
        }
    }

    /// A value as days since 2000 or as it is; None for infinity.
    fn number(&self, datum: &Datum) -> Option<i64> {
        match datum {
            Datum::Date(i32::MIN | i32::MAX) => None,
            Datum::Date(days) => Some(i64::from(*days)),
            Datum::Timestamp(i64::MIN | i64::MAX) | Datum::Timestamptz(i64::MIN | i64::MAX) => None,
            Datum::Timestamp(micros) | Datum::Timestamptz(micros) => Some(micros.div_euclid(DAY)),
            Datum::Int(number) => Some(*number),
            _ => None,
        }
    }

    fn span(&self, number: i64) -> i64 {
        match self.every {
            Every::Day => number,
            // 3 January 2000 was a Monday.
            Every::Week => (number - 2).div_euclid(7),
            Every::Month => {
                let (year, month, _) = civil_from_days(number);
                year * 12 + i64::from(month) - 1
            }
            Every::Year => civil_from_days(number).0,
            Every::Number(size) => number.div_euclid(i64::from(size)),
        }
    }

    /// Where a span begins; None beyond what the type holds.
    fn start(&self, span: i64) -> Option<i64> {
        Some(match self.every {
            Every::Day => span,
            Every::Week => span * 7 + 2,
            Every::Month => days_from_civil(span.div_euclid(12), span.rem_euclid(12) + 1, 1),
            Every::Year => days_from_civil(span, 1, 1),
            Every::Number(size) => return span.checked_mul(i64::from(size)),
        })
    }

    fn bound(&self, start: i64) -> String {
        match (self.every, i32::try_from(start)) {
            (Every::Number(_), _) | (_, Err(_)) => start.to_string(),
            (_, Ok(days)) => {
                let mut text = Vec::new();
                format_date(days, &mut text);
                String::from_utf8_lossy(&text).into_owned()
            }
        }
    }

    fn label(&self, start: i64) -> String {
        let (year, month, day) = match self.every {
            Every::Number(_) => (0, 0, 0),
            _ => civil_from_days(start),
        };
        match self.every {
            Every::Day | Every::Week => format!("p{year:04}{month:02}{day:02}"),
            Every::Month => format!("p{year:04}{month:02}"),
            Every::Year => format!("p{year:04}"),
            Every::Number(_) => format!("p{start}"),
        }
    }
}
