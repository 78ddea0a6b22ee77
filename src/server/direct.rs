//! One back end behind the control door: phase direct, or a front. There is no shadow, and nothing
//! to order but pause, resume and reload.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::engine::HELD;
use super::reload::Reload;
use crate::control::{
    BoxFuture, Command, Engine, Gate, Outcome, Progress, SessionInfo, SettingInfo, StatementList,
    Status, TableInfo, Totals, Translation, VerifiedInfo,
};
use crate::cutover::front::{Front, Sight};
use crate::cutover::phase::Phase;
use crate::divergence::{Accept, Group};
use crate::session::Shared;

/// See the module.
pub(super) struct Direct {
    reload: Arc<Reload>,
    shared: Arc<Shared>,
    stop: CancellationToken,
    /// Who is primary, where that is not this proxy's own SQLite file.
    front: Option<Arc<Front>>,
}

impl Direct {
    /// The engine of a proxy without PostgreSQL.
    pub(super) fn new(reload: Arc<Reload>, shared: Arc<Shared>, stop: CancellationToken) -> Self {
        Self { reload, shared, stop, front: None }
    }

    /// The engine of a front.
    pub(super) fn in_front_of(mut self, front: Arc<Front>) -> Self {
        self.front = Some(front);
        self
    }

    fn status_now(&self) -> Status {
        let held = self.shared.gate.is_held();
        super::gauges::sessions(&self.shared);
        let status = Status {
            phase: self.phase().into(),
            health: if held { "stalled" } else { "ok" }.into(),
            reason: held.then(|| HELD.to_owned()),
            primary: "sqlite".into(),
            epoch: 1,
            position: self.shared.sqlite.position().0,
            verified: VerifiedInfo { state: "never".into(), at: None },
            sessions: self.shared.sessions.len() as u64,
            foreign_writes: self.shared.sqlite.foreign_writes(),
            next: vec!["start again with --postgres to mirror".into()],
            ..Status::default()
        };
        match &self.front {
            None => status,
            Some(front) => fronted(front, status),
        }
    }
}

/// What a front knows: who is primary.
fn fronted(front: &Front, status: Status) -> Status {
    let (phase, epoch) = front.phase();
    let reigns = matches!(phase, Phase::Promoted | Phase::Complete);
    let reason = match front.sight() {
        Sight::Reigns(..) | Sight::Alone(_) => None,
        Sight::Nothing => Some("PostgreSQL does not answer".to_owned()),
        Sight::Switching => Some("PostgreSQL is shut off: a switch is under way".to_owned()),
        Sight::Older => Some("PostgreSQL is older than what this proxy has served".to_owned()),
        Sight::Elsewhere(None) => {
            Some("SQLite is primary, or no pair of back ends uses this PostgreSQL".to_owned())
        }
        Sight::Elsewhere(Some(owner)) => Some(format!("SQLite is primary, served by {owner}")),
    };
    Status {
        health: if reason.is_some() { "stalled".into() } else { status.health },
        reason: reason.or(status.reason),
        primary: if reigns { "postgres" } else { "sqlite" }.into(),
        shadow: (phase != Phase::Complete)
            .then(|| if reigns { "sqlite" } else { "postgres" }.into()),
        epoch,
        next: vec!["order from the proxy that has the SQLite file".into()],
        ..status
    }
}

impl Engine for Direct {
    fn phase(&self) -> &'static str {
        self.front.as_ref().map_or(Phase::Direct, |front| front.phase().0).as_str()
    }

    fn status(&self) -> BoxFuture<'_, Status> {
        Box::pin(async { self.status_now() })
    }

    fn gates(&self) -> BoxFuture<'_, Vec<Gate>> {
        Box::pin(async { Vec::new() })
    }

    fn divergences(&self) -> Vec<Group> {
        Vec::new()
    }

    fn replay(&self, _id: &str) -> Option<String> {
        None
    }

    fn accept(&self, _id: &str, _accept: Accept) -> bool {
        false
    }

    fn tables(&self) -> BoxFuture<'_, Vec<TableInfo>> {
        Box::pin(async {
            let catalog = self.shared.sqlite.catalog();
            let info = |r: &Arc<crate::schema::Relation>| TableInfo {
                name: r.name.clone(),
                keyed: r.key().is_some(),
                ..TableInfo::default()
            };
            let tables = catalog.relations.values();
            tables.filter(|r| r.kind == crate::schema::RelationKind::Table).map(info).collect()
        })
    }

    fn statements(&self) -> StatementList {
        StatementList::of(&self.shared.shapes)
    }

    fn translate(&self, text: &str) -> Translation {
        super::texts::translation(text, &self.shared.sqlite.catalog())
    }

    fn sessions(&self) -> Vec<SessionInfo> {
        super::sessions::list(&self.shared)
    }

    fn totals(&self) -> Totals {
        self.shared.totals()
    }

    fn config(&self) -> Vec<SettingInfo> {
        super::sessions::config(&self.reload.entries())
    }

    fn run<'a>(&'a self, command: &'a Command, _progress: &'a Progress) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match command {
                Command::Pause => {
                    self.shared.gate.hold(true);
                    Outcome::Done("new statements wait".into())
                }
                Command::Resume => {
                    self.shared.gate.hold(false);
                    Outcome::Done("statements go on".into())
                }
                Command::Reload => self.reload.run(),
                _ if self.front.is_some() => Outcome::Refused(
                    "this proxy has no SQLite file".into(),
                    Some("Order it from the proxy that has.".into()),
                ),
                _ => Outcome::Refused(
                    "no PostgreSQL is attached".into(),
                    Some("Start again with --postgres URL.".into()),
                ),
            }
        })
    }

    fn shutdown(&self) {
        self.stop.cancel();
    }
}
