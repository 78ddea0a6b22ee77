//! The claim on a pair: of all proxies that can reach the same PostgreSQL, one serves.
//!
//! Owns the connection that holds it, an advisory lock, from before the first client is served
//! through both reigns. Whoever writes to the shadow holds a second lock beside it, so that a
//! claim that is lost for a moment lets nobody else in. It must never take the claim where
//! another proxy may come back for it. Start at [`Claim::look`].

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::observe;
use super::state::Epoch;
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::control::{Control, Holder, Lock, Stored};
use crate::error::Result;

/// How long nobody must be seen to hold the pair until an installation takes it that was not the
/// last to hold it: longer than the last one needs to come back over a new connection.
const STRANGER_WAITS: Duration = Duration::from_secs(2);
/// The same for a proxy that was turned away: the other one was alive then.
const TURNED_AWAY_WAITS: Duration = Duration::from_secs(10);
/// How often the connection that holds it is asked whether it still does: a network that is gone
/// says nothing.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long an earlier connection of this process may take to end.
const OWN_ENDS: Duration = Duration::from_secs(1);

/// One installation's claim.
pub(super) struct Claim {
    connector: Connector,
    /// This installation, as PostgreSQL stores it: host and file.
    installation: String,
    kept: tokio::sync::Mutex<Option<Control>>,
    /// It was held and has not been given back.
    wanted: AtomicBool,
    waiting: Mutex<Waiting>,
    /// When PostgreSQL answered last that it is held.
    asked: Mutex<Option<Instant>>,
}

/// Why it is not taken at once.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    /// Since when PostgreSQL has answered each time that nobody holds it.
    free_since: Option<Instant>,
    /// Another proxy had it, and this one serves nobody because of that.
    turned_away: bool,
}

impl Claim {
    /// Nothing is asked yet.
    pub(super) fn new(connector: Connector, file: &Path) -> Self {
        Self {
            connector,
            installation: installation(file),
            kept: tokio::sync::Mutex::default(),
            wanted: AtomicBool::new(false),
            waiting: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// Takes the claim unless another proxy has it or may come back for it, and returns what
    /// PostgreSQL stores then: [`Stored::holder`] says who has it. None: schema `crossfade` is not
    /// there. With `anew` the connection is made anew, too.
    ///
    /// # Errors
    /// What PostgreSQL said, or that it does not answer.
    pub(super) async fn look(&self, anew: bool) -> Result<Option<Stored>> {
        let mut kept = self.kept.lock().await;
        // Whoever makes it anew lets go of the old one first.
        let before = kept.take().filter(|control| !anew && !control.is_closed());
        let looked = observe::within(async {
            match before {
                Some(control) => match control.stored().await {
                    Ok(stored) => Ok((control, stored)),
                    // It may have been lost with a server that is back by now.
                    Err(_) => self.take().await,
                },
                None => self.take().await,
            }
        });
        // What fails is asked anew over another connection. No answer is no proof that nobody
        // holds it.
        let (control, stored) =
            looked.await.inspect_err(|_| self.waiting.lock().free_since = None)?;
        let mine = stored.as_ref().is_some_and(|s| !matches!(s.holder, Holder::Another(_)));
        if mine {
            self.wanted.store(true, Ordering::Release);
            *self.waiting.lock() = Waiting::default();
            *self.asked.lock() = Some(Instant::now());
            *kept = Some(control);
        }
        Ok(stored)
    }

    /// Makes schema `crossfade` where it is absent.
    ///
    /// # Errors
    /// What PostgreSQL said, or that it does not answer.
    pub(super) async fn make_schema(&self) -> Result<()> {
        observe::within(async { observe::connect(&self.connector).await?.ensure_schema().await })
            .await
    }

    async fn take(&self) -> Result<(Control, Option<Stored>)> {
        let control = observe::connect(&self.connector).await?;
        let Some(mut stored) = control.stored().await? else { return Ok((control, None)) };
        if self.is_free(&stored) {
            // A connection of our own that was lost may not have ended there yet.
            let patience = if stored.holder == Holder::Us { OWN_ENDS } else { Duration::ZERO };
            let held = control.lock(Lock::Pair, patience).await?;
            // Whoever had it until now may have changed what is stored.
            let Some(now) = control.stored().await? else { return Ok((control, None)) };
            stored = now;
            if !held && !matches!(stored.holder, Holder::Another(_)) {
                stored.holder = Holder::Another("one that was faster".to_owned());
            }
        } else if !matches!(stored.holder, Holder::Another(_)) {
            let owner = stored.owner.clone().unwrap_or_default();
            stored.holder = Holder::Another(format!("the last owner may come back: {owner}"));
        }
        Ok((control, Some(stored)))
    }

    /// Whether it may be taken now.
    fn is_free(&self, stored: &Stored) -> bool {
        let mut waiting = self.waiting.lock();
        if matches!(stored.holder, Holder::Another(_)) {
            waiting.free_since = None;
            return false;
        }
        let ours = stored.owner.as_ref().is_none_or(|owner| *owner == self.installation);
        let wait = match (waiting.turned_away, ours) {
            (true, _) => TURNED_AWAY_WAITS,
            (false, false) => STRANGER_WAITS,
            (false, true) => return true,
        };
        waiting.free_since.get_or_insert_with(Instant::now).elapsed() >= wait
    }

    /// This proxy serves nobody because another one has the pair.
    pub(super) async fn turn_away(&self) {
        self.waiting.lock().turned_away = true;
        self.leave().await;
    }

    /// Whether it was turned away, and has not had the claim since.
    pub(super) fn is_turned_away(&self) -> bool {
        self.waiting.lock().turned_away
    }

    /// Stores that this installation is the one that serves: it may come back for the pair.
    ///
    /// # Errors
    /// What PostgreSQL said, or that it does not answer.
    pub(super) async fn own(&self) -> Result<()> {
        match self.kept.lock().await.as_ref() {
            Some(control) => observe::within(control.own(&self.installation)).await,
            None => Ok(()),
        }
    }

    /// Stores that PostgreSQL is served in this epoch: other proxies may open.
    ///
    /// # Errors
    /// What PostgreSQL said, or that it does not answer.
    pub(super) async fn serves(&self, epoch: Epoch) -> Result<()> {
        match self.kept.lock().await.as_ref() {
            Some(control) => observe::within(control.serves(epoch)).await,
            None => Ok(()),
        }
    }

    /// Takes it again when its connection was lost, which is asked now and then. Some(who) when somebody else has it now. No
    /// answer changes nothing: nobody else can take it from a PostgreSQL that is not there.
    pub(super) async fn keep(&self) -> Option<String> {
        if !self.wanted.load(Ordering::Acquire) {
            return None;
        }
        let lately = self.asked.lock().is_some_and(|at| at.elapsed() < ASK_EVERY);
        let open = self.kept.lock().await.as_ref().is_some_and(|control| !control.is_closed());
        if open && lately {
            return None;
        }
        match self.look(false).await {
            Ok(Some(Stored { holder: Holder::Another(name), .. })) => Some(name),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, "the claim on the pair is not held: no answer");
                None
            }
        }
    }

    /// Gives it back.
    pub(super) async fn leave(&self) {
        let mut kept = self.kept.lock().await;
        self.wanted.store(false, Ordering::Release);
        if let Some(control) = kept.take()
            && let Err(error) = observe::within(control.unlock()).await
        {
            tracing::debug!(%error, "the claim goes with its connection");
        }
    }
}

/// Names this file on this host: a copy of it elsewhere has another name.
fn installation(file: &Path) -> String {
    let host = nix::unistd::gethostname().unwrap_or_default();
    let (device, inode) = std::fs::metadata(file).map_or((0, 0), |m| (m.dev(), m.ino()));
    format!("{}:{device:x}:{inode:x}:{}", host.to_string_lossy(), file.display())
}
