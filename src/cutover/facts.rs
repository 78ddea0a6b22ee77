//! SQLite's part of the switch, in its file: epoch, role, phase.
//!
//! Written only in a writer's transaction and synced to disk before anything depends on it.

use std::collections::BTreeSet;

use super::phase::Phase;
use super::state::{Point, SqliteRole, SqliteState, System, Witness};
use crate::backend::sqlite::{Connection, Writer, blocking};
use crate::error::{Culprit, Error, Result, state};
use crate::journal::{Head, Journal, get_state, set_state};
use crate::value::Cell;

const EPOCH: &str = "epoch";
const ROLE: &str = "role";
const POSITION: &str = "role_position";
const HASH: &str = "role_hash";
const SYSTEM: &str = "role_system";
const TIMELINE: &str = "role_timeline";
const PHASE: &str = "phase";
const UNCOPIED: &str = "uncopied";

/// Reads SQLite's part; a file that never met a switch is primary of epoch 1 in phase direct.
///
/// # Errors
/// XX001 when a stored value has no meaning.
pub fn load(conn: &Connection) -> Result<(SqliteState, Phase)> {
    let epoch = match get_state(conn, EPOCH)? {
        Some(Cell::Integer(epoch)) if epoch > 0 => epoch.unsigned_abs(),
        _ => 1,
    };
    let phase = match get_state(conn, PHASE)? {
        Some(Cell::Text(word)) => Phase::parse(&word).ok_or_else(|| damaged(PHASE))?,
        _ => Phase::Direct,
    };
    let role = match get_state(conn, ROLE)? {
        None | Some(Cell::Null) => SqliteRole::Primary,
        Some(Cell::Text(word)) => match word.as_str() {
            "primary" => SqliteRole::Primary,
            "returned" => SqliteRole::Returned(point(conn)?),
            "fenced" => SqliteRole::Fenced { at: point(conn)?, system: system(conn)? },
            "shadow" => SqliteRole::Shadow { system: system(conn)? },
            _ => return Err(damaged(ROLE)),
        },
        Some(_) => return Err(damaged(ROLE)),
    };
    Ok((SqliteState { epoch, role }, phase))
}

/// Whether a file may be served without its PostgreSQL. `witness`: what the state file beside it
/// has seen.
///
/// # Errors
/// 55000 when it has handed over, or may have, or is older than a switch; XX001 when a stored value
/// has no meaning.
pub fn serves_alone(conn: &Connection, witness: Witness) -> Result<()> {
    let (state, _) = load(conn)?;
    let has = match state.role {
        SqliteRole::Primary if state.epoch < witness.attempted.max(witness.served) => {
            "is older than the last switch"
        }
        SqliteRole::Primary => return Ok(()),
        SqliteRole::Shadow { .. } => "has handed over to PostgreSQL",
        SqliteRole::Fenced { .. } => "was about to hand over to PostgreSQL",
        SqliteRole::Returned(_) => "was about to be primary again",
    };
    let message = format!("the SQLite file {has} with epoch {}: it is not primary", state.epoch);
    Err(Error::new(Culprit::Proxy, state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .hint("Start with --postgres URL: only both sides together say who is."))
}

/// Writes SQLite's part in the writer's transaction, commits, and syncs in every mode.
///
/// # Errors
/// SQLite's own; nothing is changed then.
pub fn store(journal: &Journal, writer: Writer, to: &SqliteState, phase: Phase) -> Result<()> {
    let (word, at, by) = match to.role {
        SqliteRole::Primary => ("primary", None, None),
        SqliteRole::Returned(at) => ("returned", Some(at), None),
        SqliteRole::Fenced { at, system } => ("fenced", Some(at), Some(system)),
        SqliteRole::Shadow { system } => ("shadow", None, Some(system)),
    };
    let text = |word: &str| Cell::Text(word.to_owned());
    set_state(&writer, ROLE, text(word))?;
    set_state(&writer, PHASE, text(phase.as_str()))?;
    if let Some(at) = at {
        set_state(&writer, POSITION, integer(at.position))?;
        set_state(&writer, HASH, Cell::Blob(at.hash.to_vec()))?;
    }
    if let Some(by) = by {
        // The identifier is a 64-bit pattern.
        set_state(&writer, SYSTEM, Cell::Integer(by.identifier.cast_signed()))?;
        set_state(&writer, TIMELINE, Cell::Integer(i64::from(by.timeline)))?;
    }
    let then = journal.set_epoch(&writer, to.epoch)?;
    writer.commit_with(|_| then())?;
    blocking(|| journal.sqlite().sync());
    Ok(())
}

/// Notes only the phase.
///
/// # Errors
/// SQLite's own.
pub async fn store_phase(journal: &Journal, phase: Phase) -> Result<()> {
    let writer = journal.sqlite().writer(None).await?;
    set_state(&writer, PHASE, Cell::Text(phase.as_str().to_owned()))?;
    let committed = writer.commit()?;
    journal.sqlite().wait_committed(committed).await
}

/// Tables of which PostgreSQL holds no copy; None where it holds none at all.
///
/// # Errors
/// SQLite's own.
pub fn uncopied(conn: &Connection) -> Result<Option<BTreeSet<String>>> {
    let (_, phase) = load(conn)?;
    if matches!(phase, Phase::Direct | Phase::Copying) {
        return Ok(None);
    }
    Ok(Some(match get_state(conn, UNCOPIED)? {
        Some(Cell::Text(list)) => list.lines().map(str::to_owned).collect(),
        _ => BTreeSet::new(),
    }))
}

/// Notes which tables a copy left out, and which it did not.
///
/// # Errors
/// SQLite's own.
pub async fn note_copy(journal: &Journal, left_out: &[String], copied: &[String]) -> Result<()> {
    let writer = journal.sqlite().writer(None).await?;
    let mut list: BTreeSet<String> = match get_state(&writer, UNCOPIED)? {
        Some(Cell::Text(list)) => list.lines().map(str::to_owned).collect(),
        _ => BTreeSet::new(),
    };
    list.retain(|name| !copied.contains(name));
    // A name with a line break in it would be two.
    list.extend(left_out.iter().filter(|n| !n.contains('\n')).cloned());
    let text: Vec<String> = list.into_iter().collect();
    set_state(&writer, UNCOPIED, Cell::Text(text.join("\n")))?;
    let committed = writer.commit()?;
    journal.sqlite().wait_committed(committed).await
}

/// A journal's head as the switch's point.
pub fn point_of(head: Option<Head>) -> Point {
    head.map_or_else(Point::default, |h| Point { position: h.position.0, hash: h.hash.0 })
}

fn integer(number: u64) -> Cell {
    Cell::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn point(conn: &Connection) -> Result<Point> {
    let (Some(Cell::Integer(position)), Some(Cell::Blob(hash))) =
        (get_state(conn, POSITION)?, get_state(conn, HASH)?)
    else {
        return Err(damaged(POSITION));
    };
    let hash = hash.try_into().map_err(|_| damaged(HASH))?;
    Ok(Point { position: u64::try_from(position).map_err(|_| damaged(POSITION))?, hash })
}

fn system(conn: &Connection) -> Result<System> {
    let (Some(Cell::Integer(identifier)), Some(Cell::Integer(timeline))) =
        (get_state(conn, SYSTEM)?, get_state(conn, TIMELINE)?)
    else {
        return Err(damaged(SYSTEM));
    };
    let timeline = u32::try_from(timeline).map_err(|_| damaged(TIMELINE))?;
    Ok(System { identifier: identifier.cast_unsigned(), timeline })
}

fn damaged(key: &str) -> Error {
    Error::primary(state::DATA_CORRUPTED, format!("the stored fact {key} has no meaning"))
}
