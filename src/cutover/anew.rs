//! PostgreSQL has to be copied anew: how that is found, said, and remembered until it is done.
//!
//! Owns the reason, as long as the process lives. It must never say another one later than was found
//! first: a look at both histories after the end of the journal finds nothing but that it has ended.
//! Start at [`Switch::copy_anew`].

use super::phase::Phase;
use super::state::{SqliteRole, SqliteState};
use super::switch::{COPY_ANEW, Switch};
use super::{facts, observe};
use crate::error::Result;
use crate::mirror::State;

impl Switch {
    /// Mirroring has ended by itself (a full journal, another history): the phase says so. When
    /// another proxy has taken the lock, both sides are looked at again: it may serve, too.
    ///
    /// # Errors
    /// SQLite's own.
    pub async fn follow_mirror(&self) -> Result<()> {
        if self.mirror.state() == State::Locked {
            self.unsettle();
        }
        let follows = || matches!(self.phase(), Phase::CatchingUp | Phase::Mirroring);
        let ended = || match self.mirror.state() {
            State::CopyAnew(why) => Some(why),
            // It could not be noted the last time.
            _ => self.anew.lock().clone().filter(|_| follows()),
        };
        if ended().is_none() {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        let records =
            |phase: Phase| matches!(phase, Phase::Copying | Phase::CatchingUp | Phase::Mirroring);
        match ended().filter(|_| records(self.phase())) {
            Some(why) => self.copy_anew(&why).await,
            None => Ok(()),
        }
    }

    /// Stops mirroring: PostgreSQL must be copied anew.
    ///
    /// # Errors
    /// SQLite's own.
    pub(super) async fn copy_anew(&self, why: &str) -> Result<()> {
        self.mirror.stop().await;
        *self.anew.lock() = Some(why.to_owned());
        *self.trouble.lock() = Some(format!("{why}; {COPY_ANEW}"));
        self.store.verify_reset()?;
        facts::store_phase(&self.journal, Phase::Copying).await?;
        let (sqlite, phase) = self.facts().await?;
        if sqlite.role == SqliteRole::Primary {
            self.disown_postgres(&sqlite).await;
        }
        self.show(&sqlite, phase);
        Ok(())
    }

    /// Why PostgreSQL has to be copied anew: as it was said when that was found, as the mirror said
    /// when it ended, or as both histories show.
    pub(super) async fn why_anew(&self) -> Option<String> {
        let said = self.anew.lock().clone();
        match self.mirror.state() {
            _ if said.is_some() => said,
            State::CopyAnew(why) => Some(why),
            _ => observe::foreign_history(&self.connector, &self.journal).await,
        }
    }

    /// What was said is over: a copy is complete.
    pub(super) fn copied(&self) {
        *self.anew.lock() = None;
        *self.trouble.lock() = None;
    }

    /// Whoever sees only PostgreSQL must not take it for primary: SQLite is, or it is older than
    /// what was served. Best effort: where it does not answer, this is tried at the next look.
    pub(super) async fn disown_postgres(&self, sqlite: &SqliteState) {
        let disowned = observe::disown(&self.connector, &self.journal, sqlite).await;
        if let Err(error) = disowned {
            tracing::warn!(%error, "PostgreSQL could not be told that it is not primary");
        }
    }
}
