//! Finding the rows that differ, in bounded memory.
//!
//! First pass: every row adds its hash to the bucket of its key, on both sides; equal
//! buckets are equal sets of rows. Second pass, only where buckets differ: the keys in them.
//! Third pass: those rows. Owns the passes. It must never report a row of which it has not
//! seen both sides. Start at [`table`].

use std::collections::HashMap;

use super::scan::{Mark, Pair, Standing};
use crate::backend::postgres::project::Projected;
use crate::backend::postgres::quarantine::Entry;
use crate::backfill::source::Source;
use crate::compare::{Row, columns_that_differ, text};
use crate::divergence::shortened::{self, Shortened};
use crate::error::Result;
use crate::value::Type;

/// Buckets of the first pass.
const BUCKETS: usize = 1 << 16;
/// Rows whose keys are held at once in the second pass.
const KEYS_MAX: u64 = 500_000;
/// Groups of buckets looked at; what is beyond is counted by its buckets.
const GROUPS_MAX: usize = 8;
/// Rows shown and repaired at once.
pub(super) const ROWS_MAX: usize = 1000;
/// Bytes of them.
const BYTES_MAX: usize = 64 << 20;

/// How a row differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The shadow lacks it.
    Missing,
    /// The primary has no such row.
    Extra,
    /// Values differ.
    Value,
}

impl Kind {
    /// The divergence class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Missing => "verify_missing",
            Self::Extra => "verify_extra",
            Self::Value => "verify_value",
        }
    }
}

/// One row that differs.
#[derive(Clone, Debug)]
pub struct Difference {
    /// How.
    pub kind: Kind,
    /// Names and text forms of the key's values; of all columns where there is no key.
    pub key: Vec<(String, Option<String>)>,
    /// Names of the columns that differ.
    pub columns: Vec<String>,
    /// The primary's values of `columns`, text form.
    pub primary: Vec<Option<String>>,
    /// The shadow's values of `columns`.
    pub shadow: Vec<Option<String>>,
    /// What of key and values is longer than is kept.
    pub shortened: Vec<Shortened>,
    /// The row as PostgreSQL should hold it; None for an extra one, unless the primary has a row of
    /// its key.
    pub(super) wanted: Option<Projected>,
    /// Its entries for the quarantine.
    pub(super) entries: Vec<Entry>,
    /// Its entries where PostgreSQL refuses the row.
    pub(super) refused: Vec<Entry>,
    /// Its name in the quarantine.
    pub(super) name: String,
    /// The row as PostgreSQL holds it; None for a missing one.
    pub(super) there: Option<Row>,
}

/// What the comparison of one table found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) rows: u64,
    pub(super) accepted: u64,
    /// Rows of those that may fit now.
    pub(super) refused: u64,
    pub(super) coerced: u64,
    /// Rows that differ.
    pub(super) differing: u64,
    /// There may be more than `differing`.
    pub(super) at_least: bool,
    pub(super) differences: Vec<Difference>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Bucket {
    sum: u128,
    rows: u64,
}

impl Bucket {
    fn add(&mut self, mark: Mark) {
        self.sum = self.sum.wrapping_add(mark.row);
        self.rows += 1;
    }
}

fn bucket(mark: Mark) -> usize {
    mark.key as usize % BUCKETS
}

/// Compares one table.
///
/// # Errors
/// What either side said.
pub(super) async fn table(pair: &Pair<'_>) -> Result<Found> {
    let mut found = Found::default();
    let (mut ours, mut theirs) =
        (vec![Bucket::default(); BUCKETS], vec![Bucket::default(); BUCKETS]);
    let (mut accepted, mut refused, mut coerced) = (0, 0, 0);
    found.rows = pair
        .both(
            |mark, standing, values| {
                coerced += values;
                refused += u64::from(standing == Standing::Refused);
                match standing {
                    Standing::LeftOut | Standing::Refused => accepted += 1,
                    Standing::Compared(values) => {
                        accepted += values;
                        ours[bucket(mark)].add(mark);
                    }
                    Standing::Unnamed => ours[bucket(mark)].add(mark),
                }
            },
            |mark| theirs[bucket(mark)].add(mark),
        )
        .await?;
    (found.accepted, found.refused, found.coerced) = (accepted, refused, coerced);
    let suspect: Vec<usize> = (0..BUCKETS).filter(|b| ours[*b] != theirs[*b]).collect();
    if suspect.is_empty() {
        return Ok(found);
    }
    let (groups, rest) = groups(&suspect, |b| ours[b].rows.max(theirs[b].rows));
    let mut wanted = HashMap::new();
    for group in &groups {
        keys(pair, group, &mut wanted, &mut found).await?;
    }
    // A bucket that differs holds at least one row that differs.
    found.differing += rest.len() as u64;
    found.at_least = !rest.is_empty();
    rows(pair, &wanted, &mut found).await?;
    Ok(found)
}

/// Splits buckets into groups of bounded size; those beyond the last group are the rest.
fn groups(suspect: &[usize], rows: impl Fn(usize) -> u64) -> (Vec<Vec<bool>>, Vec<usize>) {
    let mut found: Vec<Vec<bool>> = Vec::new();
    let (mut held, mut rest) = (KEYS_MAX, Vec::new());
    for bucket in suspect {
        held += rows(*bucket);
        if held > KEYS_MAX {
            if found.len() == GROUPS_MAX {
                rest.push(*bucket);
                continue;
            }
            held = rows(*bucket);
            found.push(vec![false; BUCKETS]);
        }
        if let Some(last) = found.last_mut() {
            last[*bucket] = true;
        }
    }
    (found, rest)
}

/// Keys of a group whose rows differ.
async fn keys(
    pair: &Pair<'_>,
    group: &[bool],
    wanted: &mut HashMap<u64, i64>,
    found: &mut Found,
) -> Result<()> {
    let mut open: HashMap<u64, (u128, i64)> = HashMap::new();
    pair.sqlite(|_, _, mark, standing| {
        if group[bucket(mark)] && !standing.is_out() {
            let entry = open.entry(mark.key).or_default();
            *entry = (entry.0.wrapping_add(mark.row), entry.1 + 1);
        }
    })
    .await?;
    pair.postgres(|_, mark| {
        if group[bucket(mark)] {
            let entry = open.entry(mark.key).or_default();
            *entry = (entry.0.wrapping_sub(mark.row), entry.1 - 1);
            if *entry == (0, 0) {
                open.remove(&mark.key);
            }
        }
    })
    .await?;
    for (key, (_, count)) in open {
        found.differing += if pair.projection.key.is_some() { 1 } else { count.unsigned_abs() };
        if wanted.len() < ROWS_MAX {
            wanted.insert(key, count);
        }
    }
    Ok(())
}

/// A row of SQLite that may differ.
pub(super) struct Ours {
    projected: Projected,
    entries: Vec<Entry>,
    refused: Vec<Entry>,
    name: String,
    standing: Standing,
    cells: Vec<(usize, Option<String>)>,
}

impl Ours {
    /// The row the source stands on.
    pub(super) fn new(source: &Source, projected: Projected, standing: Standing) -> Self {
        let cells = projected.misfits.iter().map(|m| (m.column, shown(source.cell(m.column))));
        let cells = cells.collect();
        let (name, entries) = (source.key(&projected), source.entries(&projected, None));
        let refused = source.entries(&projected, Some("PostgreSQL refuses the row"));
        Self { projected, entries, refused, name, standing, cells }
    }

    pub(super) fn values(&self) -> &Row {
        &self.projected.values
    }

    /// PostgreSQL does not have the row, and that is known.
    pub(super) fn is_out(&self) -> bool {
        self.standing.is_out()
    }

    /// Its name in the quarantine, and what is there of it once PostgreSQL has taken it.
    pub(super) fn held(self) -> (String, Vec<Entry>) {
        (self.name, self.entries)
    }

    pub(super) fn size(&self) -> usize {
        let held = self.entries.iter().chain(&self.refused).filter_map(|e| e.bytes.as_ref());
        size(&self.projected.values) + held.map(Vec::len).sum::<usize>()
    }
}

/// Fetches the rows of the keys found, and shows how they differ.
async fn rows(pair: &Pair<'_>, wanted: &HashMap<u64, i64>, found: &mut Found) -> Result<()> {
    let mut ours: HashMap<u64, Vec<Ours>> = HashMap::new();
    let mut theirs: HashMap<u64, Vec<Row>> = HashMap::new();
    let mut bytes = 0;
    // Of equal rows one does.
    let one = pair.projection.key.is_none();
    pair.sqlite(|source, projected, mark, standing| {
        if wanted.contains_key(&mark.key) && bytes < BYTES_MAX {
            let row = Ours::new(source, projected, standing);
            let known = ours.entry(mark.key).or_default();
            if !one || known.iter().all(Ours::is_out) {
                bytes += row.size();
                known.push(row);
            }
        }
    })
    .await?;
    let mut cut_short = bytes >= BYTES_MAX;
    pair.postgres(|row, mark| {
        if wanted.contains_key(&mark.key) && bytes < BYTES_MAX {
            let known = theirs.entry(mark.key).or_default();
            if !one || known.is_empty() {
                bytes += size(&row);
                known.push(row);
            }
        }
    })
    .await?;
    cut_short |= bytes >= BYTES_MAX;
    for (key, count) in wanted {
        let ours = ours.remove(key).unwrap_or_default();
        let theirs = theirs.remove(key).unwrap_or_default();
        let several = !pair.projection.key_is_exact();
        if cut_short && (several || ours.is_empty() || theirs.is_empty()) {
            // Which side lacks the row cannot be told.
            continue;
        }
        let differing = match pair.projection.key {
            Some(_) => of_key(pair, ours, theirs),
            None => keyless(pair, ours.into_iter().next_back(), theirs.into_iter().next(), *count),
        };
        match differing.len() {
            // The rows are equal all the same: see `of_key`.
            0 => found.differing = found.differing.saturating_sub(1),
            more if pair.projection.key.is_some() => found.differing += more as u64 - 1,
            _ => {}
        }
        let room = ROWS_MAX.saturating_sub(found.differences.len());
        found.differences.extend(differing.into_iter().take(room));
    }
    found.differences.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(())
}

/// A row that one side has more often, as often as it has.
fn keyless(
    pair: &Pair<'_>,
    ours: Option<Ours>,
    theirs: Option<Row>,
    count: i64,
) -> Vec<Difference> {
    let kind = if count > 0 { Kind::Missing } else { Kind::Extra };
    let copies = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    std::iter::repeat_n(made(pair, kind, ours, theirs, None), copies.min(ROWS_MAX)).collect()
}

/// What differs in the rows of one key: several of SQLite's where PostgreSQL's key is not exact, of
/// which it holds one; several of PostgreSQL's where it lacks the key.
pub(super) fn of_key(pair: &Pair<'_>, ours: Vec<Ours>, theirs: Vec<Row>) -> Vec<Difference> {
    let (out, mut here): (Vec<Ours>, Vec<Ours>) = ours.into_iter().partition(Ours::is_out);
    let mut theirs = theirs.into_iter();
    let Some(row) = theirs.next() else {
        let missing =
            here.into_iter().map(|ours| made(pair, Kind::Missing, Some(ours), None, None));
        return missing.collect();
    };
    if here.is_empty() {
        // In quarantine by an older image; the row has come to fit since.
        let same = |ours: &Ours| apart(pair, ours, &row).is_empty();
        return match out.iter().position(same) {
            Some(_) => Vec::new(),
            None => one(pair, out.into_iter().next(), row).into_iter().collect(),
        };
    }
    // PostgreSQL's row is the one it is equal to, if there is one.
    let same = here.iter().position(|ours| apart(pair, ours, &row).is_empty());
    let first = here.swap_remove(same.unwrap_or(0));
    let wanted = first.projected.clone();
    let mut found: Vec<Difference> = one(pair, Some(first), row.clone()).into_iter().collect();
    if theirs.next().is_some() && found.is_empty() {
        // More often there: all of them go, and the primary's comes.
        let extra = made(pair, Kind::Extra, None, Some(row), None);
        found.push(Difference { wanted: Some(wanted), ..extra });
    }
    found.extend(here.into_iter().map(|ours| made(pair, Kind::Missing, Some(ours), None, None)));
    found
}

/// A row of PostgreSQL beside the one of SQLite that it stands for.
fn one(pair: &Pair<'_>, ours: Option<Ours>, theirs: Row) -> Option<Difference> {
    let Some(ours) = ours else { return Some(made(pair, Kind::Extra, None, Some(theirs), None)) };
    let columns = apart(pair, &ours, &theirs);
    if columns.is_empty() {
        return None;
    }
    Some(made(pair, Kind::Value, Some(ours), Some(theirs), Some(columns)))
}

/// The columns in which two rows differ.
fn apart(pair: &Pair<'_>, ours: &Ours, theirs: &Row) -> Vec<usize> {
    let mut columns = columns_that_differ(&pair.types, &ours.projected.values, theirs);
    if ours.standing == Standing::Unnamed {
        columns.extend(ours.projected.misfits.iter().map(|m| m.column));
        columns.sort_unstable();
        columns.dedup();
    }
    columns
}

fn made(
    pair: &Pair<'_>,
    kind: Kind,
    ours: Option<Ours>,
    theirs: Option<Row>,
    columns: Option<Vec<usize>>,
) -> Difference {
    let columns = columns.unwrap_or_else(|| (0..pair.types.len()).collect());
    let names = |columns: &[usize]| -> Vec<String> {
        columns.iter().map(|c| pair.projection.columns[*c].name.clone()).collect()
    };
    let our_values = ours.as_ref().map(|o| &o.projected.values);
    let key_columns: Vec<usize> = match &pair.projection.key {
        Some(key) => key.clone(),
        None => (0..pair.types.len()).collect(),
    };
    let either = our_values.or(theirs.as_ref());
    let mut key: Vec<_> = names(&key_columns)
        .into_iter()
        .zip(key_columns.iter().map(|c| either.and_then(|v| text_at(v, *c, &pair.types))))
        .collect();
    let mut primary: Vec<_> = columns
        .iter()
        .map(|c| {
            let ours = ours.as_ref()?;
            let misfit = ours.cells.iter().find(|(column, _)| column == c);
            misfit.map_or_else(
                || text_at(&ours.projected.values, *c, &pair.types),
                |(_, shown)| shown.clone(),
            )
        })
        .collect();
    let mut shadow: Vec<_> =
        columns.iter().map(|c| theirs.as_ref().and_then(|t| text_at(t, *c, &pair.types))).collect();
    let mut shortened = shortened::key(&mut key);
    shortened.extend(shortened::values(&mut primary, &mut shadow, &mut []));
    let name = ours.as_ref().map_or_else(String::new, |o| o.name.clone());
    let (wanted, entries, refused) = match ours {
        Some(ours) if kind != Kind::Extra => (Some(ours.projected), ours.entries, ours.refused),
        _ => (None, Vec::new(), Vec::new()),
    };
    let there = theirs.filter(|_| kind != Kind::Missing);
    let columns = names(&columns);
    Difference {
        kind,
        key,
        columns,
        primary,
        shadow,
        shortened,
        wanted,
        entries,
        refused,
        name,
        there,
    }
}

fn text_at(row: &Row, column: usize, types: &[Type]) -> Option<String> {
    text(row.get(column)?, *types.get(column)?)
}

/// A stored value that has no logical form, as a person can read it.
fn shown(cell: crate::value::CellRef<'_>) -> Option<String> {
    use crate::value::CellRef;
    match cell {
        CellRef::Null => None,
        CellRef::Integer(i) => Some(i.to_string()),
        CellRef::Real(r) => Some(r.to_string()),
        CellRef::Text(b) => Some(String::from_utf8_lossy(b).into_owned()),
        CellRef::Blob(b) => Some(b.iter().fold("\\x".to_owned(), |mut hex, byte| {
            hex.push_str(&format!("{byte:02x}"));
            hex
        })),
    }
}

fn size(values: &Row) -> usize {
    use crate::value::Datum;
    values
        .iter()
        .map(|v| match v {
            Datum::Text(t) | Datum::Json(t) | Datum::Jsonb(t) => t.len() + 32,
            Datum::Bytea(b) => b.len() + 32,
            Datum::Array(_, elements) => 32 * (elements.len() + 1),
            _ => 32,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_bounded() {
        let suspect: Vec<usize> = (0..20).collect();
        let (found, rest) = groups(&suspect, |_| KEYS_MAX / 2);
        assert_eq!(found.len(), GROUPS_MAX);
        assert_eq!(rest.len(), 20 - 2 * GROUPS_MAX);
        assert!(found[0][0] && found[0][1] && !found[0][2] && found[1][2]);
        let (found, rest) = groups(&suspect, |_| KEYS_MAX * 3);
        assert_eq!((found.len(), rest.len()), (GROUPS_MAX, 20 - GROUPS_MAX));
    }
}
