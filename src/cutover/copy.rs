//! Backfill as the phase machine sees it: copying, catching up, mirroring.

use std::sync::Arc;
use std::time::Duration;

use super::facts;
use super::observe;
use super::phase::Phase;
use super::state::PostgresView;
use super::switch::{SECOND, Switch, failed};
use crate::backend::postgres::control::Lock;
use crate::backfill::told::step;
use crate::backfill::{self, Context, Summary, Tell};
use crate::count::counted;
use crate::error::{Error, Result, state};

/// How long catching up is waited for before the task ends and leaves the rest to the mirror.
const CATCH_UP_MAX: Duration = Duration::from_secs(600);
/// How much longer than the quiet time it is waited for.
const QUIET_TIMES: u32 = 10;
/// How often it is looked whether it is quiet.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long the applier's connection may take to end.
const LOCK_MAX: Duration = Duration::from_secs(3);
/// Commits behind at which the shadow counts as following.
const SMALL_LAG: u64 = 50;

impl Switch {
    /// Copies every table (or some) and goes on to mirroring. A copy that was not finished is
    /// gone on with; one that was only where `resume` says so, otherwise it is made anew.
    ///
    /// # Errors
    /// When the phase does not allow it, or a back end fails; the phase is `copying` then, and
    /// running it again goes on.
    pub async fn copy(&self, tables: &[String], resume: bool, tell: &Tell) -> Result<Summary> {
        let _turn = self.turn.lock().await;
        let copied = self.copy_in_turn(tables, resume, tell).await;
        if copied.is_err() {
            match self.facts().await?.1 {
                // Nothing has begun: the pair may be another one's.
                Phase::Direct => self.claim.leave().await,
                Phase::CatchingUp | Phase::Mirroring if !self.is_paused() => self.mirror.start(),
                _ => {}
            }
        }
        copied
    }

    async fn copy_in_turn(&self, tables: &[String], resume: bool, tell: &Tell) -> Result<Summary> {
        let (_, phase) = self.facts().await?;
        if !matches!(phase, Phase::Direct | Phase::Copying | Phase::CatchingUp | Phase::Mirroring) {
            return Err(failed("PostgreSQL is primary: there is nothing to copy to it"));
        }
        if matches!(phase, Phase::Direct | Phase::Copying) {
            self.quiet(tell).await?;
        }
        self.mirror.stop().await;
        let control = observe::connect(&self.connector).await?;
        match self.view(self.phase()).await? {
            PostgresView::Reachable(_) => {}
            PostgresView::Locked => return Err(failed(SECOND)),
            PostgresView::Absent | PostgresView::Unreachable => {
                let message = "PostgreSQL does not answer";
                return Err(Error::shadow(state::CONNECTION_FAILURE, message).retryable());
            }
        }
        if !control.lock(Lock::Shadow, LOCK_MAX).await? {
            return Err(failed(SECOND));
        }
        let epoch = self.epoch();
        let context = Context {
            journal: self.journal.clone(),
            control: control.clone(),
            epoch,
            divergences: Some(self.store.clone()),
            decided: Arc::clone(&self.decided),
            foreign_keys_off: self.foreign_keys_off,
            limit: self.mirror.limit(),
            workers: self.limits().workers,
            resume: resume || matches!(phase, Phase::Direct | Phase::Copying),
        };
        // What somebody else wrote is in no journal: where, nobody knows.
        self.look_for_foreign_writer().await?;
        observe::close_old_reigns(&control, &self.journal, epoch).await?;
        self.set_phase(Phase::Copying).await?;
        let summary = match backfill::run(&context, tables, tell).await {
            Ok(summary) => summary,
            Err(error) => {
                // Refused before anything was written: the copy that was there stands.
                let stored = control.stored().await.ok().flatten();
                let stands = stored.is_some_and(|stored| stored.lineage.is_some());
                if stands && matches!(phase, Phase::CatchingUp | Phase::Mirroring) {
                    self.set_phase(phase).await?;
                }
                return Err(error);
            }
        };
        let (left_out, copied): (Vec<_>, Vec<_>) =
            summary.tables.iter().partition(|report| report.error.is_some());
        let name = |report: &&backfill::Report| report.table.clone();
        let left_out: Vec<String> = left_out.iter().map(name).collect();
        let copied: Vec<String> = copied.iter().map(name).collect();
        facts::note_copy(&self.journal, &left_out, &copied).await?;
        if !summary.complete {
            return Ok(summary);
        }
        // The lock goes with this connection; the applier takes it next.
        control.unlock().await?;
        drop(context);
        drop(control);
        self.copied();
        self.set_phase(Phase::CatchingUp).await?;
        // Nothing is compared until the shadow follows: that would only take longer.
        self.mirror.carry_only(true);
        self.mirror.start();
        let followed = self.follow(tell).await;
        self.mirror.carry_only(false);
        followed?;
        Ok(summary)
    }

    /// Waits until nobody else writes the file: workers of the application that roll over still
    /// have it open, and no journal has what they write.
    async fn quiet(&self, tell: &Tell) -> Result<()> {
        let (quiet, began) = (self.limits().quiet, tokio::time::Instant::now());
        let mut told = 0;
        loop {
            let seen = self.sqlite.check_foreign().await?;
            let Some(age) = self.sqlite.foreign_age().filter(|age| *age < quiet) else {
                return Ok(());
            };
            if began.elapsed() > quiet * QUIET_TIMES {
                let message = format!(
                    "other programs still write to the SQLite file: {seen} commits seen, the \
                     last {} ms ago",
                    age.as_millis()
                );
                return Err(failed(message).hint(
                    "What they write is in no journal. Let them connect to the proxy, or end \
                     them, and copy again; mirror.quiet_ms says how long it must be quiet.",
                ));
            }
            if seen > told {
                told = seen;
                let text = format!("{} by other programs so far", counted(seen, "commit"));
                step(tell, "waiting until nobody else writes the file", text);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn follow(&self, tell: &Tell) -> Result<()> {
        let deadline = tokio::time::Instant::now() + CATCH_UP_MAX;
        while tokio::time::Instant::now() < deadline {
            let lag = self.sqlite.position().0.saturating_sub(self.mirror.applied().0);
            if self.mirror.state() == crate::mirror::State::Running && lag <= SMALL_LAG {
                self.set_phase(Phase::Mirroring).await?;
                step(tell, "mirroring", format!("{} behind", counted(lag, "commit")));
                return Ok(());
            }
            if let crate::mirror::State::CopyAnew(why) = self.mirror.state() {
                return Err(failed(why));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    pub(super) async fn set_phase(&self, phase: Phase) -> Result<()> {
        facts::store_phase(&self.journal, phase).await?;
        let (sqlite, phase) = self.facts().await?;
        self.show(&sqlite, phase);
        Ok(())
    }
}
