//! Several records tested together: one savepoint and one pipeline for all of them.
//!
//! Only records whose statements can all be tested, and whose work may all be kept; each is judged
//! by itself, by the rows it has left before the next one ran. When one of them is not equal the
//! whole is undone and half as many are tried, down to the one that [`super::lane_b::test`] then
//! looks into. It must never keep a record that it did not prove equal. Start at [`test`].

use super::batch::Batch;
use super::effect::{self, Expected, Judged, NotRun, Step, Trial, expected};
use super::lane_b::{self, Part};
use super::shadow::Change;
use crate::error::Result;
use crate::journal::{Event, Events, Note, Record};
use crate::schema::Catalog;

/// Records tested together, at most.
pub(super) const MAX: usize = 128;

/// A record that may be one of them, with its rows.
type Candidate<'a> = (&'a Record, Vec<Change<'a>>);

/// One record of them.
struct Member<'a> {
    ops: Vec<Step<'a>>,
    expected: &'a Expected,
}

/// Tests the first of these records, as many as can be tested together; how many of them are
/// proven equal and kept. 0 says nothing about the first.
///
/// # Errors
/// Only when the connection or the transaction is lost.
pub(super) async fn test(
    batch: &mut Batch,
    records: &[Record],
    catalog: &Catalog,
) -> Result<usize> {
    let mut size = batch.together;
    if size < 2 || records.len() < 2 {
        // It grows again, one by one.
        batch.together = (size * 2).clamp(1, MAX);
        return Ok(0);
    }
    let candidates = candidates(batch, &records[..records.len().min(size)], catalog).await?;
    let parts: Vec<_> = candidates.iter().map(|(r, changes)| lane_b::parts(r, changes)).collect();
    let expected: Vec<_> = candidates.iter().map(|(_, changes)| expected(changes)).collect();
    let mut members = Vec::with_capacity(candidates.len());
    let mut keys = 0;
    for (((_, changes), parts), expected) in candidates.iter().zip(&parts).zip(&expected) {
        let Some(ops) = steps(batch, changes, parts, expected, catalog).await? else { break };
        keys += changes.len();
        if keys > batch.shared.settings.lane_b_keys_max {
            break;
        }
        members.push(Member { ops, expected });
    }
    // Those behind one that cannot be among them were looked at in vain: fewer next time.
    let in_vain = members.len() < candidates.len();
    let mut kept = 0;
    while members.len() - kept > 1 && size > 1 {
        let part = &members[kept..members.len().min(kept + size)];
        if part.len() < 2 {
            break;
        }
        if are_equal(batch, part).await? {
            kept += part.len();
        } else {
            size = part.len() / 2;
        }
    }
    let all = kept == members.len();
    batch.together = match all {
        true if in_vain => members.len().clamp(1, MAX),
        true => (size * 2).min(MAX),
        false => size.max(1),
    };
    Ok(kept)
}

/// The first of these records all of whose rows are known, and belong to statements.
async fn candidates<'a>(
    batch: &mut Batch,
    records: &'a [Record],
    catalog: &Catalog,
) -> Result<Vec<Candidate<'a>>> {
    let mut candidates = Vec::with_capacity(records.len());
    for record in records {
        let alike = !lane_b::notes(record).is_empty()
            && lane_b::obstacle(batch, record).is_none()
            && ends_with_statement(record);
        if !alike {
            break;
        }
        let Some(changes) = lane_b::changes(batch, record, catalog).await? else { break };
        candidates.push((record, changes));
    }
    Ok(candidates)
}

/// The steps of a record, when all of them are statements whose work may be kept.
async fn steps<'a>(
    batch: &mut Batch,
    changes: &[Change<'_>],
    parts: &'a [Part<'a>],
    expected: &Expected,
    catalog: &Catalog,
) -> Result<Option<Vec<Step<'a>>>> {
    let (ops, left_out) = lane_b::steps(&batch.shared.settings, parts, catalog);
    let notes: Vec<&Note> = ops.iter().filter_map(Step::note).collect();
    if !left_out.is_empty()
        || notes.len() < ops.len()
        || !lane_b::loud(batch, &notes, changes.iter()).is_empty()
        || !lane_b::reaches_all(&ops, changes)
    {
        return Ok(None);
    }
    let may = lane_b::may_keep(batch, changes, expected).await?
        && lane_b::written_are_plain(batch, &notes, catalog).await?;
    Ok(may.then_some(ops))
}

/// Whether every row belongs to a statement.
fn ends_with_statement(record: &Record) -> bool {
    let Events::Loaded(events) = &record.events else { return false };
    matches!(events.last(), Some(Event::Statement(_)))
}

/// Runs them; what they did stays if it is proven equal, and is undone otherwise.
async fn are_equal(batch: &mut Batch, members: &[Member<'_>]) -> Result<bool> {
    let control = batch.control();
    let release = batch.release.take().unwrap_or_default();
    let limits = batch.limits();
    let role = lane_b::as_client(batch);
    let begin = format!("{release}{limits}SAVEPOINT crossfade_test; {role}");
    batch.savepoint(&begin).await?;
    let trials: Vec<Trial<'_>> =
        members.iter().map(|m| Trial { ops: &m.ops, expected: m.expected }).collect();
    let ulps = batch.shared.settings.float_ulps;
    let equal = match effect::run(batch, &trials).await {
        Ok(found) => {
            let mut judged = members.iter().zip(&found);
            judged.try_fold(true, |equal, (member, found)| {
                let verdict = effect::judge(&member.ops, member.expected, found, ulps)?;
                Ok::<_, crate::error::Error>(equal && matches!(verdict, Judged::Equal))
            })?
        }
        Err(_) if control.is_closed() => return Err(super::applier::lost()),
        Err(NotRun { error, .. }) if lane_b::ends_session(&error) => return Err(error),
        Err(_) => false,
    };
    if equal {
        let notes = members.iter().flat_map(|m| m.ops.iter().filter_map(Step::note));
        let notes: Vec<&Note> = notes.collect();
        lane_b::keep_work(batch, &notes);
        return Ok(true);
    }
    control.batch("ROLLBACK TO crossfade_test; RELEASE crossfade_test").await?;
    Ok(false)
}
