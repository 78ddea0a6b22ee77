//! The way back: following PostgreSQL after promote, and the rollback itself.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::facts;
use super::gate::{GateState, Route};
use super::observe;
use super::phase::Phase;
use super::recovery::WayBack as Proven;
use super::state::{SqliteRole, SqliteState};
use super::switch::{Ended, Report, Switch, failed};
use crate::backend::postgres::control::Control;
use crate::error::Result;
use crate::failpoint;
use crate::mirror::way_back::{Handle, State, WayBack};
use crate::schema::RelationKind;

/// How long making the slot may take: it waits for transactions that are open.
const SLOT_MAX: Duration = Duration::from_secs(10);
/// How long the marker row of the probe may take.
const PROBE_MAX: Duration = Duration::from_secs(15);

/// The way back of this pair, when one is open.
#[derive(Default)]
pub(super) struct WayBackSlot {
    handle: tokio::sync::Mutex<Option<Handle>>,
    /// What the last probe or the following task said: holds, what, why not.
    told: Mutex<Option<(bool, String, String)>>,
}

impl Switch {
    /// Whether the way back is open (or would be): holds, what was found, why not.
    pub fn way_back_status(&self) -> (bool, String, String) {
        if let Ok(handle) = self.way_back.handle.try_lock()
            && let Some(handle) = handle.as_ref()
        {
            return match handle.state() {
                State::Following => {
                    (true, format!("following, at {}", handle.view().reached), String::new())
                }
                State::Connecting(why) => (false, "connecting".to_owned(), why),
                State::Stopped => (false, "stopped".to_owned(), "it is not followed".to_owned()),
                State::Closed(why) => (false, "closed".to_owned(), why),
            };
        }
        self.way_back.told.lock().clone().unwrap_or_else(|| {
            let reason = "the probe runs with backfill, verify and promote";
            (false, "not probed".to_owned(), reason.to_owned())
        })
    }

    /// Makes what following needs and proves the path with a marker row. To be called while
    /// SQLite is primary.
    pub async fn probe_way_back(&self) -> Result<Duration> {
        let probed = async {
            let control = observe::connect(&self.connector).await?;
            self.make_slot(&control).await?;
            WayBack::probe(&control, &self.connector, &self.sqlite, &self.clock, PROBE_MAX).await
        }
        .await;
        let told = match &probed {
            Ok(took) => (true, format!("probe passed in {} ms", took.as_millis()), String::new()),
            Err(error) => (false, "probe failed".to_owned(), error.to_string()),
        };
        *self.way_back.told.lock() = Some(told);
        probed
    }

    async fn make_slot(&self, control: &Control) -> Result<()> {
        let catalog = self.sqlite.catalog();
        let tables: Vec<_> =
            catalog.relations.values().filter(|r| r.kind == RelationKind::Table).cloned().collect();
        WayBack::prepare(control, &self.connector, &tables, SLOT_MAX).await.map(drop)
    }

    /// Part of precheck: the slot is made before anything waits. Without a way back the switch
    /// goes on only because its gate was overridden by name.
    pub(super) async fn prepare_way_back(&self, report: Report<'_>) -> Result<()> {
        match self.probe_way_back().await {
            Ok(took) => report("probe the way back", format!("{} ms", took.as_millis())),
            Err(error) => report("the way back is closed", error.to_string()),
        }
        Ok(())
    }

    /// Starts following from the decision on.
    pub(super) async fn open_way_back(&self, proven: Proven) {
        let mut slot = self.way_back.handle.lock().await;
        if slot.is_some() {
            return;
        }
        if proven == Proven::Unproven {
            let why = "PostgreSQL failed over; SQLite must be copied anew";
            *self.way_back.told.lock() = Some((false, "closed".to_owned(), why.to_owned()));
            return;
        }
        let started = async {
            let from = match WayBack::stored(&self.sqlite).await? {
                Some(stored) => stored,
                // The decision was recorded by recovery: the slot's own beginning is before it,
                // and following it again from there ends in the same rows.
                None => WayBack::place(&observe::connect(&self.connector).await?).await?,
            };
            WayBack::start(&self.sqlite, &self.journal, &self.connector, &self.clock, from).await
        };
        match started.await {
            Ok(handle) => *slot = Some(handle),
            Err(error) => {
                *self.way_back.told.lock() = Some((false, "closed".to_owned(), error.to_string()));
            }
        }
    }

    /// Whether rollback may start: holds, what was found, why not.
    pub fn rollback_possible(&self) -> (bool, String, String) {
        if self.phase() != Phase::Promoted {
            let phase = self.phase().as_str();
            return (false, phase.to_owned(), format!("the phase is {phase}, not promoted"));
        }
        self.way_back_status()
    }

    /// Makes SQLite primary again.
    ///
    /// # Errors
    /// SQLite's own; a trouble of PostgreSQL undoes the switch.
    pub async fn rollback(&self, report: Report<'_>) -> Result<Ended> {
        let _turn = self.turn.lock().await;
        let (sqlite, _) = self.facts().await?;
        if !matches!(sqlite.role, SqliteRole::Shadow { .. }) {
            return Ok(Ended::Undone("PostgreSQL is not primary".to_owned()));
        }
        self.gate.take_longest_wait();
        self.phase.send_replace(Phase::Switching);
        let outcome = self.rollback_in_turn(&sqlite, report).await;
        self.recover_in_turn().await?;
        let back = matches!(self.gate.route(), Some(Route::Sqlite(_)));
        let ended = match outcome {
            _ if back => Ended::Done(self.gate.take_longest_wait()),
            Err(error) => Ended::Undone(error.message().to_owned()),
            Ok(()) => Ended::Undone("recovery did not settle it".to_owned()),
        };
        self.conclude("rollback", &ended);
        Ok(ended)
    }

    async fn rollback_in_turn(&self, sqlite: &SqliteState, report: Report<'_>) -> Result<()> {
        let epoch = sqlite.epoch + 1;
        let control = observe::connect(&self.connector).await?;
        self.gate.set(GateState::Draining(Route::Postgres(sqlite.epoch)));
        if !self.gate.emptied(self.limits.drain).await {
            return Err(failed("transactions on PostgreSQL did not end in time"));
        }
        self.gate.set(GateState::Closed);
        report("drain: transactions on PostgreSQL have ended", String::new());
        let rounds = observe::fence(&control, self.app_role.as_deref()).await?;
        failpoint!("cutover.postgres_fenced");
        let weak = if self.app_role.is_none() { ", weak fence (one role)" } else { "" };
        report("fence PostgreSQL", format!("{rounds} rounds{weak}"));
        let place = WayBack::place(&control).await?;
        let began = Instant::now();
        let mut slot = self.way_back.handle.lock().await;
        let handle = slot.as_ref().ok_or_else(|| failed("the way back is closed"))?;
        if !handle.caught_up_to(place, self.limits.catch_up).await? {
            return Err(failed("SQLite did not reach PostgreSQL's last commit in time"));
        }
        if let Some(handle) = slot.take() {
            handle.stop().await;
        }
        drop(slot);
        report("SQLite has caught up", format!("{} in {} ms", place, began.elapsed().as_millis()));
        let sequences = super::sequences::read(&self.sqlite, &control).await?;
        let (attempted, served) = self.store.witness();
        let writer = self.sqlite.writer(Some(Instant::now() + self.limits.drain)).await?;
        let at = facts::point_of(self.journal.head());
        let to = SqliteState { epoch, role: SqliteRole::Returned(at) };
        self.store.set_witness(attempted.max(epoch), served)?;
        super::sequences::bring_back(&self.sequences, &writer, &sequences)?;
        facts::store(&self.journal, writer, &to, Phase::Switching)?;
        failpoint!("cutover.returned");
        report("set sequences", format!("{} sequences", sequences.len()));
        report("decide", format!("epoch {epoch} belongs to SQLite"));
        Ok(())
    }

    /// Ends the way back for good: slot, publication and journal are taken down.
    ///
    /// # Errors
    /// What either side said.
    pub async fn complete(&self, report: Report<'_>) -> Result<()> {
        let _turn = self.turn.lock().await;
        if let Some(handle) = self.way_back.handle.lock().await.take() {
            handle.stop().await;
        }
        let control = observe::connect(&self.connector).await?;
        WayBack::drop_slot(&control).await?;
        report("take down slot and publication", String::new());
        self.set_phase(Phase::Complete).await?;
        report("complete", "PostgreSQL alone".to_owned());
        Ok(())
    }
}
