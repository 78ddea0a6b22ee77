//! Sessions and configuration as the surfaces show them.

use std::sync::Arc;

use crate::config::Entry;
use crate::control::{SessionInfo, SettingInfo};
use crate::session::{Card, Doing, Shared};

/// Client sessions now.
pub(super) fn list(shared: &Shared) -> Vec<SessionInfo> {
    let info = |card: &Arc<Card>| SessionInfo {
        pid: card.pid,
        user: card.user.clone(),
        database: card.database.clone(),
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
        waiting_ms: card
            .waiting()
            .map(|waiting| u64::try_from(waiting.as_millis()).unwrap_or(u64::MAX)),
        immovable: card.immovable().map(str::to_owned),
    };
    shared.sessions.iter().map(|card| info(&card)).collect()
}

/// Effective configuration, without secrets.
pub(super) fn config(entries: &[Entry]) -> Vec<SettingInfo> {
    let shown = |e: &Entry| SettingInfo {
        name: format!("{}.{}", e.section, e.name),
        value: e.value.clone(),
        source: e.source.to_string(),
        reloadable: e.is_reloadable(),
    };
    entries.iter().map(shown).collect()
}
