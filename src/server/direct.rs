//! Phase direct behind the control door: no shadow, nothing to order but pause and resume.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::engine::HELD;
use crate::config::Config;
use crate::control::{
    BoxFuture, Command, Engine, Gate, Outcome, Progress, SessionInfo, StatementList, Status,
    TableInfo, Translation, VerifiedInfo,
};
use crate::cutover::phase::Phase;
use crate::divergence::{Accept, Group};
use crate::session::{Doing, Shared};

/// See the module.
pub(super) struct Direct {
    config: Arc<Config>,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl Direct {
    /// The engine of a proxy without PostgreSQL.
    pub(super) fn new(config: Arc<Config>, shared: Arc<Shared>, stop: CancellationToken) -> Self {
        Self { config, shared, stop }
    }
}

impl Engine for Direct {
    fn phase(&self) -> &'static str {
        Phase::Direct.as_str()
    }

    fn status(&self) -> BoxFuture<'_, Status> {
        Box::pin(async {
            let held = self.shared.gate.is_held();
            super::gauges::sessions(&self.shared);
            Status {
                phase: "direct".into(),
                health: if held { "stalled" } else { "ok" }.into(),
                reason: held.then(|| HELD.to_owned()),
                primary: "sqlite".into(),
                epoch: 1,
                position: self.shared.sqlite.position().0,
                verified: VerifiedInfo { state: "never".into(), at: None },
                sessions: self.shared.sessions.len() as u64,
                next: vec!["start again with --postgres to mirror".into()],
                ..Status::default()
            }
        })
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
        let info = |card: &crate::session::Card| SessionInfo {
            pid: card.pid,
            user: card.user.clone(),
            application: card.application.lock().clone(),
            client: card.client.clone(),
            state: match card.doing() {
                Doing::Idle => "idle",
                Doing::Active => "active",
                Doing::InTransaction => "in_transaction",
                Doing::Waiting => "waiting",
            }
            .into(),
            backend: "sqlite".into(),
            immovable: None,
        };
        self.shared.sessions.iter().map(|card| info(&card)).collect()
    }

    fn config(&self) -> Vec<(String, String, String)> {
        let entries = self.config.entries().into_iter();
        entries
            .map(|e| (format!("{}.{}", e.section, e.name), e.value, e.source.to_string()))
            .collect()
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
