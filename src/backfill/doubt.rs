//! What of an earlier copy is not taken for whole.
//!
//! Owns the decision which tables are copied anew although their marks say that they are copied:
//! all that are wanted once a copy is finished, unless it is to be gone on with; and always those
//! of which something says that PostgreSQL's rows may be others. It must never let a doubt go with
//! a crash: the marks lose it in one transaction with the position. Start at [`tables`].

use std::collections::BTreeMap;

use super::cut::Snapshot;
use super::schema::TablePlan;
use super::{Context, Tell, step};
use crate::backend::Position;
use crate::backend::postgres::copied::Copied;
use crate::backend::sqlite::blocking;
use crate::error::Result;
use crate::journal;

/// Tables whose copy is not gone on with, and why; None where it is as ordered.
pub(super) type Doubts = BTreeMap<String, Option<String>>;

/// Looks for doubts, and changes nothing. `before`: foreign commits on the file before the cut.
///
/// # Errors
/// What either side said.
pub(super) async fn tables(
    context: &Context,
    cut: &Snapshot,
    wanted: &[&TablePlan],
    copied: &BTreeMap<String, Copied>,
    before: u64,
) -> Result<Doubts> {
    let mut doubts = Doubts::new();
    let complete = |name: &str| copied.get(name).filter(|c| c.complete);
    if !same_history(context, cut).await? {
        let why = "PostgreSQL has another history than the file";
        let all = copied.keys().filter(|name| complete(name).is_some());
        doubts.extend(all.map(|name| (name.clone(), Some(why.to_owned()))));
        return Ok(doubts);
    }
    let foreign = context.divergences.as_ref().is_some_and(|store| store.is_uncopied(before));
    for plan in wanted {
        let Some(mark) = complete(&plan.name) else { continue };
        let diverged = context
            .divergences
            .as_ref()
            .and_then(|store| store.open_since(&plan.name, mark.position.0));
        let why = match (diverged, foreign) {
            _ if !context.resume => None,
            (Some(id), _) => Some(format!("divergence {id} is open")),
            (None, true) => Some("another program has written the file".to_owned()),
            (None, false) => continue,
        };
        doubts.insert(plan.name.clone(), why);
    }
    Ok(doubts)
}

/// Where PostgreSQL stands, if it stands anywhere, is a place of this journal.
async fn same_history(context: &Context, cut: &Snapshot) -> Result<bool> {
    let sql = "SELECT position, hash FROM crossfade.state WHERE lineage = $1";
    let rows = context.control.client().query(sql, &[&&cut.lineage.0[..]]).await;
    let rows = rows.map_err(|e| context.control.error(&e))?;
    let Some(row) = rows.first() else { return Ok(true) };
    let position = Position(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0));
    let hash: Option<&[u8]> = row.get(1);
    if position > cut.head.position {
        return Ok(false);
    }
    let found = blocking(|| journal::find(&cut.connection, position))?;
    Ok(found.is_some_and(|found| hash == Some(&found.0[..])))
}

/// Tells which tables are copied anew, for the reasons that nobody has ordered.
pub(super) fn tell(doubts: &Doubts, progress: &Tell) {
    for (table, why) in doubts {
        if let Some(why) = why {
            step(progress, format!("copying {table}"), format!("anew: {why}"));
        }
    }
}
