//! Sessions and configuration as the surfaces show them.

use std::sync::Arc;

use crate::config::Entry;
use crate::control::SessionInfo;
use crate::session::{Card, Doing, Shared};

/// Client sessions now.
pub(super) fn list(shared: &Shared) -> Vec<SessionInfo> {
    let info = |card: &Arc<Card>| SessionInfo {
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
        .to_owned(),
        backend: if card.is_on_postgres() { "postgres" } else { "sqlite" }.to_owned(),
        immovable: card.immovable().map(str::to_owned),
    };
    shared.sessions.iter().map(|card| info(&card)).collect()
}

/// Effective configuration: name, value without secrets, source.
pub(super) fn config(entries: &[Entry]) -> Vec<(String, String, String)> {
    let shown =
        |e: &Entry| (format!("{}.{}", e.section, e.name), e.value.clone(), e.source.to_string());
    entries.iter().map(shown).collect()
}
