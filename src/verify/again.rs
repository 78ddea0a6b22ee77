//! Rows that PostgreSQL has refused, tried once more: what stood in their way may be gone.
//!
//! Owns the search for them and the trial: a transaction at the position the rows were read at, while
//! the applier is held there. It must never count a row that PostgreSQL would not keep. Start at
//! [`again`].

use super::cut::{AtCut, Cut};
use super::diff::Ours;
use super::pair;
use super::repair::{Texts, begin, put, refuses_a_row};
use super::scan::{Pair, Standing};
use super::settled::is_unsettled;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::project::Projection;
use crate::backend::postgres::quarantine::{self, Entry};
use crate::backend::sqlite::blocking;
use crate::backfill::source::Source;
use crate::error::Result;
use crate::value::Cell;

/// Rows that are tried at one cut: the applier waits meanwhile.
pub(super) const PORTION: usize = 1000;
/// Bytes of them.
const BYTES_MAX: usize = 64 << 20;

/// What finds a row in the file.
type Place = Vec<Cell>;

/// Where the rows of a table stand that are in quarantine though every value of them fits: the first
/// `max` of them.
///
/// # Errors
/// What either side said.
pub(super) async fn places(at: &AtCut, name: &str, max: usize) -> Result<Vec<Place>> {
    let Ok(pair) = pair(at, name).await? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    pair.sqlite(|source, _, _, standing| {
        if standing == Standing::Refused && found.len() < max {
            found.extend(source.place());
        }
    })
    .await?;
    Ok(found)
}

/// Tries the rows at these places; how many PostgreSQL takes. With `keep` they stay there, and leave
/// the quarantine.
///
/// # Errors
/// 55000 when the applier was not at the position of a cut; what either side said.
pub(super) async fn again(
    cuts: &dyn Cut,
    name: &str,
    mut places: &[Place],
    keep: bool,
) -> Result<u64> {
    let mut taken = 0;
    while !places.is_empty() {
        let at = cuts.cut(true).await?;
        let pair = match pair(&at, name).await {
            Ok(Ok(pair)) => pair,
            Ok(Err(_)) => break,
            // Emptied or written anew at this moment: another time.
            Err(error) if is_unsettled(&error) => break,
            Err(error) => return Err(error),
        };
        let portion = &places[..places.len().min(PORTION)];
        let (rows, seen) = blocking(|| rows(&pair, portion))?;
        places = &places[seen..];
        if !rows.is_empty() {
            taken += portion_of(&pair, rows, keep).await?;
        }
    }
    Ok(taken)
}

/// The first of these rows that are refused still, as they are now; how many places that were.
fn rows(pair: &Pair<'_>, places: &[Place]) -> Result<(Vec<Ours>, usize)> {
    let mut source = Source::by_place(&pair.at.sqlite, &pair.projection)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    for (n, place) in places.iter().enumerate() {
        if bytes >= BYTES_MAX {
            return Ok((found, n));
        }
        source.seek(place)?;
        if !source.step()? {
            continue;
        }
        let projected = source.project();
        let standing = pair.standing(&source, &projected);
        if standing == Standing::Refused {
            let row = Ours::new(&source, projected, standing);
            bytes += row.size();
            found.push(row);
        }
    }
    Ok((found, places.len()))
}

async fn portion_of(pair: &Pair<'_>, rows: Vec<Ours>, keep: bool) -> Result<u64> {
    let (at, projection) = (pair.at, &pair.projection);
    let control = Control::connect(&at.connector).await?;
    if !begin(at, &control).await? {
        // What a constraint says at the end is said of the row.
        control.batch("SET CONSTRAINTS ALL IMMEDIATE").await?;
    }
    let texts = Texts::new(projection);
    let mut taken = Vec::new();
    for row in rows {
        control.batch("SAVEPOINT crossfade_row").await?;
        match try_one(&control, &texts, projection, &row).await {
            Ok(true) => {
                control.batch("RELEASE crossfade_row").await?;
                taken.push(row.held());
            }
            Ok(false) => control.batch("RELEASE crossfade_row").await?,
            Err(error) if refuses_a_row(&error) => {
                control.batch("ROLLBACK TO crossfade_row; RELEASE crossfade_row").await?;
            }
            Err(error) => return Err(error),
        }
    }
    let count = taken.len() as u64;
    if !keep || taken.is_empty() {
        return control.batch("ROLLBACK").await.map(|()| count);
    }
    let (keys, entries): (Vec<String>, Vec<Vec<Entry>>) = taken.into_iter().unzip();
    let entries: Vec<Entry> = entries.into_iter().flatten().collect();
    let table = &projection.relation.name;
    quarantine::renew_rows(&control, at.position, table, &keys, &entries).await?;
    control.batch("COMMIT").await.map(|()| count)
}

/// Puts the row in, unless another one is there and no index of PostgreSQL's would say so.
async fn try_one(
    control: &Control,
    texts: &Texts,
    projection: &Projection,
    row: &Ours,
) -> Result<bool> {
    let unguarded = projection.key.is_some() && projection.arbiter.is_none();
    if unguarded && texts.is_there(control, projection, row.values()).await? {
        return Ok(false);
    }
    put(control, texts, projection, row.values(), false).await.map(|()| true)
}
