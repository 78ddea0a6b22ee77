//! Statements that are much slower on the shadow: what is told of them, with both plans.
//!
//! [`crate::compare::PaceRule`] decides. It must never be about lag: times are those of the
//! statement alone. Start at [`read`] and [`write`].

use super::answer::At;
use super::batch::Batch;
use super::{Shared, effect};
use crate::compare::Paced;
use crate::divergence::{GroupState, Sample};
use crate::error::Result;
use crate::journal::Note;

/// Its class.
const CLASS: &str = "slow";

/// A write of which there is news, and where it ran.
pub(super) struct News {
    note: Note,
    paced: Paced,
    position: u64,
}

/// What has come to be known of a read; its connection has no transaction open.
pub(super) async fn read(at: &At<'_>, paced: Paced) {
    let Some(message) = message(&paced) else {
        fine(at.shared, &at.sample.plan.fingerprint.text);
        return;
    };
    let mut found = at.evidence(CLASS, message);
    at.with_plans(&mut found).await;
    at.shared.store.record(found);
}

/// Whether there is news of a write.
pub(super) fn noted(batch: &mut Batch, note: &Note) {
    if let Some(paced) = batch.shared.shapes.paced(note.fingerprint) {
        let position = batch.shared.applied.borrow().0;
        batch.slow.push(News { note: note.clone(), paced, position });
    }
}

/// Tells what has come to be known of writes, inside the batch's transaction.
///
/// # Errors
/// Only when the connection or the transaction is lost.
pub(super) async fn writes(batch: &mut Batch) -> Result<()> {
    for News { note, paced, position } in std::mem::take(&mut batch.slow) {
        let text = note.text.clone().unwrap_or_default();
        let Some(message) = message(&paced) else {
            fine(&batch.shared, &text);
            continue;
        };
        let mut found = Sample {
            class: CLASS.to_owned(),
            fingerprint: text.clone(),
            table: note.table.clone(),
            postgres_sql: Some(text),
            parameters: effect::parameters(&note),
            position_primary: position,
            position_shadow: position,
            message,
            ..Sample::default()
        };
        if batch.shared.store.keeps(&found) {
            found.shadow_plan = plan(batch, &note).await?;
        }
        batch.shared.store.record(found);
    }
    Ok(())
}

/// How PostgreSQL would run it; nothing where it does not say.
async fn plan(batch: &mut Batch, note: &Note) -> Result<Vec<String>> {
    batch.settle().await?;
    let control = batch.control();
    control.batch("SAVEPOINT crossfade_plan").await?;
    let lines = effect::explained(batch, note).await.unwrap_or_default();
    control.batch("ROLLBACK TO crossfade_plan; RELEASE crossfade_plan").await?;
    Ok(lines)
}

/// None where there is nothing to tell but that it is over.
fn message(paced: &Paced) -> Option<String> {
    let Paced::Slow { primary, shadow } = paced else { return None };
    Some(format!(
        "half of the calls take {:.1} ms on the primary and {:.1} ms on PostgreSQL, 99 of 100 \
         {:.1} ms and {:.1} ms",
        primary.0, shadow.0, primary.1, shadow.1
    ))
}

/// It is as fast as it should be: what was told of it is over.
fn fine(shared: &Shared, fingerprint: &str) {
    let groups = shared.store.of_class(CLASS).into_iter();
    let open = groups.filter(|g| g.state == GroupState::Open && g.fingerprint == fingerprint);
    for group in open {
        shared.store.fixed(&group.id);
    }
}
