//! What `check` says of the clients' sessions on PostgreSQL: room for them, and the settings that its
//! role and database give.
//!
//! Owns those two questions. It must never change a setting there. Start at [`look`].

use tokio_postgres::Client;

use super::check::{Findings, State};
use crate::backend::postgres::room::{self, Room};
use crate::config::{Config, PoolMode};
use crate::count::counted;
use crate::session::settings::{KEPT, table};

/// Limits that PostgreSQL sets by itself: they are not Crossfade's to keep away.
const LIMITS: [&str; 5] = [
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
];

/// Asks as the application's role.
///
/// # Errors
/// PostgreSQL's.
pub(super) async fn look(
    config: &Config,
    role: &str,
    client: &Client,
    findings: &mut Findings,
) -> Result<(), tokio_postgres::Error> {
    sessions(config, room::room(client, role).await?, findings);
    let other = others(client).await?;
    let of = |names: &[&str]| {
        let list = other.iter().filter(|(name, _)| names.contains(&name.as_str()));
        list.map(|(name, there)| format!("{name} = {there}")).collect::<Vec<_>>().join("; ")
    };
    let (kept, limits) = (of(&KEPT), of(&LIMITS));
    if !limits.is_empty() {
        let text = format!("from promote on sessions of {role} have PostgreSQL's {limits}");
        findings.add("postgres", "limits", State::Warning, text);
    }
    if kept.is_empty() {
        let text = format!("sessions of {role} find the settings that they have now");
        findings.add("postgres", "settings", State::Ok, text);
        return Ok(());
    }
    let text = format!(
        "PostgreSQL gives role {role} {kept}: Crossfade's sessions keep the usual defaults until \
         complete, and have these from then on"
    );
    findings.add("postgres", "settings", State::Warning, text);
    findings.hint(
        "Set them in the application, or reset them: ALTER ROLE … or ALTER DATABASE … RESET.",
    );
    Ok(())
}

fn sessions(config: &Config, room: Room, findings: &mut Findings) {
    let free = counted(u64::try_from(room.free).unwrap_or_default(), "more session");
    let each = match *config.postgres.pool_mode {
        PoolMode::Session => "each client has one after promote",
        PoolMode::Transaction => "clients share postgres.pool_size of them after promote",
    };
    let text = format!("takes {free} ({}, max_connections {}); {each}", room.limit, room.max);
    findings.add("postgres", "sessions", State::Ok, text);
}

/// Settings that are not what a session has before promote.
async fn others(client: &Client) -> Result<Vec<(String, String)>, tokio_postgres::Error> {
    let names: Vec<&str> = KEPT.iter().chain(&LIMITS).copied().collect();
    let sql = "SELECT name, setting FROM pg_settings WHERE name = ANY($1) ORDER BY name";
    let rows = client.query(sql, &[&names]).await?;
    let row = |row: &tokio_postgres::Row| {
        let (name, there): (String, String) = (row.get(0), row.get(1));
        let here = table::find(&name).map_or("0", |definition| definition.default);
        (there != here).then_some((name, there))
    };
    Ok(rows.iter().filter_map(row).collect())
}
