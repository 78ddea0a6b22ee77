//! What the shadow's connections wait for: a lock that somebody holds there.
//!
//! Owns the look, once in a few seconds and only while the applier stands still or an order is at
//! work. It must never hold anybody up, and never tell of a wait that is over. Start at [`watch`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backend::Position;
use crate::backend::postgres::waits::{LONG, look};
use crate::control::{Outcome, Progress};
use crate::mirror::Mirror;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(2);

/// What was seen, and where the applier stood then: a wait that is over is not told of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    text: String,
    at: Position,
}

/// What is waited for now.
pub(super) struct Waits {
    told: watch::Sender<Option<Told>>,
    orders: AtomicUsize,
}

impl Default for Waits {
    fn default() -> Self {
        Self { told: watch::Sender::new(None), orders: AtomicUsize::new(0) }
    }
}

/// An order that is at work.
struct Order<'a>(&'a Waits);

impl Drop for Order<'_> {
    fn drop(&mut self) {
        self.0.orders.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Whether the applier has something to do.
fn is_behind(mirror: &Mirror) -> bool {
    mirror.is_running() && mirror.applied() < mirror.sqlite().durable()
}

impl Waits {
    /// What is waited for; None when nobody waits for long.
    pub(super) fn now(&self, mirror: &Mirror) -> Option<String> {
        let may_wait = is_behind(mirror) || self.orders.load(Ordering::Acquire) > 0;
        let told =
            self.told.borrow().clone().filter(|told| may_wait && told.at == mirror.applied());
        told.map(|told| told.text)
    }

    /// Does an order, and says meanwhile what it waits for.
    pub(super) async fn telling(
        &self,
        progress: &Progress,
        order: impl Future<Output = Outcome>,
    ) -> Outcome {
        // What was told before is another order's.
        self.told.send_replace(None);
        self.orders.fetch_add(1, Ordering::AcqRel);
        let _at_work = Order(self);
        let mut told = self.told.subscribe();
        let mut order = std::pin::pin!(order);
        loop {
            tokio::select! {
                outcome = &mut order => return outcome,
                Ok(()) = told.changed() => {
                    if let Some(told) = told.borrow_and_update().clone() {
                        progress.step("waiting on PostgreSQL", told.text);
                    }
                }
            }
        }
    }
}

/// Looks until stopped.
pub(super) async fn watch(waits: Arc<Waits>, mirror: Mirror, stop: CancellationToken) {
    let mut stood = (mirror.applied(), Duration::ZERO);
    let mut kept = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let at = mirror.applied();
        stood = match is_behind(&mirror) && at == stood.0 {
            true => (at, stood.1 + EVERY),
            false => (at, Duration::ZERO),
        };
        let worth = stood.1 >= LONG || waits.orders.load(Ordering::Acquire) > 0;
        let found = match worth {
            true => look(&mut kept, mirror.connector()).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "who holds locks on PostgreSQL cannot be looked at");
                None
            }),
            false => {
                kept = None;
                None
            }
        };
        let found = found.map(|wait| Told { text: format!("waiting for {wait}"), at });
        waits.told.send_if_modified(|told| {
            let text = |told: &Option<Told>| told.as_ref().map(|told| told.text.clone());
            let news = text(told) != text(&found);
            *told = found;
            news
        });
    }
}
