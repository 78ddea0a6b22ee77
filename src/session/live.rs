//! What the system tables tell of sessions: activity, locks, cursors, prepared statements
//! and changed settings.
//!
//! Owns the rows; they are made when a query over these tables runs. It must never show a
//! statement's text to a session of another role.

use std::sync::Arc;

use super::advisory::Key;
use super::{Doing, Session, Shared};
use crate::backend::sqlite::system::Live;
use crate::sql::types::sql_name;
use crate::value::{Cell, Codec, Datum, Type, oid, storage};

type Values = Vec<(&'static str, Cell)>;

/// One look at the sessions.
struct Look {
    shared: Arc<Shared>,
    user: String,
    cursors: Vec<Values>,
    prepared: Vec<Values>,
    settings: Vec<(String, String)>,
}

fn text(value: impl Into<String>) -> Cell {
    Cell::Text(value.into())
}

/// Microseconds since 2000 as a timestamptz; NULL beyond the years that cells hold.
fn moment(micros: i64) -> Cell {
    let ty = Type::new(oid::TIMESTAMPTZ);
    storage::encode(Codec::Identity, ty, &Datum::Timestamptz(micros)).unwrap_or(Cell::Null)
}

fn flag(value: bool) -> Cell {
    Cell::Integer(i64::from(value))
}

impl Session {
    /// What a query over the system tables may see of sessions.
    pub(super) fn look(&self) -> Arc<dyn Live> {
        let cursors = self.portals.cursors().map(|(name, cursor)| {
            vec![
                ("name", text(name)),
                ("statement", text(cursor.plan.text.as_str())),
                ("is_holdable", flag(cursor.hold)),
                ("is_binary", flag(cursor.binary)),
                ("is_scrollable", flag(!cursor.forward_only)),
            ]
        });
        let named = self.statements.all().filter(|(name, _)| !name.is_empty());
        let prepared = named.map(|(name, statement)| {
            let types: Vec<String> = statement.params().iter().map(|t| sql_name(t.oid)).collect();
            let types = serde_json::to_string(&types).unwrap_or_default();
            vec![
                ("name", text(name)),
                ("statement", text(statement.text())),
                ("prepare_time", moment(statement.since)),
                ("parameter_types", text(types)),
                ("from_sql", flag(statement.from_sql)),
            ]
        });
        Arc::new(Look {
            shared: Arc::clone(&self.shared),
            user: self.card.user.clone(),
            cursors: cursors.collect(),
            prepared: prepared.collect(),
            settings: self.settings.changed(&self.settings.snapshot()),
        })
    }
}

impl Live for Look {
    fn rows(&self, table: &str) -> Vec<Values> {
        match table {
            "pg_cursors" => self.cursors.clone(),
            "pg_prepared_statements" => self.prepared.clone(),
            "pg_stat_activity" => self.activity(),
            "pg_locks" => self.locks(),
            _ => Vec::new(),
        }
    }

    fn settings(&self) -> Vec<(String, String)> {
        self.settings.clone()
    }
}

impl Look {
    fn activity(&self) -> Vec<Values> {
        let cards = self.shared.sessions.iter();
        cards
            .map(|card| {
                let (state, wait) = match card.doing() {
                    Doing::Idle => ("idle", Some(("Client", "ClientRead"))),
                    Doing::Active => ("active", None),
                    Doing::InTransaction => ("idle in transaction", Some(("Client", "ClientRead"))),
                    Doing::Waiting => ("active", Some(("Lock", "transactionid"))),
                };
                let query = match card.user == self.user {
                    true => card.asked(),
                    false => "<insufficient privilege>".to_owned(),
                };
                let mut values = vec![
                    ("datname", text(card.database.as_str())),
                    ("pid", Cell::Integer(i64::from(card.pid))),
                    ("usename", text(card.user.as_str())),
                    ("application_name", text(card.application.lock().as_str())),
                    ("state", text(state)),
                    ("query", text(query)),
                    ("backend_type", text("client backend")),
                ];
                if let Some((kind, event)) = wait {
                    values.push(("wait_event_type", text(kind)));
                    values.push(("wait_event", text(event)));
                }
                if let Ok(address) = card.client.parse::<std::net::SocketAddr>() {
                    values.push(("client_addr", text(address.ip().to_string())));
                    values.push(("client_port", Cell::Integer(i64::from(address.port()))));
                }
                values
            })
            .collect()
    }

    fn locks(&self) -> Vec<Values> {
        let number = |bits: u32| Cell::Integer(i64::from(bits));
        let locks = self.shared.locks.held();
        locks
            .into_iter()
            .map(|(pid, key, shared)| {
                let (class, object, sub) = match key {
                    Key::One(key) => ((key >> 32) as u32, key as u32, 1),
                    Key::Two(class, object) => (class as u32, object as u32, 2),
                };
                let mode = if shared { "ShareLock" } else { "ExclusiveLock" };
                vec![
                    ("locktype", text("advisory")),
                    ("classid", number(class)),
                    ("objid", number(object)),
                    ("objsubid", Cell::Integer(sub)),
                    ("pid", Cell::Integer(i64::from(pid))),
                    ("mode", text(mode)),
                    ("granted", flag(true)),
                    ("fastpath", flag(false)),
                ]
            })
            .collect()
    }
}
