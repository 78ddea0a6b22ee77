//! Whether somebody changes PostgreSQL's schema behind the mirror's back.
//!
//! Compares the tables with their picture now and then, and reports each line once: what is gone,
//! what is new and matters. What is as it should be again is closed. It must never stop the
//! applier. Start at [`Drift::step`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Shared;
use super::counters::Counters;
use crate::backend::postgres::control::Control;
use crate::backend::postgres::picture::{self, Drifted, Lines};
use crate::divergence::{Group, GroupState, Sample};
use crate::error::Result;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The class of its divergences.
pub(super) const CLASS: &str = "schema_drift";

/// Looks that somebody asks for. The applier does them: its own schema changes lie between two
/// of its looks, never inside one.
pub(super) struct Looks {
    asked: AtomicU64,
    answered: watch::Sender<u64>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { asked: AtomicU64::new(0), answered: watch::Sender::new(0) }
    }
}

impl Looks {
    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// Asks for one; resolves when it was done.
    pub(super) fn ask(&self) -> impl Future<Output = ()> + use<> {
        let number = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut answered = self.answered.subscribe();
        async move {
            // The sender ends with the mirror.
            let _ = answered.wait_for(|n| *n >= number).await;
        }
    }
}

/// When it was looked at last.
#[derive(Default)]
pub(super) struct Drift {
    last: Option<Instant>,
}

impl Drift {
    /// Looks, when it is time.
    ///
    /// # Errors
    /// Only when the connection is lost.
    pub(super) async fn step(
        &mut self,
        shared: &Shared,
        control: &Control,
        counters: &Counters,
        pictured: bool,
    ) -> Result<()> {
        let (asked, answered) = (shared.looks.asked(), *shared.looks.answered.borrow());
        if asked == answered && self.last.is_some_and(|last| last.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        self.last = Some(Instant::now());
        let looked = async {
            counters.look(shared, control).await?;
            if pictured { look(shared, control).await.map(drop) } else { Ok(()) }
        };
        match looked.await {
            Err(error) if control.is_closed() => return Err(error),
            Err(error) => tracing::warn!(%error, "the shadow's schema could not be looked at"),
            Ok(()) => {}
        }
        shared.looks.answered.send_replace(asked);
        Ok(())
    }
}

/// Looks now; how the tables look.
///
/// # Errors
/// What PostgreSQL said.
pub(super) async fn look(shared: &Shared, control: &Control) -> Result<Lines> {
    let (found, now) = picture::differences(control).await?;
    let position = shared.applied.borrow().0;
    let known = shared.store.of_class(CLASS);
    let is = |g: &Group, d: &Drifted| {
        g.table.as_ref() == Some(&d.table) && g.columns.first() == Some(&d.line)
    };
    // Somebody has written by hand what the copy could not make.
    let answered = |d: &Drifted| {
        known.iter().find(|g| {
            g.table.as_ref() == Some(&d.table) && d.written().is_some_and(|l| g.is_answered_by(l))
        })
    };
    for drifted in &found {
        if let Some(group) = answered(drifted) {
            if group.state == GroupState::Open {
                shared.store.fixed(&group.id);
            }
            continue;
        }
        if known.iter().any(|g| g.state != GroupState::Fixed && is(g, drifted)) {
            continue;
        }
        let what = if drifted.added { "new on PostgreSQL" } else { "gone from PostgreSQL" };
        shared.store.record(Sample {
            class: CLASS.to_owned(),
            table: Some(drifted.table.clone()),
            columns: vec![drifted.line.clone()],
            position_primary: position,
            position_shadow: position,
            message: format!("{what}: {}", drifted.line),
            ..Sample::default()
        });
    }
    let ours = known.iter().filter(|g| !Counters::reports(g) && g.missing().is_none());
    for group in ours.filter(|g| g.state == GroupState::Open) {
        if !found.iter().any(|d| is(group, d) && answered(d).is_none()) {
            shared.store.fixed(&group.id);
        }
    }
    Ok(now)
}
