//! The sessions as the switch sees them.

use std::sync::{Arc, OnceLock};

use crate::cutover::clients::{Clients, End, Waited};
use crate::session::{Card, Doing, Shared, holds_for_ever, stays};
use crate::wire::cancel::Signal;

/// The sessions of this proxy, once they can be served.
#[derive(Default)]
pub(super) struct Sessions(OnceLock<Arc<Shared>>);

impl Sessions {
    /// Sessions are served from here on.
    pub(super) fn begin(&self, shared: &Arc<Shared>) {
        // Set once, by the assembly.
        let _ = self.0.set(Arc::clone(shared));
    }
}

const TRANSACTION: &str = "a transaction";

fn waited(card: &Card) -> Option<Waited> {
    let open = card.is_on_postgres() && card.doing() != Doing::Idle;
    let what = card.immovable().or_else(|| open.then_some(TRANSACTION))?;
    Some(told(card, what))
}

/// On SQLite a running statement may be one without a transaction.
fn sitting(card: &Card) -> Option<Waited> {
    let open = match card.is_on_postgres() {
        true => card.doing() != Doing::Idle,
        false => card.doing() == Doing::InTransaction,
    };
    open.then(|| told(card, card.immovable().unwrap_or(TRANSACTION)))
}

fn told(card: &Card, what: &'static str) -> Waited {
    let application = card.application.lock();
    let name = if application.is_empty() { "no application_name" } else { &application };
    Waited {
        pid: card.pid,
        who: format!("session {} of {} ({name}, {})", card.pid, card.user, card.client),
        what,
        for_ever: holds_for_ever(what),
        stays: stays(what),
        active: matches!(card.doing(), Doing::Active | Doing::Waiting),
        mark: card.mark(),
    }
}

impl Clients for Sessions {
    fn waited(&self) -> Vec<Waited> {
        let Some(shared) = self.0.get() else { return Vec::new() };
        shared.sessions.iter().filter_map(|card| waited(&card)).collect()
    }

    fn sitting(&self) -> Vec<Waited> {
        let Some(shared) = self.0.get() else { return Vec::new() };
        shared.sessions.iter().filter_map(|card| sitting(&card)).collect()
    }

    fn count(&self) -> usize {
        self.0.get().map_or(0, |shared| shared.sessions.len())
    }

    fn end(&self, pid: i32, how: End) {
        let signal = match how {
            End::Statement => Signal::Cancel,
            End::Session => Signal::Terminate,
        };
        if let Some(shared) = self.0.get() {
            shared.registry.signal(pid, signal);
        }
    }
}
