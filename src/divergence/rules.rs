//! What is accepted without asking, and what explains what.
//!
//! Pure: rules and groups in, a decision out. Start at [`Rule::accepts`], [`explains`].

use jiff::Timestamp;

use super::group::{Accept, Group, GroupState, Sample};

/// A rule of the configuration; every condition given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Class.
    pub class: Option<String>,
    /// The statement's shape.
    pub fingerprint: Option<String>,
    /// Table.
    pub table: Option<String>,
    /// The one column that differs: no other one, and no row that is missing or too much.
    pub column: Option<String>,
    /// What is noted of the acceptance.
    pub accept: Accept,
}

impl Rule {
    /// The acceptance of a sample, while the rule holds.
    pub(super) fn accepts(&self, sample: &Sample) -> Option<&Accept> {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| Some(wanted) == found)
        };
        let holds = is(&self.class, Some(&sample.class))
            && is(&self.fingerprint, Some(&sample.fingerprint))
            && is(&self.table, sample.table.as_deref())
            && self.column.as_ref().is_none_or(|column| only_differs(sample, column))
            && !has_expired(&self.accept);
        holds.then_some(&self.accept)
    }
}

/// Whether a row is on both sides, and nothing but the column differs.
fn only_differs(sample: &Sample, column: &str) -> bool {
    matches!(sample.class.as_str(), "value" | "effect_value" | "verify_value")
        && matches!(sample.columns.as_slice(), [only] if only == column)
}

/// The end of an acceptance. A date ends as it begins, in UTC.
fn end(expires: &str) -> Option<Timestamp> {
    expires.parse::<Timestamp>().ok().or_else(|| {
        let date = expires.parse::<jiff::civil::Date>().ok()?;
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })
}

/// Whether an acceptance holds no more.
pub(super) fn has_expired(accept: &Accept) -> bool {
    accept.expires.as_deref().and_then(end).is_some_and(|end| end <= Timestamp::now())
}

impl Accept {
    /// Why nobody can accept something like that. A misspelt date must not mean for ever.
    pub fn problem(&self) -> Option<&'static str> {
        match &self.expires {
            _ if self.owner.trim().is_empty() => Some("owner is empty: somebody answers for it"),
            _ if self.reason.trim().is_empty() => Some("reason is empty"),
            Some(at) if end(at).is_none() => {
                Some("expires is a date or a time, as in 2030-01-31 or 2030-01-31T12:00:00Z")
            }
            Some(_) if has_expired(self) => Some("expires is over already"),
            _ => None,
        }
    }
}

/// Answers that differ because rows do.
const READS: &[&str] = &["row_missing", "row_extra", "value", "row_count", "order"];
/// Effects of statements that met other rows, or another schema, than the primary's.
const EFFECTS: &[&str] = &[
    "effect_missing",
    "effect_extra",
    "effect_value",
    "affected_count",
    "error_shadow_only",
    "error_primary_only",
    "sqlstate",
    "tx_state",
];
/// What another schema does besides.
const SHAPES: &[&str] =
    &["type_oid", "column_shape", "command_tag", "untranslatable", "timeout", "slow"];
/// What is known of the rows themselves.
const ROWS: &[&str] = &["foreign_write", "verify_missing", "verify_extra", "verify_value"];
/// Changes of a schema after which rows may read otherwise.
const READ_BY: &[&str] = &["column ", "table", "row security", "rule ", "view "];

/// What a difference is, as far as it takes to tell what explains it.
pub(super) struct Trace<'a> {
    pub(super) class: &'a str,
    pub(super) table: Option<&'a str>,
    /// Tables besides: those that a read reads.
    pub(super) tables: &'a [String],
    /// Columns that differ.
    pub(super) columns: &'a [String],
    /// Keys of the rows it was seen at; an empty one where the row is not known.
    pub(super) keys: Vec<&'a [(String, Option<String>)]>,
    pub(super) position: u64,
}

impl<'a> Trace<'a> {
    /// Of a group that was found before.
    pub(super) fn of(group: &'a Group) -> Self {
        Self {
            class: &group.class,
            table: group.table.as_deref(),
            tables: &group.tables,
            columns: &group.columns,
            keys: group.samples.iter().map(|s| s.key.as_slice()).collect(),
            position: group.position,
        }
    }

    fn touches(&self, table: &str) -> bool {
        self.table == Some(table) || self.tables.iter().any(|t| t == table)
    }

    /// Whether it may be about rows of this group: of those that are known it names one, or not
    /// all of them are known.
    fn may_be_of(&self, group: &Group) -> bool {
        let known = |key: &&[(String, Option<String>)]| {
            key.is_empty() || group.samples.iter().any(|s| s.key == *key)
        };
        group.count > group.samples.len() as u64 || self.keys.iter().all(known)
    }
}

/// Whether a group that is open explains a difference: what is known of its rows or its schema
/// makes it expected.
pub(super) fn explains(cause: &Group, effect: &Trace<'_>) -> bool {
    let of = |classes: &[&str]| classes.contains(&effect.class);
    let open = cause.state == GroupState::Open && cause.caused_by.is_none();
    let Some(table) = cause.table.as_deref().filter(|_| open) else { return false };
    if !effect.touches(table) {
        return false;
    }
    match cause.class.as_str() {
        "schema_drift" => {
            let line = cause.columns.first().map_or("", String::as_str);
            let read_by = READ_BY.iter().any(|word| line.starts_with(word));
            let column = line.strip_prefix("column ").map(|rest| rest.trim_start_matches('"'));
            let about = |name: &String| {
                let rest = column.and_then(|rest| rest.strip_prefix(name.as_str()));
                rest.is_some_and(|rest| rest.starts_with([' ', '"']))
            };
            let of_column = !effect.columns.is_empty() && effect.columns.iter().all(about);
            of(EFFECTS) || of(SHAPES) || (of(READS) && read_by) || (of(ROWS) && of_column)
        }
        // Of effects only what it has met itself: rows that it names are made equal.
        "foreign_write" => of(READS) || (of(EFFECTS) && cause.position == effect.position),
        class if ROWS.contains(&class) => {
            of(READS)
                || ((of(EFFECTS) || effect.class == "foreign_write") && effect.may_be_of(cause))
        }
        // A statement meets the rows that a read has seen.
        class if READS.contains(&class) => of(EFFECTS) && effect.class != "tx_state",
        _ => false,
    }
}
