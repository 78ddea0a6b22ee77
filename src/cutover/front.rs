//! A proxy without a SQLite file: one of several in front of a PostgreSQL that another proxy, the
//! one with the file, has promoted.
//!
//! Owns the look at PostgreSQL's records that opens and closes this proxy's gate. It decides
//! nothing and writes nothing there, and must never serve what it cannot prove: each server session
//! asks for the reign again ([`super::reign`]). Start at [`Front::look`].

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::gate::{Gate, GateState, Route};
use super::observe;
use super::reign::Watch;
use super::state::{Epoch, System};
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::control::{Control, Stored};
use crate::backend::postgres::replication::Lsn;
use crate::error::Result;
use crate::telemetry::names;

/// How often PostgreSQL is asked who is primary.
const LOOK_EVERY: Duration = Duration::from_millis(500);

const OLDER: &str =
    "PostgreSQL is older than what was served: it was restored, or failed over to an old standby";
const ELSEWHERE: &str = "SQLite is primary, and this proxy has no SQLite file";

/// What PostgreSQL's records say of this proxy's clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Nothing is known yet, or PostgreSQL has never answered.
    Nothing,
    /// PostgreSQL is primary in this epoch.
    Reigns(Epoch, System),
    /// PostgreSQL is shut off: a rollback is under way.
    Switching,
    /// PostgreSQL is older than what this proxy has served: it was restored, or has failed over to a
    /// standby that lacks the last records.
    Older,
    /// SQLite is primary; who serves it, where that is known.
    Elsewhere(Option<String>),
    /// The migration is complete: there is nothing else that PostgreSQL could be mistaken for.
    Alone(Epoch),
}

/// See the module.
pub struct Front {
    connector: Connector,
    gate: Arc<Gate>,
    watch: Arc<Watch>,
    sight: Mutex<Sight>,
    newest: Mutex<Option<Newest>>,
    control: tokio::sync::Mutex<Option<Control>>,
}

impl Front {
    /// A front that has not looked yet; the gate should be closed.
    pub fn new(connector: Connector, gate: Arc<Gate>, watch: Arc<Watch>) -> Arc<Self> {
        let (sight, control) = (Mutex::new(Sight::Nothing), tokio::sync::Mutex::default());
        Arc::new(Self { connector, gate, watch, sight, newest: Mutex::default(), control })
    }

    /// What was seen last.
    pub fn sight(&self) -> Sight {
        self.sight.lock().clone()
    }

    /// Looks until the token is cancelled, and at once when a session doubts where it is.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.watch.doubted() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            self.look().await;
        }
    }

    /// Asks PostgreSQL, and opens or closes the gate. No answer changes nothing: clients meet the
    /// same silence.
    pub async fn look(&self) {
        match self.stored().await {
            Ok(stored) => self.judge(stored.as_ref()),
            Err(error) => {
                tracing::debug!(%error, "PostgreSQL does not say who is primary");
                *self.control.lock().await = None;
            }
        }
    }

    async fn stored(&self) -> Result<Option<Stored>> {
        let mut kept = self.control.lock().await;
        let control = match kept.take().filter(|control| !control.is_closed()) {
            Some(control) => control,
            None => observe::connect(&self.connector).await?,
        };
        let stored = observe::within(control.stored()).await?;
        *kept = Some(control);
        Ok(stored)
    }

    fn judge(&self, stored: Option<&Stored>) {
        let mut seen = judge(stored, &self.sight());
        if let Some(now) = stored.and_then(Newest::of) {
            let mut newest = self.newest.lock();
            if !newest.is_some_and(|newest| newest.outdates(&now)) {
                *newest = Some(now);
            } else if matches!(seen, Sight::Reigns(..)) {
                tracing::error!(newest = ?*newest, ?now, "PostgreSQL is older than what was seen");
                seen = Sight::Older;
            }
        }
        self.see(seen);
        // New server sessions must find at least this much.
        if let (Sight::Reigns(..), Some(newest)) = (self.sight(), *self.newest.lock()) {
            self.watch.followed(newest.end);
        }
    }

    fn see(&self, seen: Sight) {
        let state = match &seen {
            Sight::Reigns(epoch, system) => {
                self.watch.reigns(*system);
                GateState::Open(Route::Postgres(*epoch))
            }
            Sight::Alone(epoch) => {
                self.watch.alone();
                GateState::Open(Route::Postgres(*epoch))
            }
            Sight::Nothing | Sight::Switching => GateState::Closed,
            Sight::Older => GateState::Paused(OLDER),
            Sight::Elsewhere(_) => GateState::Paused(ELSEWHERE),
        };
        let mut sight = self.sight.lock();
        if *sight != seen {
            tracing::info!(?seen, "who is primary");
            *sight = seen;
        }
        drop(sight);
        if self.gate.state() != state {
            self.gate.set(state);
        }
        self.publish();
    }

    /// The phase as this proxy sees it, and its epoch.
    pub fn phase(&self) -> (super::phase::Phase, Epoch) {
        use super::phase::Phase;
        match self.sight() {
            Sight::Reigns(epoch, _) => (Phase::Promoted, epoch),
            Sight::Alone(epoch) => (Phase::Complete, epoch),
            Sight::Switching => (Phase::Switching, 0),
            Sight::Older => (Phase::Promoted, 0),
            Sight::Nothing | Sight::Elsewhere(_) => (Phase::Mirroring, 0),
        }
    }

    fn publish(&self) {
        let (phase, epoch) = self.phase();
        #[allow(clippy::cast_precision_loss)]
        gauge!(names::EPOCH).set(epoch as f64);
        for name in names::PHASES {
            gauge!(names::PHASE, "phase" => *name)
                .set(f64::from(u8::from(*name == phase.as_str())));
        }
        let open = matches!(self.gate.state(), GateState::Open(_));
        gauge!(names::PRIMARY, "backend" => "sqlite").set(f64::from(u8::from(!open)));
        gauge!(names::PRIMARY, "backend" => "postgres").set(f64::from(u8::from(open)));
    }
}

/// The newest PostgreSQL that this proxy has seen, whoever was primary then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Newest {
    epoch: Epoch,
    system: System,
    /// End of its log.
    end: Lsn,
}

impl Newest {
    fn of(stored: &Stored) -> Option<Self> {
        let (epoch, _) = stored.epochs.last()?;
        let system = System { identifier: stored.system, timeline: stored.timeline };
        Some(Self { epoch: *epoch, system, end: Lsn(stored.end) })
    }

    /// Whether what is there now is a past of it, or another server of the same reign. After a
    /// failover (a newer timeline) places cannot be compared.
    fn outdates(&self, now: &Self) -> bool {
        let other = now.system.identifier != self.system.identifier;
        let past = match now.system.timeline.cmp(&self.system.timeline) {
            Ordering::Less => true,
            Ordering::Equal => now.end < self.end,
            Ordering::Greater => false,
        };
        now.epoch < self.epoch || (now.epoch == self.epoch && (other || past))
    }
}

/// What records say; `before` is what was seen last.
fn judge(stored: Option<&Stored>, before: &Sight) -> Sight {
    let Some(stored) = stored else {
        return match before {
            // A person has dropped them after the end.
            Sight::Alone(epoch) => Sight::Alone(*epoch),
            _ => Sight::Elsewhere(None),
        };
    };
    match stored.epochs.last() {
        Some((epoch, word)) if word == "decided" && stored.complete => Sight::Alone(*epoch),
        // After the end PostgreSQL is the application's own, whatever backup it comes back from.
        Some((epoch, word)) if word == "decided" && matches!(before, Sight::Alone(_)) => {
            Sight::Alone(*epoch)
        }
        Some((_, word)) if word == "decided" && stored.disowned => Sight::Older,
        Some((_, word)) if word == "decided" && stored.fenced => Sight::Switching,
        // Decided, and not recorded on the other side yet: it may still be given up.
        Some((epoch, word)) if word == "decided" && stored.served.is_some_and(|s| s < *epoch) => {
            Sight::Switching
        }
        Some((epoch, word)) if word == "decided" => {
            let system = System { identifier: stored.system, timeline: stored.timeline };
            Sight::Reigns(*epoch, system)
        }
        _ => Sight::Elsewhere(stored.owner.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Position;
    use crate::backend::postgres::control::Holder;

    fn stored(epochs: &[(u64, &str)], fenced: bool) -> Stored {
        Stored {
            holder: Holder::Nobody,
            owner: Some("host:1:2:/app.db".to_owned()),
            system: 7,
            timeline: 1,
            lineage: None,
            position: Position(0),
            hash: None,
            fenced,
            complete: false,
            disowned: false,
            served: Some(9),
            end: 0,
            epochs: epochs.iter().map(|(e, w)| (*e, (*w).to_owned())).collect(),
        }
    }

    #[test]
    fn only_a_decision_that_stands_is_served() {
        let see =
            |epochs: &[(u64, &str)], fenced| judge(Some(&stored(epochs, fenced)), &Sight::Nothing);
        let reigns = |epoch| Sight::Reigns(epoch, System { identifier: 7, timeline: 1 });
        let elsewhere = || Sight::Elsewhere(Some("host:1:2:/app.db".to_owned()));
        assert_eq!(see(&[], false), elsewhere());
        assert_eq!(see(&[(2, "decided")], false), reigns(2));
        assert_eq!(see(&[(2, "decided")], true), Sight::Switching);
        assert_eq!(see(&[(2, "decided"), (3, "returned")], true), elsewhere());
        assert_eq!(see(&[(2, "decided"), (3, "returned"), (4, "abandoned")], true), elsewhere());
        assert_eq!(see(&[(2, "abandoned"), (3, "decided")], false), reigns(3));
        let complete = Stored { complete: true, ..stored(&[(2, "decided")], false) };
        assert_eq!(judge(Some(&complete), &reigns(2)), Sight::Alone(2));
        let early = Stored { served: Some(1), ..stored(&[(2, "decided")], false) };
        assert_eq!(judge(Some(&early), &Sight::Nothing), Sight::Switching);
        let past = Stored { disowned: true, ..stored(&[(2, "decided")], false) };
        assert_eq!(judge(Some(&past), &reigns(2)), Sight::Older);
        let old = Stored { served: None, ..stored(&[(2, "decided")], false) };
        assert_eq!(judge(Some(&old), &Sight::Nothing), reigns(2));
        assert_eq!(judge(Some(&early), &Sight::Alone(2)), Sight::Alone(2));
        // Without records: dropped after the end, or this is another PostgreSQL.
        assert_eq!(judge(None, &Sight::Alone(2)), Sight::Alone(2));
        for before in [Sight::Nothing, elsewhere(), reigns(2), Sight::Switching] {
            assert_eq!(judge(None, &before), Sight::Elsewhere(None));
        }
    }

    #[test]
    fn a_past_is_not_served_again() {
        let at = |epoch, identifier, timeline, end| Newest {
            epoch,
            system: System { identifier, timeline },
            end: Lsn(end),
        };
        let newest = at(4, 7, 2, 100);
        for past in [at(2, 7, 2, 200), at(4, 7, 2, 99), at(4, 7, 1, 200), at(4, 8, 2, 200)] {
            assert!(newest.outdates(&past), "{past:?}");
        }
        for next in [at(4, 7, 2, 100), at(4, 7, 3, 50), at(6, 8, 1, 1)] {
            assert!(!newest.outdates(&next), "{next:?}");
        }
    }
}
